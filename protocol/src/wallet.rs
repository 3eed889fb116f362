use std::fmt;
use std::str::FromStr;

use crate::address::Address;
use crate::claims::Claims;
use crate::json::write_text;
use crate::signature::{SecretKey, SignatureError, verify_strict};
use crate::token::{Token, TokenError, encode_base64, seal, signing_input};

/// The longest wallet token. A wallet with the longest user id takes about 600 bytes.
pub const WALLET_BYTES_MAX: usize = 4096;

/// The longest user id.
pub const USER_ID_BYTES_MAX: usize = 64;

/// The name that a wallet's holder chose: 1 to 64 bytes of UTF-8 without white space, control characters or `/`, since it stands in a state path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(String);

impl UserId {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserId {
    type Err = UserIdError;

    fn from_str(text: &str) -> Result<Self, UserIdError> {
        let is_foreign = |c: char| c.is_control() || c.is_whitespace() || c == '/';
        if text.is_empty() || text.len() > USER_ID_BYTES_MAX || text.contains(is_foreign) {
            return Err(UserIdError);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A text is not a user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a user id has 1 to 64 bytes, without white space, control characters or '/'")]
pub struct UserIdError;

/// A wallet: a JWT without expiry by which the holder of a key says which user id they chose.
///
/// It is public, and never expires. Claims that it does not know are let through, as in any JWT, but for `exp`.
///
/// Source: SPEC.md section 2; `cnf` is RFC 7800's, the JWK RFC 8037's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wallet {
    token: String,
    address: Address,
    user_id: UserId,
    issued_at: u64,
}

impl Wallet {
    /// Makes and signs the wallet of `key`; `issued_at` in Unix seconds.
    ///
    /// # Errors
    /// [`WalletError::Token`] where `issued_at` is above 2^53 − 1.
    pub fn create(key: &SecretKey, user_id: &UserId, issued_at: u64) -> Result<Self, WalletError> {
        let public = key.public();
        let address = Address::from_bytes(public);
        let mut claims = format!(r#"{{"iss":"{address}","sub":"{address}","user_id":"#);
        write_text(user_id.as_str(), &mut claims);
        let x = encode_base64(&public);
        claims.push_str(&format!(
            r#","iat":{issued_at},"cnf":{{"jwk":{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}}}}}"#
        ));
        let input = signing_input(&claims);
        let signature = key.sign(input.as_bytes());
        Self::decode(&seal(input, &signature))
    }

    /// Reads a wallet and verifies its signature.
    ///
    /// # Errors
    /// [`WalletError`], the first rule that is broken.
    pub fn decode(text: &str) -> Result<Self, WalletError> {
        if text.len() > WALLET_BYTES_MAX {
            let (got, max) = (text.len(), WALLET_BYTES_MAX);
            return Err(TokenError::Size { got, max }.into());
        }
        let token = Token::decode(text)?;
        let mut claims = token.claims()?;
        let address = claims.address("iss")?;
        if claims.address("sub")? != address {
            return Err(WalletError::Subject);
        }
        let want = "1 to 64 bytes without white space, control characters or '/'";
        let user_id = claims.parsed("user_id", want)?;
        let issued_at = claims.amount::<crate::unit::Timestamp>("iat")?.get();
        if claims.take("exp").is_some() {
            return Err(WalletError::Expires);
        }
        check_key(&mut claims, address)?;
        let message = token.signing_input().as_bytes();
        verify_strict(address.as_bytes(), message, token.signature())?;
        Ok(Self {
            token: text.to_owned(),
            address,
            user_id,
            issued_at,
        })
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whose wallet it is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// The name its holder chose.
    pub fn user_id(&self) -> &UserId {
        &self.user_id
    }

    /// When it was made, in Unix seconds.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }
}

/// The confirmation key (`cnf`) must be the key of the address.
fn check_key(claims: &mut Claims<'_>, address: Address) -> Result<(), WalletError> {
    let mut key = claims.object("cnf")?.object("jwk")?;
    let is_same = key.text("kty")? == "OKP"
        && key.text("crv")? == "Ed25519"
        && key.text("x")? == encode_base64(address.as_bytes());
    if !is_same {
        return Err(WalletError::ConfirmationKey);
    }
    Ok(())
}

/// Why a text is not a wallet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalletError {
    /// Not a token, or not with a wallet's claims.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// `sub` is another than `iss`.
    #[error("claim \"sub\" must equal \"iss\": a wallet speaks for its own key")]
    Subject,
    /// It has an `exp` claim.
    #[error("claim \"exp\": a wallet never expires")]
    Expires,
    /// `cnf.jwk` is not the key of `iss`.
    #[error("claim \"cnf\" must hold the Ed25519 key of \"iss\"")]
    ConfirmationKey,
    /// Not signed by its own key.
    #[error(transparent)]
    Signature(#[from] SignatureError),
}

impl WalletError {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::Subject => "wallet_subject",
            Self::Expires => "wallet_expires",
            Self::ConfirmationKey => "wallet_key",
            Self::Signature(error) => error.reason(),
        }
    }
}

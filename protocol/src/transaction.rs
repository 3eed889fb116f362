use serde_json::Value;
use serde_json::value::RawValue;

use crate::address::Address;
use crate::chain_spec::ChainSpec;
use crate::hash::TxId;
use crate::json::{JSON_DEPTH_MAX, scan};
use crate::signature::{SecretKey, SignatureError, SignedMessage};
use crate::token::{Token, TokenError, clip, seal, signing_input};
use crate::units::{Credits, Gas, Seq};

/// The most actions in one transaction.
///
/// Source: SPEC.md section 3.
pub const ACTIONS_MAX: usize = 16;

/// What a transaction says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxClaims {
    /// Who sends it and signs it (`iss`).
    pub sender: Address,
    /// The sender's transaction count before this one.
    pub seq: Seq,
    /// The most gas that it may use.
    pub gas: Gas,
    /// What the block's miner is paid.
    pub fee: Credits,
    /// What it does.
    pub body: TxBody,
}

/// What a transaction does: JSON texts, read by the contracts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TxBody {
    /// An array of 1 to 16 action objects, run in order, all or nothing.
    Actions(String),
    /// One action object in the form `{"type":CONTRACT,"action":NAME,…}`.
    Contract(String),
}

impl TxBody {
    /// Reads a body from an object with the one member `actions` or `contract`, as users write it.
    ///
    /// # Errors
    /// [`TxError`] where it is not such an object.
    pub fn parse(text: &str) -> Result<Self, TxError> {
        let mut claims = crate::claims::Claims::parse(text)?;
        let body = Self::take(&mut claims)?;
        claims.finish()?;
        Ok(body)
    }

    fn take(claims: &mut crate::claims::Claims<'_>) -> Result<Self, TxError> {
        match (claims.take("actions"), claims.take("contract")) {
            (Some(_), Some(_)) => Err(TxError::TwoBodies),
            (None, None) => Err(TxError::NoBody),
            (Some(actions), None) => {
                check_actions(actions)?;
                Ok(Self::Actions(actions.to_owned()))
            }
            (None, Some(contract)) if contract.starts_with('{') => {
                Ok(Self::Contract(contract.to_owned()))
            }
            (None, Some(_)) => Err(TxError::ActionType),
        }
    }

    /// The body as a tree.
    pub fn to_value(&self) -> Value {
        let (Self::Actions(text) | Self::Contract(text)) = self;
        serde_json::from_str(text).expect("checked when it was made")
    }
}

fn check_actions(text: &str) -> Result<(), TxError> {
    if let Some(got) = scan::objects(text, JSON_DEPTH_MAX) {
        return match got {
            1..=ACTIONS_MAX => Ok(()),
            _ => Err(TxError::ActionCount { got }),
        };
    }
    let actions: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| TxError::ActionType)?;
    if actions.is_empty() || actions.len() > ACTIONS_MAX {
        let got = actions.len();
        return Err(TxError::ActionCount { got });
    }
    if actions.iter().any(|action| !action.get().starts_with('{')) {
        return Err(TxError::ActionType);
    }
    Ok(())
}

impl TxClaims {
    /// The claims as JSON, for the chain named `chain`.
    fn to_json(&self, chain: &str) -> String {
        let (name, body) = match &self.body {
            TxBody::Actions(text) => ("actions", text),
            TxBody::Contract(text) => ("contract", text),
        };
        let Self {
            sender,
            seq,
            gas,
            fee,
            ..
        } = self;
        format!(
            r#"{{"iss":"{sender}","aud":"{chain}","seq":{seq},"gas":{gas},"fee":{fee},"{name}":{body}}}"#
        )
    }

    /// Signs the transaction for the chain `spec`.
    ///
    /// # Errors
    /// [`TxError`] where it could not stand on that chain: too long, a body that is no body, a key that is not the sender's.
    pub fn sign(&self, key: &SecretKey, spec: &ChainSpec) -> Result<Transaction, TxError> {
        if key.public() != *self.sender.as_bytes() {
            return Err(TxError::Signature(SignatureError::Mismatch));
        }
        let input = signing_input(&self.to_json(spec.chain.as_str()));
        let signature = key.sign(input.as_bytes());
        Transaction::decode(&seal(input, &signature), spec)
    }
}

/// A transaction token that is well formed; whether its signature holds is asked by the rules.
///
/// Source: SPEC.md section 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    token: Box<str>,
    id: TxId,
    claims: TxClaims,
    signature: [u8; 64],
}

impl Transaction {
    /// Decodes a transaction token of the chain `spec`: size, encodings, header, claims, `aud`.
    ///
    /// # Errors
    /// [`TxError`], the first rule that is broken.
    pub fn decode(text: &str, spec: &ChainSpec) -> Result<Self, TxError> {
        let (got, max) = (text.len(), spec.max_tx_bytes as usize);
        if got > max {
            return Err(TokenError::Size { got, max }.into());
        }
        let token = Token::decode(text)?;
        let mut claims = token.claims()?;
        let sender = claims.address("iss")?;
        let chain = claims.text("aud")?;
        if chain != spec.chain.as_str() {
            return Err(TxError::WrongChain(clip(&chain)));
        }
        let parsed = TxClaims {
            sender,
            seq: claims.amount("seq")?,
            gas: claims.amount("gas")?,
            fee: claims.amount("fee")?,
            body: TxBody::take(&mut claims)?,
        };
        claims.finish()?;
        Ok(Self {
            id: TxId::of(text.as_bytes()),
            claims: parsed,
            signature: *token.signature(),
            token: text.into(),
        })
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// SHA-256 of the token.
    pub fn id(&self) -> TxId {
        self.id
    }

    /// What it says.
    pub fn claims(&self) -> &TxClaims {
        &self.claims
    }

    /// What was signed, by whom.
    pub fn signed_message(&self) -> SignedMessage<'_> {
        SignedMessage {
            key: self.claims.sender.as_bytes(),
            message: signed_part(&self.token),
            signature: &self.signature,
        }
    }
}

/// The signing input of a token that decoded: all before the last dot.
pub(crate) fn signed_part(token: &str) -> &[u8] {
    let end = token.rfind('.').expect("a decoded token has two dots");
    &token.as_bytes()[..end]
}

/// Why a transaction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Not a token, or not with a transaction's claims.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// `aud` names another chain.
    #[error("claim \"aud\" is {0:?}, another chain")]
    WrongChain(String),
    /// Neither `actions` nor `contract`.
    #[error("claim \"actions\" or \"contract\" is missing")]
    NoBody,
    /// Both `actions` and `contract`.
    #[error("claims \"actions\" and \"contract\" exclude each other")]
    TwoBodies,
    /// No actions, or too many.
    #[error("{got} actions, want 1 to 16")]
    ActionCount {
        /// How many there are.
        got: usize,
    },
    /// Something other than objects.
    #[error("\"actions\" must be an array of objects, \"contract\" an object")]
    ActionType,
    /// The sender did not sign it.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// More gas than a block has.
    #[error("claim \"gas\" is {got}, a block has {max}")]
    Gas {
        /// The claim.
        got: Gas,
        /// The chain's `block_gas`.
        max: Gas,
    },
    /// The fee does not pay for the gas.
    #[error("claim \"fee\" is {got}, want at least {want} (gas × min_gas_price)")]
    Fee {
        /// The claim.
        got: Credits,
        /// The least fee.
        want: u128,
    },
    /// Not the sender's next transaction.
    #[error("claim \"seq\" is {got}, the sender's next is {want}")]
    Seq {
        /// The claim.
        got: Seq,
        /// The sender's count.
        want: Seq,
    },
    /// The sender can't pay the fee.
    #[error("the sender has {balance} credits, the fee is {fee}")]
    Funds {
        /// The sender's balance.
        balance: Credits,
        /// The claim.
        fee: Credits,
    },
}

impl TxError {
    /// The error's short name, for metrics and problem details.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::WrongChain(_) => "wrong_chain",
            Self::NoBody => "no_body",
            Self::TwoBodies => "two_bodies",
            Self::ActionCount { .. } => "action_count",
            Self::ActionType => "action_type",
            Self::Signature(error) => error.reason(),
            Self::Gas { .. } => "gas",
            Self::Fee { .. } => "fee",
            Self::Seq { .. } => "seq",
            Self::Funds { .. } => "funds",
        }
    }
}

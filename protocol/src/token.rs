use std::fmt;

use base64_simd::{AsOut as _, URL_SAFE_NO_PAD};

use crate::claims::Claims;
use crate::json::{JsonError, parse_strict};

/// The JOSE header that we write, encoded: `{"alg":"EdDSA","typ":"JWT"}`.
const HEADER: &str = "eyJhbGciOiJFZERTQSIsInR5cCI6IkpXVCJ9";

/// A JWS in compact form whose shape, encodings and header are right.
///
/// Whose key signed it, and whether, is the caller's question: see [`verify_strict`](crate::verify_strict). The key never comes from the header.
///
/// Source: SPEC.md section 1; RFC 7515, RFC 8037.
#[derive(Debug, Clone)]
pub struct Token<'a> {
    signing_input: &'a str,
    claims: String,
    signature: [u8; 64],
}

impl<'a> Token<'a> {
    /// Decodes a token strictly.
    ///
    /// Exactly three parts; base64url without padding, white space or stray trailing bits; a header of `alg` = `EdDSA` and
    /// perhaps `typ` = `JWT`, nothing else; claims in UTF-8; a signature of 64 bytes. The claims are not looked at.
    ///
    /// # Errors
    /// [`TokenError`], the first rule that is broken. The caller bounds the token's size before.
    pub fn decode(text: &'a str) -> Result<Self, TokenError> {
        let mut parts = text.split('.');
        let (Some(header), Some(claims), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            let got = text.split('.').count();
            return Err(TokenError::Parts { got });
        };
        if header != HEADER {
            check_header(&decode_part(header, Part::Header)?)?;
        }
        let claims_bytes = decode_part(claims, Part::Claims)?;
        let signature = decode_part(signature, Part::Signature)?;
        let got = signature.len();
        let signature = signature.try_into();
        let signature = signature.map_err(|_| TokenError::SignatureLength { got })?;
        Ok(Self {
            signing_input: &text[..header.len() + 1 + claims.len()],
            claims: String::from_utf8(claims_bytes).map_err(|_| TokenError::ClaimsText)?,
            signature,
        })
    }

    /// What is signed: the first two parts with the dot between them.
    pub fn signing_input(&self) -> &'a str {
        self.signing_input
    }

    /// The claims, as the JSON text that the token holds.
    pub fn claims_text(&self) -> &str {
        &self.claims
    }

    /// The Ed25519 signature.
    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// The claims' members.
    pub(crate) fn claims(&self) -> Result<Claims<'_>, TokenError> {
        Claims::parse(&self.claims)
    }
}

/// The first two parts of a token that holds `claims`, a JSON text.
pub(crate) fn signing_input(claims: &str) -> String {
    let mut text = String::with_capacity(HEADER.len() + 1 + claims.len().div_ceil(3) * 4 + 87);
    text.push_str(HEADER);
    text.push('.');
    URL_SAFE_NO_PAD.encode_append(claims, &mut text);
    text
}

/// A whole token from its signing input and the signature over that.
pub(crate) fn seal(mut signing_input: String, signature: &[u8; 64]) -> String {
    signing_input.push('.');
    URL_SAFE_NO_PAD.encode_append(signature, &mut signing_input);
    signing_input
}

/// Bytes of an encoded signature.
pub(crate) const SIGNATURE_TEXT_BYTES: usize = 86;

/// The third part of a token, for the miner, who writes millions and keeps one.
pub(crate) fn encode_signature(signature: &[u8; 64], text: &mut [u8; SIGNATURE_TEXT_BYTES]) {
    let _ = URL_SAFE_NO_PAD.encode(signature, text.as_mut_slice().as_out());
}

/// base64url without padding, of a key in a JWK.
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode_to_string(bytes)
}

fn decode_part(text: &str, part: Part) -> Result<Vec<u8>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode_to_vec(text);
    bytes.map_err(|_| TokenError::Encoding(part))
}

/// Accepts the JSON object `{"alg":"EdDSA","typ":"JWT"}`, its members in either order, `typ` optional.
fn check_header(bytes: &[u8]) -> Result<(), TokenError> {
    let text = str::from_utf8(bytes).map_err(|_| TokenError::HeaderText)?;
    let header = parse_strict(text, 1).map_err(TokenError::Header)?;
    let header = header.as_object().ok_or(TokenError::HeaderText)?;
    for (name, value) in header {
        match name.as_str() {
            "alg" if value == "EdDSA" => {}
            "alg" => return Err(TokenError::Algorithm(clip(&value.to_string()))),
            "typ" if value == "JWT" => {}
            "typ" => return Err(TokenError::Type(clip(&value.to_string()))),
            _ => return Err(TokenError::HeaderMember(clip(name))),
        }
    }
    if !header.contains_key("alg") {
        return Err(TokenError::Algorithm("none given".to_owned()));
    }
    Ok(())
}

/// At most 64 characters of a hostile text, for a message.
pub(crate) fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A part of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The JOSE header.
    Header,
    /// The claims.
    Claims,
    /// The signature.
    Signature,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Claims => "claims",
            Self::Signature => "signature",
        })
    }
}

/// Why a text is not a token, or its claims are not those of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than its kind may be.
    #[error("a token of {got} bytes, at most {max} are allowed")]
    Size {
        /// Bytes.
        got: usize,
        /// The most bytes allowed.
        max: usize,
    },
    /// Not three parts.
    #[error("a token has 3 parts with dots between, got {got}")]
    Parts {
        /// How many parts there are.
        got: usize,
    },
    /// Not base64url: another alphabet, padding, white space, or trailing bits that are not zero.
    #[error("the {0} part is not canonical base64url without padding")]
    Encoding(Part),
    /// The header is not an object in UTF-8.
    #[error("the header is not a JSON object")]
    HeaderText,
    /// The header's JSON is refused.
    #[error("header: {0}")]
    Header(JsonError),
    /// Not `"alg":"EdDSA"`.
    #[error("algorithm {0}, want \"EdDSA\"")]
    Algorithm(String),
    /// Not `"typ":"JWT"`.
    #[error("header type {0}, want \"JWT\" or none")]
    Type(String),
    /// A header member other than `alg` and `typ`.
    #[error("header member {0:?}: only alg and typ are allowed")]
    HeaderMember(String),
    /// A signature that is not 64 bytes.
    #[error("a signature of {got} bytes, want 64")]
    SignatureLength {
        /// Bytes.
        got: usize,
    },
    /// The claims are not UTF-8.
    #[error("the claims are not UTF-8")]
    ClaimsText,
    /// The claims' JSON is refused.
    #[error("claims: {0}")]
    Claims(JsonError),
    /// The claims are not an object.
    #[error("the claims are not a JSON object")]
    ClaimsNotObject,
    /// A claim that its kind of token must have.
    #[error("claim {0:?} is missing")]
    MissingClaim(&'static str),
    /// A claim that its kind of token does not have.
    #[error("claim {0:?} is unknown")]
    UnknownClaim(String),
    /// A claim of another type or value.
    #[error("claim {name:?}: want {want}")]
    Claim {
        /// The claim.
        name: &'static str,
        /// What it must be.
        want: &'static str,
    },
}

impl TokenError {
    /// The error's short name, for metrics and problem details.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Size { .. } => "token_size",
            Self::Parts { .. } => "token_parts",
            Self::Encoding(Part::Header) => "header_encoding",
            Self::Encoding(Part::Claims) => "claims_encoding",
            Self::Encoding(Part::Signature) => "signature_encoding",
            Self::HeaderText => "header_text",
            Self::Header(error) | Self::Claims(error) => error.reason(),
            Self::Algorithm(_) => "algorithm",
            Self::Type(_) => "header_type",
            Self::HeaderMember(_) => "header_member",
            Self::SignatureLength { .. } => "signature_length",
            Self::ClaimsText => "claims_text",
            Self::ClaimsNotObject => "claims_not_object",
            Self::MissingClaim(_) => "missing_claim",
            Self::UnknownClaim(_) => "unknown_claim",
            Self::Claim { .. } => "claim",
        }
    }
}

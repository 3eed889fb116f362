//! Blocks of another kind of ledger, of which the contracts can be taken over: a `blocks.txt` of JWTs signed with HS256.
//!
//! One block a line, a JWT with the claims `prev_hash`, `timestamp`, `transaction_data` and `nonce`. The hash of a block is SHA-256 of its
//! token, in hex; it starts with as many zeros as the chain's difficulty asks, and stands in the next block's `prev_hash`.
//! Whoever has the secret can write such a chain, so that its signatures prove little; here each transaction is signed anew by its sender.
//!
//! Source: SPEC.md section 13.

use std::fmt;
use std::io::{BufRead, Read as _};
use std::str::FromStr;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use lyceum_protocol::{Hash, TxBody};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

mod error;
#[cfg(test)]
mod tests;

pub use error::{Hs256Error, Hs256Problem};

/// The longest line: as long as a block line of this ledger may ever be.
pub const HS256_LINE_BYTES_MAX: usize = lyceum_protocol::BLOCK_BYTES_LIMIT as usize;

/// A block of such a chain, as what its hash is the hash of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Hs256Token {}

/// SHA-256 of a block's token.
pub type Hs256Hash = Hash<Hs256Token>;

/// How many zeros the hash of a block starts with, in hex digits: 0 to 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hs256Difficulty(u8);

impl Hs256Difficulty {
    /// Wraps a number of digits; `None` above 64.
    pub fn new(digits: u8) -> Option<Self> {
        (digits <= 64).then_some(Self(digits))
    }

    /// Does `hash` start with that many zeros?
    pub fn is_met_by(self, hash: &Hs256Hash) -> bool {
        let digits = usize::from(self.0);
        let text = hash.to_string();
        text.bytes().take(digits).all(|digit| digit == b'0')
    }
}

impl Default for Hs256Difficulty {
    /// Four digits, what small chains of this kind commonly ask: some 65 000 attempts.
    fn default() -> Self {
        Self(4)
    }
}

impl fmt::Display for Hs256Difficulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Hs256Difficulty {
    type Err = Hs256DifficultyError;

    fn from_str(text: &str) -> Result<Self, Hs256DifficultyError> {
        let digits = text.parse().ok();
        digits.and_then(Self::new).ok_or(Hs256DifficultyError)
    }
}

/// A text is not a difficulty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want a number of hex zeros, 0 to 64")]
pub struct Hs256DifficultyError;

/// One block that has passed every rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hs256Block {
    /// Its line, from 1.
    pub line: u64,
    /// Its hash.
    pub hash: Hs256Hash,
    /// What its transactions do, in order.
    pub bodies: Vec<TxBody>,
}

/// Reads a chain block by block, verifying as it goes: signature, link, work, contents. Ends after the first error.
///
/// Lines without text are passed over.
pub struct Hs256Reader<R> {
    input: R,
    key: DecodingKey,
    validation: Validation,
    difficulty: Hs256Difficulty,
    line: u64,
    parent: Option<Hs256Hash>,
    is_done: bool,
}

impl<R: BufRead> Hs256Reader<R> {
    /// Reads `input`, whose blocks are signed with `secret`.
    pub fn new(input: R, secret: &[u8], difficulty: Hs256Difficulty) -> Self {
        // The algorithm comes from here, never from a token.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            input,
            key: DecodingKey::from_secret(secret),
            validation,
            difficulty,
            line: 0,
            parent: None,
            is_done: false,
        }
    }

    /// The next line with text on it.
    fn read_line(&mut self) -> Result<Option<String>, Hs256Problem> {
        loop {
            self.line += 1;
            let mut bytes = Vec::new();
            let max = HS256_LINE_BYTES_MAX;
            let mut bounded = (&mut self.input).take(max as u64 + 2);
            bounded.read_until(b'\n', &mut bytes)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let line = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.len() > max {
                return Err(Hs256Problem::LineSize { max });
            }
            if !line.is_empty() {
                let text = str::from_utf8(line).map_err(|_| Hs256Problem::NotText)?;
                return Ok(Some(text.to_owned()));
            }
        }
    }

    fn read_block(&mut self) -> Result<Option<Hs256Block>, Hs256Problem> {
        let Some(token) = self.read_line()? else {
            return Ok(None);
        };
        let claims = self.verify(&token)?;
        self.check_link(&claims.prev_hash)?;
        let hash = Hs256Hash::of(token.as_bytes());
        if !self.difficulty.is_met_by(&hash) {
            let want = self.difficulty;
            return Err(Hs256Problem::Work { hash, want });
        }
        let mut bodies = Vec::new();
        collect_bodies(claims.transaction_data.get(), Place::default(), &mut bodies)?;
        self.parent = Some(hash);
        let line = self.line;
        Ok(Some(Hs256Block { line, hash, bodies }))
    }

    /// Verifies a token's signature and reads its claims.
    fn verify(&self, token: &str) -> Result<Claims, Hs256Problem> {
        let decoded = decode::<Box<RawValue>>(token, &self.key, &self.validation);
        let decoded = decoded.map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature => Hs256Problem::Signature,
            ErrorKind::InvalidAlgorithm => Hs256Problem::Algorithm,
            _ => Hs256Problem::Token(error.to_string()),
        })?;
        if decoded.header.crit.is_some() {
            return Err(Hs256Problem::Critical);
        }
        let claims: Claims = serde_json::from_str(decoded.claims.get())
            .map_err(|error| Hs256Problem::Claims(error.to_string()))?;
        for (name, value) in [("timestamp", &claims.timestamp), ("nonce", &claims.nonce)] {
            if !value.is_number() && !value.is_string() {
                return Err(Hs256Problem::Claim { name });
            }
        }
        Ok(claims)
    }

    fn check_link(&self, got: &str) -> Result<(), Hs256Problem> {
        match self.parent {
            None if got == "0" || got == Hs256Hash::ZERO.to_string() => Ok(()),
            None => Err(Hs256Problem::First { got: clip(got) }),
            Some(want) if got == want.to_string() => Ok(()),
            Some(want) => {
                let got = clip(got);
                Err(Hs256Problem::Link { got, want })
            }
        }
    }
}

impl<R: BufRead> Iterator for Hs256Reader<R> {
    type Item = Result<Hs256Block, Hs256Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let block = self.read_block();
        self.is_done = !matches!(block, Ok(Some(_)));
        let line = self.line;
        let block = block.map_err(|problem| Hs256Error { line, problem });
        block.transpose()
    }
}

/// The claims that are asked for; others are let through.
#[derive(Deserialize)]
struct Claims {
    prev_hash: String,
    timestamp: Value,
    transaction_data: Box<RawValue>,
    nonce: Value,
}

/// Where in `transaction_data` a value stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    index: Option<usize>,
    is_in_text: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("transaction_data")?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// Takes the bodies out of a JSON value: a body, a JSON text of a value, an array of bodies and texts; `null` holds none.
fn collect_bodies(raw: &str, place: Place, bodies: &mut Vec<TxBody>) -> Result<(), Hs256Problem> {
    let shape = || Hs256Problem::Shape(place);
    match raw.as_bytes().first() {
        Some(b'{') => {
            let body = TxBody::parse(raw);
            bodies.push(body.map_err(|error| Hs256Problem::Body { place, error })?);
        }
        Some(b'"') if !place.is_in_text => {
            let text: String = serde_json::from_str(raw).map_err(|_| shape())?;
            let is_in_text = true;
            collect_bodies(
                text.trim(),
                Place {
                    is_in_text,
                    ..place
                },
                bodies,
            )?;
        }
        Some(b'[') if place.index.is_none() => {
            let items: Vec<&RawValue> = serde_json::from_str(raw).map_err(|_| shape())?;
            for (index, item) in items.into_iter().enumerate() {
                let index = Some(index);
                collect_bodies(item.get(), Place { index, ..place }, bodies)?;
            }
        }
        _ if raw == "null" && place == Place::default() => {}
        _ => return Err(shape()),
    }
    Ok(())
}

/// At most 64 characters of a foreign text, for a message.
fn clip(text: &str) -> String {
    text.chars().take(64).collect()
}

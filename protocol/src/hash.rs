use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use ruint::aliases::U256;
use sha2::{Digest, Sha256};

/// A 32-byte SHA-256 digest of one kind of thing.
///
/// The kind is a type, so that a block's hash can't stand where a transaction's id is wanted.
/// Shown as 64 lower-case hex digits; ordered as a big-endian 256-bit integer.
///
/// Source: SPEC.md section 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash<Kind> {
    bytes: [u8; 32],
    kind: PhantomData<Kind>,
}

/// What a [`struct@Hash`] is the hash of.
pub mod kind {
    /// A block token.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Block {}
    /// A transaction token.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Transaction {}
    /// The Merkle tree of a block's transactions.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum TxTree {}
    /// The Jellyfish Merkle tree of the state.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum State {}
}

/// SHA-256 of a whole block token.
pub type BlockHash = Hash<kind::Block>;
/// SHA-256 of a whole transaction token.
pub type TxId = Hash<kind::Transaction>;
/// Root of the RFC 6962 tree over a block's transaction tokens.
pub type TxRoot = Hash<kind::TxTree>;
/// Root of the state tree after a block.
pub type StateRoot = Hash<kind::State>;

impl<Kind> Hash<Kind> {
    /// All bits zero: the parent of the genesis block.
    pub const ZERO: Self = Self::from_bytes([0; 32]);

    /// Wraps 32 bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self {
            bytes,
            kind: PhantomData,
        }
    }

    /// Hashes `content`.
    pub fn of(content: &[u8]) -> Self {
        Self::from_bytes(Sha256::digest(content).into())
    }

    /// The 32 bytes, most significant first.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The digest as a number, for the comparison with a target.
    pub fn to_uint(self) -> U256 {
        U256::from_be_bytes(self.bytes)
    }
}

impl<Kind> fmt::Display for Hash<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.bytes))
    }
}

impl<Kind> fmt::Debug for Hash<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<Kind> FromStr for Hash<Kind> {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_hex(text).map(Self::from_bytes)
    }
}

/// A BitTorrent v1 infohash: SHA-1 of a metainfo's `info` dictionary, 40 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash([u8; 20]);

impl InfoHash {
    /// Wraps 20 bytes.
    pub const fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(bytes)
    }

    /// The 20 bytes.
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base16ct::lower::encode_string(&self.0))
    }
}

impl fmt::Debug for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for InfoHash {
    type Err = HexError;

    fn from_str(text: &str) -> Result<Self, HexError> {
        parse_hex(text).map(Self)
    }
}

/// A text is not the lower-case hex of the bytes that were expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want {digits} lower-case hex digits")]
pub struct HexError {
    /// How many digits were wanted.
    pub digits: usize,
}

/// Reads exactly `2 * N` lower-case hex digits.
pub(crate) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], HexError> {
    let mut bytes = [0; N];
    match base16ct::lower::decode(text, &mut bytes) {
        Ok(read) if read.len() == N => Ok(bytes),
        _ => Err(HexError { digits: 2 * N }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_lower_case_and_of_exact_length() {
        let hash = BlockHash::of(b"");
        let text = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.parse(), Ok(hash));
        for bad in [&text[1..], &text[2..], &text.to_uppercase(), "", "zz"] {
            assert_eq!(bad.parse::<BlockHash>(), Err(HexError { digits: 64 }));
        }
        assert!(format!("{text}00").parse::<BlockHash>().is_err());
        assert!("00".repeat(19).parse::<InfoHash>().is_err());
        assert!("0a".repeat(20).parse::<InfoHash>().is_ok());
    }

    #[test]
    fn order_is_that_of_the_number() {
        let mut small = [0; 32];
        small[31] = 255;
        let mut large = [0; 32];
        large[0] = 1;
        let (small, large) = (BlockHash::from_bytes(small), BlockHash::from_bytes(large));
        assert!(small < large);
        assert!(small.to_uint() < large.to_uint());
    }
}

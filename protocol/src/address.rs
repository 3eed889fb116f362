use std::fmt;
use std::str::FromStr;

/// The multicodec prefix of an Ed25519 public key, 0xed as a varint.
const MULTICODEC_ED25519: [u8; 2] = [0xed, 0x01];

const PREFIX: &str = "did:key:z";

/// The longest `did:key` of an Ed25519 key: 34 bytes in base58 are at most 48 digits.
const TEXT_BYTES_MAX: usize = PREFIX.len() + 48;

/// A wallet's address: an Ed25519 public key, written as its W3C `did:key`.
///
/// Any 32 bytes are an address; whether they are a usable key is asked where a signature is verified. Each address has one
/// spelling.
///
/// Source: SPEC.md section 1; the did:key method, version 0.9.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; 32]);

impl Address {
    /// Wraps the 32 bytes of a compressed Ed25519 point.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the public key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 34];
        bytes[..2].copy_from_slice(&MULTICODEC_ED25519);
        bytes[2..].copy_from_slice(&self.0);
        write!(f, "{PREFIX}{}", bs58::encode(bytes).into_string())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let digits = text.strip_prefix(PREFIX).ok_or(AddressError::Prefix)?;
        if text.len() > TEXT_BYTES_MAX {
            return Err(AddressError::Encoding);
        }
        let mut bytes = [0; 34];
        match bs58::decode(digits).onto(&mut bytes) {
            Ok(34) => {}
            _ => return Err(AddressError::Encoding),
        }
        match bytes {
            [a, b, key @ ..] if [a, b] == MULTICODEC_ED25519 => Ok(Self(key)),
            _ => Err(AddressError::KeyType),
        }
    }
}

/// A text is not the address of an Ed25519 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a `did:key` in base58.
    #[error("an address starts with did:key:z")]
    Prefix,
    /// Not 34 bytes in base58btc.
    #[error("an address is did:key:z and 34 bytes in base58btc")]
    Encoding,
    /// A key of another kind.
    #[error("the did:key is not of an Ed25519 key (did:key:z6Mk…)")]
    KeyType,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_the_examples_of_the_did_key_method() {
        // Source: the test vectors of the did:key method (w3c-ccg), Ed25519.
        for text in [
            "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp",
            "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG",
            "did:key:z6MknGc3ocHs3zdPiJbnaaqDi58NGb4pk1Sp9WxWufuXSdxf",
        ] {
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        let key = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp".parse::<Address>();
        let want = "3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29";
        assert_eq!(
            base16ct::lower::encode_string(key.unwrap().as_bytes()),
            want
        );
    }

    #[test]
    fn refusals_are_named() {
        let parse = |text: &str| text.parse::<Address>();
        assert_eq!(parse("did:web:lyceum"), Err(AddressError::Prefix));
        assert_eq!(parse("did:key:z"), Err(AddressError::Encoding));
        assert_eq!(
            parse("did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooW0"),
            Err(AddressError::Encoding)
        );
        assert_eq!(
            parse("did:key:z16MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
            Err(AddressError::Encoding)
        );
        assert_eq!(
            parse(&format!("did:key:z{}", "1".repeat(34))),
            Err(AddressError::KeyType)
        );
        assert_eq!(
            parse(&format!("did:key:z{}", "2".repeat(1 << 20))),
            Err(AddressError::Encoding)
        );
        // An X25519 key (0xec01).
        let other = bs58::encode([&[0xec, 0x01][..], &[7; 32]].concat()).into_string();
        assert_eq!(
            parse(&format!("did:key:z{other}")),
            Err(AddressError::KeyType)
        );
    }

    proptest! {
        #[test]
        fn every_key_has_one_spelling(bytes: [u8; 32]) {
            let address = Address::from_bytes(bytes);
            let text = address.to_string();
            prop_assert!(text.starts_with("did:key:z6Mk") && text.len() <= TEXT_BYTES_MAX);
            prop_assert_eq!(text.parse(), Ok(address));
        }
    }
}

//! Ed25519 signatures: one strict verdict, alone or in a batch.
//!
//! RFC 8032 leaves freedom where a ledger can afford none. The verdict here is that of
//! `ed25519_dalek::VerifyingKey::verify_strict`, and the key must be canonically encoded too:
//!
//! 1. `S < L`;
//! 2. `R` is a canonical encoding and not of small order;
//! 3. the key is the canonical encoding of a curve point that is not of small order;
//! 4. `[S]B = R + [k]A` without a cofactor, `k = SHA-512(R ‖ A ‖ message) mod L`.
//!
//! [`verify_batch`] gives the same verdict, error included, for every item.

mod batch;
mod torsion;

pub use batch::{
    BATCH_LEN_MIN, BatchSeed, KNOWN_KEYS_MAX, KnownKeys, SignedMessage, TORSION_SUMS, verify_batch,
    verify_batch_with,
};

use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY};
use ed25519_dalek::{Signer as _, hazmat::ExpandedSecretKey};
use sha2::{Digest as _, Sha512};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a public key and of a secret seed.
pub const KEY_BYTES: usize = 32;

/// Bytes of a signature: `R` (32), then `S` (32, little-endian).
pub const SIGNATURE_BYTES: usize = 64;

/// Why a signature is refused. Checks run in the order of the variants, cheap before dear.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum SignatureError {
    /// `S` is not below the group order `L`, so a second spelling of a signature.
    #[error("signature scalar is not below the group order")]
    ScalarNotCanonical,
    /// `R` is not a canonical encoding: `y >= p`, or the sign bit of `x = 0` is set.
    #[error("signature point R is not canonically encoded")]
    RNotCanonical,
    /// `R` is one of the eight points of small order.
    #[error("signature point R has small order")]
    RSmallOrder,
    /// The key is not the canonical encoding of a point: `y >= p`, no such point, or the sign bit of `x = 0` is set.
    #[error("public key is not the canonical encoding of a curve point")]
    KeyNotCanonical,
    /// The key is one of the eight points of small order, for which anybody can sign.
    #[error("public key has small order")]
    KeySmallOrder,
    /// The equation does not hold (also: `R` is no curve point).
    #[error("signature does not match key and message")]
    Mismatch,
}

impl SignatureError {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::ScalarNotCanonical => "signature_scalar",
            Self::RNotCanonical => "signature_point",
            Self::RSmallOrder => "signature_small_order",
            Self::KeyNotCanonical => "key_encoding",
            Self::KeySmallOrder => "key_small_order",
            Self::Mismatch => "signature",
        }
    }
}

/// Verifies `signature` on `message` under `key`, strictly.
///
/// # Errors
/// The first rule broken, in the order of [`SignatureError`].
///
/// Source: SPEC.md section 1; RFC 8032 section 5.1.7.
pub fn verify_strict(
    key: &[u8; KEY_BYTES],
    message: &[u8],
    signature: &[u8; SIGNATURE_BYTES],
) -> Result<(), SignatureError> {
    let parts = Parts::parse(signature)?;
    parts.verify(&PublicKey::parse(key)?, message)
}

/// A public key that passed every check on its encoding and order; holds the decompressed point.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PublicKey {
    bytes: [u8; KEY_BYTES],
    point: EdwardsPoint,
}

impl PublicKey {
    /// Decodes a key.
    ///
    /// # Errors
    /// [`SignatureError::KeyNotCanonical`] or [`SignatureError::KeySmallOrder`].
    pub fn parse(bytes: &[u8; KEY_BYTES]) -> Result<Self, SignatureError> {
        match encoding(bytes) {
            Encoding::NotCanonical => return Err(SignatureError::KeyNotCanonical),
            Encoding::SmallOrder => return Err(SignatureError::KeySmallOrder),
            Encoding::Canonical => {}
        }
        let point = CompressedEdwardsY(*bytes).decompress();
        let point = point.ok_or(SignatureError::KeyNotCanonical)?;
        Ok(Self {
            bytes: *bytes,
            point,
        })
    }

    /// The 32 bytes of the key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.bytes
    }

    /// Verifies like [`verify_strict`]; for keys met often, it saves their decompression.
    ///
    /// # Errors
    /// As [`verify_strict`], less the errors about the key.
    pub fn verify_strict(
        &self,
        message: &[u8],
        signature: &[u8; SIGNATURE_BYTES],
    ) -> Result<(), SignatureError> {
        Parts::parse(signature)?.verify(self, message)
    }
}

/// A signature whose bytes passed the checks that need no curve arithmetic.
struct Parts {
    r: CompressedEdwardsY,
    s: Scalar,
}

impl Parts {
    fn parse(signature: &[u8; SIGNATURE_BYTES]) -> Result<Self, SignatureError> {
        let (mut r, mut s) = ([0; 32], [0; 32]);
        r.copy_from_slice(&signature[..32]);
        s.copy_from_slice(&signature[32..]);
        let s = Option::from(Scalar::from_canonical_bytes(s));
        let s = s.ok_or(SignatureError::ScalarNotCanonical)?;
        match encoding(&r) {
            Encoding::NotCanonical => Err(SignatureError::RNotCanonical),
            Encoding::SmallOrder => Err(SignatureError::RSmallOrder),
            Encoding::Canonical => Ok(Self {
                r: CompressedEdwardsY(r),
                s,
            }),
        }
    }

    fn challenge(&self, key: &PublicKey, message: &[u8]) -> Scalar {
        challenge(self.r.as_bytes(), &key.bytes, message)
    }

    fn verify(&self, key: &PublicKey, message: &[u8]) -> Result<(), SignatureError> {
        self.verify_challenge(key, &self.challenge(key, message))
    }

    /// Recomputes `R` and compares encodings: the cofactorless equation, and no need to decompress `R`.
    fn verify_challenge(&self, key: &PublicKey, k: &Scalar) -> Result<(), SignatureError> {
        let r = EdwardsPoint::vartime_double_scalar_mul_basepoint(k, &-key.point, &self.s);
        if r.compress() == self.r {
            Ok(())
        } else {
            Err(SignatureError::Mismatch)
        }
    }
}

/// `SHA-512(R ‖ A ‖ message) mod L`.
pub(crate) fn challenge(r: &[u8; 32], key: &[u8; KEY_BYTES], message: &[u8]) -> Scalar {
    let digest = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message)
        .finalize();
    Scalar::from_bytes_mod_order_wide(&digest.into())
}

enum Encoding {
    NotCanonical,
    SmallOrder,
    Canonical,
}

/// The y-coordinates of the eight points of small order, sign bit clear: 0, 1, -1 and the two of order 8.
const SMALL_ORDER_Y: [[u8; 32]; 5] = {
    const ORDER_8: [u8; 32] = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    let zero = [0; 32];
    let mut one = zero;
    one[0] = 1;
    let mut minus_one = FIELD_PRIME;
    minus_one[0] -= 1;
    // -y = p - y: byte by byte with borrow.
    let mut order_8_negated = zero;
    let mut borrow = 0;
    let mut i = 0;
    while i < 32 {
        let difference = FIELD_PRIME[i] as i16 - ORDER_8[i] as i16 - borrow;
        borrow = (difference < 0) as i16;
        order_8_negated[i] = (difference + 256 * borrow) as u8;
        i += 1;
    }
    [zero, one, minus_one, ORDER_8, order_8_negated]
};

/// p = 2^255 - 19, little-endian.
const FIELD_PRIME: [u8; 32] = {
    let mut p = [0xff; 32];
    p[0] = 0xed;
    p[31] = 0x7f;
    p
};

/// Sorts an encoding by its bytes alone. `Canonical` says nothing about whether the point exists.
///
/// A small-order point has one canonical encoding, so comparing bytes is a complete test once the
/// non-canonical encodings are out: `y >= p` (19 values), and `y = ±1` (where `x = 0`) with the sign bit.
fn encoding(bytes: &[u8; 32]) -> Encoding {
    let sign = bytes[31] >> 7 == 1;
    let mut y = *bytes;
    y[31] &= 0x7f;
    if y[0] >= FIELD_PRIME[0] && y[1..] == FIELD_PRIME[1..] {
        return Encoding::NotCanonical;
    }
    match SMALL_ORDER_Y.iter().position(|small| *small == y) {
        Some(1 | 2) if sign => Encoding::NotCanonical,
        Some(_) => Encoding::SmallOrder,
        None => Encoding::Canonical,
    }
}

/// An Ed25519 secret key. Wiped from memory on drop; never printed.
pub struct SecretKey {
    signing: ed25519_dalek::SigningKey,
}

impl SecretKey {
    /// The key of a 32-byte seed (the secret key of RFC 8032).
    #[must_use]
    pub fn from_seed(seed: &[u8; KEY_BYTES]) -> Self {
        Self {
            signing: ed25519_dalek::SigningKey::from_bytes(seed),
        }
    }

    /// A copy of the seed, for writing the key to its file; wiped on drop.
    #[must_use]
    pub fn expose_seed(&self) -> Zeroizing<[u8; KEY_BYTES]> {
        Zeroizing::new(self.signing.to_bytes())
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; KEY_BYTES] {
        self.signing.verifying_key().to_bytes()
    }

    /// Signs `message`: deterministic, RFC 8032 section 5.1.6.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_BYTES] {
        self.signing.sign(message).to_bytes()
    }

    /// The secret scalar and nonce prefix, for the miner.
    pub(crate) fn expand(&self) -> ExpandedSecretKey {
        ExpandedSecretKey::from(self.signing.as_bytes())
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

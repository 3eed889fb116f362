//! The fast way: consecutive Ed25519 nonces from one start.
//!
//! Attempt `i` has the nonce `r + i`, so its point is the one before plus `B`: one addition where a signature costs a
//! multiplication. Encoding a point needs a field inversion, shared by a chunk. Then, as ever: `k = SHA-512(R ‖ A ‖ input)`,
//! `s = r + i + k a`, and SHA-256 of the token, whose part before the signature is hashed once.

use curve25519_dalek::{EdwardsPoint, Scalar, constants::ED25519_BASEPOINT_POINT};
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::{Zeroize as _, Zeroizing};

use super::{Found, hash_prefix, token_hash};
use crate::signature::{KEY_BYTES, SIGNATURE_BYTES, SecretKey, challenge};
use crate::token::SIGNATURE_TEXT_BYTES;
use crate::work::Target;

/// Points encoded with one inversion: at 256 it costs an attempt some 15 ns, and the points fit the L1 and L2 caches (40 KiB).
const CHUNK_LEN: usize = 256;

/// The nonce of the next attempt, with all that it takes to sign. Never two signatures of it leave this module.
///
/// Deliberately neither `Clone` nor `Copy`; wiped on drop.
pub(super) struct Start {
    input: String,
    prefix: Sha256,
    public: [u8; KEY_BYTES],
    secret: Scalar,
    nonce: Scalar,
    /// `[nonce]B`.
    point: EdwardsPoint,
}

impl Start {
    /// Derives the start from the caller's entropy, the secret key and the text to sign.
    ///
    /// Whoever lacks either the entropy or the key can't tell the nonce from a uniformly random one; and another text has another start even
    /// under the same entropy. The hash's first bytes keep it apart from the nonces of RFC 8032, which start with the key's own prefix.
    pub(super) fn new(input: String, key: &SecretKey, entropy: &[u8; 32]) -> Self {
        let expanded = key.expand();
        let digest = Sha512::new()
            .chain_update(b"lyceum mining start v1")
            .chain_update(expanded.hash_prefix)
            .chain_update(entropy)
            .chain_update(&input)
            .finalize();
        let wide: Zeroizing<[u8; 64]> = Zeroizing::new(digest.into());
        let nonce = Scalar::from_bytes_mod_order_wide(&wide);
        Self {
            prefix: hash_prefix(&input),
            input,
            public: key.public(),
            secret: expanded.scalar,
            nonce,
            point: EdwardsPoint::mul_base(&nonce),
        }
    }

    /// Attempts made and, if the last of them met the target, its signature. The caller drops the start then.
    pub(super) fn search(&mut self, attempts: u64, target: Target) -> (u64, Option<Found>) {
        let mut made = 0;
        while made < attempts {
            let len = (attempts - made).min(CHUNK_LEN as u64) as usize;
            let (tried, found) = self.search_chunk(len, target);
            made += tried as u64;
            if found.is_some() {
                return (made, found);
            }
        }
        (made, None)
    }

    /// At most `len <= CHUNK_LEN` attempts. Allocates nothing but the result.
    fn search_chunk(&mut self, len: usize, target: Target) -> (usize, Option<Found>) {
        let mut next = self.point;
        let points: [EdwardsPoint; CHUNK_LEN] = std::array::from_fn(|_| {
            let point = next;
            next += ED25519_BASEPOINT_POINT;
            point
        });
        let encoded = EdwardsPoint::compress_batch(&points);
        // Signatures that are thrown away are secret: the next one would complete the key.
        let mut signature = Zeroizing::new([0; SIGNATURE_BYTES]);
        let mut text = Zeroizing::new([0; SIGNATURE_TEXT_BYTES]);
        for (i, r) in encoded[..len].iter().enumerate() {
            self.sign(r.as_bytes(), &mut signature);
            let hash = token_hash(&self.prefix, &signature, &mut text);
            if target.is_met_by(hash) {
                let found = Found {
                    input: std::mem::take(&mut self.input),
                    signature: *signature,
                    hash,
                };
                return (i + 1, Some(found));
            }
            self.nonce += Scalar::ONE;
        }
        self.point = if len == CHUNK_LEN { next } else { points[len] };
        (len, None)
    }

    /// The signature with the current nonce, whose encoded point is `r`.
    fn sign(&self, r: &[u8; 32], signature: &mut [u8; SIGNATURE_BYTES]) {
        let k = challenge(r, &self.public, self.input.as_bytes());
        let s = self.nonce + k * self.secret;
        signature[..32].copy_from_slice(r);
        signature[32..].copy_from_slice(s.as_bytes());
    }
}

impl Drop for Start {
    fn drop(&mut self) {
        self.secret.zeroize();
        self.nonce.zeroize();
        self.point.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(input: &str, seed: u8, entropy: u8) -> Start {
        let key = SecretKey::from_seed(&[seed; 32]);
        Start::new(input.to_owned(), &key, &[entropy; 32])
    }

    /// The signature that the attempt after `skip` would have.
    fn leaked(start: &mut Start, skip: u64) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [0; SIGNATURE_BYTES];
        let nonce = start.nonce + Scalar::from(skip);
        let r = EdwardsPoint::mul_base(&nonce).compress();
        let before = std::mem::replace(&mut start.nonce, nonce);
        start.sign(r.as_bytes(), &mut signature);
        start.nonce = before;
        signature
    }

    fn halves(signature: &[u8; SIGNATURE_BYTES]) -> ([u8; 32], Scalar) {
        let (r, s) = signature.split_at(32);
        let s = Scalar::from_canonical_bytes(s.try_into().unwrap());
        (r.try_into().unwrap(), s.unwrap())
    }

    /// Why the module lets out one signature only: two give the secret key to anybody.
    #[test]
    fn two_signatures_of_one_start_give_the_key_away() {
        let mut start = start("input", 1, 2);
        let (first, second) = (leaked(&mut start, 3), leaked(&mut start, 10));
        let ((r1, s1), (r2, s2)) = (halves(&first), halves(&second));
        let [k1, k2] = [r1, r2].map(|r| challenge(&r, &start.public, b"input"));
        // s2 - s1 = 7 + (k2 - k1) a; the 7 is found by trying, or from the points.
        let secret = (s2 - s1 - Scalar::from(7_u64)) * (k2 - k1).invert();
        assert_eq!(secret, start.secret);
        assert_eq!(EdwardsPoint::mul_base(&secret).compress().0, start.public);
    }

    /// Entropy, key and text each change the start: repeated entropy alone makes no related nonces.
    #[test]
    fn starts_are_unrelated() {
        let mut nonces = std::collections::BTreeSet::new();
        for (input, seed, entropy) in [("a", 1, 1), ("b", 1, 1), ("a", 2, 1), ("a", 1, 2)] {
            let start = start(input, seed, entropy);
            for step in 0..1_000_u64 {
                let nonce = start.nonce + Scalar::from(step);
                assert!(nonces.insert(nonce.to_bytes()), "{input} {seed} {entropy}");
            }
        }
        assert_eq!(start("a", 1, 1).nonce, start("a", 1, 1).nonce);
    }

    /// Whatever the calls' lengths, nonce and point step together, one per attempt.
    #[test]
    fn nonce_and_point_stay_in_step() {
        let impossible = Target::new(crate::U256::ONE).unwrap();
        let mut start = start("input", 1, 1);
        let first = start.nonce;
        let mut total = 0_u64;
        for attempts in [0, 1, 255, 256, 257, 512, 1_000] {
            let (made, found) = start.search(attempts, impossible);
            assert!(found.is_none());
            total += made;
            assert_eq!(made, attempts);
            assert_eq!(start.nonce, first + Scalar::from(total));
            assert_eq!(start.point, EdwardsPoint::mul_base(&start.nonce));
        }
    }
}

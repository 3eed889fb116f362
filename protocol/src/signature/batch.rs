//! Many signatures at once, with the verdict of [`verify_strict`](super::verify_strict) for each.
//!
//! The usual batch equation, `Σ z_i (s_i B - R_i - k_i A_i) = 0` with random `z_i`, is not a strict verifier:
//! write `D_i` for the bracket. A hostile signer can make `D_i` a point of order 2, 4 or 8 (a torsion part in
//! its key or in `R`), which single verification refuses and the sum loses with probability up to a half, or
//! cancels against another's. Two nodes with other batches would then disagree for ever. So here:
//!
//! 1. every item passes the same checks on encodings and small order as alone;
//! 2. the equation, times the cofactor 8, with secret 128-bit `z_i`, shows that every `D_i` is a torsion
//!    point (wrong with probability at most `2^-128`);
//! 3. `s_i B` has no torsion, so now `D_i = 0` exactly if `R_i + k_i A_i` is torsion-free, which depends on
//!    `k_i mod 8` only: `Q_i = R_i + [k_i mod 8] A_i`. All `Q_i` are shown torsion-free at once (see `torsion`),
//!    wrong with probability at most `2^-TORSION_SUMS`;
//! 4. when either fails, each item is verified alone. A refusal is thus never probabilistic.

use std::collections::BTreeMap;

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::ED25519_BASEPOINT_POINT,
    traits::{IsIdentity as _, VartimeMultiscalarMul as _},
};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::{KEY_BYTES, Parts, PublicKey, SIGNATURE_BYTES, SignatureError, torsion};

/// Random subset sums tested per batch. A batch that holds a signature that single verification refuses
/// is accepted with probability at most `2^-48`, by one node (seeds differ), and only if the attacker pays
/// for a block or a peer's reputation with each try.
pub const TORSION_SUMS: usize = 48;

/// Batches shorter than this are verified one by one: the fixed cost of [`TORSION_SUMS`] outweighs the gain.
pub const BATCH_LEN_MIN: usize = 48;

/// One signature to verify.
#[derive(Clone, Copy, Debug)]
pub struct SignedMessage<'a> {
    /// The signer's public key.
    pub key: &'a [u8; KEY_BYTES],
    /// What was signed.
    pub message: &'a [u8],
    /// The signature.
    pub signature: &'a [u8; SIGNATURE_BYTES],
}

/// 32 bytes that nobody who sends signatures can predict; wiped on drop.
///
/// One seed may serve many batches (the items are hashed with it), as long as it stays secret.
pub struct BatchSeed(Zeroizing<[u8; 32]>);

impl BatchSeed {
    /// Wraps the caller's entropy.
    #[must_use]
    pub fn new(entropy: [u8; 32]) -> Self {
        Self(Zeroizing::new(entropy))
    }
}

/// Verifies each item with the verdict of [`verify_strict`](super::verify_strict); results in the order of `items`.
///
/// Time per item falls with the length; an item that fails makes all be verified alone, so keep the
/// signatures of unknown senders in batches of their own.
#[must_use]
pub fn verify_batch(
    items: &[SignedMessage<'_>],
    seed: &BatchSeed,
) -> Vec<Result<(), SignatureError>> {
    let mut keys = Keys::default();
    let prepared: Vec<_> = items.iter().map(|item| keys.prepare(item)).collect();
    let sound: Vec<&Prepared> = prepared.iter().filter_map(|p| p.as_ref().ok()).collect();
    let all_valid = sound.len() >= BATCH_LEN_MIN && accepts(&sound, &keys.known, seed);
    let verdict = |prepared: &Result<Prepared, SignatureError>| match prepared {
        Err(error) => Err(*error),
        Ok(_) if all_valid => Ok(()),
        Ok(item) => item.parts.verify_challenge(&keys.known[item.key], &item.k),
    };
    prepared.iter().map(verdict).collect()
}

/// An item that passed all checks that look at it alone.
struct Prepared {
    parts: Parts,
    /// Index of its key in [`Keys::known`].
    key: usize,
    k: Scalar,
}

/// Keys of the batch, each decompressed once.
#[derive(Default)]
struct Keys {
    index: BTreeMap<[u8; KEY_BYTES], Result<usize, SignatureError>>,
    known: Vec<PublicKey>,
}

impl Keys {
    fn prepare(&mut self, item: &SignedMessage<'_>) -> Result<Prepared, SignatureError> {
        let parts = Parts::parse(item.signature)?;
        let known = &mut self.known;
        let key = *self.index.entry(*item.key).or_insert_with(|| {
            known.push(PublicKey::parse(item.key)?);
            Ok(known.len() - 1)
        });
        let key = key?;
        let k = parts.challenge(&self.known[key], item.message);
        Ok(Prepared { parts, key, k })
    }
}

/// Steps 2 and 3 above. `true` if all items are valid; else `false`, but for the stated probabilities.
fn accepts(items: &[&Prepared], keys: &[PublicKey], seed: &BatchSeed) -> bool {
    let Some(rs) = decompress_all(items) else {
        return false;
    };
    let mut secret = SecretBytes::new(items, seed);
    equation_holds(items, &rs, keys, &mut secret)
        && torsion::all_torsion_free(&torsion_parts(items, &rs, keys), TORSION_SUMS, || {
            secret.byte()
        })
}

fn decompress_all(items: &[&Prepared]) -> Option<Vec<EdwardsPoint>> {
    let rs = items.iter().map(|item| item.parts.r.decompress());
    rs.collect()
}

/// `8 Σ z_i (R_i + k_i A_i - s_i B) = 0`, one coefficient per distinct key.
fn equation_holds(
    items: &[&Prepared],
    rs: &[EdwardsPoint],
    keys: &[PublicKey],
    secret: &mut SecretBytes,
) -> bool {
    let mut base = Scalar::ZERO;
    let mut of_keys = vec![Scalar::ZERO; keys.len()];
    let mut scalars = Vec::with_capacity(items.len() + keys.len() + 1);
    for item in items {
        let z = Scalar::from(secret.u128());
        base -= z * item.parts.s;
        of_keys[item.key] += z * item.k;
        scalars.push(z);
    }
    scalars.extend(of_keys);
    scalars.push(base);
    let mut points = Vec::with_capacity(scalars.len());
    points.extend_from_slice(rs);
    points.extend(keys.iter().map(|key| key.point));
    points.push(ED25519_BASEPOINT_POINT);
    EdwardsPoint::vartime_multiscalar_mul(&scalars, &points)
        .mul_by_cofactor()
        .is_identity()
}

/// `Q_i = R_i + [k_i mod 8] A_i`, with the multiples of keys that occur often computed once.
fn torsion_parts(
    items: &[&Prepared],
    rs: &[EdwardsPoint],
    keys: &[PublicKey],
) -> Vec<EdwardsPoint> {
    let part = |(item, r): (&&Prepared, &EdwardsPoint)| {
        let key = keys[item.key].point;
        // The low three bits of the reduced integer k, by double and add.
        let low = item.k.as_bytes()[0];
        let mut multiple = match low >> 1 & 3 {
            0 => None,
            1 => Some(key),
            2 => Some(key + key),
            _ => Some(key + key + key),
        };
        multiple = multiple.map(|point| point + point);
        let even = multiple.map_or(*r, |point| r + point);
        if low & 1 == 1 { even + key } else { even }
    };
    items.iter().zip(rs).map(part).collect()
}

/// SHA-512 in counter mode, keyed by the seed and all items.
struct SecretBytes {
    key: Sha512,
    counter: u64,
    block: [u8; 64],
    used: usize,
}

impl SecretBytes {
    fn new(items: &[&Prepared], seed: &BatchSeed) -> Self {
        let mut transcript = Sha512::new();
        transcript.update(b"lyceum batch verification v1");
        transcript.update(*seed.0);
        // k binds R, key and message; s is the rest of an item.
        for item in items {
            transcript.update(item.k.as_bytes());
            transcript.update(item.parts.s.as_bytes());
        }
        Self {
            key: Sha512::new().chain_update(transcript.finalize()),
            counter: 0,
            block: [0; 64],
            used: 64,
        }
    }

    fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let block = self.key.clone().chain_update(self.counter.to_le_bytes());
            self.block = block.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        self.used += 1;
        self.block[self.used - 1]
    }

    fn u128(&mut self) -> u128 {
        u128::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }
}

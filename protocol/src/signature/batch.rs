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
use std::sync::{PoisonError, RwLock};

use curve25519_dalek::{
    EdwardsPoint, Scalar,
    constants::ED25519_BASEPOINT_POINT,
    traits::{Identity as _, IsIdentity as _, VartimeMultiscalarMul as _},
};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::{KEY_BYTES, Parts, PublicKey, SIGNATURE_BYTES, SignatureError, torsion};

/// Random subset sums tested per batch. A batch that holds a signature that single verification refuses
/// is accepted with probability at most `2^-40`, by one node (seeds differ), and each try costs the attacker
/// a block's work or a peer's reputation.
pub const TORSION_SUMS: usize = 40;

/// Shorter batches are verified one by one: measured, the fixed cost of [`TORSION_SUMS`] eats the gain up to
/// here (64 items are even with AVX2, 75 with AVX-512).
pub const BATCH_LEN_MIN: usize = 80;

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

/// Good keys that are held at the most: 4 MB.
pub const KNOWN_KEYS_MAX: usize = 16_384;

/// Keys met in earlier batches, decompressed: who signs once signs again. For many threads; those not met in a while go.
#[derive(Debug, Default)]
pub struct KnownKeys(RwLock<KeyGenerations>);

#[derive(Debug, Default)]
struct KeyGenerations {
    recent: BTreeMap<[u8; KEY_BYTES], PublicKey>,
    /// What was recent before; it goes when `recent` has half of the bound.
    older: BTreeMap<[u8; KEY_BYTES], PublicKey>,
}

impl KnownKeys {
    fn find(&self, key: &[u8; KEY_BYTES]) -> Option<PublicKey> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = known.recent.get(key).or_else(|| known.older.get(key));
        found.copied()
    }

    fn keep(&self, keys: &[PublicKey]) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            if known.recent.len() >= KNOWN_KEYS_MAX / 2 {
                known.older = std::mem::take(&mut known.recent);
            }
            known.recent.entry(key.bytes).or_insert(*key);
        }
    }
}

/// Verifies each item with the verdict of [`verify_strict`](super::verify_strict); results in the order of `items`.
///
/// Time per item falls with the length; an item that fails the equation makes all be verified alone, so
/// keep the signatures of unknown senders in batches of their own.
#[must_use]
pub fn verify_batch(
    items: &[SignedMessage<'_>],
    seed: &BatchSeed,
) -> Vec<Result<(), SignatureError>> {
    verify_batch_with(items, seed, &KnownKeys::default())
}

/// Verifies as [`verify_batch`] does, and need not decompress the keys that are known.
#[must_use]
pub fn verify_batch_with(
    items: &[SignedMessage<'_>],
    seed: &BatchSeed,
    known: &KnownKeys,
) -> Vec<Result<(), SignatureError>> {
    let mut keys = Keys::new(known);
    let mut prepared: Vec<_> = items.iter().map(|item| keys.prepare(item)).collect();
    let all_valid = items.len() >= BATCH_LEN_MIN && {
        let rs = decompress_all(&mut prepared);
        let mut sound = Vec::with_capacity(prepared.len());
        sound.extend(prepared.iter().filter_map(|p| p.as_ref().ok()));
        let batch = Batch {
            items: &sound,
            rs: &rs,
            keys: &keys.known,
        };
        batch.accepts(seed)
    };
    known.keep(&keys.known);
    let verdict = |prepared: Result<Prepared, SignatureError>| {
        let item = prepared?;
        if all_valid {
            return Ok(());
        }
        item.parts.verify_challenge(&keys.known[item.key], &item.k)
    };
    prepared.into_iter().map(verdict).collect()
}

/// An item that passed all checks that look at it alone.
struct Prepared {
    parts: Parts,
    /// Index of its key in [`Keys::known`].
    key: usize,
    k: Scalar,
}

/// Keys of the batch, each decompressed once.
struct Keys<'k> {
    before: &'k KnownKeys,
    index: BTreeMap<[u8; KEY_BYTES], Result<usize, SignatureError>>,
    known: Vec<PublicKey>,
}

impl<'k> Keys<'k> {
    fn new(before: &'k KnownKeys) -> Self {
        Self {
            before,
            index: BTreeMap::new(),
            known: Vec::new(),
        }
    }

    fn prepare(&mut self, item: &SignedMessage<'_>) -> Result<Prepared, SignatureError> {
        let parts = Parts::parse(item.signature)?;
        let known = &mut self.known;
        let key = *self.index.entry(*item.key).or_insert_with(|| {
            let key = match self.before.find(item.key) {
                Some(key) => key,
                None => PublicKey::parse(item.key)?,
            };
            known.push(key);
            Ok(known.len() - 1)
        });
        let key = key?;
        let k = parts.challenge(&self.known[key], item.message);
        Ok(Prepared { parts, key, k })
    }
}

/// The `R` of each sound item. One that is no curve point equals nothing, so its item fails here, alone.
fn decompress_all(prepared: &mut [Result<Prepared, SignatureError>]) -> Vec<EdwardsPoint> {
    let mut rs = Vec::with_capacity(prepared.len());
    for slot in prepared {
        let Ok(item) = slot else { continue };
        match item.parts.r.decompress() {
            Some(r) => rs.push(r),
            None => *slot = Err(SignatureError::Mismatch),
        }
    }
    rs
}

/// The items that are left, their `R` in the same order, and the keys they point into.
struct Batch<'a> {
    items: &'a [&'a Prepared],
    rs: &'a [EdwardsPoint],
    keys: &'a [PublicKey],
}

impl Batch<'_> {
    /// Steps 2 and 3 above. `true` if all items are valid; else `false`, but for the stated probabilities.
    fn accepts(&self, seed: &BatchSeed) -> bool {
        let mut secret = SecretWords::new(self.items, seed);
        self.equation_holds(&mut secret)
            && torsion::all_torsion_free(&self.torsion_parts(), TORSION_SUMS, || secret.word())
    }

    /// `8 Σ z_i (R_i + k_i A_i - s_i B) = 0`, one coefficient per distinct key.
    fn equation_holds(&self, secret: &mut SecretWords) -> bool {
        let mut base = Scalar::ZERO;
        let mut of_keys = vec![Scalar::ZERO; self.keys.len()];
        let mut scalars = Vec::with_capacity(self.items.len() + self.keys.len() + 1);
        for item in self.items {
            let z = Scalar::from(u128::from(secret.word()) << 64 | u128::from(secret.word()));
            base -= z * item.parts.s;
            of_keys[item.key] += z * item.k;
            scalars.push(z);
        }
        scalars.extend(of_keys);
        scalars.push(base);
        let mut points = Vec::with_capacity(scalars.len());
        points.extend_from_slice(self.rs);
        points.extend(self.keys.iter().map(|key| key.point));
        points.push(ED25519_BASEPOINT_POINT);
        EdwardsPoint::vartime_multiscalar_mul(&scalars, &points)
            .mul_by_cofactor()
            .is_identity()
    }

    /// `Q_i = R_i + [k_i mod 8] A_i`.
    fn torsion_parts(&self) -> Vec<EdwardsPoint> {
        let part = |(item, r): (&&Prepared, &EdwardsPoint)| {
            // k is the integer below L that single verification multiplies by: on torsion, no other will do.
            let low = item.k.as_bytes()[0] & 7;
            r + small_multiple(&self.keys[item.key].point, low)
        };
        self.items.iter().zip(self.rs).map(part).collect()
    }
}

/// `[n]point` for `n < 8`.
fn small_multiple(point: &EdwardsPoint, n: u8) -> EdwardsPoint {
    match n {
        0 => EdwardsPoint::identity(),
        1 => *point,
        _ => {
            let half = small_multiple(point, n / 2);
            let even = half + half;
            if n % 2 == 1 { even + point } else { even }
        }
    }
}

/// SHA-512 in counter mode, keyed by the seed and all items.
struct SecretWords {
    key: Sha512,
    counter: u64,
    block: [u8; 64],
    used: usize,
}

impl SecretWords {
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

    /// The next eight bytes of the stream.
    fn word(&mut self) -> u64 {
        if self.used == self.block.len() {
            let block = self.key.clone().chain_update(self.counter.to_le_bytes());
            self.block = block.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let at = self.used;
        self.used += 8;
        u64::from_le_bytes(std::array::from_fn(|i| self.block[at + i]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::SecretKey;
    use super::*;

    fn accepted(items: &[SignedMessage<'_>], seed: u8) -> bool {
        let before = KnownKeys::default();
        let mut keys = Keys::new(&before);
        let mut prepared: Vec<_> = items.iter().map(|item| keys.prepare(item)).collect();
        let rs = decompress_all(&mut prepared);
        let sound: Vec<_> = prepared.iter().filter_map(|p| p.as_ref().ok()).collect();
        let batch = Batch {
            items: &sound,
            rs: &rs,
            keys: &keys.known,
        };
        batch.accepts(&BatchSeed::new([seed; 32]))
    }

    /// Falling back would give the right verdicts too, only slowly: honest batches must not.
    #[test]
    fn honest_batches_never_fall_back() {
        let secrets: Vec<_> = (0..5).map(|i| SecretKey::from_seed(&[i; 32])).collect();
        let keys: Vec<_> = secrets.iter().map(SecretKey::public).collect();
        let message = |i: usize| vec![i as u8; i];
        let sign = |i: usize| (i % 5, message(i), secrets[i % 5].sign(&message(i)));
        let all: Vec<_> = (0..23).map(sign).collect();
        let items: Vec<_> = all
            .iter()
            .map(|(key, message, signature)| SignedMessage {
                key: &keys[*key],
                message,
                signature,
            })
            .collect();
        for seed in 0..8 {
            assert!(accepted(&items, seed));
            assert!(accepted(&items[..usize::from(seed)], seed));
        }
        let mut wrong = items.clone();
        wrong[3].message = b"another";
        assert!(!accepted(&wrong, 0));
    }

    #[test]
    fn known_keys_are_bounded_and_change_no_verdict() {
        let known = KnownKeys::default();
        let seed = BatchSeed::new([7; 32]);
        let secret = SecretKey::from_seed(&[3; 32]);
        let (key, signature) = (secret.public(), secret.sign(b"a"));
        let item = |key, message| SignedMessage {
            key,
            message,
            signature: &signature,
        };
        // Not a curve point: never kept.
        let bad = [2; KEY_BYTES];
        let items = [item(&key, b"a"), item(&bad, b"a"), item(&key, b"b")];
        let want = verify_batch(&items, &seed);
        for _ in 0..2 {
            assert_eq!(verify_batch_with(&items, &seed, &known), want);
            assert!(known.find(&bad).is_none() && known.find(&key).is_some());
        }
        let other = PublicKey::parse(&key).unwrap();
        for number in 0..KNOWN_KEYS_MAX as u64 {
            let mut bytes = [0; KEY_BYTES];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            known.keep(&[PublicKey { bytes, ..other }]);
        }
        assert!(known.find(&key).is_none());
        let held = known.0.read().unwrap();
        assert!(held.recent.len() + held.older.len() <= KNOWN_KEYS_MAX);
    }

    #[test]
    fn multiples() {
        for n in 0..8_u8 {
            let want = ED25519_BASEPOINT_POINT * Scalar::from(n);
            assert_eq!(small_multiple(&ED25519_BASEPOINT_POINT, n), want);
        }
    }

    #[test]
    fn words_depend_on_the_seed() {
        let word = |seed| SecretWords::new(&[], &BatchSeed::new([seed; 32])).word();
        assert_ne!(word(1), word(2));
        let mut words = SecretWords::new(&[], &BatchSeed::new([1; 32]));
        let drawn: std::collections::BTreeSet<_> = (0..40).map(|_| words.word()).collect();
        assert_eq!(drawn.len(), 40);
    }
}

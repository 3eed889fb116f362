//! RFC 8032 vectors, hostile encodings, and signatures on which verifiers disagree.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use ed25519_dalek::{Signature, Verifier as _, VerifyingKey};
use proptest::prelude::*;

use super::*;

type Owned = ([u8; 32], Vec<u8>, [u8; 64]);

fn hex<const N: usize>(text: &str) -> [u8; N] {
    let byte = |i: usize| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap();
    assert_eq!(text.len(), 2 * N);
    std::array::from_fn(byte)
}

fn secret(i: u8) -> SecretKey {
    SecretKey::from_seed(&[i; 32])
}

fn honest(i: u8) -> Owned {
    let message = vec![i; usize::from(i)];
    (
        secret(i).public(),
        message.clone(),
        secret(i).sign(&message),
    )
}

fn scalar(seed: u64) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&Sha512::digest(seed.to_le_bytes()).into())
}

/// Signs with any key point `aB + key_torsion` and any `R = rB + r_torsion`: the equation holds up to
/// the torsion `r_torsion + k key_torsion`, which is what single verification sees.
fn mixed_order(seed: u64, key_torsion: usize, r_torsion: usize) -> Owned {
    let (a, r) = (scalar(seed), scalar(seed + 1));
    let key = (EdwardsPoint::mul_base(&a) + EIGHT_TORSION[key_torsion]).compress();
    let point = (EdwardsPoint::mul_base(&r) + EIGHT_TORSION[r_torsion]).compress();
    let message = seed.to_le_bytes().to_vec();
    let s = r + challenge(point.as_bytes(), key.as_bytes(), &message) * a;
    (key.0, message, join(&point.0, &s))
}

fn join(r: &[u8; 32], s: &Scalar) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r);
    signature[32..].copy_from_slice(s.as_bytes());
    signature
}

fn single(all: &[Owned]) -> Vec<Result<(), SignatureError>> {
    let verify = |(key, message, signature): &Owned| verify_strict(key, message, signature);
    all.iter().map(verify).collect()
}

fn batch(all: &[Owned], seed: u64) -> Vec<Result<(), SignatureError>> {
    let mut entropy = [0; 32];
    entropy[..8].copy_from_slice(&seed.to_le_bytes());
    let item = |(key, message, signature)| SignedMessage {
        key,
        message,
        signature,
    };
    let items: Vec<_> = all.iter().map(|(k, m, s)| item((k, m, s))).collect();
    verify_batch(&items, &BatchSeed::new(entropy))
}

/// Enough honest items in front that the batch path is taken, then `hostile`.
fn among_honest(hostile: &[Owned]) -> Vec<Owned> {
    let mut all: Vec<_> = (0..BATCH_LEN_MIN as u8).map(honest).collect();
    all.extend_from_slice(hostile);
    all
}

fn dalek_strict((key, message, signature): &Owned) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

fn dalek_plain((key, message, signature): &Owned) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify(message, &signature).is_ok())
}

fn dalek_batch(all: &[Owned]) -> bool {
    let messages: Vec<_> = all.iter().map(|item| item.1.as_slice()).collect();
    let signatures: Vec<_> = all.iter().map(|i| Signature::from_bytes(&i.2)).collect();
    let keys: Result<Vec<_>, _> = all.iter().map(|i| VerifyingKey::from_bytes(&i.0)).collect();
    keys.is_ok_and(|keys| ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok())
}

/// The 14 encodings of small-order points that lenient decoders take: 8 canonical, 6 not.
fn small_order_encodings() -> Vec<([u8; 32], bool)> {
    let mut all: Vec<_> = EIGHT_TORSION
        .iter()
        .map(|p| (p.compress().0, true))
        .collect();
    let mut minus_one = FIELD_PRIME;
    minus_one[0] -= 1;
    let mut one_plus_p = FIELD_PRIME;
    one_plus_p[0] += 1;
    let mut one = [0; 32];
    one[0] = 1;
    let signed = |mut bytes: [u8; 32]| {
        bytes[31] |= 0x80;
        bytes
    };
    all.extend([signed(one), signed(minus_one)].map(|bytes| (bytes, false)));
    all.extend([FIELD_PRIME, signed(FIELD_PRIME)].map(|bytes| (bytes, false)));
    all.extend([one_plus_p, signed(one_plus_p)].map(|bytes| (bytes, false)));
    all
}

/// RFC 8032 section 7.1: TEST 1, 2, 3 and SHA(abc).
#[test]
fn rfc_8032() {
    let abc: [u8; 64] = Sha512::digest(b"abc").into();
    let vectors: [(&str, &str, &[u8], &str); 4] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            b"",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            &[0x72],
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            &[0xaf, 0x82],
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
        (
            "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            &abc,
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
        ),
    ];
    for (seed, public, message, signature) in vectors {
        let secret = SecretKey::from_seed(&hex(seed));
        assert_eq!(secret.public(), hex(public));
        assert_eq!(*secret.expose_seed(), hex(seed));
        assert_eq!(secret.sign(message), hex(signature));
        assert_eq!(
            verify_strict(&hex(public), message, &hex(signature)),
            Ok(())
        );
        let other = [message, b"x"].concat();
        let verdict = verify_strict(&hex(public), &other, &hex(signature));
        assert_eq!(verdict, Err(SignatureError::Mismatch));
        let key = PublicKey::parse(&hex(public)).unwrap();
        assert_eq!(key.as_bytes(), &hex(public));
        assert_eq!(key.verify_strict(message, &hex(signature)), Ok(()));
    }
}

#[test]
fn secrets_are_not_printed() {
    assert_eq!(format!("{:?}", secret(7)), "SecretKey { .. }");
}

/// As a key and as `R`, with the `S` that satisfies the equation where one is easy to have.
#[test]
fn small_order_points_are_refused_by_name() {
    let encodings = small_order_encodings();
    assert_eq!(encodings.len(), 14);
    for (bytes, canonical) in encodings {
        assert!(
            CompressedEdwardsY(bytes)
                .decompress()
                .unwrap()
                .is_small_order()
        );
        let r = ED25519_BASEPOINT_POINT.compress().0;
        let as_key = (bytes, b"m".to_vec(), join(&r, &Scalar::ONE));
        let a = scalar(3);
        let key = EdwardsPoint::mul_base(&a).compress().0;
        let s = challenge(&bytes, &key, b"m") * a;
        let as_r = (key, b"m".to_vec(), join(&bytes, &s));
        let (key_error, r_error) = if canonical {
            (SignatureError::KeySmallOrder, SignatureError::RSmallOrder)
        } else {
            (
                SignatureError::KeyNotCanonical,
                SignatureError::RNotCanonical,
            )
        };
        for (item, error) in [(as_key, key_error), (as_r, r_error)] {
            assert!(!dalek_strict(&item));
            assert_eq!(single(std::slice::from_ref(&item)), [Err(error)]);
            let all = among_honest(&[item]);
            assert_eq!(batch(&all, 1), single(&all));
        }
    }
}

/// All 19 values of `y >= p` with both signs; `p - 1` (order 2) is the last canonical one.
#[test]
fn field_elements_past_the_prime_are_not_canonical() {
    for low in 0xed..=0xff {
        for sign in [0x7f, 0xff] {
            let mut key = FIELD_PRIME;
            (key[0], key[31]) = (low, sign);
            assert_eq!(PublicKey::parse(&key), Err(SignatureError::KeyNotCanonical));
            let verdict = verify_strict(&secret(1).public(), b"", &join(&key, &Scalar::ONE));
            assert_eq!(verdict, Err(SignatureError::RNotCanonical));
        }
    }
    let mut key = FIELD_PRIME;
    key[0] = 0xec;
    assert_eq!(PublicKey::parse(&key), Err(SignatureError::KeySmallOrder));
}

/// `y = 2` is no point of the curve.
#[test]
fn points_off_the_curve() {
    let mut off = [0; 32];
    off[0] = 2;
    assert!(CompressedEdwardsY(off).decompress().is_none());
    assert_eq!(PublicKey::parse(&off), Err(SignatureError::KeyNotCanonical));
    let bad_r = (secret(1).public(), vec![], join(&off, &Scalar::ONE));
    let all = among_honest(&[bad_r]);
    assert_eq!(single(&all).pop(), Some(Err(SignatureError::Mismatch)));
    assert_eq!(batch(&all, 1), single(&all));
}

/// `S + L` satisfies the equation; so would `S` with any of its top bits read modulo `L`.
#[test]
fn scalars_past_the_order() {
    let (key, message, mut signature) = honest(5);
    // L - 1 is the largest scalar; S + L = S + (L - 1) + 1, byte by byte.
    let mut carry = 1;
    for (s, l) in signature[32..].iter_mut().zip((-Scalar::ONE).as_bytes()) {
        let sum = u16::from(*s) + u16::from(*l) + carry;
        *s = sum as u8;
        carry = sum >> 8;
    }
    let item = (key, message, signature);
    let all = among_honest(&[item]);
    assert_eq!(
        single(&all).pop(),
        Some(Err(SignatureError::ScalarNotCanonical))
    );
    assert_eq!(batch(&all, 1), single(&all));
}

/// Mixed-order keys and `R`: valid exactly where the torsion cancels within the item.
#[test]
fn mixed_order_verdicts_are_those_of_dalek_strict() {
    let mut accepted = 0;
    let mut hostile = Vec::new();
    for (key_torsion, r_torsion) in (0..64).map(|i| (i / 8, i % 8)) {
        let item = mixed_order(1000 + 10 * key_torsion as u64, key_torsion, r_torsion);
        let strict = single(std::slice::from_ref(&item))[0];
        assert_eq!(strict.is_ok(), dalek_strict(&item));
        assert_eq!(dalek_plain(&item), dalek_strict(&item));
        accepted += usize::from(strict.is_ok());
        hostile.push(item);
    }
    assert!((2..32).contains(&accepted), "{accepted}");
    let all = among_honest(&hostile);
    assert_eq!(batch(&all, 1), single(&all));
}

/// One at a time, so that no other item's torsion sends the batch to single verification.
#[test]
fn each_mixed_order_item_alone_in_a_batch() {
    for (key_torsion, r_torsion) in (0..64).map(|i| (i / 8, i % 8)) {
        let item = mixed_order(77, key_torsion, r_torsion);
        let all = among_honest(&[item]);
        assert_eq!(batch(&all, 1), single(&all), "{key_torsion} {r_torsion}");
    }
}

/// The trap: the usual batch takes one of two order-2 discrepancies, and pairs that cancel, in some transcripts.
#[test]
fn dalek_batch_accepts_what_strict_refuses() {
    let refused: Vec<_> = (0..16).map(|i| mixed_order(i * 10, 0, 4)).collect();
    assert!(single(&refused).iter().all(Result::is_err));
    let wrong = refused
        .iter()
        .filter(|item| dalek_batch(std::slice::from_ref(item)));
    assert!(wrong.count() > 0);
    for (i, item) in refused.iter().enumerate() {
        let all = among_honest(std::slice::from_ref(item));
        assert_eq!(batch(&all, i as u64), single(&all));
    }
}

/// Without the torsion check every one of these batches is accepted; with one sum, half of them are.
#[test]
fn cancelling_torsion_is_refused_under_every_seed() {
    for (first, second) in [(4, 4), (1, 7), (2, 6), (4, 0), (1, 0)] {
        let pair = [mixed_order(50, 0, first), mixed_order(70, 0, second)];
        let all = among_honest(&pair);
        let want = single(&all);
        assert_eq!(want[BATCH_LEN_MIN], Err(SignatureError::Mismatch));
        for seed in 0..24 {
            assert_eq!(batch(&all, seed), want, "{first} {second} {seed}");
        }
    }
}

/// A forged item must not drag others down, nor hide among them.
#[test]
fn a_wrong_signature_fails_alone() {
    let mut all = among_honest(&[]);
    for seed in 0..8 {
        let i = seed as usize * 9;
        all[i].1.push(0);
        let verdicts = batch(&all, seed);
        assert_eq!(verdicts, single(&all));
        assert_eq!(verdicts[i], Err(SignatureError::Mismatch));
    }
}

/// Under the identity as key, `S = 1, R = B` signs everything: dalek's `verify` and `verify_batch` take it.
#[test]
fn anybody_signs_for_a_small_order_key() {
    let r = ED25519_BASEPOINT_POINT.compress().0;
    let mut identity = [0; 32];
    identity[0] = 1;
    let item = (identity, b"anything".to_vec(), join(&r, &Scalar::ONE));
    assert!(dalek_plain(&item) && dalek_batch(std::slice::from_ref(&item)));
    assert_eq!(single(&[item]), [Err(SignatureError::KeySmallOrder)]);
}

#[test]
fn short_batches() {
    assert_eq!(batch(&[], 0), []);
    let all = [honest(1), mixed_order(3, 1, 0), honest(2)];
    assert_eq!(batch(&all, 0), single(&all));
}

/// Two items wrong by `+B` and `-B` cancel in an unweighted sum.
#[test]
fn coefficients_separate_the_items() {
    let mut all = among_honest(&[]);
    for (i, delta) in [(3, Scalar::ONE), (4, -Scalar::ONE)] {
        let s: [u8; 32] = all[i].2[32..].try_into().unwrap();
        let s = Scalar::from_canonical_bytes(s).unwrap() + delta;
        all[i].2[32..].copy_from_slice(s.as_bytes());
    }
    assert_eq!(batch(&all, 0), single(&all));
}

/// Honest, mixed-order, damaged, small-order and random items.
fn any_item() -> impl Strategy<Value = Owned> {
    let encodings = small_order_encodings();
    prop_oneof![
        8 => any::<u8>().prop_map(honest),
        3 => (any::<u32>(), 0..8usize, 0..8usize).prop_map(|(s, a, r)| mixed_order(s.into(), a, r)),
        1 => (any::<u8>(), 0..64usize, 0..8u8).prop_map(|(i, byte, bit)| {
            let mut item = honest(i);
            item.2[byte] ^= 1 << bit;
            item
        }),
        1 => (any::<u8>(), 0..14usize, any::<bool>()).prop_map(move |(i, which, as_key)| {
            let mut item = honest(i);
            let bytes = &encodings[which].0;
            if as_key { item.0 = *bytes } else { item.2[..32].copy_from_slice(bytes) }
            item
        }),
        1 => (any::<[u8; 32]>(), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(key, r, s)| {
            (key, vec![], join(&r, &Scalar::from_bytes_mod_order(s)))
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn batch_verdict_is_the_single_verdict(
        hostile in prop::collection::vec(any_item(), 0..24),
        seed: u64,
    ) {
        let all = among_honest(&hostile);
        prop_assert_eq!(batch(&all, seed), single(&all));
    }

    #[test]
    fn single_verdict_is_dalek_strict_with_a_canonical_key(item in any_item()) {
        let canonical = CompressedEdwardsY(item.0).decompress().is_some_and(|p| p.compress().0 == item.0);
        let verdict = single(std::slice::from_ref(&item))[0].is_ok();
        prop_assert_eq!(verdict, canonical && dalek_strict(&item));
    }
}

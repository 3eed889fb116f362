//! Every sealed block holds under three libraries; attempts are counted exactly; nothing is signed twice.

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use proptest::prelude::*;

use super::*;
use crate::address::Address;
use crate::block::Header;
use crate::hash::{StateRoot, TxRoot};
use crate::signature::verify_strict;
use crate::token::encode_base64;
use crate::units::{Height, Nonce, Timestamp};
use crate::work::Bits;

/// One hash in about 256.
const EASY: u32 = 0x2000_ffff;
/// No hash.
const IMPOSSIBLE: u32 = 0x0100_0000 | 0x0001_0000;

fn claims(seed: u8, height: u64, bits: u32) -> BlockClaims {
    BlockClaims {
        miner: Address::from_bytes(key(seed).public()),
        height: Height::new(height).unwrap(),
        parent: BlockHash::of(b"parent"),
        timestamp: Timestamp::new(1_795_305_600_000).unwrap(),
        bits: Bits::new(bits).unwrap(),
        tx_root: TxRoot::of(b"transactions"),
        state_root: StateRoot::of(b"state"),
        segment: None,
        nonce: Nonce::new(7).unwrap(),
    }
}

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn plain(seed: u8, height: u64, bits: u32) -> Miner {
    Miner::plain(&claims(seed, height, bits), &key(seed), &ChainSpec::dev()).unwrap()
}

fn fast(seed: u8, height: u64, bits: u32, entropy: u8) -> Miner {
    let claims = claims(seed, height, bits);
    Miner::fast(&claims, &key(seed), &ChainSpec::dev(), &[entropy; 32]).unwrap()
}

/// Mines in steps until sealed.
fn seal_in_steps(mut miner: Miner, step: u64) -> SealedBlock {
    loop {
        match miner.mine(step) {
            Mined::Sealed(sealed) => return sealed,
            Mined::Unfinished(rest) => miner = rest,
        }
    }
}

/// Ours, ed25519-dalek and aws-lc (through jsonwebtoken) agree on the token; the hash meets the target.
fn check(sealed: &SealedBlock, want: &BlockClaims) {
    let header = Header::decode(&sealed.token, &ChainSpec::dev()).unwrap();
    let mut got = header.claims().clone();
    got.nonce = want.nonce;
    assert_eq!(got, *want);
    assert_eq!(header.hash(), sealed.hash);
    assert!(want.bits.target().is_met_by(sealed.hash));

    let signed = header.signed_message();
    assert_eq!(
        verify_strict(signed.key, signed.message, signed.signature),
        Ok(())
    );

    let dalek = ed25519_dalek::VerifyingKey::from_bytes(signed.key).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(signed.signature);
    dalek.verify_strict(signed.message, &signature).unwrap();

    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.set_audience(&["dev"]);
    let aws_lc = DecodingKey::from_ed_components(&encode_base64(signed.key)).unwrap();
    let decoded = jsonwebtoken::decode::<serde_json::Value>(&sealed.token, &aws_lc, &validation);
    assert_eq!(decoded.unwrap().claims["index"], want.height.get());
}

#[test]
fn sealed_blocks_verify_under_three_libraries() {
    for height in 0..24 {
        let want = claims(3, height, EASY);
        check(&seal_in_steps(plain(3, height, EASY), 50), &want);
        let sealed = seal_in_steps(fast(3, height, EASY, height as u8), 300);
        check(&sealed, &want);
        let header = Header::decode(&sealed.token, &ChainSpec::dev()).unwrap();
        assert_eq!(header.claims().nonce, want.nonce);
    }
}

/// The result is a function of the inputs, however the work is cut up, and so is the count.
#[test]
fn steps_change_nothing() {
    for (whole, step) in [(1_000_000, 1), (1_000_000, 255), (1_000_000, 257)] {
        let sealed = seal_in_steps(fast(1, 1, EASY, 1), whole);
        assert_eq!(seal_in_steps(fast(1, 1, EASY, 1), step), sealed);
        let sealed = seal_in_steps(plain(1, 1, EASY), whole);
        assert_eq!(seal_in_steps(plain(1, 1, EASY), step), sealed);
    }
}

/// With the exact number of attempts the block comes, with one less it does not.
#[test]
fn attempts_are_counted_exactly() {
    let miners: [fn() -> Miner; 2] = [|| plain(2, 2, EASY), || fast(2, 2, EASY, 2)];
    for miner in miners {
        let sealed = seal_in_steps(miner(), 1_000_000);
        let Mined::Unfinished(rest) = miner().mine(sealed.attempts - 1) else {
            panic!("sealed too early");
        };
        assert_eq!(rest.attempts(), sealed.attempts - 1);
        let Mined::Unfinished(rest) = rest.mine(0) else {
            panic!("sealed without an attempt");
        };
        assert_eq!(seal_in_steps(rest, 1), sealed);
    }
}

#[test]
fn impossible_targets_end_with_the_attempts() {
    for miner in [plain(1, 1, IMPOSSIBLE), fast(1, 1, IMPOSSIBLE, 1)] {
        let Mined::Unfinished(rest) = miner.mine(600) else {
            panic!("no hash is 1 or less");
        };
        assert_eq!(rest.attempts(), 600);
    }
}

#[test]
fn nonces_go_on_at_zero_after_the_last() {
    let mut claims = claims(1, 1, IMPOSSIBLE);
    claims.nonce = Nonce::MAX;
    let miner = Miner::plain(&claims, &key(1), &ChainSpec::dev()).unwrap();
    let Mined::Unfinished(rest) = miner.mine(3) else {
        panic!("no hash is 1 or less");
    };
    let Method::Plain(nonces) = rest.method else {
        panic!("made by plain");
    };
    assert_eq!(nonces.next, Nonce::new(2).unwrap());
}

#[test]
fn the_key_must_be_the_miners() {
    let (claims, spec) = (claims(1, 1, EASY), ChainSpec::dev());
    let error = Miner::plain(&claims, &key(2), &spec).unwrap_err();
    assert_eq!(error, HeaderError::Miner);
    let error = Miner::fast(&claims, &key(2), &spec, &[0; 32]).unwrap_err();
    assert_eq!(error, HeaderError::Miner);
}

#[test]
fn miners_do_not_print_secrets() {
    let text = format!("{:?}", fast(1, 1, EASY, 1));
    assert_eq!(text, "Miner { attempts: 0, .. }");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Under one key and one entropy, the published signature of each block has a nonce of its own.
    #[test]
    fn published_nonces_differ(heights in prop::collection::btree_set(0..1_000_000_u64, 2..12), entropy: u8) {
        let mut points = std::collections::BTreeSet::new();
        for height in &heights {
            let sealed = seal_in_steps(fast(4, *height, EASY, entropy), 1_000);
            let header = Header::decode(&sealed.token, &ChainSpec::dev()).unwrap();
            points.insert(header.signed_message().signature[..32].to_vec());
        }
        prop_assert_eq!(points.len(), heights.len());
    }
}

//! Mining attempts per second, plain against fast, in interleaved rounds of one run.

#[path = "measure/mod.rs"]
mod measure;

use lyceum_protocol::{
    Address, Bits, BlockClaims, BlockHash, ChainSpec, Height, Mined, Miner, Nonce, SecretKey,
    StateRoot, Timestamp, TxRoot,
};
use measure::{Contender, medians};

const ROUNDS: usize = 15;
const ATTEMPTS: u64 = 8_192;

/// Makes the attempts; the target is out of reach.
fn search(miner: Miner) {
    let Mined::Unfinished(miner) = miner.mine(ATTEMPTS) else {
        unreachable!("no hash is as small as the target");
    };
    assert_eq!(miner.attempts(), ATTEMPTS);
}

fn main() {
    let (key, spec) = (SecretKey::from_seed(&[7; 32]), ChainSpec::dev());
    let claims = BlockClaims {
        miner: Address::from_bytes(key.public()),
        height: Height::new(123_456).expect("small"),
        parent: BlockHash::of(b"parent"),
        timestamp: Timestamp::new(1_795_305_600_000).expect("small"),
        bits: Bits::new(0x0101_0000).expect("a target of 1"),
        tx_root: TxRoot::of(b"transactions"),
        state_root: StateRoot::of(b"state"),
        segment: None,
        nonce: Nonce::ZERO,
    };
    let contenders: [Contender<'_>; 2] = [
        (
            "plain".to_owned(),
            Box::new(|| search(Miner::plain(&claims, &key, &spec).expect("its own key"))),
        ),
        (
            "fast".to_owned(),
            Box::new(|| search(Miner::fast(&claims, &key, &spec, &[3; 32]).expect("its own key"))),
        ),
    ];
    let seconds = medians(ROUNDS, &contenders);
    let bytes = claims.signing_input("dev").len();
    println!("mining, {bytes} bytes signed, medians of {ROUNDS} rounds of {ATTEMPTS} attempts");
    for ((name, _), time) in contenders.iter().zip(&seconds) {
        let rate = ATTEMPTS as f64 / time;
        println!(
            "{name:5} {rate:9.0} attempts/s, {:.2} x plain",
            seconds[0] / time
        );
    }
}

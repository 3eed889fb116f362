//! Mining attempts per second, plain against fast, in interleaved rounds of one run.

use std::time::Instant;

use lyceum_protocol::{
    Address, Bits, BlockClaims, BlockHash, ChainSpec, Height, Mined, Miner, Nonce, SecretKey,
    StateRoot, Timestamp, TxRoot,
};

const ROUNDS: usize = 15;
const ATTEMPTS: u64 = 8_192;

/// Attempts per second; the target is out of reach.
fn rate(miner: Miner) -> f64 {
    let start = Instant::now();
    let Mined::Unfinished(miner) = miner.mine(ATTEMPTS) else {
        unreachable!("no hash is as small as the target");
    };
    miner.attempts() as f64 / start.elapsed().as_secs_f64()
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
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
    let (mut plain, mut fast) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        plain.push(rate(
            Miner::plain(&claims, &key, &spec).expect("its own key"),
        ));
        let entropy = [round as u8; 32];
        fast.push(rate(
            Miner::fast(&claims, &key, &spec, &entropy).expect("its own key"),
        ));
    }
    let (plain, fast) = (median(plain), median(fast));
    let bytes = claims.signing_input("dev").len();
    println!("mining, {bytes} bytes signed, medians of {ROUNDS} rounds of {ATTEMPTS} attempts");
    println!("plain {plain:9.0} attempts/s, 1.00 x");
    println!("fast  {fast:9.0} attempts/s, {:.2} x plain", fast / plain);
}

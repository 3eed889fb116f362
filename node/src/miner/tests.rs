//! The miner's threads: what they seal, when they restart, how they are held to a rate.

use std::time::Duration;

use lyceum_protocol::{
    Address, BlockHash, ChainFields, Header, Height, Nonce, StateRoot, check_work, tx_root,
    verify_strict,
};

use super::*;

const KEY: [u8; 32] = [7; 32];
/// Long enough for any machine; nothing waits so long where all is well.
const PATIENCE: Duration = Duration::from_secs(60);

fn chain(limit: &str) -> Arc<ChainSpec> {
    let bits = limit.parse().unwrap();
    let fields = ChainFields {
        initial_bits: bits,
        limit_bits: bits,
        ..(*ChainSpec::dev()).clone()
    };
    Arc::new(ChainSpec::new(fields).unwrap())
}

fn claims(spec: &ChainSpec, height: u64) -> BlockClaims {
    BlockClaims {
        miner: Address::from_bytes(SecretKey::from_seed(&KEY).public()),
        height: Height::new(height).unwrap(),
        parent: BlockHash::ZERO,
        timestamp: spec.genesis_time,
        bits: spec.limit_bits,
        tx_root: tx_root([]),
        state_root: StateRoot::ZERO,
        segment: None,
        nonce: Nonce::ZERO,
    }
}

fn start(
    spec: &Arc<ChainSpec>,
    threads: usize,
    rate: Option<u64>,
) -> (MinerThreads, mpsc::Receiver<MinedBlock>) {
    let (sender, receiver) = mpsc::channel(MINED_BLOCKS_LEN);
    let config = MinerConfig {
        key: SecretKey::from_seed(&KEY),
        threads: NonZeroUsize::new(threads).unwrap(),
        rate: rate.and_then(NonZeroU64::new),
    };
    let miner = MinerThreads::start(config, Arc::clone(spec), sender).unwrap();
    (miner, receiver)
}

/// An easy target: one in two attempts meets it.
const EASY: &str = "207fffff";
/// One that is never met here: one in 2^64 attempts.
const HARD: &str = "1900ffff";

async fn next(receiver: &mut mpsc::Receiver<MinedBlock>) -> MinedBlock {
    let block = tokio::time::timeout(PATIENCE, receiver.recv()).await;
    block.expect("no block in a minute").unwrap()
}

#[tokio::test]
async fn each_template_gives_one_good_block() {
    let spec = chain(EASY);
    let (miner, mut mined) = start(&spec, 3, None);
    for template in 1..=20 {
        miner.mine(template, claims(&spec, template));
        let block = next(&mut mined).await;
        assert_eq!(block.template, template);
        let header = Header::decode(&block.token, &spec).unwrap();
        assert_eq!(*header.claims(), claims(&spec, template));
        check_work(&header, &spec).unwrap();
        let signed = header.signed_message();
        verify_strict(signed.key, signed.message, signed.signature).unwrap();
    }
    assert!(miner.attempts() >= 20);
    drop(miner);
    assert_eq!(mined.recv().await, None, "a second block of a template");
}

#[tokio::test]
async fn a_new_template_ends_the_search_on_the_last() {
    let (hard, easy) = (chain(HARD), chain(EASY));
    let (miner, mut mined) = start(&hard, 2, None);
    miner.mine(1, claims(&hard, 1));
    while miner.attempts() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    miner.mine(2, claims(&easy, 2));
    assert_eq!(next(&mut mined).await.template, 2);
}

#[tokio::test]
async fn a_paused_miner_makes_no_attempts_and_goes_on_later() {
    let (hard, easy) = (chain(HARD), chain(EASY));
    let (miner, mut mined) = start(&hard, 1, None);
    miner.mine(1, claims(&hard, 1));
    miner.pause();
    // The batch under way ends; then the count stands still, however long one looks.
    let (begun, mut last) = (Instant::now(), (u64::MAX, 0));
    while last.1 < 20 {
        assert!(begun.elapsed() < PATIENCE, "it goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let attempts = miner.attempts();
        last = match attempts == last.0 {
            true => (attempts, last.1 + 1),
            false => (attempts, 0),
        };
    }
    miner.mine(2, claims(&easy, 2));
    assert_eq!(next(&mut mined).await.template, 2);
}

#[test]
fn a_rate_is_shared_out_among_the_threads() {
    for (rate, threads) in [(1, 1), (7, 4), (1_000, 3), (100_000, 8), (50_000_000, 2)] {
        let pace = Pace::new(NonZeroU64::new(rate), NonZeroUsize::new(threads).unwrap());
        let every = pace.every.unwrap().as_secs_f64();
        let all = pace.batch as f64 / every * threads as f64;
        assert!((all / rate as f64 - 1.0).abs() < 1e-6, "{rate} {threads}");
        assert!((1..=BATCH_ATTEMPTS).contains(&pace.batch));
    }
}

#[tokio::test]
async fn a_rate_bounds_the_attempts() {
    let spec = chain(HARD);
    let begun = Instant::now();
    let (miner, _mined) = start(&spec, 2, Some(2_000));
    miner.mine(1, claims(&spec, 1));
    while miner.attempts() < 500 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let attempts = miner.attempts();
    // Each thread may be one batch ahead.
    let most = begun.elapsed().as_secs_f64() * 2_000.0 + 2.0 * 50.0;
    assert!(attempts as f64 <= most, "{attempts} attempts, most {most}");
}

#[test]
fn a_thread_that_was_kept_waiting_catches_up_but_a_little() {
    let mut pace = Pace::new(NonZeroU64::new(20), NonZeroUsize::MIN);
    if let Some(past) = Instant::now().checked_sub(Duration::from_secs(20)) {
        pace.due = past;
    }
    pace.advance();
    assert!(pace.due + CATCH_UP + Duration::from_secs(1) > Instant::now());
}

//! Reading what peers send: transactions, headers and segments, each against the work that can't be saved. Prints ratios of one run.

#[path = "measure/mod.rs"]
mod measure;

use std::hint::black_box;

use lyceum_protocol::{
    Address, BatchSeed, BlockClaims, ChainSpec, Credits, Gas, Header, ParentContext, SecretKey,
    SegmentIndex, SegmentReader, Seq, StateRoot, Timestamp, Transaction, TxBody, TxClaims,
    check_link, check_time, check_transaction, check_work, verify_batch,
};
use measure::{Contender, medians};

const ROUNDS: usize = 21;
const TRANSACTIONS: usize = 1_024;

fn main() {
    let spec = ChainSpec::dev();
    let transactions = transactions(&spec);
    bench_transactions(&spec, &transactions);
    bench_headers(&spec);
    bench_segment(&transactions);
}

/// Transactions of about 600 bytes, each of another sender.
fn transactions(spec: &ChainSpec) -> Vec<Transaction> {
    let sign = |i: usize| {
        let mut seed = [3; 32];
        seed[..8].copy_from_slice(&i.to_le_bytes());
        let key = SecretKey::from_seed(&seed);
        let body = format!(
            r#"{{"actions":[{{"action":"register_student","student":{{"id":"S{i:06}","name":"John Doe of the Lyceum, third year","department":"Computer Science and Mathematics"}}}},{{"action":"enroll","student":"S{i:06}","course":"C001"}}]}}"#
        );
        let claims = TxClaims {
            sender: Address::from_bytes(key.public()),
            seq: Seq::ZERO,
            gas: Gas::new(100_000).expect("small"),
            fee: Credits::ZERO,
            body: TxBody::parse(&body).expect("a body"),
        };
        claims.sign(&key, spec).expect("a transaction")
    };
    (0..TRANSACTIONS).map(sign).collect()
}

fn bench_transactions(spec: &ChainSpec, all: &[Transaction]) {
    let decode = |all: &[Transaction]| -> Vec<Transaction> {
        let decode =
            |tx: &Transaction| Transaction::decode(tx.token(), spec).expect("a transaction");
        all.iter().map(decode).collect()
    };
    let contenders: [Contender<'_>; 4] = [
        (
            "dalek verify_strict alone".to_owned(),
            Box::new(|| all.iter().for_each(dalek)),
        ),
        (
            "decode alone".to_owned(),
            Box::new(|| drop(black_box(decode(all)))),
        ),
        (
            "decode, verify strictly".to_owned(),
            Box::new(|| {
                for tx in all {
                    black_box(check_transaction(tx.token(), spec)).expect("a transaction");
                }
            }),
        ),
        (
            "decode, verify in batches of 256".to_owned(),
            Box::new(|| {
                for chunk in all.chunks(256) {
                    let decoded = decode(chunk);
                    let items: Vec<_> = decoded.iter().map(Transaction::signed_message).collect();
                    let verdicts = verify_batch(&items, &BatchSeed::new([9; 32]));
                    assert!(verdicts.iter().all(Result::is_ok));
                }
            }),
        ),
    ];
    let bytes = all.iter().map(|tx| tx.token().len()).sum::<usize>() / all.len();
    println!(
        "transactions of {bytes} bytes, medians of {ROUNDS} rounds of {}",
        all.len()
    );
    let seconds = medians(ROUNDS, &contenders);
    for ((name, _), time) in contenders.iter().zip(&seconds) {
        let each = time / all.len() as f64 * 1e6;
        println!(
            "{name:33} {each:6.2} us each, {:.2} x dalek",
            time / seconds[0]
        );
    }
}

fn dalek(tx: &Transaction) {
    let signed = tx.signed_message();
    let key = ed25519_dalek::VerifyingKey::from_bytes(signed.key).expect("an honest key");
    let signature = ed25519_dalek::Signature::from_bytes(signed.signature);
    black_box(key.verify_strict(signed.message, &signature)).expect("an honest signature");
}

fn bench_headers(spec: &ChainSpec) {
    const TIMES: usize = 1_000;
    let genesis = spec.genesis(StateRoot::ZERO);
    let times = [genesis.claims().timestamp; 11];
    let key = SecretKey::from_seed(&[7; 32]);
    let claims = BlockClaims {
        miner: Address::from_bytes(key.public()),
        height: genesis.claims().height.next(),
        parent: genesis.hash(),
        timestamp: genesis.claims().timestamp.saturating_add(1),
        ..genesis.claims().clone()
    };
    let header = claims.sign(&key, spec).expect("the miner's key");
    let contenders: [Contender<'_>; 4] = [
        (
            "SHA-256 of the token".to_owned(),
            Box::new(|| {
                repeat(TIMES, || {
                    black_box(lyceum_protocol::BlockHash::of(
                        black_box(header.token()).as_bytes(),
                    ));
                })
            }),
        ),
        (
            "aserti3".to_owned(),
            Box::new(|| {
                repeat(TIMES, || {
                    black_box(spec.next_bits(black_box(&claims)));
                })
            }),
        ),
        (
            "decode the header".to_owned(),
            Box::new(|| {
                repeat(TIMES, || {
                    black_box(Header::decode(black_box(header.token()), spec)).expect("a header");
                })
            }),
        ),
        (
            "rules 2 to 4".to_owned(),
            Box::new(|| {
                repeat(TIMES, || {
                    let parent = ParentContext::new(spec, &genesis, &times, None);
                    let _ = black_box(check_work(&header, spec)); // it has no work: the comparison is what is timed
                    black_box(check_link(&header, Some(&parent))).expect("linked");
                    black_box(check_time(header.claims(), &parent, Timestamp::MAX)).expect("later");
                })
            }),
        ),
    ];
    println!(
        "\nheaders of {} bytes, medians of {ROUNDS} rounds of {TIMES}",
        header.token().len()
    );
    let seconds = medians(ROUNDS, &contenders);
    for ((name, _), time) in contenders.iter().zip(&seconds) {
        let each = time / TIMES as f64 * 1e9;
        println!(
            "{name:33} {each:6.0} ns each, {:.2} x the hash",
            time / seconds[0]
        );
    }
}

fn repeat(times: usize, work: impl Fn()) {
    (0..times).for_each(|_| work());
}

/// The text of a segment, 100 transactions a block.
fn segment_text(spec: &ChainSpec, transactions: &[Transaction]) -> String {
    let key = SecretKey::from_seed(&[7; 32]);
    let mut headers = vec![spec.genesis(StateRoot::ZERO)];
    while headers.len() < spec.segment_blocks as usize {
        let last = headers.last().expect("genesis");
        let claims = BlockClaims {
            miner: Address::from_bytes(key.public()),
            height: last.claims().height.next(),
            parent: last.hash(),
            ..last.claims().clone()
        };
        headers.push(claims.sign(&key, spec).expect("the miner's key"));
    }
    let mut text = String::new();
    for (at, header) in headers.iter().enumerate() {
        text.push_str(header.token());
        for tx in transactions.iter().cycle().skip(at * 100).take(100) {
            text.push('~');
            text.push_str(tx.token());
        }
        text.push('\n');
    }
    text
}

fn bench_segment(transactions: &[Transaction]) {
    let spec = ChainSpec::dev();
    let text = segment_text(&spec, transactions);
    let read = |transactions: bool| {
        let reader =
            SegmentReader::new(&spec, SegmentIndex::ZERO, text.as_bytes()).expect("in range");
        for line in reader {
            let line = line.expect("a segment");
            if transactions {
                for token in line.line.transactions() {
                    black_box(Transaction::decode(token, &spec)).expect("a transaction");
                }
            }
        }
    };
    let contenders: [Contender<'_>; 4] = [
        (
            "base64 decoding alone".to_owned(),
            Box::new(|| {
                for part in text.split(['.', '~', '\n']) {
                    let _ = black_box(base64_simd::URL_SAFE_NO_PAD.decode_to_vec(part));
                }
            }),
        ),
        (
            "SHA-1 and torrent".to_owned(),
            Box::new(|| {
                let mut builder =
                    lyceum_protocol::MetainfoBuilder::new(&spec.chain, SegmentIndex::ZERO);
                builder.update(text.as_bytes());
                black_box(builder.finish());
            }),
        ),
        ("lines and headers".to_owned(), Box::new(|| read(false))),
        (
            "lines, headers and transactions".to_owned(),
            Box::new(|| read(true)),
        ),
    ];
    println!(
        "\na segment of {} lines and {} bytes, medians of {ROUNDS} rounds",
        spec.segment_blocks,
        text.len()
    );
    let seconds = medians(ROUNDS, &contenders);
    for ((name, _), time) in contenders.iter().zip(&seconds) {
        let speed = text.len() as f64 / time / 1e6;
        println!(
            "{name:33} {speed:6.0} MB/s, {:.2} x base64's time",
            time / seconds[0]
        );
    }
}

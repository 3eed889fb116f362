//! Strict verification: ours alone and in batches, against `ed25519-dalek` alone. Prints ratios of one run.

#[path = "measure/mod.rs"]
mod measure;

use std::hint::black_box;

use lyceum_protocol::{BatchSeed, SecretKey, SignedMessage, verify_batch, verify_strict};
use measure::{Contender, medians};

const MESSAGE_BYTES: usize = 600;
const ROUNDS: usize = 21;

struct Signed {
    key: [u8; 32],
    message: Vec<u8>,
    signature: [u8; 64],
}

fn signed(n: usize, keys: usize) -> Vec<Signed> {
    let sign = |i: usize| {
        let mut seed = [7; 32];
        seed[..8].copy_from_slice(&(i % keys).to_le_bytes());
        let secret = SecretKey::from_seed(&seed);
        let message: Vec<u8> = (0..MESSAGE_BYTES).map(|j| (i * 31 + j) as u8).collect();
        let signature = secret.sign(&message);
        Signed {
            key: secret.public(),
            message,
            signature,
        }
    };
    (0..n).map(sign).collect()
}

fn dalek(all: &[Signed]) {
    for item in all {
        let key = ed25519_dalek::VerifyingKey::from_bytes(&item.key).expect("an honest key");
        let signature = ed25519_dalek::Signature::from_bytes(&item.signature);
        let verdict = key.verify_strict(&item.message, &signature);
        black_box(verdict).expect("an honest signature");
    }
}

fn single(all: &[Signed]) {
    for item in all {
        let verdict = verify_strict(&item.key, &item.message, &item.signature);
        black_box(verdict).expect("an honest signature");
    }
}

fn batched(all: &[Signed], size: usize) {
    for chunk in all.chunks(size) {
        let items: Vec<_> = chunk
            .iter()
            .map(|item| SignedMessage {
                key: &item.key,
                message: &item.message,
                signature: &item.signature,
            })
            .collect();
        let verdicts = verify_batch(&items, &BatchSeed::new([9; 32]));
        assert!(black_box(verdicts).iter().all(Result::is_ok));
    }
}

fn main() {
    let n = 1024;
    let distinct = signed(n, n);
    let shared = signed(n, 16);
    let mut contenders: Vec<Contender<'_>> = vec![
        ("dalek verify_strict".into(), Box::new(|| dalek(&distinct))),
        ("ours, one by one".into(), Box::new(|| single(&distinct))),
    ];
    for size in [32, 64, 128, 256, 512, 1024] {
        let all = &distinct;
        let name = format!("ours, batches of {size}");
        contenders.push((name, Box::new(move || batched(all, size))));
    }
    let name = "ours, batches of 256 of 16 keys".into();
    contenders.push((name, Box::new(|| batched(&shared, 256))));
    let medians = medians(ROUNDS, &contenders);
    println!(
        "strict verification of {MESSAGE_BYTES}-byte messages, {n} keys, medians of {ROUNDS} rounds"
    );
    for ((name, _), seconds) in contenders.iter().zip(&medians) {
        let each = seconds / n as f64;
        let ratio = seconds / medians[0];
        println!("{name:<32} {:6.2} us each, {ratio:.2} x dalek", each * 1e6);
    }
}

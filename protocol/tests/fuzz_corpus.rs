//! The fuzz targets, run for a moment: on the corpus that is checked in, and on mutations of it.

#![allow(clippy::unwrap_used)]

#[path = "../../fuzz/protocol_checks.rs"]
mod checks;

use std::path::Path;

use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};

/// Mutations of each corpus: a few seconds.
const MUTATIONS: usize = 100_000;

/// An input may make its reader hold at most this many bytes for each of its own at one time …
const HELD_PER_BYTE: u64 = 48;
/// … and this many on top.
const HELD_MORE: u64 = 16 << 10;

fn run(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 3, "{target} has a corpus");
    let corpus: Vec<_> = files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    check(&corpus[0]); // what is made once is not counted
    let mut rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    for (file, seed) in files.iter().zip(&corpus) {
        let held = allocation_counter::measure(|| check(seed)).bytes_max;
        let most = HELD_MORE + HELD_PER_BYTE * seed.len() as u64;
        assert!(
            held <= most,
            "{}: {held} bytes held, at most {most}",
            file.display()
        );
        for _ in 0..MUTATIONS / corpus.len() {
            check(&mutate(seed, &corpus, &mut rng));
        }
    }
}

/// Bytes that mean something to a parser.
const HOSTILE: &[u8] = b"\0 \n\"\\.~=-_{}[]:,019aA\xff";

/// Changes some bytes: flips, cuts, doubles, and splices with another input.
fn mutate(seed: &[u8], corpus: &[Vec<u8>], rng: &mut TestRng) -> Vec<u8> {
    let mut out = seed.to_vec();
    for _ in 0..1 + rng.next_u32() % 3 {
        let at = rng.next_u32() as usize % (out.len() + 1);
        let to = at + rng.next_u32() as usize % (out.len() - at + 1);
        match rng.next_u32() % 6 {
            0 if at < out.len() => out[at] ^= 1 << (rng.next_u32() % 8),
            1 if at < out.len() => out[at] = HOSTILE[rng.next_u32() as usize % HOSTILE.len()],
            2 => out.truncate(at),
            3 => drop(out.drain(at..to.min(at + 16))),
            4 => out = [&out[..to], &out[at..]].concat(),
            _ => {
                let other = &corpus[rng.next_u32() as usize % corpus.len()];
                out = [&out[..at], &other[other.len().min(at)..]].concat();
            }
        }
    }
    out
}

#[test]
fn token() {
    run("token", checks::token);
}

#[test]
fn transaction() {
    run("transaction", checks::transaction);
}

#[test]
fn wallet() {
    run("wallet", checks::wallet);
}

#[test]
fn block_line() {
    run("block_line", checks::block_line);
}

#[test]
fn segment() {
    run("segment", checks::segment);
}

#[test]
fn chain_file() {
    run("chain_file", checks::chain_file);
}

//! Segments pulled whole: imported from their file, which then is the segment.

use std::fs;
use std::path::{Path, PathBuf};

use lyceum_node::core::{Chain, ChainError};
use lyceum_protocol::{BatchSeed, ChainSpec, Height, SegmentIndex};
use lyceum_storage::{Options, Store};

use crate::forge::*;

fn on_disk(spec: &ChainSpec, folder: &Path) -> Chain {
    let open = |spec: &ChainSpec, genesis| Store::open(folder, spec, genesis, &Options::default());
    Chain::open(spec.clone(), open, BatchSeed::new([9; 32])).unwrap()
}

fn index(number: u64) -> SegmentIndex {
    SegmentIndex::new(number).unwrap()
}

/// The lines of a segment of `source`.
fn segment(source: &Chain, number: u64) -> Vec<String> {
    let heights = number * 4..number * 4 + 4;
    let view = source.store().read();
    let line = |height| view.line_at(Height::new(height).unwrap()).unwrap().unwrap();
    heights.map(line).collect()
}

fn write(folder: &Path, lines: &[String]) -> PathBuf {
    let file = folder.join("pulled");
    fs::write(&file, lines.join("\n") + "\n").unwrap();
    file
}

#[test]
fn a_pulled_segment_stays_in_its_file() {
    let (spec, folder) = (spec(), tempfile::tempdir().unwrap());
    let mut source = chain(&spec);
    extend(&mut source, 1, 13);
    let mut chain = on_disk(&spec, &folder.path().join("data"));
    for number in 0..3 {
        let file = write(folder.path(), &segment(&source, number));
        let run = chain
            .import_segment_file(index(number), &file, now())
            .unwrap();
        // Genesis was here before.
        let new = if number == 0 { 3 } else { 4 };
        assert_eq!((run.done, run.new), (4, new), "{:?}", run.error);
        assert!(!file.exists(), "it was moved");
        let name = chain.store().read().segment_name(index(number));
        let text = fs::read_to_string(chain.store().segments_folder().unwrap().join(name));
        assert_eq!(text.unwrap(), segment(&source, number).join("\n") + "\n");
    }
    assert_eq!(chain.store().read().sealed_segments().unwrap(), index(3));
    assert_eq!(chain.seal_ready().unwrap(), 0);
    // The rest comes as usual, and what is kept reads as the source's.
    for height in 12..=13 {
        let line = source
            .store()
            .read()
            .line_at(Height::new(height).unwrap())
            .unwrap();
        chain.import(&line.unwrap(), now()).unwrap();
    }
    assert_eq!(chain.tip().unwrap(), source.tip().unwrap());
    chain.close().unwrap();
    let chain = on_disk(&spec, &folder.path().join("data"));
    for number in 0..3 {
        assert_eq!(segment(&chain, number), segment(&source, number));
    }
}

#[test]
fn a_pulled_segment_with_a_bad_block_is_given_up() {
    let (spec, folder) = (spec(), tempfile::tempdir().unwrap());
    let mut source = chain(&spec);
    extend(&mut source, 1, 9);
    let mut chain = on_disk(&spec, &folder.path().join("data"));
    let good = write(folder.path(), &segment(&source, 0));
    chain.import_segment_file(index(0), &good, now()).unwrap();
    let mut lines = segment(&source, 1);
    lines[2] = lines[2].replacen('~', "~A", 1);
    let bad = write(folder.path(), &lines);
    let run = chain.import_segment_file(index(1), &bad, now()).unwrap();
    assert_eq!((run.done, run.new), (2, 2));
    let Some(ChainError::Block(error)) = run.error else {
        panic!("{:?}", run.error)
    };
    assert_eq!(error.reason(), "tx_root");
    assert_eq!(chain.store().read().sealed_segments().unwrap(), index(1));
    assert_eq!(chain.tip().unwrap().height, Height::new(5).unwrap());
    // The right one goes on from there.
    let good = write(folder.path(), &segment(&source, 1));
    let run = chain.import_segment_file(index(1), &good, now()).unwrap();
    assert_eq!((run.done, run.new), (4, 2), "{:?}", run.error);
    assert_eq!(chain.store().read().sealed_segments().unwrap(), index(2));
    assert_eq!(segment(&chain, 1), segment(&source, 1));
}

#[test]
fn a_reorganisation_into_a_pulled_segment_unseals_it() {
    let spec = spec();
    let folder = tempfile::tempdir().unwrap();
    let (mut ours, mut theirs) = (chain(&spec), chain(&spec));
    extend(&mut ours, 1, 7);
    let better = extend(&mut theirs, 2, 8);
    let mut chain = on_disk(&spec, &folder.path().join("data"));
    for number in 0..2 {
        let file = write(folder.path(), &segment(&ours, number));
        chain
            .import_segment_file(index(number), &file, now())
            .unwrap();
    }
    assert_eq!(chain.tip().unwrap(), ours.tip().unwrap());
    for line in &better {
        chain.import(line, now()).unwrap();
    }
    assert_eq!(chain.tip().unwrap(), theirs.tip().unwrap());
    assert_eq!(segment(&chain, 1), segment(&theirs, 1));
}

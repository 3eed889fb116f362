//! Segments pulled whole: imported from their file, which then is the segment.

use std::fs;
use std::path::{Path, PathBuf};

use lyceum_node::core::{Chain, ChainError, ImportRun};
use lyceum_protocol::{Height, SegmentIndex};
use lyceum_storage::Durability;

use crate::forge::*;

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

/// Has the chain take a pulled segment over, and imports its lines from where the file lies then.
fn import_file(chain: &mut Chain, number: u64, file: &Path) -> ImportRun {
    assert!(chain.adopt_segment(index(number), file).unwrap());
    let text = fs::read_to_string(chain.segment_file(index(number)).unwrap()).unwrap();
    let known = chain.tip().unwrap().height.get() + 1 - number * 4;
    let lines: Vec<_> = text.lines().skip(known as usize).collect();
    let run = chain.import_run(&lines, now(), Durability::Buffered);
    if run.error.is_some() {
        chain.abandon_segment(index(number)).unwrap();
    }
    run
}

#[test]
fn a_pulled_segment_stays_in_its_file() {
    let (spec, folder) = (spec(), tempfile::tempdir().unwrap());
    let mut source = chain(&spec);
    extend(&mut source, 1, 13);
    let mut chain = chain_on_disk(&spec, &folder.path().join("data"));
    for number in 0..3 {
        let file = write(folder.path(), &segment(&source, number));
        let run = import_file(&mut chain, number, &file);
        // Genesis was here before.
        let new = if number == 0 { 3 } else { 4 };
        assert_eq!(run.new, new, "{:?}", run.error);
        assert!(!file.exists(), "it was moved");
        let name = chain.store().read().segment_name(index(number));
        let text = fs::read_to_string(chain.store().segments_folder().unwrap().join(name));
        assert_eq!(text.unwrap(), segment(&source, number).join("\n") + "\n");
    }
    assert_eq!(chain.store().read().sealed_segments().unwrap(), index(3));
    assert_eq!(chain.seal_ready(Durability::Synced).unwrap(), 0);
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
    let chain = chain_on_disk(&spec, &folder.path().join("data"));
    for number in 0..3 {
        assert_eq!(segment(&chain, number), segment(&source, number));
    }
}

#[test]
fn a_pulled_segment_with_a_bad_block_is_given_up() {
    let (spec, folder) = (spec(), tempfile::tempdir().unwrap());
    let mut source = chain(&spec);
    extend(&mut source, 1, 9);
    let mut chain = chain_on_disk(&spec, &folder.path().join("data"));
    let good = write(folder.path(), &segment(&source, 0));
    import_file(&mut chain, 0, &good);
    let mut lines = segment(&source, 1);
    lines[2] = lines[2].replacen('~', "~A", 1);
    let bad = write(folder.path(), &lines);
    let run = import_file(&mut chain, 1, &bad);
    assert_eq!((run.done, run.new), (2, 2));
    let Some(ChainError::Block(error)) = run.error else {
        panic!("{:?}", run.error)
    };
    assert_eq!(error.reason(), "tx_root");
    assert_eq!(chain.store().read().sealed_segments().unwrap(), index(1));
    assert_eq!(chain.tip().unwrap().height, Height::new(5).unwrap());
    // The right one goes on from there.
    let good = write(folder.path(), &segment(&source, 1));
    let run = import_file(&mut chain, 1, &good);
    assert_eq!((run.done, run.new), (2, 2), "{:?}", run.error);
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
    let mut chain = chain_on_disk(&spec, &folder.path().join("data"));
    for number in 0..2 {
        let file = write(folder.path(), &segment(&ours, number));
        import_file(&mut chain, number, &file);
    }
    assert_eq!(chain.tip().unwrap(), ours.tip().unwrap());
    for line in &better {
        chain.import(line, now()).unwrap();
    }
    assert_eq!(chain.tip().unwrap(), theirs.tip().unwrap());
    assert_eq!(segment(&chain, 1), segment(&theirs, 1));
}

#[test]
fn segments_that_came_as_blocks_make_way_for_the_next_file() {
    let (spec, folder) = (spec(), tempfile::tempdir().unwrap());
    let mut source = chain(&spec);
    extend(&mut source, 1, 12);
    let mut chain = chain_on_disk(&spec, &folder.path().join("data"));
    for number in 0..2 {
        let lines = segment(&source, number);
        for line in lines.iter().filter(|line| *line != &segment(&source, 0)[0]) {
            chain.import(line, now()).unwrap();
        }
    }
    assert_eq!(chain.store().sealable().unwrap(), Some(index(0)));
    let other = write(folder.path(), &segment(&source, 1));
    assert!(
        !chain.adopt_segment(index(1), &other).unwrap(),
        "it is whole"
    );
    let gone = folder.path().join("gone");
    assert!(!chain.adopt_segment(index(2), &gone).unwrap());
    let file = write(folder.path(), &segment(&source, 2));
    assert_eq!(chain.unfinished_segment().unwrap(), None);
    import_file(&mut chain, 2, &file);
    assert_eq!(chain.store().read().sealed_segments().unwrap(), index(3));
    assert_eq!(segment(&chain, 2), segment(&source, 2));
}

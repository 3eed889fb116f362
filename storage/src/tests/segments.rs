//! Sealing, unsealing, restoring.

use std::fs;

use lyceum_protocol::{SegmentIndex, SegmentReader};

use super::miner::{Made, Miner, SEGMENT_BLOCKS};
use super::{connect, dump, options, state_only, stores};
use crate::{Durability, Store, StoreError};

fn index(number: u64) -> SegmentIndex {
    SegmentIndex::new(number).unwrap()
}

/// Connects blocks, and seals what can be sealed after each.
fn grow(store: &mut Store, chain: &[Made]) {
    for made in chain {
        connect(store, made);
        store.seal_ready(Durability::Synced).unwrap();
    }
}

fn assert_lines(store: &Store, chain: &[Made]) {
    let view = store.read();
    for made in chain {
        let (hash, height) = (made.header.hash(), made.header.claims().height);
        assert_eq!(
            view.line(&hash).unwrap().as_ref(),
            Some(&made.line),
            "{height}"
        );
        assert_eq!(view.line_at(height).unwrap().as_ref(), Some(&made.line));
    }
}

#[test]
fn a_sealed_block_reads_as_any_other() {
    let mut miner = Miner::new(11);
    let chain = miner.chain(15);
    let (folder, stores) = stores(&miner);
    for mut store in stores {
        grow(&mut store, &chain);
        // The tip, 14, is two past 11 = the end of segment 2.
        assert_eq!(store.read().sealed_segments().unwrap(), index(3));
        assert_lines(&store, &chain);
        let blocks = dump(&store);
        let kept = blocks.keys().filter(|(family, _)| *family == "blocks");
        assert_eq!(kept.count(), 3, "only the lines past the last segment");
        let boundary = chain[2 * SEGMENT_BLOCKS as usize].header.claims();
        let entry = store.read().segment(index(1)).unwrap().unwrap();
        assert_eq!(boundary.segment, Some(entry.metainfo.info_hash()));
        let computed = store.read().metainfo(index(1)).unwrap();
        assert_eq!(computed, Some(entry.metainfo));
        assert_eq!(store.read().metainfo(index(3)).unwrap(), None);
        assert!(store.read().metainfo(index(2)).unwrap().is_some());
        assert!(matches!(
            store.seal(index(1), Durability::Synced),
            Err(StoreError::NotSealable { .. })
        ));
        assert!(matches!(
            store.seal(index(3), Durability::Synced),
            Err(StoreError::NotSealable { .. })
        ));
    }
    let text = fs::read(folder.path().join("segments/dev-00000001.jwts")).unwrap();
    let reader = SegmentReader::new(&miner.spec, index(1), &text).unwrap();
    let lines: Result<Vec<_>, _> = reader.collect();
    assert_eq!(lines.unwrap().len(), 4);
    let parts = fs::read_dir(folder.path().join("segments")).unwrap();
    assert_eq!(parts.count(), 3);
}

#[test]
fn a_deep_reorganisation_unseals() {
    let mut miner = Miner::new(12);
    let chain = miner.chain(14);
    let (folder, stores) = stores(&miner);
    for mut store in stores {
        let mut dumps = Vec::new();
        for made in &chain {
            dumps.push(state_only(dump(&store)));
            grow(&mut store, std::slice::from_ref(made));
        }
        // Down to height 6: into segment 1, which is sealed, as is segment 2.
        let sealed = store.read().sealed_segments().unwrap();
        assert_eq!(sealed, index(3));
        let mut batch = store.begin();
        for _ in 0..7 {
            batch.disconnect().unwrap();
        }
        assert_eq!(batch.read().sealed_segments().unwrap(), index(1));
        batch.commit(Durability::Buffered).unwrap();
        assert_eq!(store.read().sealed_segments().unwrap(), index(1));
        assert_lines(&store, &chain[..7]);
        let mut want = dumps[7].clone();
        want.retain(|(family, _), _| !matches!(*family, "offsets" | "segments" | "meta" | "undo"));
        let mut got = state_only(dump(&store));
        got.retain(|(family, _), _| !matches!(*family, "offsets" | "segments" | "meta" | "undo"));
        assert_eq!(got, want);
        // Another branch from there, sealed in its turn.
        let mut other = Miner::new(12);
        other.chain(14);
        (0..7).for_each(|_| other.back());
        let branch = other.chain(12);
        grow(&mut store, &branch);
        assert_lines(&store, &branch);
        assert_eq!(store.read().sealed_segments().unwrap(), index(4));
        // What was disconnected is still known as side blocks.
        assert_eq!(
            store.read().line(&chain[9].header.hash()).unwrap().as_ref(),
            Some(&chain[9].line)
        );
    }
    assert!(folder.path().join("segments/dev-00000003.jwts").exists());
}

#[test]
fn a_damaged_segment_is_named_and_restored() {
    let mut miner = Miner::new(13);
    let chain = miner.chain(15);
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path(), &miner.spec, miner.genesis(), &options()).unwrap();
    let mut store = open();
    grow(&mut store, &chain);
    store.close().unwrap();

    let path = folder.path().join("segments/dev-00000001.jwts");
    let good = fs::read(&path).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    type Damage<'d> = (&'d str, Box<dyn Fn() + 'd>, &'d str);
    let damages: [Damage<'_>; 4] = [
        (
            "cut",
            Box::new(|| fs::write(&path, &good[..good.len() - 1]).unwrap()),
            "bytes long",
        ),
        (
            "longer",
            Box::new(|| fs::write(&path, [&good[..], b"x"].concat()).unwrap()),
            "bytes long",
        ),
        (
            "gone",
            Box::new(|| fs::remove_file(&path).unwrap()),
            "No such file",
        ),
        (
            "flipped",
            Box::new(|| fs::write(&path, &flipped).unwrap()),
            "piece 0 has another hash",
        ),
    ];
    for (name, damage, said) in &damages {
        damage();
        let mut store = open();
        assert!(!store.report().was_unclean);
        let mut found = store.report().damaged_segments.clone();
        if *name == "flipped" {
            // A clean close is trusted as far as the length; the thorough check finds it.
            assert_eq!(found, []);
            found = store.verify_segments(true).unwrap();
        }
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(found[0].index, index(1));
        assert!(
            found[0].reason.contains(said),
            "{name}: {}",
            found[0].reason
        );
        // The rest of the ledger goes on.
        assert_lines(&store, &chain[..4]);
        assert_lines(&store, &chain[8..]);
        let refused = store.read().line(&chain[5].header.hash()).unwrap_err();
        assert_eq!(refused.reason(), "segment_damaged");
        // Somebody sends another text, then the right one.
        let refused = store
            .restore_segment(index(1), &mut &flipped[..])
            .unwrap_err();
        assert_eq!(refused.reason(), "segment_other");
        store.restore_segment(index(1), &mut &good[..]).unwrap();
        assert_lines(&store, &chain);
        assert_eq!(store.verify_segments(true).unwrap(), []);
        store.close().unwrap();
        assert_eq!(open().report(), &crate::OpenReport::default());
    }
}

#[test]
fn after_an_unclean_end_every_piece_is_checked() {
    let mut miner = Miner::new(14);
    let chain = miner.chain(15);
    let folder = tempfile::tempdir().unwrap();
    let options = options();
    let open = || Store::open(folder.path(), &miner.spec, miner.genesis(), &options).unwrap();
    let mut store = open();
    assert_eq!(options.progress.segments(), (0, 0));
    grow(&mut store, &chain);
    store.is_closed = true; // so that dropping it does not close it cleanly
    drop(store);
    let path = folder.path().join("segments/dev-00000002.jwts");
    let mut text = fs::read(&path).unwrap();
    text[3] ^= 0x20;
    fs::write(&path, text).unwrap();
    let store = open();
    assert!(store.report().was_unclean);
    assert_eq!(store.report().damaged_segments[0].index, index(2));
    let sealed = store.read().sealed_segments().unwrap().get();
    assert!(sealed > 0);
    assert_eq!(options.progress.segments(), (sealed, sealed));
}

/// The text of a segment, as a torrent brings it, in a file beside the store.
pub(super) fn pulled(folder: &std::path::Path, chain: &[Made], number: u64) -> std::path::PathBuf {
    let first = (number * u64::from(SEGMENT_BLOCKS)) as usize;
    let lines = &chain[first..first + SEGMENT_BLOCKS as usize];
    let text: String = lines.iter().map(|made| made.line.clone() + "\n").collect();
    let file = folder.join(format!("pulled-{number}"));
    fs::write(&file, text).unwrap();
    file
}

#[test]
fn an_adopted_segment_is_connected_from_its_file() {
    let mut miner = Miner::new(21);
    let chain = miner.chain(15);
    let (folder, stores) = stores(&miner);
    for mut store in stores {
        let mut sealed_later = Store::in_memory(&miner.spec, store.genesis(), &options());
        grow(&mut sealed_later, &chain);
        connect(&mut store, &chain[0]);
        for number in 0..3 {
            let file = pulled(folder.path(), &chain, number);
            let entry = store.adopt_segment(index(number), &file).unwrap();
            assert!(!file.exists());
            assert_eq!(store.read().segment(index(number)).unwrap(), Some(entry));
            let first = (number * u64::from(SEGMENT_BLOCKS)) as usize;
            for made in &chain[first.max(1)..first + SEGMENT_BLOCKS as usize] {
                connect(&mut store, made);
                let blocks = dump(&store);
                assert!(!blocks.keys().any(|(family, _)| *family == "blocks"));
            }
        }
        grow(&mut store, &chain[12..]);
        assert_lines(&store, &chain);
        assert_eq!(dump(&store), dump(&sealed_later), "as if sealed here");
    }
}

#[test]
fn a_block_that_is_not_in_the_adopted_file_unseals_it() {
    let mut miner = Miner::new(22);
    let chain = miner.chain(9);
    let (folder, stores) = stores(&miner);
    for mut store in stores {
        grow(&mut store, &chain[..6]);
        let file = pulled(folder.path(), &chain, 1);
        let mut lines: Vec<String> = fs::read_to_string(&file)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect();
        lines.swap(2, 3);
        fs::write(&file, lines.join("\n") + "\n").unwrap();
        store.adopt_segment(index(1), &file).unwrap();
        connect(&mut store, &chain[6]);
        assert_eq!(store.read().sealed_segments().unwrap(), index(1));
        assert_eq!(store.read().segment(index(1)).unwrap(), None);
        grow(&mut store, &chain[7..]);
        assert_lines(&store, &chain);
    }
    assert!(!folder.path().join("segments/dev-00000001.jwts").exists());
}

#[test]
fn an_abandoned_segment_leaves_its_good_blocks() {
    let mut miner = Miner::new(23);
    let chain = miner.chain(9);
    let (folder, stores) = stores(&miner);
    for mut store in stores {
        grow(&mut store, &chain[..6]);
        let before = dump(&store);
        let file = pulled(folder.path(), &chain, 1);
        store.adopt_segment(index(1), &file).unwrap();
        store.abandon_segment(index(1)).unwrap();
        assert_eq!(dump(&store), before);
        let file = pulled(folder.path(), &chain, 1);
        store.adopt_segment(index(1), &file).unwrap();
        connect(&mut store, &chain[6]);
        store.abandon_segment(index(1)).unwrap();
        assert_lines(&store, &chain[..7]);
        assert_eq!(store.read().sealed_segments().unwrap(), index(1));
        store.abandon_segment(index(0)).unwrap();
        assert_eq!(store.read().sealed_segments().unwrap(), index(1));
    }
}

#[test]
fn only_the_next_segment_whole_is_adopted() {
    let mut miner = Miner::new(24);
    let chain = miner.chain(13);
    let (folder, stores) = stores(&miner);
    for mut store in stores {
        grow(&mut store, &chain[..6]);
        let before = dump(&store);
        for number in [0, 2] {
            let file = pulled(folder.path(), &chain, number);
            let refused = store.adopt_segment(index(number), &file);
            assert!(matches!(refused, Err(StoreError::NotSealable { .. })));
            assert!(file.exists());
        }
        let file = pulled(folder.path(), &chain, 1);
        let text = fs::read_to_string(&file).unwrap();
        let foreign = text.replacen(&chain[4].line[..8], "another.", 1);
        for bad in [&text[..text.len() - 1], &format!("{text}x\n"), &foreign] {
            fs::write(&file, bad).unwrap();
            let refused = store.adopt_segment(index(1), &file);
            assert!(matches!(refused, Err(StoreError::NotSealable { .. })));
        }
        assert_eq!(dump(&store), before);
        fs::write(&file, text).unwrap();
        store.adopt_segment(index(1), &file).unwrap();
    }
}

#[test]
fn a_file_that_came_before_its_blocks_goes_with_the_block_before() {
    let mut miner = Miner::new(25);
    let chain = miner.chain(9);
    let (folder, stores) = stores(&miner);
    for mut store in stores {
        grow(&mut store, &chain[..8]);
        store.seal(index(1), Durability::Synced).unwrap(); // not deep enough for `sealable`, but whole
        let before = dump(&store);
        let mut lines = chain[8..].to_vec();
        lines.extend_from_within(..);
        lines.extend_from_within(..);
        let text: String = lines.iter().map(|made| made.line.clone() + "\n").collect();
        let file = folder.path().join("pulled");
        fs::write(&file, text).unwrap();
        store.adopt_segment(index(2), &file).unwrap();
        let mut batch = store.begin();
        batch.disconnect().unwrap();
        batch.commit(Durability::Buffered).unwrap();
        assert_eq!(store.read().sealed_segments().unwrap(), index(1));
        assert_eq!(store.read().metainfo(index(2)).unwrap(), None);
        grow(&mut store, &chain[7..8]);
        store.seal(index(1), Durability::Synced).unwrap();
        assert_eq!(dump(&store), before);
    }
    assert!(!folder.path().join("segments/dev-00000002.jwts").exists());
}

#[test]
fn blocks_of_a_damaged_adopted_segment_are_kept_by_themselves() {
    let mut miner = Miner::new(26);
    let chain = miner.chain(9);
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path(), &miner.spec, miner.genesis(), &options()).unwrap();
    let mut store = open();
    grow(&mut store, &chain[..6]);
    let file = pulled(folder.path(), &chain, 1);
    let good = fs::read(&file).unwrap();
    store.adopt_segment(index(1), &file).unwrap();
    connect(&mut store, &chain[6]);
    store.close().unwrap();
    fs::remove_file(folder.path().join("segments/dev-00000001.jwts")).unwrap();
    let mut store = open();
    assert_eq!(store.report().damaged_segments[0].index, index(1));
    grow(&mut store, &chain[7..]);
    assert_lines(&store, &chain[7..]);
    let refused = store.read().line(&chain[5].header.hash()).unwrap_err();
    assert_eq!(refused.reason(), "segment_damaged");
    store.restore_segment(index(1), &mut &good[..]).unwrap();
    assert_lines(&store, &chain);
}

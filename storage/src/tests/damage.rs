//! Databases that are in use, of another chain, or damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use lyceum_protocol::{BlockHash, ChainSpec};

use super::miner::{Made, Miner};
use super::{connect, options};
use crate::engine::{Change, Durability};
use crate::family::Family;
use crate::schema::{META_CHAIN, SCHEMA};
use crate::{Store, StoreError};

fn error(folder: &Path, spec: &ChainSpec, genesis: BlockHash) -> StoreError {
    match Store::open(folder, spec, genesis, &options()) {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}

#[test]
fn a_store_in_use_is_locked() {
    let miner = Miner::new(20);
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path(), &miner.spec, miner.genesis(), &options());
    let store = open().unwrap();
    let refused = error(folder.path(), &miner.spec, miner.genesis());
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    assert!(refused.to_string().contains("stop that node"));
    drop(store);
    open().unwrap();
}

#[test]
fn another_chain_or_schema_is_refused_and_nothing_lost() {
    let mut miner = Miner::new(21);
    let made = miner.next();
    let folder = tempfile::tempdir().unwrap();
    let open = || Store::open(folder.path(), &miner.spec, miner.genesis(), &options());
    connect(&mut open().unwrap(), &made);

    let other = BlockHash::of(b"another genesis");
    let refused = error(folder.path(), &miner.spec, other);
    assert!(matches!(refused, StoreError::Chain { .. }), "{refused}");
    assert!(refused.to_string().contains(&other.to_string()));
    let mut fields = (*miner.spec).clone();
    fields.segment_blocks *= 2;
    let spec = ChainSpec::new(fields).unwrap();
    let refused = error(folder.path(), &spec, miner.genesis());
    assert!(matches!(refused, StoreError::Chain { .. }), "{refused}");
    let mut fields = (*miner.spec).clone();
    fields.chain = "other".parse().unwrap();
    let spec = ChainSpec::new(fields).unwrap();
    let refused = error(folder.path(), &spec, miner.genesis());
    assert!(refused.to_string().contains("\"dev\""), "{refused}");

    let store = open().unwrap();
    let engine = &store.shared.engine;
    let good = engine.read(Family::Meta, META_CHAIN).unwrap().unwrap();
    let mut later = good.clone();
    later[1..3].copy_from_slice(&(SCHEMA + 1).to_le_bytes());
    later.push(0);
    let write = |value: Vec<u8>| {
        let writes = [(Family::Meta, META_CHAIN, Change::Put(&value))];
        engine
            .write(&mut writes.into_iter(), 0, Durability::Synced)
            .unwrap();
    };
    write(later);
    drop(store);
    let refused = error(folder.path(), &miner.spec, miner.genesis());
    let StoreError::Schema { got, want, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!((*got, *want), (SCHEMA + 1, SCHEMA));
}

/// A store with a chain in it that was not closed: all blocks stand in the log.
fn unclosed(miner: &mut Miner, folder: &Path, blocks: usize) -> Vec<Made> {
    let chain = miner.chain(blocks);
    let mut store = Store::open(folder, &miner.spec, miner.genesis(), &options()).unwrap();
    chain.iter().for_each(|made| connect(&mut store, made));
    store.is_closed = true;
    chain
}

fn log(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder.join("db")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    let mut logs: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "log"))
        .collect();
    logs.sort_by_key(|path| fs::metadata(path).unwrap().len());
    logs.pop().unwrap()
}

/// The tip is some block of the chain, and the state is the one after that block; then the rest connects.
fn assert_goes_on(miner: &Miner, folder: &Path, chain: &[Made]) -> (usize, Option<String>) {
    let mut store = Store::open(folder, &miner.spec, miner.genesis(), &options()).unwrap();
    let tip = store.read().tip().unwrap();
    let next = tip.map_or(0, |tip| tip.height.get() as usize + 1);
    if let Some(tip) = tip {
        assert_eq!(tip.hash, chain[next - 1].header.hash());
        assert_eq!(store.read().state_root().unwrap(), tip.state_root);
        assert_eq!(tip.state_root, chain[next - 1].header.claims().state_root);
    }
    let cut = store.report().log_cut.clone();
    chain[next..]
        .iter()
        .for_each(|made| connect(&mut store, made));
    (next, cut)
}

#[test]
fn a_log_cut_short_ends_at_a_whole_block() {
    for cut in [1, 7, 100, 1_000, 5_000] {
        let mut miner = Miner::new(22);
        let folder = tempfile::tempdir().unwrap();
        let chain = unclosed(&mut miner, folder.path(), 20);
        let path = log(folder.path());
        let length = fs::metadata(&path).unwrap().len();
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(length - cut).unwrap();
        let (kept, _) = assert_goes_on(&miner, folder.path(), &chain);
        assert!((10..20).contains(&kept), "{cut}: {kept}");
    }
}

#[test]
fn a_flipped_bit_in_the_log_is_named_and_ends_at_a_whole_block() {
    let mut named = 0;
    for (numerator, denominator) in [(1, 3), (1, 2), (9, 10), (99, 100)] {
        let mut miner = Miner::new(23);
        let folder = tempfile::tempdir().unwrap();
        let chain = unclosed(&mut miner, folder.path(), 20);
        let path = log(folder.path());
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.len() * numerator / denominator;
        bytes[at] ^= 4;
        fs::write(&path, bytes).unwrap();
        let (kept, cut) = assert_goes_on(&miner, folder.path(), &chain);
        assert!(kept < 20);
        named += u32::from(cut.is_some_and(|said| said.contains("orruption")));
    }
    assert_eq!(named, 4);
}

#[test]
fn a_damaged_table_is_named() {
    let mut miner = Miner::new(24);
    let folder = tempfile::tempdir().unwrap();
    let chain = miner.chain(20);
    let open = || Store::open(folder.path(), &miner.spec, miner.genesis(), &options());
    let mut store = open().unwrap();
    chain.iter().for_each(|made| connect(&mut store, made));
    store.close().unwrap();
    let files = fs::read_dir(folder.path().join("db")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|end| end == "sst")) {
        let mut bytes = fs::read(&path).unwrap();
        bytes[5] ^= 1;
        fs::write(&path, bytes).unwrap();
    }
    let read = |store: Store| -> Result<(), StoreError> {
        let view = store.read();
        view.tip()?;
        for made in &chain {
            view.line(&made.header.hash())?;
        }
        Ok(())
    };
    let refused = open().and_then(read).unwrap_err();
    assert!(matches!(refused, StoreError::Damaged { .. }), "{refused}");
    assert_eq!(refused.reason(), "store_damaged");
}

/// Tells the child the small disk to fill.
const SMALL_DISK_VARIABLE: &str = "LYCEUM_SMALL_DISK";

/// The child's part, on a file system of 12 MB of its own; nothing in an ordinary run.
#[test]
fn small_disk_child() {
    let Some(folder) = std::env::var_os(SMALL_DISK_VARIABLE) else {
        return;
    };
    let folder = Path::new(&folder);
    let ballast = folder.join("ballast");
    fs::write(&ballast, vec![1; 8 << 20]).unwrap();
    let mut miner = Miner::new(25);
    let open = |miner: &Miner| Store::open(folder, &miner.spec, miner.genesis(), &options());
    let mut store = open(&miner).unwrap();
    let mut chain = Vec::new();
    let refused = loop {
        let mut made = miner.next();
        // Padding that is not hashed: enough text for the disk to fill up soon.
        made.line.push('~');
        made.line.push_str(&"A".repeat(100_000));
        let mut batch = store.begin();
        batch.connect(made.block()).unwrap();
        let committed = batch.commit(Durability::Synced);
        chain.push(made);
        if let Err(refused) = committed {
            break refused;
        }
    };
    assert!(matches!(refused, StoreError::DiskFull { .. }), "{refused}");
    drop(store);
    fs::remove_file(ballast).unwrap();
    let store = open(&miner).unwrap();
    let tip = store.read().tip().unwrap().unwrap();
    let last = chain.len() - 2;
    assert_eq!(
        tip.hash,
        chain[last].header.hash(),
        "what was committed stands"
    );
    drop(store);
    let mut store = open(&miner).unwrap();
    connect(&mut store, &chain[last + 1]);
}

#[test]
fn a_full_disk_is_named_and_loses_nothing() {
    let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
    let named = StoreError::io(Path::new("/folder"), full);
    assert_eq!(named.reason(), "disk_full");
    assert!(named.to_string().contains("free some"));

    // A file system of its own, where the system lets us have one.
    let folder = tempfile::tempdir().unwrap();
    let isolated = ["--user", "--map-root-user", "--mount", "sh", "-c"];
    let mount = "mount -t tmpfs -o size=12m none \"$LYCEUM_SMALL_DISK\"";
    let run = |script: &str| {
        let mut command = Command::new("unshare");
        command
            .args(isolated)
            .arg(script)
            .arg(std::env::current_exe().unwrap());
        command.env(SMALL_DISK_VARIABLE, folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if run(mount) {
        let child = "exec \"$0\" --exact tests::damage::small_disk_child";
        assert!(run(&format!("{mount} && {child}")));
    } else {
        eprintln!("no small file system to be had: only the error's name is tested");
    }
}

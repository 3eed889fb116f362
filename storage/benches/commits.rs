//! What keeping the chain costs: commits against bare RocksDB, a large state against a small one, disk against the text, memory against
//! the options. Prints ratios of one run.

mod chain;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::Instant;

use chain::{Made, Miner};
use lyceum_protocol::SegmentIndex;
use lyceum_storage::{Durability, Options, Store};

const ROUNDS: usize = 5;
/// Blocks of a round, transactions and records of a block.
const BLOCKS: usize = 40;
const PER_BLOCK: usize = 100;

fn main() {
    bench_commits();
    bench_state_sizes();
    bench_disk();
}

fn store(folder: &Path, miner: &Miner) -> Store {
    Store::open(folder, &miner.spec, miner.genesis(), &Options::default()).expect("a store")
}

fn connect(store: &mut Store, blocks: &[Made], durability: Durability) {
    let mut batch = store.begin();
    for made in blocks {
        black_box(batch.connect(made.block()).expect("it follows"));
    }
    batch.commit(durability).expect("a commit");
}

/// New records only.
fn new_students(from: usize) -> Vec<u64> {
    (from as u64..(from + PER_BLOCK) as u64).collect()
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

fn timed(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_secs_f64()
}

/// CPU seconds of this thread: what others do on the machine, and compaction in the background, stay out of it.
fn timed_cpu(run: impl FnOnce()) -> f64 {
    let spent = || -> f64 {
        let stat = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let nanos = stat.split(' ').next().and_then(|nanos| nanos.parse().ok());
        nanos.unwrap_or(f64::NAN) / 1e9
    };
    let start = spent();
    run();
    spent() - start
}

/// Blocks synced one by one, buffered one by one, buffered in one batch; and the same texts and records put in RocksDB with nothing around.
fn bench_commits() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = ["synced", "buffered", "one batch"];
    let mut miners = names.map(|_| Miner::new(64));
    let mut stores: Vec<Store> = miners
        .iter()
        .zip(names)
        .map(|(miner, name)| store(&folder.path().join(name), miner))
        .collect();
    let bare = rocksdb::DB::open_default(folder.path().join("bare")).expect("a database");
    let mut seconds = vec![Vec::new(); names.len() + 2];
    for round in 0..ROUNDS {
        for (contender, miner) in miners.iter_mut().enumerate() {
            let make = |i| miner.block(PER_BLOCK, &new_students((round * BLOCKS + i) * PER_BLOCK));
            let blocks: Vec<Made> = (0..BLOCKS).map(make).collect();
            let store = &mut stores[contender];
            seconds[contender].push(timed(|| match contender {
                0 => blocks
                    .chunks(1)
                    .for_each(|one| connect(store, one, Durability::Synced)),
                1 => blocks
                    .chunks(1)
                    .for_each(|one| connect(store, one, Durability::Buffered)),
                _ => connect(store, &blocks, Durability::Buffered),
            }));
            if contender == 0 {
                seconds[names.len()].push(timed(|| put(&bare, &blocks, true)));
                seconds[names.len() + 1].push(timed(|| put(&bare, &blocks, false)));
            }
        }
    }
    let medians: Vec<f64> = seconds.iter_mut().map(|all| median(all)).collect();
    println!(
        "blocks of {PER_BLOCK} transactions and records, medians of {ROUNDS} rounds of {BLOCKS}"
    );
    let bare = medians[names.len() + 1];
    let names = names
        .into_iter()
        .chain(["bare puts, synced", "bare puts, unsynced"]);
    for (name, time) in names.zip(&medians) {
        let rate = (BLOCKS * PER_BLOCK) as f64 / time;
        println!(
            "{name:20} {rate:9.0} records/s, {:5.2} x the time of bare puts",
            time / bare
        );
    }
}

/// A block's line, records, transaction ids and receipts in one write: what must be written in any case.
fn put(bare: &rocksdb::DB, blocks: &[Made], synced: bool) {
    for made in blocks {
        let mut batch = rocksdb::WriteBatch::default();
        batch.put(made.header.hash().as_bytes(), &made.line);
        for (path, record) in &made.changes {
            batch.put(path, record.as_deref().unwrap_or_default());
        }
        let mut options = rocksdb::WriteOptions::default();
        options.set_sync(synced);
        bare.write_opt(batch, &options).expect("a write");
    }
}

/// Half of each block's records are new, half change some old one.
fn bench_state_sizes() {
    let sizes = [10_000_u64, 1_000_000];
    let folder = tempfile::tempdir().expect("a folder");
    let mut miners = sizes.map(|_| Miner::new(64));
    let mut stores = Vec::new();
    for (miner, size) in miners.iter_mut().zip(sizes) {
        let mut store = store(&folder.path().join(size.to_string()), miner);
        let students: Vec<u64> = (0..size).collect();
        for chunk in students.chunks(10_000) {
            let made = miner.block(0, chunk);
            connect(&mut store, &[made], Durability::Buffered);
        }
        stores.push(store);
    }
    for blocks_a_commit in [1, BLOCKS] {
        bench_state_size(sizes, &mut miners, &mut stores, blocks_a_commit);
    }
    println!("{}", memory(&stores[1]));
}

/// The small and the large state in turn, by CPU time.
fn bench_state_size(
    sizes: [u64; 2],
    miners: &mut [Miner; 2],
    stores: &mut [Store],
    blocks_a_commit: usize,
) {
    let mut next = sizes.map(|size| size + blocks_a_commit as u64 * 1_000_000);
    let mut seconds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (which, miner) in miners.iter_mut().enumerate() {
            let blocks: Vec<Made> = (0..BLOCKS)
                .map(|_| {
                    let half = PER_BLOCK as u64 / 2;
                    let mut students: Vec<u64> = (next[which]..next[which] + half).collect();
                    next[which] += half;
                    students.extend((0..half).map(|_| miner.random() % sizes[which]));
                    miner.block(PER_BLOCK, &students)
                })
                .collect();
            let store = &mut stores[which];
            let run = || {
                blocks
                    .chunks(1)
                    .for_each(|one| connect(store, one, Durability::Buffered))
            };
            seconds[which].push(timed_cpu(run));
        }
    }
    let rates = seconds.map(|mut all| (BLOCKS * PER_BLOCK) as f64 / median(&mut all));
    println!(
        "\nhalf new, half changed records, {blocks_a_commit} blocks a commit, CPU time, on a state of"
    );
    for (size, rate) in sizes.iter().zip(rates) {
        println!(
            "{size:9} records: {rate:9.0} records/s, {:.2} x the small state's",
            rate / rates[0]
        );
    }
}

fn memory(store: &Store) -> String {
    let sizes = store.reader().sizes();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find(|line| line.starts_with("VmRSS"));
    let mib = |bytes: u64| bytes >> 20;
    format!(
        "memory of the large one: {} MiB of write buffers, {} MiB of cache, {} MiB of tables; the process: {}",
        mib(sizes.write_buffers),
        mib(sizes.cache),
        mib(sizes.tables),
        resident.unwrap_or("unknown")
    )
}

/// A chain that is all sealed but for its end, with one new record for each transaction.
fn bench_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut miner = Miner::new(64);
    let options = Options {
        reorg_depth_max: 128,
        ..Options::default()
    };
    let open = |miner: &Miner| {
        Store::open(folder.path(), &miner.spec, miner.genesis(), &options).expect("a store")
    };
    let mut store = open(&miner);
    let (mut text, mut records) = (0, 0);
    for block in 0..1_024 {
        let made = miner.block(PER_BLOCK, &new_students(block * PER_BLOCK));
        text += made.line.len() + 1;
        let pairs = made.changes.iter();
        let sizes = pairs.map(|(path, record)| path.len() + record.as_ref().map_or(0, String::len));
        records += sizes.sum::<usize>();
        connect(&mut store, &[made], Durability::Buffered);
        store.seal_ready(Durability::Synced).expect("it seals");
    }
    let sealed = store.read().sealed_segments().expect("a store");
    store.close().expect("a clean end");
    drop(open(&miner)); // empties the log
    let disk = tree_bytes(folder.path()) as f64;
    let segments = tree_bytes(&folder.path().join("segments")) as f64;
    let whole = (text + records) as f64;
    println!("\n{sealed} segments of 64 blocks of {PER_BLOCK} transactions, one record each");
    println!(
        "text {:.1} MB, records {:.1} MB; disk {:.1} MB ({:.1} of it segments): {:.2} x text and records",
        text as f64 / 1e6,
        records as f64 / 1e6,
        disk / 1e6,
        segments / 1e6,
        disk / whole
    );
    assert!(sealed > SegmentIndex::ZERO);
    families(&folder.path().join("db"));
}

/// Where the database's bytes are.
fn families(folder: &Path) {
    let options = rocksdb::Options::default();
    let names = rocksdb::DB::list_cf(&options, folder).expect("a database");
    let open = rocksdb::DB::open_cf_for_read_only(&options, folder, &names, false);
    let database = open.expect("a database");
    let size = |name: &String| {
        let family = database.cf_handle(name).expect("a family");
        let bytes = database.property_int_value_cf(family, "rocksdb.total-sst-files-size");
        let bytes = bytes.ok().flatten().unwrap_or(0);
        format!("{name} {:.1}", bytes as f64 / 1e6)
    };
    let sizes: Vec<String> = names.iter().map(size).collect();
    println!("of the database, MB: {}", sizes.join(", "));
}

fn tree_bytes(path: &Path) -> u64 {
    let entries = fs::read_dir(path).expect("a folder");
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(file) if file.is_dir() => tree_bytes(&entry.path()),
        Ok(file) => file.len(),
        Err(_) => 0,
    };
    entries.map(|entry| size(entry.expect("an entry"))).sum()
}

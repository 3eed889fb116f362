//! Importing a chain of registrations, enrolments and votes, against bare batch verification of the same signatures on the same cores;
//! then a large state against a small one.
//!
//! `LYCEUM_BENCH_TRANSACTIONS` says how many transactions (default 100 000). Prints ratios of one run, of the time that passed and of CPU
//! time: where others use the machine, the latter is the one to go by. Imports run in a process of their own, as `lyceum chain import` does,
//! so that their memory is theirs alone.

#[path = "../src/allocator.rs"]
mod allocator;
mod chains;

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use chains::{large_school, school, spec};
use ed25519_dalek::{Signature, VerifyingKey};
use lyceum_node::core::{Chain, LineRuns, LinesError, RUN_BYTES, RUNS_BYTES_MAX};
use lyceum_protocol::{
    BatchSeed, ChainSpec, SignedMessage, Timestamp, Transaction, decode_block, verify_batch,
};
use lyceum_storage::{Durability, Options, Store};
use rayon::prelude::*;

/// How often the two sides of a ratio are measured, in turn: where the machine's speed changes within seconds, one of each would say little.
const ROUNDS: usize = 5;
/// The states that are compared, in records, and the transactions on each.
const STATES: [usize; 2] = [10_000, 1_000_000];
const STATE_TRANSACTIONS: usize = 20_000;
/// How many signatures `ed25519-dalek` is given at once: of 64, 256, 1024 and 5000 the number at which it was the fastest.
const DALEK_BATCH_LEN: usize = 1024;
/// RocksDB's threads are at rest when they have used no CPU time for so long.
const SETTLE: Duration = Duration::from_millis(300);
/// As `lyceum chain import` has it.
const DURABILITY: Durability = Durability::Unlogged;
/// Tells a process that it is to import: how many of the lines are not counted.
const CHILD: &str = "LYCEUM_BENCH_IMPORT";
/// Tells it the folder of the lines, where it makes its own.
const FOLDER: &str = "LYCEUM_BENCH_FOLDER";

fn main() {
    allocator::set_up();
    if let Ok(untimed) = std::env::var(CHILD) {
        return child(untimed.parse().expect("a number"));
    }
    let count = std::env::var("LYCEUM_BENCH_TRANSACTIONS").ok();
    let count = count.map_or(100_000, |count| {
        count.parse().expect("a number of transactions")
    });
    let folder = std::env::temp_dir().join(format!("lyceum-bench-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder");
    bench_import(&folder, count);
    bench_states(&folder);
    fs::remove_dir_all(&folder).expect("the bench's own folder");
}

fn bench_import(folder: &Path, count: usize) {
    let spec = spec();
    let started = Instant::now();
    let lines = school(&spec, count);
    let bytes: usize = lines.iter().map(String::len).sum();
    println!(
        "{count} transactions in {} blocks, {:.1} MB, made in {:.1} s",
        lines.len(),
        bytes as f64 / 1e6,
        started.elapsed().as_secs_f64()
    );
    let each = |seconds: f64| seconds * 1e6 / count as f64;
    let (verify, dalek, imported) = median_round(|| {
        let [verified, dalek] = verify(&spec, &lines);
        let imported = import(folder, &lines, 0);
        let ratio = verified.seconds / imported.took.seconds;
        (ratio, (verified, dalek, imported))
    });
    let took = imported.took;
    let print = |name, took: Took, ratios: String| {
        let (rate, cpu) = (count as f64 / took.seconds, each(took.cpu_seconds));
        println!("{name:24} {rate:8.0} transactions/s, {cpu:.1} us of CPU a transaction{ratios}");
    };
    print("batch verification alone", verify, String::new());
    print("that of ed25519-dalek", dalek, String::new());
    let to = |bare: Took| {
        let (seconds, cpu) = (
            bare.seconds / took.seconds,
            bare.cpu_seconds / took.cpu_seconds,
        );
        format!("{seconds:.2} (by CPU time {cpu:.2})")
    };
    let ratios = format!("; {} of the first, {} of the second", to(verify), to(dalek));
    print("import", took, ratios);
    let [checks, executes, roots, flushes, compacts] = imported.threads.map(each);
    println!(
        "by threads               {checks:.1} us decode and verify, {executes:.1} execute, {roots:.1} state roots and commit, {flushes:.1} flush, {compacts:.1} compact"
    );
    println!(
        "memory of that import    {:8.0} MiB at the most; the flags allow {} MiB, and the runs {} MiB",
        imported.peak_mib,
        Options::default().memory_bytes() >> 20,
        RUNS_BYTES_MAX >> 20
    );
}

fn bench_states(folder: &Path) {
    let spec = spec();
    let chains = STATES.map(|records| large_school(&spec, records, STATE_TRANSACTIONS));
    let rates = median_round(|| {
        let rates = chains.each_ref().map(|(lines, filled)| {
            let imported = import(folder, lines, *filled);
            let rate = STATE_TRANSACTIONS as f64 / imported.took.seconds;
            (rate, imported)
        });
        (rates[1].0 / rates[0].0, rates)
    });
    let (small_rate, small) = &rates[0];
    for (records, (rate, imported)) in STATES.iter().zip(&rates) {
        println!(
            "on {records:9} records     {rate:8.0} transactions/s, {:.2} of the small state's; {:.1} us of CPU a transaction, {:.2} of it; {:.0} MiB at the most",
            rate / small_rate,
            imported.took.cpu_seconds * 1e6 / STATE_TRANSACTIONS as f64,
            small.took.cpu_seconds / imported.took.cpu_seconds,
            imported.peak_mib
        );
    }
}

/// Measures both sides of a ratio in turn, some times; what the round gave whose ratio is the median.
fn median_round<T>(round: impl FnMut() -> (f64, T)) -> T {
    let mut rounds: Vec<_> = std::iter::repeat_with(round).take(ROUNDS).collect();
    rounds.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    rounds.swap_remove(ROUNDS / 2).1
}

/// What something took: time that passed, and CPU time of all threads.
#[derive(Clone, Copy)]
struct Took {
    seconds: f64,
    cpu_seconds: f64,
}

impl Took {
    fn of(work: impl FnOnce()) -> Self {
        let (started, cpu) = (Instant::now(), cpu_seconds());
        work();
        Self {
            seconds: started.elapsed().as_secs_f64(),
            cpu_seconds: cpu_seconds() - cpu,
        }
    }
}

/// Verifies all signatures, in batches on all cores, and does nothing else: by the protocol's batches, which are strict, and by those of
/// `ed25519-dalek`, which are not.
fn verify(spec: &ChainSpec, lines: &[String]) -> [Took; 2] {
    let blocks: Vec<_> = lines
        .iter()
        .map(|line| decode_block(line, spec).expect("a block"))
        .collect();
    let messages: Vec<SignedMessage<'_>> = blocks
        .iter()
        .flat_map(|block| {
            let transactions = block.transactions.iter().map(Transaction::signed_message);
            std::iter::once(block.header.signed_message()).chain(transactions)
        })
        .collect();
    // As many at once as an import takes: a run of lines.
    let run_lines = RUN_BYTES.div_ceil(lines[lines.len() / 2].len());
    let batch_len = run_lines * (chains::BLOCK_TRANSACTIONS + 1);
    let ours = |items: &[SignedMessage<'_>]| {
        let verdicts = verify_batch(items, &BatchSeed::new([9; 32]));
        verdicts.iter().all(Result::is_ok)
    };
    let own = Took::of(|| assert!(messages.par_chunks(batch_len).all(ours)));
    let dalek = Took::of(|| assert!(messages.par_chunks(DALEK_BATCH_LEN).all(dalek_accepts)));
    [own, dalek]
}

fn dalek_accepts(items: &[SignedMessage<'_>]) -> bool {
    let keys = items.iter().map(|item| VerifyingKey::from_bytes(item.key));
    let signatures = items
        .iter()
        .map(|item| Signature::from_bytes(item.signature));
    let messages: Vec<_> = items.iter().map(|item| item.message).collect();
    let (keys, signatures): (Result<Vec<_>, _>, Vec<_>) = (keys.collect(), signatures.collect());
    keys.is_ok_and(|keys| ed25519_dalek::verify_batch(&messages, &signatures, &keys).is_ok())
}

/// What importing a chain took.
struct Imported {
    took: Took,
    /// CPU seconds of the threads that check, execute, make state roots and commit, flush, and compact.
    threads: [f64; 5],
    peak_mib: f64,
}

/// Imports a chain in another process; the first `untimed` lines are not counted.
fn import(folder: &Path, lines: &[String], untimed: usize) -> Imported {
    let file = folder.join("lines");
    let mut out = File::create(&file).expect("a file");
    for line in lines {
        writeln!(out, "{line}").expect("written");
    }
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.env(CHILD, untimed.to_string()).env(FOLDER, folder);
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::remove_dir_all(folder.join("data")).expect("the import's folder");
    let text = String::from_utf8(output.stdout).expect("text");
    let mut numbers = text.split_whitespace().map(|number| number.parse());
    let mut next = || numbers.next().and_then(Result::ok).expect("a number");
    Imported {
        took: Took {
            seconds: next(),
            cpu_seconds: next(),
        },
        threads: [next(), next(), next(), next(), next()],
        peak_mib: next(),
    }
}

/// The other process: imports the lines, seals, closes, and prints what that took and the peak of its memory.
fn child(untimed: usize) {
    let folder = std::env::var_os(FOLDER).expect("the parent gives it");
    let folder = Path::new(&folder);
    let spec = spec();
    let mut chain = chains::open(&spec, |spec, genesis| {
        Store::open(&folder.join("data"), spec, genesis, &Options::default())
    });
    let text = BufReader::new(File::open(folder.join("lines")).expect("the lines"));
    let mut runs = LineRuns::new(text, spec.max_block_bytes as usize);
    import_untimed(&mut chain, &mut runs, untimed);
    settle();
    let before = threads_seconds();
    let took = Took::of(|| import_rest(&mut chain, runs).expect("a good chain"));
    let after = threads_seconds();
    let [executes, flushes, compacts, checks] = std::array::from_fn(|i| after[i] - before[i]);
    // The threads that make roots and commit come and go: theirs is the rest, with that of the one that reads.
    let roots = took.cpu_seconds - executes - flushes - compacts - checks;
    chain.close().expect("closed");
    let Took {
        seconds,
        cpu_seconds,
    } = took;
    println!(
        "{seconds} {cpu_seconds} {checks} {executes} {roots} {flushes} {compacts} {}",
        peak_mib()
    );
}

/// Imports the lines that are not counted. The last one as at the tip: before it is logged, all that came before is written to tables, so that what
/// is counted does not pay for that, wherever it ended.
fn import_untimed(chain: &mut Chain, lines: &mut LineRuns<impl BufRead>, untimed: usize) {
    let mut run = Vec::new();
    for left in (0..untimed).rev() {
        let line = lines.next_line().expect("readable").expect("a line");
        if left == 0 {
            import_run(chain, &run);
            chain.import(&line, Timestamp::MAX).expect("a good block");
            return;
        }
        run.push(line);
        if run.iter().map(String::len).sum::<usize>() >= RUN_BYTES {
            import_run(chain, &run);
            run.clear();
        }
    }
}

fn import_run(chain: &mut Chain, lines: &[String]) {
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = chain.import_run(&lines, Timestamp::MAX, DURABILITY);
    assert!(run.error.is_none(), "{:?}", run.error);
    chain.seal_ready(DURABILITY).expect("sealed");
}

/// Waits until RocksDB has compacted what came before, so that only what is timed is counted.
fn settle() {
    let mut before = threads_seconds();
    loop {
        std::thread::sleep(SETTLE);
        let now = threads_seconds();
        if now == before {
            return;
        }
        before = now;
    }
}

fn import_rest(
    chain: &mut Chain,
    runs: impl Iterator<Item = Result<Vec<String>, LinesError>> + Send,
) -> Result<(), Infallible> {
    let runs = runs.map(|run| Ok(run.expect("lines")));
    let now = || Timestamp::MAX;
    chain.import_runs(runs, now, DURABILITY, |run| {
        assert!(run.error.is_none(), "{:?}", run.error);
        Ok(())
    })
}

/// CPU seconds of this process, all threads, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    stat_seconds(&fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// CPU seconds of the thread that executes, which is the first one, of RocksDB's that flush and that compact, and of the others that stay: rayon's,
/// which check.
fn threads_seconds() -> [f64; 4] {
    let mut seconds = [0.0; 4];
    let first = std::process::id().to_string();
    for task in fs::read_dir("/proc/self/task").into_iter().flatten() {
        let stat = task.and_then(|task| fs::read_to_string(task.path().join("stat")));
        let stat = stat.unwrap_or_default();
        let at = match &stat {
            stat if stat.starts_with(&format!("{first} ")) => 0,
            stat if stat.contains("(rocksdb:high") => 1,
            stat if stat.contains("(rocksdb:low") => 2,
            _ => 3,
        };
        seconds[at] += stat_seconds(&stat);
    }
    seconds
}

/// The CPU seconds that a process or a thread has used, by its `stat`.
fn stat_seconds(stat: &str) -> f64 {
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |field: usize| {
        fields
            .get(field)
            .and_then(|ticks| ticks.parse::<f64>().ok())
    };
    (ticks(11).unwrap_or(f64::NAN) + ticks(12).unwrap_or(f64::NAN)) / 100.0
}

/// The most memory that this process had, in MiB.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|peak| peak.split_whitespace().next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1024.0)
}

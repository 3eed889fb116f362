//! Many blocks at once, as a chain is pulled: signatures in parallel, links and execution in order, one write for all.

use std::iter::Peekable;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::vec::IntoIter;

use lyceum_protocol::{
    BatchSeed, BlockError, ChainSpec, KnownKeys, Timestamp, UnlinkedBlock, check_unlinked,
};
use lyceum_storage::Durability;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::ahead::{AheadRules, WrongRoot};
use super::{Chain, ChainError, Imported, TipChange};

/// Lines whose signatures one task verifies together, at the least: all of a run's are spread evenly over the threads, for each batch has a cost of
/// its own, and one for each key in it.
const TASK_LINES_MIN: usize = 16;
/// Checked runs that wait for the one that is executed. One evens out runs of unlike weight; each costs its text some four times over.
const RUNS_WAITING: usize = 1;

/// How far the threads that check lines give way to others, in steps of `nice`: beside one of those that do not, one has a tenth of a core.
const BACKGROUND_NICE: i32 = 10;

/// Checks block lines by all that can be asked of each alone, on all cores, beside the chain.
#[derive(Clone)]
pub struct RunChecker {
    spec: Arc<ChainSpec>,
    seed: Arc<BatchSeed>,
    keys: Arc<KnownKeys>,
}

/// A line with the verdict on it by itself.
pub(super) type Judged<L> = (L, Result<UnlinkedBlock, BlockError>);

/// Block lines with the verdict on each by itself.
pub struct CheckedRun<L> {
    lines: Vec<Judged<L>>,
}

impl<L> CheckedRun<L> {
    /// Leaves the first lines out.
    pub(super) fn skip(&mut self, lines: usize) {
        self.lines.drain(..lines);
    }
}

/// Threads that give way to others, one for each core. Blocks are executed one after the other, so that is what an import waits for in the end; while
/// checking took the cores from it, cores stood idle later.
static BACKGROUND: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let give_way = |_| {
        // Of the calling thread, on Linux. Where it can't be set, imports take somewhat longer.
        let _ = rustix::process::setpriority_process(None, BACKGROUND_NICE);
    };
    let pool = ThreadPoolBuilder::new().start_handler(give_way);
    pool.thread_name(|_| "check".to_owned()).build().ok()
});

/// Runs tasks on the threads that give way, or where there are none on those that do not.
fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match BACKGROUND.as_ref() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

impl RunChecker {
    /// Checks lines: some hundred a call.
    pub fn check<L: AsRef<str> + Sync>(&self, lines: Vec<L>) -> CheckedRun<L> {
        let verdicts: Vec<_> = in_background(|| {
            let task_lines = lines.len().div_ceil(rayon::current_num_threads());
            let tasks = lines.par_chunks(task_lines.max(TASK_LINES_MIN));
            let verdicts = tasks.flat_map_iter(|lines| {
                let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
                check_unlinked(&lines, &self.spec, &self.seed, &self.keys)
            });
            verdicts.collect()
        });
        let lines = lines.into_iter().zip(verdicts).collect();
        CheckedRun { lines }
    }
}

/// How far a run of blocks came.
#[derive(Debug, Default)]
pub struct ImportRun {
    /// Lines dealt with: all before the one that stopped the run. They are kept.
    pub done: usize,
    /// The length of those lines, each with a line feed.
    pub bytes: u64,
    /// How many of them were new.
    pub new: usize,
    /// What stopped it, at line `done`; `None` where all went well.
    pub error: Option<ChainError>,
    /// How the main chain changed in all.
    pub change: TipChange,
}

impl Chain {
    /// What checks runs of lines for [`Chain::import_checked`].
    pub fn run_checker(&self) -> RunChecker {
        RunChecker {
            spec: Arc::clone(&self.spec),
            seed: Arc::clone(&self.seed),
            keys: Arc::clone(&self.keys),
        }
    }

    /// Takes block lines that follow each other, most of them on the tip; what was good before an error is kept, by one write.
    ///
    /// Some hundred lines a call: their text, their changes and their tree nodes are held in memory until the write.
    pub fn import_run(
        &mut self,
        lines: &[&str],
        now: Timestamp,
        durability: Durability,
    ) -> ImportRun {
        let checked = self.run_checker().check(lines.to_vec());
        self.import_checked(checked, now, durability)
    }

    /// Imports run after run: while one is executed, the signatures of the next are verified. `each` is told of every run, and may end it.
    ///
    /// # Errors
    /// Those of `runs` and of `each`.
    pub fn import_runs<L: AsRef<str> + Send + Sync, E: Send>(
        &mut self,
        runs: impl Iterator<Item = Result<Vec<L>, E>> + Send,
        now: impl Fn() -> Timestamp,
        durability: Durability,
        mut each: impl FnMut(&mut Self, ImportRun) -> Result<(), E>,
    ) -> Result<(), E> {
        let checker = self.run_checker();
        thread::scope(|scope| {
            let (send, checked) = sync_channel(RUNS_WAITING);
            scope.spawn(move || {
                for run in runs {
                    // Nobody takes it where an error has ended the import.
                    if send.send(run.map(|lines| checker.check(lines))).is_err() {
                        break;
                    }
                }
            });
            for run in checked {
                let imported = self.import_checked(run?, now(), durability);
                each(self, imported)?;
            }
            Ok(())
        })
    }

    /// Takes checked lines as [`Chain::import_run`] does.
    pub fn import_checked<L: AsRef<str> + Sync>(
        &mut self,
        checked: CheckedRun<L>,
        now: Timestamp,
        durability: Durability,
    ) -> ImportRun {
        let mut run = ImportRun::default();
        let mut rest = checked.lines.into_iter().peekable();
        while rest.peek().is_some() {
            let before = run.done;
            let ended = self.extend_tip(&mut rest, now, durability, &mut run);
            if let Err(error) = ended {
                run.error = Some(error);
                return run;
            }
            // A line that does not extend the tip goes the long way.
            if let Some((line, _)) = rest.next_if(|_| before == run.done) {
                match self.import(line.as_ref(), now) {
                    Ok(imported) => {
                        run.new += usize::from(imported != Imported::Known);
                        if let Imported::Tip(change) = imported {
                            run.change.extend(change);
                        }
                    }
                    Err(error) => {
                        run.error = Some(error);
                        return run;
                    }
                }
                run.done += 1;
                run.bytes += line.as_ref().len() as u64 + 1;
            }
        }
        run
    }

    /// Connects the lines that extend the tip, up to the first that does not, in one batch.
    fn extend_tip<L: AsRef<str> + Sync>(
        &mut self,
        rest: &mut Peekable<IntoIter<Judged<L>>>,
        now: Timestamp,
        durability: Durability,
        run: &mut ImportRun,
    ) -> Result<(), ChainError> {
        let batch_bytes = self.store.batch_bytes();
        let mut batch = self.store.begin();
        let rules = AheadRules {
            executor: &self.executor,
            spec: &self.spec,
            tree: &self.tree,
            now,
            batch_bytes,
        };
        let ahead = rules.connect(&mut batch, rest);
        if let Some(WrongRoot { index, error }) = ahead.wrong {
            // Blocks were executed that stand on a wrong one: back to the last commit, and from there up to that block.
            drop(batch);
            let mut good = ahead.lines;
            good.truncate(index);
            let good = self.run_checker().check(good).lines;
            self.extend_tip(&mut good.into_iter().peekable(), now, durability, run)?;
            return Err(error.into());
        }
        // In trouble the batch may hold half of a block: none of it is kept.
        let refused = match ahead.stopped {
            Some(error) if !error.is_verdict() => return Err(error),
            refused => refused,
        };
        for header in &ahead.connected {
            self.tree.insert(*header)?;
        }
        batch.commit(durability)?;
        let hashes = ahead.connected.iter().map(|header| header.hash);
        run.change.connected.extend(hashes);
        let lengths = ahead
            .lines
            .iter()
            .map(|line| line.as_ref().len() as u64 + 1);
        run.bytes += lengths.take(ahead.connected.len()).sum::<u64>();
        run.done += ahead.connected.len();
        run.new += ahead.connected.len();
        refused.map_or(Ok(()), Err)
    }
}

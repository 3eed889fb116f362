//! Many blocks at once, as a chain is pulled: signatures in parallel, links and execution in order, and a write for as many as a batch holds.

use std::convert::Infallible;
use std::iter;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread;

use lyceum_protocol::{
    BatchSeed, BlockError, ChainSpec, KnownKeys, Timestamp, UnlinkedBlock, check_unlinked,
};
use lyceum_storage::Durability;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::ahead::{Ahead, AheadRules, Failure, Rest, extends};
use super::import::{Ended, Import};
use super::{Chain, ChainError, Imported, TipChange};

/// Lines whose signatures one task verifies together, at the least: all of a run's are spread evenly over the threads, for each batch has a cost of
/// its own, and one for each key in it.
const TASK_LINES_MIN: usize = 16;
/// Runs that are being checked, or wait, while another is executed. On two cores that keeps both busy, and more would execute no faster; each costs its
/// text some four times over.
pub(super) const RUNS_WAITING: usize = 2;

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
    pub(super) fn into_rest(self) -> Rest<L> {
        self.lines.into_iter().peekable()
    }

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
    // Whoever waits for the check panics, too.
    let pool = ThreadPoolBuilder::new().panic_handler(|_| {});
    let pool = pool.start_handler(give_way);
    pool.thread_name(|_| "check".to_owned()).build().ok()
});

/// Runs tasks on the threads that give way, or where there are none on those that do not.
fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    match BACKGROUND.as_ref() {
        Some(pool) => pool.install(work),
        None => work(),
    }
}

/// What who waits for a check panics by, where that did.
const CHECK_PANICKED: &str = "a check panicked";

impl RunChecker {
    /// Starts to check lines on one of the threads that give way; gives where the run comes from.
    fn start<L: AsRef<str> + Send + 'static>(&self, lines: Vec<L>) -> Receiver<CheckedRun<L>> {
        let (send, checked) = sync_channel(1);
        let checker = self.clone();
        let check = move || {
            let verdicts = checker.verdicts(&lines);
            let lines = lines.into_iter().zip(verdicts).collect();
            // Nobody takes it where the import has ended.
            let _ = send.send(CheckedRun { lines });
        };
        match BACKGROUND.as_ref() {
            Some(pool) => pool.spawn(check),
            None => check(),
        }
        checked
    }

    /// The verdict on each line by itself.
    fn verdicts<L: AsRef<str>>(&self, lines: &[L]) -> Vec<Result<UnlinkedBlock, BlockError>> {
        let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        check_unlinked(&lines, &self.spec, &self.seed, &self.keys)
    }

    /// Checks lines: some hundred a call.
    pub fn check<L: AsRef<str> + Sync>(&self, lines: Vec<L>) -> CheckedRun<L> {
        let verdicts: Vec<_> = in_background(|| {
            let task_lines = lines.len().div_ceil(rayon::current_num_threads());
            let tasks = lines.par_chunks(task_lines.max(TASK_LINES_MIN));
            tasks.flat_map_iter(|lines| self.verdicts(lines)).collect()
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

impl ImportRun {
    /// One more line is dealt with.
    pub(super) fn took(&mut self, line: &str) {
        self.done += 1;
        self.bytes += line.len() as u64 + 1;
    }
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

    /// Takes block lines that follow each other, most of them on the tip; what was good before an error is kept.
    ///
    /// Some hundred lines a call: their text, their changes and their tree nodes are held in memory until they are written.
    pub fn import_run(
        &mut self,
        lines: &[&str],
        now: Timestamp,
        durability: Durability,
    ) -> ImportRun {
        let checked = self.run_checker().check(lines.to_vec());
        self.import_checked(checked, now, durability)
    }

    /// Imports run after run: while one is executed, the signatures of the next are verified, and what was executed before is committed. Segments are
    /// sealed as they become deep enough. `each` is told of every run, in order, and may end the import; a run with an error ends it.
    ///
    /// # Errors
    /// Those of `runs` and of `each`.
    pub fn import_runs<L: AsRef<str> + Send + Sync + 'static, E: Send>(
        &mut self,
        runs: impl Iterator<Item = Result<Vec<L>, E>> + Send,
        now: impl Fn() -> Timestamp,
        durability: Durability,
        each: impl FnMut(ImportRun) -> Result<(), E>,
    ) -> Result<(), E> {
        let checker = self.run_checker();
        thread::scope(|scope| {
            let (send, checks) = sync_channel(RUNS_WAITING);
            scope.spawn(move || {
                for run in runs {
                    // Nobody takes it where an error has ended the import.
                    if send.send(run.map(|lines| checker.start(lines))).is_err() {
                        break;
                    }
                }
            });
            let checked = checks.into_iter();
            let checked =
                checked.map(|check| check.map(|check| check.recv().expect(CHECK_PANICKED)));
            let way = Way {
                durability,
                seals: true,
            };
            self.import_all(checked, now, way, each)
        })
    }

    /// Takes checked lines as [`Chain::import_run`] does.
    pub fn import_checked<L: AsRef<str> + Sync>(
        &mut self,
        checked: CheckedRun<L>,
        now: Timestamp,
        durability: Durability,
    ) -> ImportRun {
        let runs = iter::once(Ok::<_, Infallible>(checked));
        let way = Way {
            durability,
            seals: false,
        };
        let mut imported = ImportRun::default();
        let Ok(()) = self.import_all(
            runs,
            || now,
            way,
            |run| {
                imported = run;
                Ok(())
            },
        );
        imported
    }

    fn import_all<L: AsRef<str> + Sync, E>(
        &mut self,
        runs: impl Iterator<Item = Result<CheckedRun<L>, E>>,
        now: impl Fn() -> Timestamp,
        way: Way,
        each: impl FnMut(ImportRun) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut import = Import::new(runs, now, each);
        loop {
            let rules = AheadRules {
                executor: &self.executor,
                spec: &self.spec,
                batch_bytes: self.store.batch_bytes(),
                durability: way.durability,
                seals: way.seals,
            };
            let (tree, store) = (&mut self.tree, &mut self.store);
            let ended = Ahead::run(rules, tree, store, |ahead| import.go_ahead(ahead));
            let now = (import.now)();
            let error = match ended {
                Ended::All(result) => return result,
                Ended::OffTip => {
                    let rest = &mut import.source.rest;
                    match self.import_off_tip(rest, now, &mut import.run) {
                        Ok(()) => continue,
                        Err(error) => error,
                    }
                }
                Ended::Refused(error) => error,
                Ended::Failed(mut flight, failure) => match *failure {
                    Failure::Root { index, error } => {
                        // Blocks were executed that stand on a wrong one: back to the last commit, and from there up to that block.
                        let good = flight.lines[..index].iter().map(AsRef::as_ref);
                        let good = self.import_run(&good.collect::<Vec<_>>(), now, way.durability);
                        flight.cut(good.done);
                        if let Err(Ended::All(result)) = import.landed(Some((flight, Ok(())))) {
                            return result;
                        }
                        good.error.unwrap_or(error.into())
                    }
                    Failure::Store(error) => error.into(),
                    Failure::Panic => unreachable!("it went on in this thread"),
                },
            };
            import.run.error = Some(error);
            return import.report();
        }
    }

    /// Takes the next lines the long way, up to one that extends the tip.
    fn import_off_tip<L: AsRef<str>>(
        &mut self,
        rest: &mut Rest<L>,
        now: Timestamp,
        run: &mut ImportRun,
    ) -> Result<(), ChainError> {
        let mut is_first = true;
        while let Some((line, _)) =
            rest.next_if(|judged| is_first || !extends(&self.tree, Some(self.tree.tip()), judged))
        {
            is_first = false;
            let imported = self.import(line.as_ref(), now)?;
            run.took(line.as_ref());
            run.new += usize::from(imported != Imported::Known);
            if let Imported::Tip(change) = imported {
                run.change.extend(change);
            }
        }
        Ok(())
    }
}

/// How blocks are written.
#[derive(Clone, Copy)]
struct Way {
    durability: Durability,
    seals: bool,
}

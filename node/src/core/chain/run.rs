//! Many blocks at once, as a chain is pulled: signatures in parallel, links and execution in order, one write for all.

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use lyceum_protocol::{
    BatchSeed, BlockError, BlockLine, ChainSpec, Timestamp, TreeHeader, UnlinkedBlock,
    check_unlinked,
};
use lyceum_storage::Durability;
use rayon::prelude::*;

use super::context::parent_context;
use super::{Chain, ChainError, Imported, TipChange, connect_block};

/// Lines whose signatures one task verifies together.
const TASK_LINES: usize = 16;
/// Memory that a batch may take up before it is written, in bytes; a block more, in the end. Larger ones write fewer pages of the state's tree.
const BATCH_BYTES: usize = 24 << 20;
/// Checked runs that wait for the one that is executed. One evens out runs of unlike weight; each costs its text some four times over.
const RUNS_WAITING: usize = 1;

/// Checks block lines by all that can be asked of each alone, on all cores, beside the chain.
#[derive(Clone)]
pub struct RunChecker {
    spec: Arc<ChainSpec>,
    seed: Arc<BatchSeed>,
}

/// Block lines with the verdict on each by itself.
pub struct CheckedRun<L> {
    lines: Vec<(L, Result<UnlinkedBlock, BlockError>)>,
}

impl<L> CheckedRun<L> {
    /// Leaves the first lines out.
    pub(super) fn skip(&mut self, lines: usize) {
        self.lines.drain(..lines);
    }
}

impl RunChecker {
    /// Checks lines: some hundred a call.
    pub fn check<L: AsRef<str> + Sync>(&self, lines: Vec<L>) -> CheckedRun<L> {
        let tasks = lines.par_chunks(TASK_LINES);
        let verdicts = tasks.flat_map_iter(|lines| {
            let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
            check_unlinked(&lines, &self.spec, &self.seed)
        });
        let verdicts: Vec<_> = verdicts.collect();
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
    pub fn import_checked<L: AsRef<str>>(
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
    fn extend_tip<L: AsRef<str>>(
        &mut self,
        rest: &mut Peekable<impl Iterator<Item = (L, Result<UnlinkedBlock, BlockError>)>>,
        now: Timestamp,
        durability: Durability,
        run: &mut ImportRun,
    ) -> Result<(), ChainError> {
        let mut batch = self.store.begin();
        let mut tip = batch.read().tip()?.map(|tip| tip.hash);
        let (mut connected, mut bytes) = (0, 0);
        let mut refused = None;
        while batch.bytes() < BATCH_BYTES
            && let Some((line, verdict)) = rest.next_if(|(_, verdict)| match verdict {
                Ok(block) => {
                    let header = block.header();
                    Some(header.claims().parent) == tip && !self.tree.contains(&header.hash())
                }
                Err(_) => true,
            })
        {
            let linked = verdict.map_err(ChainError::from).and_then(|block| {
                let parent = block.header().claims().parent;
                let context = parent_context(&batch.read(), &self.spec, parent)?;
                Ok(block.link(context.as_ref(), now)?)
            });
            let line = BlockLine::new(line.as_ref());
            let connect = linked.and_then(|block| {
                connect_block(&mut batch, &self.executor, &self.spec, &block, line)??;
                Ok(TreeHeader::from(&block.header))
            });
            match connect {
                Ok(header) => {
                    connected += 1;
                    bytes += line.as_str().len() as u64 + 1;
                    tip = Some(header.hash);
                    run.change.connected.push(header.hash);
                    self.tree.insert(header)?;
                }
                Err(error @ (ChainError::Block(_) | ChainError::Tree(_))) => {
                    refused = Some(error);
                    break;
                }
                // The batch may hold half of the block: none of it is kept.
                Err(error) => return Err(error),
            }
        }
        batch.commit(durability)?;
        run.done += connected;
        run.bytes += bytes;
        run.new += connected;
        refused.map_or(Ok(()), Err)
    }
}

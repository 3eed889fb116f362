//! Blocks that are executed ahead: one thread runs the calls of a block, while another makes the state's roots after those before it and commits them.

use std::iter::Peekable;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::vec::IntoIter;

use lyceum_protocol::{
    Block, BlockClaims, BlockError, BlockHash, BlockLine, ChainSpec, Checked, HeaderTree,
    Timestamp, TreeHeader, UnlinkedBlock, check_state_root,
};
use lyceum_storage::{
    Back, ConnectBlock, Connector, Durability, Filled, Front, Store, StoreError, TreeChanges,
};
use lyceum_vm::Executor;

use super::context::parent_context;
use super::run::{CheckedRun, Judged};
use super::{ChainError, execute, transaction_ids};

/// What one changed record adds to a batch by the tree's pages, about: in a large state it has one or two to itself, and a share of those above.
/// Batches end by this, not by what the pages take up, so that they end at the same block whichever thread is faster.
const TREE_CHANGE_BYTES: usize = 1 << 10;

/// What blocks are connected by.
pub(super) struct AheadRules<'c> {
    pub(super) executor: &'c Executor,
    pub(super) spec: &'c ChainSpec,
    /// Memory that a batch may take up; a block more, in the end. Larger ones write fewer pages of the state's tree.
    pub(super) batch_bytes: usize,
    pub(super) durability: Durability,
    /// Are segments sealed as soon as they are deep enough?
    pub(super) seals: bool,
}

/// The lines of a run that are not dealt with.
pub(super) type Rest<L> = Peekable<IntoIter<Judged<L>>>;

/// Blocks that follow each other, of one batch.
pub(super) struct Flight<L> {
    /// Their lines; of one that was refused there is no header.
    pub(super) lines: Vec<L>,
    pub(super) headers: Vec<TreeHeader>,
    /// After how many lines a run ends.
    pub(super) run_ends: Vec<usize>,
}

impl<L> Flight<L> {
    /// Leaves out all but the first blocks.
    pub(super) fn cut(&mut self, blocks: usize) {
        self.headers.truncate(blocks);
        self.run_ends.retain(|end| *end <= blocks);
    }
}

/// Where lines come from.
pub(super) struct Source<L, R> {
    runs: R,
    /// Of the last run, those that are not dealt with.
    pub(super) rest: Rest<L>,
    /// Is there a last run whose end was not told?
    is_open: bool,
}

/// What ended a batch.
pub(super) enum Stop<E> {
    /// The next line does not extend the tip.
    OffTip,
    /// The next line is refused, or there is trouble with it.
    Refused(ChainError),
    /// There are no more runs, or none can be had.
    End(Result<(), E>),
}

impl<E> Stop<E> {
    /// May the batch hold half of a block?
    fn is_trouble(&self) -> bool {
        matches!(self, Self::Refused(error) if !error.is_verdict())
    }
}

impl<L, R> Source<L, R> {
    pub(super) fn new(runs: R) -> Self {
        Self {
            runs,
            rest: Vec::new().into_iter().peekable(),
            is_open: false,
        }
    }

    /// The next line, if it is as wanted. `end` is told of the ends of runs before it.
    fn next_if<E>(
        &mut self,
        is_wanted: impl Fn(&Judged<L>) -> bool,
        mut end: impl FnMut(),
    ) -> Result<Judged<L>, Stop<E>>
    where
        R: Iterator<Item = Result<CheckedRun<L>, E>>,
    {
        loop {
            match self.rest.next_if(&is_wanted) {
                Some(line) => return Ok(line),
                None if self.rest.peek().is_some() => return Err(Stop::OffTip),
                None => {}
            }
            if std::mem::take(&mut self.is_open) {
                end();
            }
            let run = self.runs.next().ok_or(Stop::End(Ok(())))?;
            self.rest = run.map_err(|error| Stop::End(Err(error)))?.into_rest();
            self.is_open = true;
        }
    }
}

/// Why the blocks of a flight are not kept.
pub(super) enum Failure {
    /// The block at an index does not leave the state that it claims.
    Root { index: usize, error: BlockError },
    /// The ledger can't be read or written.
    Store(StoreError),
    /// The other thread panicked; so will this one, when it joins it.
    Panic,
}

/// What the root after a block is made from, and compared with.
struct Executed {
    claims: BlockClaims,
    changes: TreeChanges,
}

/// What the thread is told that makes roots and commits.
enum Work {
    /// The next block of the batch.
    Executed(Executed),
    /// There are no more.
    Commit(Filled),
}

/// The thread that executes, and its ways to the other.
///
/// It fills one batch while the one before is committed. No more is on its way than that, so what waits for the other thread is bounded by the batch's
/// size.
pub(super) struct Ahead<'a, L> {
    rules: AheadRules<'a>,
    tree: &'a mut HeaderTree,
    front: Front<'a>,
    work: Sender<Work>,
    answers: Receiver<Result<(), Failure>>,
    /// What was passed on to be committed.
    passed: Option<Flight<L>>,
}

/// What was passed on, and what became of it: it is committed, or not, and why.
pub(super) type Landed<L> = (Flight<L>, Result<(), Failure>);

/// How far a batch was filled.
pub(super) struct Fill<L, E> {
    /// What was passed on before.
    pub(super) landed: Option<Landed<L>>,
    /// The batch, where there is nothing to commit: it may hold ends of runs.
    pub(super) idle: Option<Flight<L>>,
    /// What ended it, if it was not the batch's size.
    pub(super) stop: Option<Stop<E>>,
}

impl<'a, L: AsRef<str>> Ahead<'a, L> {
    /// Starts the other thread, for as long as `import` goes on.
    pub(super) fn run<T>(
        rules: AheadRules<'a>,
        tree: &'a mut HeaderTree,
        store: &'a mut Store,
        import: impl FnOnce(&mut Self) -> T,
    ) -> T {
        let (front, back) = store.pipeline();
        let (to_back, work) = channel();
        let (to_front, answers) = channel();
        let committer = Committer {
            back,
            durability: rules.durability,
            seals: rules.seals,
        };
        thread::scope(|scope| {
            let other = scope.spawn(move || committer.run(&work, &to_front));
            let mut ahead = Self {
                rules,
                tree,
                front,
                work: to_back,
                answers,
                passed: None,
            };
            let done = import(&mut ahead);
            drop(ahead);
            other.join().unwrap_or_else(|panic| resume_unwind(panic));
            done
        })
    }

    /// Connects the lines that extend the tip, up to the first that does not, or as many as a batch holds, and passes them on to be committed. What was
    /// passed on before has to be so by then.
    pub(super) fn fill<E, R>(
        &mut self,
        source: &mut Source<L, R>,
        now: &dyn Fn() -> Timestamp,
    ) -> Fill<L, E>
    where
        R: Iterator<Item = Result<CheckedRun<L>, E>>,
    {
        let mut flight = Flight {
            lines: Vec::new(),
            headers: Vec::new(),
            run_ends: Vec::new(),
        };
        let mut connector = self.front.begin();
        let filling = Filling {
            rules: &self.rules,
            tree: self.tree,
            work: &self.work,
            now,
        };
        let stop = filling.connect(&mut connector, source, &mut flight).err();
        let filled = connector.finish();
        let landed = self.land();
        let has_failed = matches!(landed, Some((_, Err(_))));
        let mut idle = None;
        if !flight.headers.is_empty() && !has_failed && !stop.as_ref().is_some_and(Stop::is_trouble)
        {
            self.front.pass(&filled);
            // Where nobody takes it, an answer says why.
            let _ = self.work.send(Work::Commit(filled));
            self.passed = Some(flight);
        } else if flight.headers.is_empty() {
            idle = Some(flight);
        }
        Fill { landed, idle, stop }
    }

    /// Waits until what was passed on is committed, and puts it into the tree.
    pub(super) fn land(&mut self) -> Option<Landed<L>> {
        let flight = self.passed.take()?;
        let answer = self.answers.recv().unwrap_or(Err(Failure::Panic));
        if answer.is_ok() {
            self.front.committed();
            for header in &flight.headers {
                let inserted = self.tree.insert(*header);
                debug_assert!(inserted.is_ok(), "it extends the tip, and is not refused");
            }
        }
        Some((flight, answer))
    }
}

/// Is it a new block on the tip, and none that was refused? So counts a line that is no block, too: it is refused where it stands.
pub(super) fn extends<L>(
    tree: &HeaderTree,
    tip: Option<BlockHash>,
    (_, verdict): &Judged<L>,
) -> bool {
    let Ok(block) = verdict else {
        return true;
    };
    let header = block.header();
    let hash = header.hash();
    let is_new = !tree.contains(&hash) && !tree.is_invalid(&hash);
    is_new && Some(header.claims().parent) == tip
}

/// One batch that is being filled.
struct Filling<'f> {
    rules: &'f AheadRules<'f>,
    tree: &'f HeaderTree,
    work: &'f Sender<Work>,
    now: &'f dyn Fn() -> Timestamp,
}

impl Filling<'_> {
    /// Fills a batch; an error says what ended it before it was full.
    fn connect<L: AsRef<str>, E, R>(
        &self,
        connector: &mut Connector<'_>,
        source: &mut Source<L, R>,
        flight: &mut Flight<L>,
    ) -> Result<(), Stop<E>>
    where
        R: Iterator<Item = Result<CheckedRun<L>, E>>,
    {
        let tip = connector.read().tip();
        let tip = tip.map_err(|error| Stop::Refused(error.into()))?;
        let mut tip = tip.map(|tip| tip.hash);
        // The lines, which are kept until they are committed, and the tree.
        let mut bytes = 0;
        while connector.bytes() + bytes < self.rules.batch_bytes {
            let Flight {
                lines,
                headers,
                run_ends,
            } = flight;
            let (line, verdict) = source.next_if(
                |judged| extends(self.tree, tip, judged),
                || run_ends.push(lines.len()),
            )?;
            let text = BlockLine::new(line.as_ref());
            let connected = verdict
                .map_err(ChainError::from)
                .and_then(|block| self.link(connector, block))
                .and_then(|block| self.connect_one(connector, &block, text));
            bytes += line.as_ref().len();
            lines.push(line);
            let (header, executed) = connected.map_err(Stop::Refused)?;
            tip = Some(header.hash);
            bytes += executed.changes.len() * TREE_CHANGE_BYTES;
            headers.push(header);
            // Where nobody takes it, a root was wrong or could not be made.
            if self.work.send(Work::Executed(executed)).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn link(
        &self,
        connector: &Connector<'_>,
        block: UnlinkedBlock,
    ) -> Result<Checked<Block>, ChainError> {
        let parent = block.header().claims().parent;
        let context = parent_context(&connector.read(), self.rules.spec, parent)?;
        Ok(block.link(context.as_ref(), (self.now)())?)
    }

    fn connect_one(
        &self,
        connector: &mut Connector<'_>,
        block: &Checked<Block>,
        line: BlockLine<'_>,
    ) -> Result<(TreeHeader, Executed), ChainError> {
        let AheadRules { executor, spec, .. } = self.rules;
        let (changes, receipts) = execute(&connector.read(), executor, spec, block)??;
        let changes = connector.connect(ConnectBlock {
            header: &block.header,
            line,
            ids: &transaction_ids(block),
            changes,
            receipts: &receipts,
        })?;
        let claims = block.header.claims().clone();
        Ok((
            TreeHeader::from(&block.header),
            Executed { claims, changes },
        ))
    }
}

/// The thread that makes roots and commits.
struct Committer<'a> {
    back: Back<'a>,
    durability: Durability,
    seals: bool,
}

impl Committer<'_> {
    /// Answers each commit, in order, or ends with an answer that says why what follows is not committed.
    fn run(mut self, work: &Receiver<Work>, answers: &Sender<Result<(), Failure>>) {
        let mut blocks = 0;
        for work in work {
            let done = match work {
                Work::Executed(executed) => self.check_root(blocks, &executed).map(|()| false),
                Work::Commit(filled) => self.commit(filled).map(|()| true),
            };
            blocks += 1;
            let answer = match done {
                Ok(false) => continue,
                Ok(true) => Ok(()),
                Err(failure) => Err(failure),
            };
            blocks = 0;
            let has_failed = answer.is_err();
            // Nobody asks any more where the import has ended.
            if answers.send(answer).is_err() || has_failed {
                return;
            }
        }
    }

    fn check_root(&mut self, index: usize, executed: &Executed) -> Result<(), Failure> {
        let root = self.back.root(&executed.changes).map_err(Failure::Store)?;
        let checked = check_state_root(&executed.claims, root);
        checked.map_err(|error| Failure::Root { index, error })
    }

    fn commit(&mut self, filled: Filled) -> Result<(), Failure> {
        let mut committed = self.back.commit(&filled, self.durability);
        drop(filled);
        if committed.is_ok() && self.seals {
            committed = self.back.seal_ready(self.durability).map(|_| ());
        }
        committed.map_err(Failure::Store)
    }
}

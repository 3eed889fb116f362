//! Blocks that are executed ahead of the state's root: one thread runs a block's calls while another makes the root after the block before.

use std::iter::Peekable;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::vec::IntoIter;

use lyceum_protocol::{
    Block, BlockClaims, BlockError, BlockLine, ChainSpec, Checked, HeaderTree, Timestamp,
    TreeHeader, UnlinkedBlock, check_state_root,
};
use lyceum_storage::{Batch, ConnectBlock, Connector, Roots, StoreError, TreeChanges};
use lyceum_vm::Executor;

use super::context::parent_context;
use super::run::Judged;
use super::{ChainError, execute, transaction_ids};

/// What one changed record adds to a batch by the tree's pages, about: in a large state it has one or two to itself, and a share of those above.
/// Batches end by this, not by what the pages take up, so that they end at the same block whichever thread is faster.
const TREE_CHANGE_BYTES: usize = 1 << 10;
/// How many blocks may be executed whose roots are not made yet. A few even out blocks of unlike weight.
const BLOCKS_AHEAD: usize = 4;

/// What blocks are connected by.
pub(super) struct AheadRules<'c> {
    pub(super) executor: &'c Executor,
    pub(super) spec: &'c ChainSpec,
    pub(super) tree: &'c HeaderTree,
    pub(super) now: Timestamp,
    /// Memory that the batch may take up; a block more, in the end. Larger ones write fewer pages of the state's tree.
    pub(super) batch_bytes: usize,
}

/// How far it came.
pub(super) struct Ahead<L> {
    /// The lines taken: first those of the connected blocks.
    pub(super) lines: Vec<L>,
    /// The blocks that are in the batch now, in order.
    pub(super) connected: Vec<TreeHeader>,
    /// The first of them whose root is not what it claims. The batch is of no use then.
    pub(super) wrong: Option<WrongRoot>,
    /// What ended it, if not the number of lines or the batch's size.
    pub(super) stopped: Option<ChainError>,
}

/// A block that does not leave the state that it claims.
pub(super) struct WrongRoot {
    pub(super) index: usize,
    pub(super) error: BlockError,
}

/// What the thread that makes roots is given of a block.
struct Executed {
    claims: BlockClaims,
    changes: TreeChanges,
}

impl AheadRules<'_> {
    /// Connects the lines that extend the tip, up to the first that does not.
    pub(super) fn connect<L: AsRef<str>>(
        &self,
        batch: &mut Batch<'_>,
        rest: &mut Peekable<IntoIter<Judged<L>>>,
    ) -> Ahead<L> {
        let mut ahead = Ahead {
            lines: Vec::new(),
            connected: Vec::new(),
            wrong: None,
            stopped: None,
        };
        let (connector, roots) = batch.split();
        let made = thread::scope(|scope| {
            let (send, queue) = sync_channel(BLOCKS_AHEAD);
            let worker = scope.spawn(move || check_roots(roots, &queue));
            let sent = |executed| send.send(executed).is_ok();
            if let Err(error) = self.connect_lines(connector, rest, &mut ahead, sent) {
                ahead.stopped = Some(error);
            }
            drop(send);
            worker.join().unwrap_or_else(|panic| resume_unwind(panic))
        });
        match made {
            Ok(wrong) => ahead.wrong = wrong,
            Err(error) => ahead.stopped = Some(error.into()),
        }
        ahead
    }

    fn connect_lines<L: AsRef<str>>(
        &self,
        connector: &mut Connector<'_>,
        rest: &mut Peekable<IntoIter<Judged<L>>>,
        ahead: &mut Ahead<L>,
        mut send: impl FnMut(Executed) -> bool,
    ) -> Result<(), ChainError> {
        let mut tip = connector.read().tip()?.map(|tip| tip.hash);
        let mut tree_bytes = 0;
        while connector.bytes() + tree_bytes < self.batch_bytes
            && let Some((line, verdict)) = rest.next_if(|(_, verdict)| match verdict {
                Ok(block) => {
                    let header = block.header();
                    Some(header.claims().parent) == tip && !self.tree.contains(&header.hash())
                }
                Err(_) => true,
            })
        {
            let text = BlockLine::new(line.as_ref());
            let connected = verdict
                .map_err(ChainError::from)
                .and_then(|block| self.link(connector, block))
                .and_then(|block| self.connect_one(connector, &block, text));
            ahead.lines.push(line);
            let (header, executed) = connected?;
            tip = Some(header.hash);
            tree_bytes += executed.changes.len() * TREE_CHANGE_BYTES;
            ahead.connected.push(header);
            // Where nobody takes it, a root was wrong or could not be made.
            if !send(executed) {
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
        let context = parent_context(&connector.read(), self.spec, parent)?;
        Ok(block.link(context.as_ref(), self.now)?)
    }

    fn connect_one(
        &self,
        connector: &mut Connector<'_>,
        block: &Checked<Block>,
        line: BlockLine<'_>,
    ) -> Result<(TreeHeader, Executed), ChainError> {
        let (changes, receipts) = execute(&connector.read(), self.executor, self.spec, block)??;
        let changes = connector.connect(ConnectBlock {
            header: &block.header,
            line,
            ids: &transaction_ids(block),
            changes: &changes,
            receipts: &receipts,
        })?;
        let claims = block.header.claims().clone();
        Ok((
            TreeHeader::from(&block.header),
            Executed { claims, changes },
        ))
    }
}

/// Makes the root after each block, in order, until one is not what its block claims.
fn check_roots(
    mut roots: Roots<'_, '_>,
    queue: &Receiver<Executed>,
) -> Result<Option<WrongRoot>, StoreError> {
    for (index, Executed { claims, changes }) in queue.iter().enumerate() {
        let root = roots.root(&changes)?;
        if let Err(error) = check_state_root(&claims, root) {
            return Ok(Some(WrongRoot { index, error }));
        }
    }
    Ok(None)
}

//! The chain: which blocks are accepted, which of them are the main chain, and what the state is.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use lyceum_protocol::{
    BatchSeed, Block, BlockError, BlockHash, BlockLine, ChainSpec, Checked, HeaderTree, Insertion,
    KnownKeys, SIDE_HEADERS_MAX, SegmentIndex, Timestamp, Transaction, TreeError, TreeHeader, TxId,
    check_block, check_state_root, decode_block,
};
use lyceum_storage::{
    Batch, ConnectBlock, Durability, LedgerView, StateChanges, Store, StoreError, Tip,
    state_root_of,
};
use lyceum_vm::{Executor, GenesisError, MemoryWorld, WorldError, genesis};

use super::execute::{BlockSite, ExecuteError, execute_block};
use super::state_world::StateWorld;

mod ahead;
mod announced;
mod context;
mod import;
mod lines;
mod orphans;
mod part;
mod receipt;
mod run;
mod segment;
mod template;

use context::parent_context;
pub use lines::{LineRuns, LinesError, RUN_BYTES, RUN_LINES, RUNS_BYTES_MAX};
use orphans::Orphans;
pub use orphans::{ORPHAN_BYTES_MAX, ORPHANS_MAX};
pub use part::{PART_BYTES, PartError, SegmentPart};
use receipt::encode_receipt;
pub use run::{CheckedRun, ImportRun, RunChecker};
pub use template::Template;

/// The chain of one node, over its store.
///
/// It decides; it does no I/O but through the store, and the time comes in with each call. After [`ChainError::Store`] or
/// [`ChainError::World`] its tree may not be the store's: close it and open it again.
pub struct Chain {
    spec: Arc<ChainSpec>,
    executor: Executor,
    store: Store,
    tree: HeaderTree,
    orphans: Orphans,
    seed: Arc<BatchSeed>,
    /// Those whose blocks were pulled.
    keys: Arc<KnownKeys>,
}

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Imported {
    /// It was here before.
    Known,
    /// Its parent is unknown: it waits for it, in a bounded place.
    Orphan(BlockHash),
    /// It is kept, off the main chain.
    Side,
    /// The main chain changed.
    Tip(TipChange),
}

/// How the main chain changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TipChange {
    /// Blocks taken off it, the former tip first.
    pub disconnected: Vec<BlockHash>,
    /// Blocks put on it, in order.
    pub connected: Vec<BlockHash>,
    /// The transactions of the blocks taken off that no new block holds, in the order of the former chain.
    pub dropped: Vec<String>,
}

impl TipChange {
    /// Adds what came after.
    fn extend(&mut self, later: Self) {
        self.disconnected.extend(later.disconnected);
        self.connected.extend(later.connected);
        self.dropped.extend(later.dropped);
    }
}

/// Why a chain can't be opened or go on.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The block is refused, by the rule named.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The block has an invalid ancestor, or is off the main chain beyond what is kept.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The chain file makes no genesis.
    #[error("genesis: {0}")]
    Genesis(#[from] GenesisError),
    /// The ledger can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state can't be read or written.
    #[error(transparent)]
    World(#[from] WorldError),
}

impl ChainError {
    /// Is it a verdict on a block, and not the node's own trouble?
    fn is_verdict(&self) -> bool {
        matches!(self, Self::Block(_) | Self::Tree(_))
    }
}

impl Chain {
    /// Opens the chain of `spec` over the store that `open` gives for its genesis hash; a new store gets genesis.
    ///
    /// `seed` is unpredictable to peers.
    ///
    /// # Errors
    /// [`ChainError::Genesis`], [`ChainError::Store`].
    pub fn open(
        spec: ChainSpec,
        open: impl FnOnce(&ChainSpec, BlockHash) -> Result<Store, StoreError>,
        seed: BatchSeed,
    ) -> Result<Self, ChainError> {
        let changes = genesis_changes(&spec)?;
        let genesis = spec.genesis(state_root_of(&changes));
        let mut store = open(&spec, genesis.hash())?;
        if store.read().tip()?.is_none() {
            let mut batch = store.begin();
            batch.connect(ConnectBlock {
                header: &genesis,
                line: BlockLine::new(genesis.token()),
                ids: &[],
                changes,
                receipts: &[],
            })?;
            batch.commit(Durability::Synced)?;
        }
        let mut chain = Self {
            executor: Executor::for_chain(&spec),
            tree: read_tree(&store, TreeHeader::from(&genesis))?,
            spec: Arc::new(spec),
            store,
            orphans: Orphans::default(),
            seed: Arc::new(seed),
            keys: Arc::default(),
        };
        // A branch of more work than the main chain's was kept, but not yet followed, or found invalid: find out.
        match chain.follow(None, Durability::Synced) {
            Ok(_) | Err(ChainError::Block(_) | ChainError::Store(StoreError::TooDeep { .. })) => {
                Ok(chain)
            }
            Err(error) => Err(error),
        }
    }

    /// The chain's file.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The ledger.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The headers that are known, and which of them are the best.
    pub fn tree(&self) -> &HeaderTree {
        &self.tree
    }

    /// The last block of the main chain.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn tip(&self) -> Result<Tip, ChainError> {
        Ok(self.store.read().tip()?.ok_or(StoreError::NoTip)?)
    }

    /// Takes a block line: checks it, keeps it, and goes over to it where its chain is the one of most work. Then whatever waited for it follows.
    ///
    /// # Errors
    /// [`ChainError::Block`] and [`ChainError::Tree`] are verdicts on the block; the rest is the node's own trouble.
    pub fn import(&mut self, line: &str, now: Timestamp) -> Result<Imported, ChainError> {
        let mut imported = self.import_one(line, now)?;
        let mut parents = vec![BlockHash::of(BlockLine::new(line).token().as_bytes())];
        while let Some(parent) = parents.pop() {
            for child in self.orphans.take(&parent) {
                // A child that is refused is nobody's fault here: who sent it has gone unpunished once.
                match self.import_one(&child, now) {
                    Ok(Imported::Tip(more)) => imported = join(imported, more),
                    Ok(_) | Err(ChainError::Block(_) | ChainError::Tree(_)) => {}
                    Err(error) => return Err(error),
                }
                parents.push(BlockHash::of(BlockLine::new(&child).token().as_bytes()));
            }
        }
        Ok(imported)
    }

    fn import_one(&mut self, line: &str, now: Timestamp) -> Result<Imported, ChainError> {
        let split = BlockLine::new(line);
        if self.tree.contains(&BlockHash::of(split.token().as_bytes())) {
            return Ok(Imported::Known);
        }
        let mut trouble = None;
        let checked = {
            let view = self.store.read();
            let find = |parent| match parent_context(&view, &self.spec, parent) {
                Ok(context) => context,
                Err(error) => {
                    trouble = Some(error);
                    None
                }
            };
            check_block(line, &self.spec, find, now, &self.seed)
        };
        match (trouble, checked) {
            (Some(error), _) => Err(error.into()),
            (None, Ok(block)) => self.adopt(&block, split, Durability::Synced),
            (None, Err(BlockError::UnknownParent(parent))) => {
                self.orphans.hold(parent, line);
                Ok(Imported::Orphan(parent))
            }
            (None, Err(error)) => Err(error.into()),
        }
    }

    /// Puts a checked block into the tree, and follows the tree's tip.
    fn adopt(
        &mut self,
        block: &Checked<Block>,
        line: BlockLine<'_>,
        durability: Durability,
    ) -> Result<Imported, ChainError> {
        let header = TreeHeader::from(&block.header);
        let insertion = self.tree.insert(header)?;
        if self.store.read().block(&header.hash)?.is_none() {
            let work = self.tree.total_work(&header.hash).unwrap_or_default();
            let tip = self.tip()?;
            // A block on the tip is kept by connecting it, any other by itself.
            if insertion != Insertion::Tip || header.parent != tip.hash {
                let mut batch = self.store.begin();
                batch.put_side_block(&block.header, line, work)?;
                batch.commit(durability)?;
            }
        }
        match insertion {
            Insertion::Known => Ok(Imported::Known),
            Insertion::Side => Ok(Imported::Side),
            Insertion::Tip => self.follow(Some((block, line)), durability),
        }
    }

    /// Goes over to the best chain of the tree. A block that turns out invalid is taken out of the tree with all that stands on it, and the next best is tried.
    fn follow(
        &mut self,
        new: Option<(&Checked<Block>, BlockLine<'_>)>,
        durability: Durability,
    ) -> Result<Imported, ChainError> {
        let mut refused = None;
        loop {
            let from = self.tip()?.hash;
            let to = self.tree.tip();
            if from == to {
                return match refused {
                    Some(error) => Err(error),
                    None => Ok(Imported::Side),
                };
            }
            let path = self.tree.reorg_path(&from, &to).ok_or(StoreError::NoTip)?;
            let mut batch = self.store.begin();
            let dropped = match disconnect_path(&mut batch, &path.disconnect) {
                // A branch that parts below what can be undone is not followed, whatever work it claims.
                Err(error @ StoreError::TooDeep { .. }) => {
                    drop(batch);
                    let first = path.connect.first().ok_or(StoreError::NoTip)?;
                    self.tree.invalidate(first)?;
                    refused = Some(error.into());
                    continue;
                }
                dropped => dropped?,
            };
            match connect_path(&mut batch, &self.executor, &self.spec, &path.connect, new)? {
                ControlFlow::Continue(included) => {
                    batch.commit(durability)?;
                    let dropped = dropped.into_iter().rev().flatten();
                    return Ok(Imported::Tip(TipChange {
                        disconnected: path.disconnect,
                        connected: path.connect,
                        dropped: dropped.filter(|token| !included.contains(token)).collect(),
                    }));
                }
                ControlFlow::Break((hash, error)) => {
                    drop(batch);
                    self.tree.invalidate(&hash)?;
                    refused = Some(error.into());
                }
            }
        }
    }

    /// Seals the segments that are deep enough; gives how many.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn seal_ready(&mut self, durability: Durability) -> Result<usize, ChainError> {
        Ok(self.store.seal_ready(durability)?)
    }

    /// Puts a damaged segment's text back, from a file.
    ///
    /// # Errors
    /// [`ChainError::Store`], also where the text is not the segment's.
    pub fn restore_segment(&mut self, index: SegmentIndex, file: &Path) -> Result<(), ChainError> {
        let text = File::open(file);
        let mut text = text.map_err(|source| StoreError::io(file, source))?;
        Ok(self.store.restore_segment(index, &mut text)?)
    }

    /// Ends the chain without a word to its store, as a crash does: what was committed is left.
    pub fn into_store(self) -> Store {
        self.store
    }

    /// Closes the store cleanly.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn close(self) -> Result<(), ChainError> {
        Ok(self.store.close()?)
    }
}

/// The records of genesis.
fn genesis_changes(spec: &ChainSpec) -> Result<StateChanges, ChainError> {
    let mut world = MemoryWorld::new();
    genesis(spec, &mut world)?;
    let records = world.texts().iter();
    let records = records.map(|(path, record)| (path.clone(), Some(record.clone())));
    Ok(records.collect())
}

/// The tree of all the blocks that are kept. The main chain comes first: at equal work it was seen first.
fn read_tree(store: &Store, genesis: TreeHeader) -> Result<HeaderTree, ChainError> {
    let view = store.read();
    let mut tree = HeaderTree::new(genesis, SIDE_HEADERS_MAX);
    for on_main in [true, false] {
        let mut trouble = None;
        view.for_each_block(genesis.height.next(), |entry| {
            match view.is_main(&entry.hash) {
                Ok(is_main) if is_main == on_main => {
                    // One whose parent is gone is of no use; it stays until it is pruned.
                    let _ = tree.insert(TreeHeader {
                        hash: entry.hash,
                        parent: entry.parent,
                        height: entry.height,
                        work: entry.bits.target().work(),
                    });
                }
                Ok(_) => {}
                Err(error) => {
                    trouble = Some(error);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        })?;
        if let Some(error) = trouble {
            return Err(error.into());
        }
    }
    Ok(tree)
}

/// Adds what an orphan brought to what its ancestor did.
fn join(first: Imported, more: TipChange) -> Imported {
    match first {
        Imported::Tip(mut change) => {
            change.extend(more);
            Imported::Tip(change)
        }
        _ => Imported::Tip(more),
    }
}

/// Takes the blocks off the tip; gives their transactions, block by block.
fn disconnect_path(
    batch: &mut Batch<'_>,
    path: &[BlockHash],
) -> Result<Vec<Vec<String>>, StoreError> {
    let mut dropped = Vec::new();
    for hash in path {
        let line = batch.read().line(hash)?.unwrap_or_default();
        let tokens = BlockLine::new(&line).transactions();
        dropped.push(tokens.map(str::to_owned).collect::<Vec<_>>());
        batch.disconnect()?;
    }
    Ok(dropped)
}

/// Connects blocks that are kept, or `new`, one after the other; gives the transactions that they hold, or the block that is invalid and why.
fn connect_path(
    batch: &mut Batch<'_>,
    executor: &Executor,
    spec: &ChainSpec,
    path: &[BlockHash],
    new: Option<(&Checked<Block>, BlockLine<'_>)>,
) -> Result<ControlFlow<(BlockHash, BlockError), BTreeSet<String>>, ChainError> {
    let mut included = BTreeSet::new();
    for hash in path {
        let verdict = match new.filter(|(block, _)| block.header.hash() == *hash) {
            Some((block, line)) => connect_block(batch, executor, spec, block, line)?,
            None => {
                let line = batch.read().line(hash)?.ok_or(StoreError::NoTip)?;
                match decode_block(&line, spec) {
                    Ok(block) => {
                        connect_block(batch, executor, spec, &block, BlockLine::new(&line))?
                    }
                    Err(error) => Err(error),
                }
            }
        };
        if let Err(error) = verdict {
            return Ok(ControlFlow::Break((*hash, error)));
        }
        let line = batch.read().line(hash)?.unwrap_or_default();
        included.extend(BlockLine::new(&line).transactions().map(str::to_owned));
    }
    Ok(ControlFlow::Continue(included))
}

/// Executes a block and puts it on the batch's tip. Where it turns out invalid the batch may hold it, or may not: [`Batch::disconnect`] it if it does.
fn connect_block(
    batch: &mut Batch<'_>,
    executor: &Executor,
    spec: &ChainSpec,
    block: &Block,
    line: BlockLine<'_>,
) -> Result<Result<(), BlockError>, ChainError> {
    let executed = execute(&batch.read(), executor, spec, block)?;
    let (changes, receipts) = match executed {
        Ok(executed) => executed,
        Err(error) => return Ok(Err(error)),
    };
    let root = batch.connect(ConnectBlock {
        header: &block.header,
        line,
        ids: &transaction_ids(block),
        changes,
        receipts: &receipts,
    })?;
    if let Err(error) = check_state_root(block.header.claims(), root) {
        batch.disconnect()?;
        return Ok(Err(error));
    }
    Ok(Ok(()))
}

fn transaction_ids(block: &Block) -> Vec<TxId> {
    block.transactions.iter().map(Transaction::id).collect()
}

/// What a block does to the state, and its receipts as they are stored; or why it is invalid.
type Executed = Result<(StateChanges, Vec<Vec<u8>>), BlockError>;

/// Executes a block on the state of its parent.
fn execute(
    view: &LedgerView<'_>,
    executor: &Executor,
    spec: &ChainSpec,
    block: &Block,
) -> Result<Executed, ChainError> {
    let mut world = StateWorld::new(view);
    let site = BlockSite::from(block.header.claims());
    match execute_block(&mut world, executor, spec, &site, &block.transactions) {
        Ok(receipts) => {
            let receipts = receipts.iter().map(encode_receipt).collect();
            Ok(Ok((world.into_changes(), receipts)))
        }
        Err(ExecuteError::Transaction { index, error }) => {
            Ok(Err(BlockError::Transaction { index, error }))
        }
        Err(ExecuteError::World(error)) => Err(error.into()),
    }
}

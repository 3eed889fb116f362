use lyceum_protocol::{BlockLine, Header, SegmentIndex, StateRoot, Work};

use crate::cache::Caches;
use crate::connector::{ConnectBlock, Connector};
use crate::engine::{Durability, View, Visit};
use crate::error::StoreError;
use crate::family::Family;
use crate::overlay::Overlay;
use crate::pipeline::Back;
use crate::schema::{BlockEntry, META_TIP, Tip, UndoValue, decode, height_key, tx_key};
use crate::store::Shared;
use crate::tree::{Page, PagePath, Pages as _};
use crate::view::LedgerView;

/// Blocks connected and disconnected together: all of them are kept by one atomic write, or none.
///
/// Until [`Batch::commit`] only the batch's own [`Batch::read`] sees them. After an error of the database drop the batch.
pub struct Batch<'s> {
    connector: Connector<'s>,
    back: Back<'s>,
}

/// The ledger as a batch leaves it.
struct BatchView<'b, 's>(&'b Batch<'s>);

impl View for BatchView<'_, '_> {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.0.connector.overlay.read(family, key)
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.0.connector.overlay.scan(family, from, visit)
    }

    fn page(&self, path: &PagePath) -> Result<Page, StoreError> {
        self.0.back.pages.load(path)
    }
}

impl<'s> Batch<'s> {
    pub(crate) fn new(shared: &'s Shared, caches: &'s mut Caches) -> Self {
        let base = shared.engine.as_ref();
        let overlay = Overlay::with_cache(base, None, &mut caches.values);
        Self {
            connector: Connector::new(shared, overlay),
            back: Back::new(shared, &mut caches.pages),
        }
    }

    /// The ledger as the batch leaves it.
    pub fn read(&self) -> LedgerView<'_> {
        LedgerView::new(Box::new(BatchView(self)), self.connector.shared())
    }

    /// Puts a block on the tip; the state's root after it.
    ///
    /// The root is not compared with the header's: do so, and where they differ [`Batch::disconnect`] takes exactly this block back.
    /// The first block is genesis.
    ///
    /// # Errors
    /// [`StoreError::NotNext`], [`StoreError::Genesis`] and [`StoreError::Path`], which leave the batch as it was; those of the database.
    pub fn connect(&mut self, block: ConnectBlock<'_>) -> Result<StateRoot, StoreError> {
        let claimed = block.header.claims().state_root;
        let changes = self.connector.connect(block)?;
        let root = self.back.root(&changes)?;
        if root != claimed {
            let tip = self.read().tip()?.ok_or(StoreError::NoTip)?;
            self.connector.put_tip(&Tip {
                state_root: root,
                ..tip
            });
        }
        Ok(root)
    }

    /// Keeps a block that is not on the main chain. Its work is that of its chain, itself included.
    pub fn put_side_block(
        &mut self,
        header: &Header,
        line: BlockLine<'_>,
        work: Work,
    ) -> Result<(), StoreError> {
        self.connector.put_side_block(header, line, work)
    }

    /// Takes the last sealed segment back; its file goes once the batch is committed.
    pub(crate) fn unseal(&mut self, index: SegmentIndex) -> Result<(), StoreError> {
        self.connector.unseal(index)
    }

    /// Takes the tip back; it becomes a side block. The state, its tree, the indexes and the tip are then byte for byte what they were
    /// before it. Where the tip stands in a sealed segment, the segment is unsealed.
    ///
    /// # Errors
    /// [`StoreError::NoTip`], [`StoreError::TooDeep`]; [`StoreError::SegmentDamaged`] where its segment must be fetched first.
    pub fn disconnect(&mut self) -> Result<BlockEntry, StoreError> {
        let tip = self.read().tip()?.ok_or(StoreError::NoTip)?;
        let key = height_key(tip.height);
        let undo = self.connector.overlay.read(Family::Undo, &key)?;
        let undo = undo.ok_or(StoreError::TooDeep {
            height: tip.height,
            kept: self.connector.shared().reorg_depth_max,
        })?;
        let undo: UndoValue = decode(Family::Undo, &key, &undo)?;
        // The last one may be a segment that was taken over, with no block of it connected yet.
        let first = self.connector.shared().segment_of(tip.height).get();
        let sealed = self.read().sealed_segments()?.get();
        for index in (first..sealed).rev() {
            self.unseal(SegmentIndex::new(index).unwrap_or(SegmentIndex::MAX))?;
        }
        let entry = self.read().block(&tip.hash)?;
        let entry = entry.ok_or(StoreError::NoTip)?;
        let line = self.read().line(&tip.hash)?.unwrap_or_default();
        let (changes, _) = self.connector.apply(undo)?;
        self.back.root(&changes)?;
        let parent = self.parent_tip(&entry)?;
        let overlay = &mut self.connector.overlay;
        for token in BlockLine::new(&line).transactions() {
            overlay.delete(Family::Transactions, tx_key(token));
        }
        overlay.delete(Family::Receipts, key);
        overlay.delete(Family::Main, key);
        overlay.delete(Family::Undo, key);
        match parent {
            Some(parent) => overlay.put(Family::Meta, META_TIP, parent.encode()),
            None => overlay.delete(Family::Meta, META_TIP),
        }
        Ok(entry)
    }

    fn parent_tip(&self, entry: &BlockEntry) -> Result<Option<Tip>, StoreError> {
        let view = self.read();
        let Some(parent) = view.block(&entry.parent)? else {
            return Ok(None); // genesis
        };
        Ok(Some(Tip {
            hash: parent.hash,
            height: parent.height,
            work: parent.work,
            state_root: view.state_root()?,
        }))
    }

    /// Keeps all of it, by one atomic write.
    ///
    /// A batch that unsealed a segment is always synced, since its file goes right after.
    ///
    /// # Errors
    /// Those of the database; then nothing of the batch is kept.
    pub fn commit(mut self, durability: Durability) -> Result<(), StoreError> {
        let (filled, cache) = self.connector.into_parts();
        let committed = self.back.commit(&filled, durability);
        match (cache, filled.into_layer()) {
            (Some(cache), Some(layer)) if committed.is_ok() => layer.keep_in(cache),
            // What the database holds is read anew.
            (Some(cache), _) => cache.clear(),
            (None, _) => {}
        }
        committed
    }
}

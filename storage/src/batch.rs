use std::collections::BTreeMap;

use lyceum_protocol::{BlockHash, BlockLine, Header, Height, SegmentIndex, StateRoot, Work};

use crate::cache::Caches;
use crate::engine::{Durability, View};
use crate::error::StoreError;
use crate::failpoint;
use crate::family::Family;
use crate::overlay::Overlay;
use crate::schema::{
    BlockEntry, META_TIP, Tip, TransactionValue, UndoValue, block_key, decode, encode, encode_hash,
    height_key, key_height, path_prefix, tx_key,
};
use crate::segment::{has_file, place_in_file, unseal};
use crate::store::Shared;
use crate::tree;
use crate::view::{LedgerView, StateChanges, count, key_changes, record_text};

/// A block whose rules are checked, with what its execution gave.
#[derive(Debug, Clone, Copy)]
pub struct ConnectBlock<'b> {
    /// Its token.
    pub header: &'b Header,
    /// Its line, without the line feed.
    pub line: BlockLine<'b>,
    /// What it does to the records.
    pub changes: &'b StateChanges,
    /// A receipt for each transaction, in order, in whatever form the caller likes.
    pub receipts: &'b [Vec<u8>],
}

/// Blocks connected and disconnected together: all of them are kept by one atomic write, or none.
///
/// Until [`Batch::commit`] only the batch's own [`Batch::read`] sees them. After an error of the database drop the batch.
pub struct Batch<'s> {
    shared: &'s Shared,
    overlay: Overlay<'s>,
    /// Segments that the batch unsealed: their files go once it is committed.
    unsealed: Vec<SegmentIndex>,
}

impl<'s> Batch<'s> {
    pub(crate) fn new(shared: &'s Shared, caches: &'s mut Caches) -> Self {
        Self {
            shared,
            overlay: Overlay::with_caches(shared.engine.as_ref(), caches),
            unsealed: Vec::new(),
        }
    }

    pub(crate) fn shared(&self) -> &'s Shared {
        self.shared
    }

    pub(crate) fn overlay(&mut self) -> &mut Overlay<'s> {
        &mut self.overlay
    }

    pub(crate) fn view(&self) -> &dyn View {
        &self.overlay
    }

    /// The ledger as the batch leaves it.
    pub fn read(&self) -> LedgerView<'_> {
        LedgerView::new(Box::new(&self.overlay), self.shared)
    }

    /// About how much memory the batch takes up, until it is committed.
    pub fn bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// Puts a block on the tip; the state's root after it.
    ///
    /// The root is not compared with the header's: do so, and where they differ [`Batch::disconnect`] takes exactly this block back.
    /// The first block is genesis.
    ///
    /// # Errors
    /// [`StoreError::NotNext`], [`StoreError::Genesis`] and [`StoreError::Path`], which leave the batch as it was; those of the database.
    pub fn connect(&mut self, block: ConnectBlock<'_>) -> Result<StateRoot, StoreError> {
        let (height, work) = self.check_next(block.header)?;
        for path in block.changes.keys() {
            path_prefix(path)?;
        }
        let hash = block.header.hash();
        let changes = block.changes.iter();
        let changes = changes.map(|(path, record)| (path.as_str(), record.as_deref()));
        let (root, undo) = self.apply(changes)?;
        let entry = BlockEntry::new(block.header, block.line.as_str(), work);
        self.put_entry(&entry);
        self.put_main_line(&entry, block.line.as_str())?;
        let overlay = &mut self.overlay;
        overlay.put(Family::Main, height_key(height), encode_hash(&hash));
        overlay.put(Family::Undo, height_key(height), encode(&undo));
        for (index, token) in block.line.transactions().enumerate() {
            let index = index as u32; // a block is at most 16 MiB
            let height = height.get();
            let place = encode(&TransactionValue { height, index });
            overlay.put(Family::Transactions, tx_key(token), place);
        }
        if !block.receipts.is_empty() {
            let receipts = encode(&block.receipts);
            overlay.put(Family::Receipts, height_key(height), receipts);
        }
        let tip = Tip {
            hash,
            height,
            work,
            state_root: root,
        };
        overlay.put(Family::Meta, META_TIP, tip.encode());
        self.forget(height)?;
        Ok(root)
    }

    /// The height and the work of the chain, if the block follows the tip.
    fn check_next(&self, header: &Header) -> Result<(Height, Work), StoreError> {
        let claims = header.claims();
        let got = header.hash();
        let Some(tip) = self.read().tip()? else {
            let want = self.shared.genesis;
            return match got == want {
                true => Ok((Height::ZERO, claims.work())),
                false => Err(StoreError::Genesis { got, want }),
            };
        };
        if claims.parent != tip.hash || claims.height != tip.height.next() {
            return Err(StoreError::NotNext {
                got,
                height: claims.height,
                tip: tip.hash,
            });
        }
        Ok((claims.height, tip.work.saturating_add(claims.work())))
    }

    /// Keeps a block that is not on the main chain. Its work is that of its chain, itself included.
    pub fn put_side_block(
        &mut self,
        header: &Header,
        line: BlockLine<'_>,
        work: Work,
    ) -> Result<(), StoreError> {
        if self.read().is_main(&header.hash())? {
            return Ok(());
        }
        let entry = BlockEntry::new(header, line.as_str(), work);
        self.put_entry(&entry);
        let line = line.as_str().into();
        self.overlay.put(Family::Blocks, entry.key(), line);
        Ok(())
    }

    fn put_entry(&mut self, entry: &BlockEntry) {
        let overlay = &mut self.overlay;
        let height = encode(&entry.height.get());
        overlay.put(Family::Heights, *entry.hash.as_bytes(), height);
        overlay.put(Family::Headers, entry.key(), entry.encode());
    }

    /// Keeps the line of a block on the main chain: its place where its segment's file is here already, else its text.
    fn put_main_line(&mut self, entry: &BlockEntry, line: &str) -> Result<(), StoreError> {
        let index = self.shared.segment_of(entry.height);
        if has_file(&self.overlay, index)? {
            if let Some(place) = place_in_file(self, index, entry.height, line)? {
                // It may have been a side block.
                self.overlay.delete(Family::Blocks, entry.key());
                let key = height_key(entry.height);
                self.overlay.put(Family::Offsets, key, place);
                return Ok(());
            }
            self.unseal(index)?;
        }
        self.overlay.put(Family::Blocks, entry.key(), line.into());
        Ok(())
    }

    /// Takes the last sealed segment back; its file goes once the batch is committed.
    pub(crate) fn unseal(&mut self, index: SegmentIndex) -> Result<(), StoreError> {
        unseal(self, index)?;
        self.unsealed.push(index);
        Ok(())
    }

    /// Takes the tip back; it becomes a side block. The state, its tree, the indexes and the tip are then byte for byte what they were
    /// before it. Where the tip stands in a sealed segment, the segment is unsealed.
    ///
    /// # Errors
    /// [`StoreError::NoTip`], [`StoreError::TooDeep`]; [`StoreError::SegmentDamaged`] where its segment must be fetched first.
    pub fn disconnect(&mut self) -> Result<BlockEntry, StoreError> {
        let tip = self.read().tip()?.ok_or(StoreError::NoTip)?;
        let key = height_key(tip.height);
        let undo = self.overlay.read(Family::Undo, &key)?;
        let undo = undo.ok_or(StoreError::TooDeep {
            height: tip.height,
            kept: self.shared.reorg_depth_max,
        })?;
        let undo: UndoValue = decode(Family::Undo, &key, &undo)?;
        // The last one may be a segment that was taken over, with no block of it connected yet.
        let first = self.shared.segment_of(tip.height).get();
        let sealed = self.read().sealed_segments()?.get();
        for index in (first..sealed).rev() {
            self.unseal(SegmentIndex::new(index).unwrap_or(SegmentIndex::MAX))?;
        }
        let entry = self.read().block(&tip.hash)?;
        let entry = entry.ok_or(StoreError::NoTip)?;
        let line = self.read().line(&tip.hash)?.unwrap_or_default();
        let before = undo.iter();
        self.apply(before.map(|(path, record)| (path.as_str(), record.as_deref())))?;
        let parent = self.parent_tip(&entry)?;
        let overlay = &mut self.overlay;
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

    /// Changes the records, their counts and the tree; the root after it, and what the changed records held before.
    fn apply<'c>(
        &mut self,
        changes: impl Iterator<Item = (&'c str, Option<&'c str>)>,
    ) -> Result<(StateRoot, UndoValue), StoreError> {
        let mut undo = UndoValue::new();
        let mut effective = Vec::new();
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for (path, record) in changes {
            let before = self.overlay.read(Family::Records, path.as_bytes())?;
            if before.as_deref() == record.map(str::as_bytes) {
                continue;
            }
            let before = before.map(|before| record_text(path.as_bytes(), before));
            let before = before.transpose()?;
            let added = i64::from(record.is_some()) - i64::from(before.is_some());
            *counts.entry(path_prefix(path)?).or_default() += added;
            match record {
                Some(record) => self.overlay.put(Family::Records, path, record.into()),
                None => self.overlay.delete(Family::Records, path),
            }
            undo.push((path.to_owned(), before));
            effective.push((path, record));
        }
        for (prefix, added) in counts.into_iter().filter(|(_, added)| *added != 0) {
            match count(&self.overlay, prefix)?.saturating_add_signed(added) {
                0 => self.overlay.delete(Family::Counts, prefix),
                after => self.overlay.put(Family::Counts, prefix, encode(&after)),
            }
        }
        let changes = key_changes(effective.into_iter());
        let root = tree::update(&mut self.overlay, &changes)?;
        Ok((StateRoot::from_bytes(root), undo))
    }

    /// Drops what only a reorganisation deeper than the option allows would need: one undo record with each block, and whole ranges of
    /// side blocks now and then.
    fn forget(&mut self, height: Height) -> Result<(), StoreError> {
        let Some(old) = height.get().checked_sub(self.shared.reorg_depth_max) else {
            return Ok(());
        };
        self.overlay.delete(Family::Undo, old.to_be_bytes());
        let blocks = u64::from(self.shared.segment_blocks);
        if (old + 1).is_multiple_of(blocks) {
            self.forget_side_blocks(old + 1 - blocks, old)?;
        }
        Ok(())
    }

    fn forget_side_blocks(&mut self, first: u64, last: u64) -> Result<(), StoreError> {
        let mut found: Vec<(Height, BlockHash)> = Vec::new();
        let from = key_height(Family::Headers, &first.to_be_bytes())?;
        let view = self.read();
        view.for_each_block(from, |entry| {
            if entry.height.get() > last {
                return std::ops::ControlFlow::Break(());
            }
            found.push((entry.height, entry.hash));
            std::ops::ControlFlow::Continue(())
        })?;
        let mut side = Vec::new();
        for (height, hash) in found {
            if view.hash_at(height)? != Some(hash) {
                side.push((height, hash));
            }
        }
        drop(view);
        for (height, hash) in side {
            let key = block_key(height, &hash);
            self.overlay.delete(Family::Headers, key.clone());
            self.overlay.delete(Family::Blocks, key);
            self.overlay.delete(Family::Heights, *hash.as_bytes());
        }
        Ok(())
    }

    /// Keeps all of it, by one atomic write.
    ///
    /// A batch that unsealed a segment is always synced, since its file goes right after.
    ///
    /// # Errors
    /// Those of the database; then nothing of the batch is kept.
    pub fn commit(self, durability: Durability) -> Result<(), StoreError> {
        let durability = match self.unsealed.is_empty() {
            true => durability,
            false => Durability::Synced,
        };
        failpoint::reach("commit:before");
        let changes = self.overlay.into_changes();
        match self.shared.engine.write(&changes.writes(), durability) {
            Ok(()) => changes.keep(),
            Err(error) => {
                changes.forget();
                return Err(error);
            }
        }
        failpoint::reach("commit:after");
        for index in self.unsealed {
            failpoint::reach("unseal:before_remove");
            self.shared.files.remove(index)?;
        }
        Ok(())
    }
}

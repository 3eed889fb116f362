use lyceum_protocol::{BlockHash, BlockLine, Header, Height, SegmentIndex, TxId, Work};

use crate::cache::ValueCache;
use crate::engine::View;
use crate::error::StoreError;
use crate::family::Family;
use crate::overlay::Overlay;
use crate::pipeline::Filled;
use crate::schema::{
    BlockEntry, LENGTH_BYTES, ListEncoder, META_TIP, Tip, TransactionValue, block_key, encode,
    encode_hash, encode_in, height_key, key_height, path_prefix,
};
use crate::segment::{has_file, place_in_file, unseal};
use crate::store::Shared;
use crate::tree::KeyChange;
use crate::view::{LedgerView, StateChanges, count, key_change};

/// A block whose rules are checked, with what its execution gave.
#[derive(Debug, Clone)]
pub struct ConnectBlock<'b> {
    /// Its token.
    pub header: &'b Header,
    /// Its line, without the line feed.
    pub line: BlockLine<'b>,
    /// The ids of its transactions, in order.
    pub ids: &'b [TxId],
    /// What it does to the records.
    pub changes: StateChanges,
    /// A receipt for each transaction, in order, in whatever form the caller likes.
    pub receipts: &'b [Vec<u8>],
}

/// What a block does to the state's tree: what [`Back::root`](crate::Back::root) makes its root of.
#[derive(Debug)]
pub struct TreeChanges(pub(crate) Vec<KeyChange>);

impl TreeChanges {
    /// How many records are changed.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is nothing changed?
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A path and what was there, encoded, as most are.
const UNDO_BYTES_USUAL: usize = 160;

/// The part of a batch that is all but the state's tree: while the root after one block is made, it connects the next.
pub struct Connector<'s> {
    pub(crate) shared: &'s Shared,
    pub(crate) overlay: Overlay<'s>,
    /// Segments that the batch unsealed.
    unsealed: Vec<SegmentIndex>,
}

impl<'s> Connector<'s> {
    pub(crate) fn new(shared: &'s Shared, overlay: Overlay<'s>) -> Self {
        Self {
            shared,
            overlay,
            unsealed: Vec::new(),
        }
    }

    pub(crate) fn shared(&self) -> &'s Shared {
        self.shared
    }

    /// The ledger as the blocks leave it that are connected so far; its tree can't be read.
    pub fn read(&self) -> LedgerView<'_> {
        LedgerView::new(Box::new(&self.overlay), self.shared)
    }

    /// About how much memory it takes up, until the batch is committed.
    pub fn bytes(&self) -> usize {
        self.overlay.bytes()
    }

    /// The batch, to be committed.
    pub fn finish(self) -> Filled {
        self.into_parts().0
    }

    /// The same, and the cache, which does not know of it yet.
    pub(crate) fn into_parts(self) -> (Filled, Option<&'s mut ValueCache>) {
        let (layer, cache) = self.overlay.into_parts();
        (Filled::new(layer, self.unsealed), cache)
    }

    /// Puts a block on the tip, on the word of its header that its root will be right: where it is not, drop the batch.
    ///
    /// # Errors
    /// As [`Batch::connect`](crate::Batch::connect).
    pub fn connect(&mut self, block: ConnectBlock<'_>) -> Result<TreeChanges, StoreError> {
        let (height, work) = self.check_next(block.header)?;
        for path in block.changes.keys() {
            path_prefix(path)?;
        }
        let (changes, undo) = self.apply(block.changes)?;
        let entry = BlockEntry::new(block.header, block.line.as_str(), work);
        self.put_entry(&entry);
        self.put_main_line(&entry, block.line.as_str())?;
        let overlay = &mut self.overlay;
        overlay.put(Family::Main, height_key(height), encode_hash(&entry.hash));
        overlay.put(Family::Undo, height_key(height), undo);
        for (index, id) in block.ids.iter().enumerate() {
            let index = index as u32; // a block is at most 16 MiB
            let height = height.get();
            let place = encode(&TransactionValue { height, index });
            overlay.put(Family::Transactions, *id.as_bytes(), place);
        }
        if !block.receipts.is_empty() {
            let bytes = block
                .receipts
                .iter()
                .map(|receipt| receipt.len() + LENGTH_BYTES);
            let receipts = encode_in(bytes.sum(), &block.receipts);
            overlay.put(Family::Receipts, height_key(height), receipts);
        }
        self.put_tip(&Tip {
            hash: entry.hash,
            height,
            work,
            state_root: block.header.claims().state_root,
        });
        self.forget(height)?;
        Ok(changes)
    }

    pub(crate) fn put_tip(&mut self, tip: &Tip) {
        self.overlay.put(Family::Meta, META_TIP, tip.encode());
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
    pub(crate) fn put_side_block(
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

    /// Changes the records and their counts; what that does to the tree, and what the changed records held before, as an
    /// [`UndoValue`](crate::schema::UndoValue). The paths are in order.
    pub(crate) fn apply(
        &mut self,
        changes: impl IntoIterator<Item = (String, Option<String>)>,
    ) -> Result<(TreeChanges, Vec<u8>), StoreError> {
        let changes = changes.into_iter();
        let (len, _) = changes.size_hint();
        let mut undo = ListEncoder::new(len * UNDO_BYTES_USUAL);
        let mut keys = Vec::with_capacity(len);
        let mut counts: Vec<(String, i64)> = Vec::new();
        for (path, record) in changes {
            let before = self.overlay.read(Family::Records, path.as_bytes())?;
            let record = record.map(String::into_bytes);
            if before == record {
                continue;
            }
            let added = i64::from(record.is_some()) - i64::from(before.is_some());
            let prefix = path_prefix(&path)?;
            match counts.last_mut().filter(|(last, _)| last == prefix) {
                Some((_, count)) => *count += added,
                None => counts.push((prefix.to_owned(), added)),
            }
            keys.push(key_change(&path, record.as_deref()));
            undo.push(&(&path, before));
            match record {
                Some(record) => self.overlay.put(Family::Records, path, record),
                None => self.overlay.delete(Family::Records, path),
            }
        }
        for (prefix, added) in counts.into_iter().filter(|(_, added)| *added != 0) {
            match count(&self.overlay, &prefix)?.saturating_add_signed(added) {
                0 => self.overlay.delete(Family::Counts, prefix),
                after => self.overlay.put(Family::Counts, prefix, encode(&after)),
            }
        }
        keys.sort_unstable_by_key(|(key, _)| *key);
        Ok((TreeChanges(keys), undo.finish()))
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
}

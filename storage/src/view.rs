use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use lyceum_protocol::{
    BlockHash, Height, Metainfo, MetainfoBuilder, SegmentIndex, StateRoot, TxId, segment_file_name,
};

use crate::engine::{MemoryEngine, View};
use crate::error::StoreError;
use crate::family::Family;
use crate::schema::{
    BlockEntry, META_TIP, OffsetValue, ReceiptsValue, SegmentValue, Tip, TransactionValue,
    TxLocation, block_key, decode, decode_hash, decode_height, height_key, key_height, segment_key,
};
use crate::segment::SegmentEntry;
use crate::store::Shared;
use crate::tree::{self, KeyChange, Page, PagePath, Pages, TreeProof, hash_bytes};

/// What a block does to the records: by path, the new record in canonical JSON, or `None` where it is deleted.
pub type StateChanges = BTreeMap<String, Option<String>>;

/// One consistent state of the ledger, to read from.
///
/// Taken from a [`Store`](crate::Store) or [`Reader`](crate::Reader), it stays as it was while blocks come in; taken from a
/// [`Batch`](crate::Batch), it shows what the batch holds. Keep it for one answer, not for long: it holds old data back from being freed.
pub struct LedgerView<'a> {
    view: Box<dyn View + 'a>,
    shared: &'a Shared,
}

/// A record that is, or is not, in the state, with the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateProof {
    /// The block whose state it is.
    pub tip: Tip,
    /// The record in canonical JSON, or `None` where there is none.
    pub record: Option<String>,
    /// The proof: see [`verify_proof`](crate::verify_proof).
    pub proof: TreeProof,
}

impl<'a> LedgerView<'a> {
    pub(crate) fn new(view: Box<dyn View + 'a>, shared: &'a Shared) -> Self {
        Self { view, shared }
    }

    /// The last block of the main chain; `None` before genesis.
    pub fn tip(&self) -> Result<Option<Tip>, StoreError> {
        let value = self.view.read(Family::Meta, META_TIP)?;
        value.map(|value| Tip::decode(&value)).transpose()
    }

    /// A block of the main chain or of a side branch.
    pub fn block(&self, hash: &BlockHash) -> Result<Option<BlockEntry>, StoreError> {
        let Some(height) = self.height_of(hash)? else {
            return Ok(None);
        };
        let key = block_key(height, hash);
        let value = self.view.read(Family::Headers, &key)?;
        let value = value.ok_or_else(|| missing(Family::Headers, hash))?;
        BlockEntry::decode(&key, &value).map(Some)
    }

    /// Visits all blocks from a height on, side branches too: height by height, so parents come before their children.
    pub fn for_each_block(
        &self,
        from: Height,
        mut visit: impl FnMut(BlockEntry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let from = height_key(from);
        self.view.scan(Family::Headers, &from, &mut |key, value| {
            Ok(visit(BlockEntry::decode(key, value)?))
        })
    }

    /// The block of the main chain at a height.
    pub fn hash_at(&self, height: Height) -> Result<Option<BlockHash>, StoreError> {
        let key = height_key(height);
        let value = self.view.read(Family::Main, &key)?;
        let hash = value.map(|value| decode_hash(Family::Main, &key, &value));
        hash.transpose()
    }

    /// Is the block on the main chain?
    pub fn is_main(&self, hash: &BlockHash) -> Result<bool, StoreError> {
        let Some(height) = self.height_of(hash)? else {
            return Ok(false);
        };
        Ok(self.hash_at(height)?.as_ref() == Some(hash))
    }

    fn height_of(&self, hash: &BlockHash) -> Result<Option<Height>, StoreError> {
        let value = self.view.read(Family::Heights, hash.as_bytes())?;
        let height = value.map(|value| decode_height(Family::Heights, hash.as_bytes(), &value));
        height.transpose()
    }

    /// A block's line, without the line feed, from wherever it is kept.
    ///
    /// # Errors
    /// [`StoreError::SegmentDamaged`] where its segment has to be fetched again.
    pub fn line(&self, hash: &BlockHash) -> Result<Option<String>, StoreError> {
        match self.height_of(hash)? {
            Some(height) => self.line_of(height, hash).map(Some),
            None => Ok(None),
        }
    }

    /// The line of the main chain's block at a height.
    ///
    /// # Errors
    /// As [`LedgerView::line`].
    pub fn line_at(&self, height: Height) -> Result<Option<String>, StoreError> {
        match self.hash_at(height)? {
            Some(hash) => self.line_of(height, &hash).map(Some),
            None => Ok(None),
        }
    }

    fn line_of(&self, height: Height, hash: &BlockHash) -> Result<String, StoreError> {
        let key = block_key(height, hash);
        let bytes = match self.view.read(Family::Blocks, &key)? {
            Some(bytes) => bytes,
            None => self.sealed_line(height, hash)?,
        };
        let text = String::from_utf8(bytes);
        text.map_err(|_| crate::schema::damaged(Family::Blocks, &key, "not UTF-8"))
    }

    fn sealed_line(&self, height: Height, hash: &BlockHash) -> Result<Vec<u8>, StoreError> {
        let key = height_key(height);
        let value = self.view.read(Family::Offsets, &key)?;
        let value = value.ok_or_else(|| missing(Family::Blocks, hash))?;
        let place: OffsetValue = decode(Family::Offsets, &key, &value)?;
        let index = self.shared.segment_of(height);
        let segment = self.segment(index)?;
        let segment = segment.ok_or_else(|| missing(Family::Segments, &index))?;
        if segment.is_missing {
            return Err(segment.damaged("marked as such"));
        }
        let bytes = place.bytes as usize;
        let read = self.shared.files.read_at(index, place.offset, bytes);
        let line = read.map_err(|error| segment.damaged(error.to_string()))?;
        let token = line.split(|byte| *byte == b'~').next().unwrap_or_default();
        if BlockHash::of(token) != *hash {
            return Err(segment.damaged(format!("block {hash} is not at its place")));
        }
        Ok(line)
    }

    /// Where a transaction stands on the main chain.
    pub fn transaction(&self, id: &TxId) -> Result<Option<TxLocation>, StoreError> {
        let Some(value) = self.view.read(Family::Transactions, id.as_bytes())? else {
            return Ok(None);
        };
        let value: TransactionValue = decode(Family::Transactions, id.as_bytes(), &value)?;
        let key = value.height.to_be_bytes();
        let height = key_height(Family::Transactions, &key)?;
        let block = self.hash_at(height)?;
        Ok(Some(TxLocation {
            height,
            block: block.ok_or_else(|| missing(Family::Main, &height))?,
            index: value.index,
        }))
    }

    /// A transaction's receipt, as it was given to [`Batch::connect`](crate::Batch::connect).
    pub fn receipt(&self, id: &TxId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(at) = self.transaction(id)? else {
            return Ok(None);
        };
        let receipts = self.receipts_at(at.height)?;
        Ok(receipts.into_iter().nth(at.index as usize))
    }

    /// The receipts of the main chain's block at a height, in order.
    pub fn receipts_at(&self, height: Height) -> Result<Vec<Vec<u8>>, StoreError> {
        let key = height_key(height);
        let value = self.view.read(Family::Receipts, &key)?;
        let receipts = value.map(|value| decode::<ReceiptsValue>(Family::Receipts, &key, &value));
        Ok(receipts.transpose()?.unwrap_or_default())
    }

    /// A record of the tip's state, in canonical JSON.
    pub fn record(&self, path: &str) -> Result<Option<String>, StoreError> {
        let value = self.view.read(Family::Records, path.as_bytes())?;
        let record = value.map(|value| record_text(path.as_bytes(), value));
        record.transpose()
    }

    /// Is there a record at a path?
    pub fn has_record(&self, path: &str) -> Result<bool, StoreError> {
        Ok(self.view.read(Family::Records, path.as_bytes())?.is_some())
    }

    /// Up to `limit` records whose paths start with `prefix` and come after the path `after`, in the order of their paths' bytes.
    ///
    /// To page, pass the last path of the page before.
    pub fn records(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let mut records = Vec::new();
        let from = match after.filter(|after| *after >= prefix) {
            Some(after) => [after.as_bytes(), &[0]].concat(),
            None => prefix.as_bytes().to_vec(),
        };
        if limit == 0 {
            return Ok(records);
        }
        self.view.scan(Family::Records, &from, &mut |key, value| {
            if !key.starts_with(prefix.as_bytes()) {
                return Ok(ControlFlow::Break(()));
            }
            let path = record_text(key, key.to_vec())?;
            records.push((path, record_text(key, value.to_vec())?));
            Ok(match records.len() == limit {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        Ok(records)
    }

    /// How many records stand under `CONTRACT/RECORD/`; one read.
    pub fn count(&self, prefix: &str) -> Result<u64, StoreError> {
        count(self.view.as_ref(), prefix)
    }

    /// A record, or its absence, with the proof against the tip's state root.
    ///
    /// # Errors
    /// [`StoreError::NoTip`] before genesis.
    pub fn prove(&self, path: &str) -> Result<StateProof, StoreError> {
        let pages = Scratch::new(self.view.as_ref());
        Ok(StateProof {
            tip: self.tip()?.ok_or(StoreError::NoTip)?,
            record: self.record(path)?,
            proof: tree::prove(&pages, &hash_bytes(path.as_bytes()))?,
        })
    }

    /// The root of the state as it stands: that of the tip, and of the empty state before genesis.
    pub fn state_root(&self) -> Result<StateRoot, StoreError> {
        let root = tree::root(&Scratch::new(self.view.as_ref()))?;
        Ok(StateRoot::from_bytes(root))
    }

    /// The root that the state would have after some changes. Nothing is kept: for genesis and for a miner's template.
    pub fn state_root_of(&self, changes: &StateChanges) -> Result<StateRoot, StoreError> {
        let mut pages = Scratch::new(self.view.as_ref());
        let changes = changes.iter();
        let changes = changes.map(|(path, record)| (path.as_str(), record.as_deref()));
        let root = tree::update(&mut pages, &key_changes(changes))?;
        Ok(StateRoot::from_bytes(root))
    }

    /// A sealed segment.
    pub fn segment(&self, index: SegmentIndex) -> Result<Option<SegmentEntry>, StoreError> {
        let key = segment_key(index);
        let Some(value) = self.view.read(Family::Segments, &key)? else {
            return Ok(None);
        };
        let value: SegmentValue = decode(Family::Segments, &key, &value)?;
        SegmentEntry::new(&self.shared.chain, index, value).map(Some)
    }

    /// How many segments are sealed: those from 0 up to this number.
    pub fn sealed_segments(&self) -> Result<SegmentIndex, StoreError> {
        let count = crate::segment::sealed(self.view.as_ref())?;
        Ok(SegmentIndex::new(count).unwrap_or(SegmentIndex::MAX))
    }

    /// The torrent of a segment of the main chain, sealed or not; `None` while the chain does not reach its end.
    ///
    /// Of an unsealed segment it is hashed from the block lines, and only the last such answers are remembered.
    pub fn metainfo(&self, index: SegmentIndex) -> Result<Option<Metainfo>, StoreError> {
        if let Some(segment) = self.segment(index)? {
            return Ok(Some(segment.metainfo));
        }
        let Some(last) = self.shared.heights(index).last() else {
            return Ok(None);
        };
        let Some(last_block) = self.hash_at(last)? else {
            return Ok(None);
        };
        if let Some(metainfo) = self.shared.hashed_segment(&last_block) {
            return Ok(Some(metainfo));
        }
        let mut builder = MetainfoBuilder::new(&self.shared.chain, index);
        for height in self.shared.heights(index) {
            match self.line_at(height)? {
                Some(line) => builder.update_line(&line),
                None => return Ok(None),
            }
        }
        let metainfo = builder.finish();
        let kept = metainfo.clone();
        self.shared.keep_hashed_segment(last_block, kept);
        Ok(Some(metainfo))
    }

    /// The name of a segment's file in [`Store::segments_folder`](crate::Store::segments_folder).
    pub fn segment_name(&self, index: SegmentIndex) -> String {
        segment_file_name(&self.shared.chain, index)
    }
}

fn missing(family: Family, what: &impl std::fmt::Display) -> StoreError {
    StoreError::Missing {
        family: family.name(),
        what: what.to_string(),
    }
}

/// A record or a path as text.
pub(crate) fn record_text(key: &[u8], value: Vec<u8>) -> Result<String, StoreError> {
    let text = String::from_utf8(value);
    text.map_err(|_| crate::schema::damaged(Family::Records, key, "not UTF-8"))
}

pub(crate) fn count(view: &dyn View, prefix: &str) -> Result<u64, StoreError> {
    match view.read(Family::Counts, prefix.as_bytes())? {
        Some(value) => decode(Family::Counts, prefix.as_bytes(), &value),
        None => Ok(0),
    }
}

/// The tree's side of some changes.
pub(crate) fn key_changes<'c>(
    changes: impl Iterator<Item = (&'c str, Option<&'c str>)>,
) -> Vec<KeyChange> {
    let change = |(path, record): (&str, Option<&str>)| key_change(path, record.map(str::as_bytes));
    let mut changes: Vec<_> = changes.map(change).collect();
    changes.sort_unstable_by_key(|(key, _)| *key);
    changes
}

/// The tree's side of a change.
pub(crate) fn key_change(path: &str, record: Option<&[u8]>) -> KeyChange {
    (hash_bytes(path.as_bytes()), record.map(hash_bytes))
}

/// The tree's pages over a view, with changes that are thrown away.
struct Scratch<'v> {
    view: &'v dyn View,
    pages: HashMap<PagePath, Option<Page>>,
}

impl<'v> Scratch<'v> {
    fn new(view: &'v dyn View) -> Self {
        let pages = HashMap::new();
        Self { view, pages }
    }
}

impl Pages for Scratch<'_> {
    fn load(&self, path: &PagePath) -> Result<Page, StoreError> {
        match self.pages.get(path) {
            Some(page) => Ok(page.clone().unwrap_or_else(Page::empty)),
            None => self.view.page(path),
        }
    }

    fn take(&mut self, path: &PagePath) -> Result<Page, StoreError> {
        match self.pages.get_mut(path) {
            Some(page) => Ok(page.take().unwrap_or_else(Page::empty)),
            None => self.view.page(path),
        }
    }

    fn store(&mut self, path: PagePath, page: Option<Page>) {
        self.pages.insert(path, page);
    }
}

/// The root of a state that holds just these records: for genesis, before there is a store.
pub fn state_root_of(changes: &StateChanges) -> StateRoot {
    let empty = MemoryEngine::default();
    let mut pages = Scratch::new(&empty);
    let changes = changes.iter();
    let changes = changes.map(|(path, record)| (path.as_str(), record.as_deref()));
    let root = tree::update(&mut pages, &key_changes(changes));
    StateRoot::from_bytes(root.expect("a map in memory does not fail"))
}

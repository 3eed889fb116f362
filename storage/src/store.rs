use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use lyceum_protocol::{BlockHash, ChainName, ChainSpec, Height, Metainfo, SegmentIndex};

use crate::batch::Batch;
use crate::cache::Caches;
use crate::engine::{Change, Durability, Engine, EngineSizes, MemoryEngine, RocksEngine};
use crate::error::StoreError;
use crate::failpoint;
use crate::family::Family;
use crate::schema::{ChainValue, META_CHAIN, META_OPEN, SCHEMA, decode, encode};
use crate::segment::{DamagedSegment, FolderFiles, MemoryFiles, SegmentFiles};
use crate::view::LedgerView;

/// The folder of the database in the data folder.
const DATABASE_FOLDER: &str = "db";
/// The folder of the sealed segments in the data folder.
const SEGMENTS_FOLDER: &str = "segments";

/// How a store on disk behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of memory for blocks of the database that were read, their indexes and filters.
    pub cache_bytes: usize,
    /// Bytes of memory for the state tree's pages that blocks touched of late.
    pub tree_cache_bytes: usize,
    /// Bytes of memory for the records that blocks read or wrote of late.
    pub record_cache_bytes: usize,
    /// Bytes of memory for what was written, until it is flushed to a file. While it is, half as much again can fill.
    pub write_buffer_bytes: usize,
    /// Bytes of memory for a batch of many blocks, until it is committed. The commit takes as much again, and the next batch may be filled by then.
    /// [`Store::batch_bytes`] gives it to who fills the batch.
    pub batch_bytes: usize,
    /// How many of the last blocks can be disconnected. Undo records and side blocks beyond are forgotten.
    pub reorg_depth_max: u64,
    /// How many files the database keeps open.
    pub open_files_max: u32,
    /// Hash every sealed segment if the store was not closed cleanly: about 1 GB/s. Lengths are compared in any case.
    pub verify_after_crash: bool,
    /// Tells others how far the opening is.
    pub progress: OpenProgress,
}

/// How many of the sealed segments have been looked at while a store opens. Clones show the same.
#[derive(Debug, Clone, Default)]
pub struct OpenProgress(Arc<SegmentCounts>);

#[derive(Debug, Default)]
struct SegmentCounts {
    checked: AtomicU64,
    all: AtomicU64,
}

impl OpenProgress {
    /// So many segments have been looked at, of so many.
    pub fn set(&self, checked: u64, all: u64) {
        self.0.all.store(all, Ordering::Relaxed);
        self.0.checked.store(checked, Ordering::Relaxed);
    }

    /// How many have been looked at, of how many; both are 0 until that is known.
    pub fn segments(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.0.checked), load(&self.0.all))
    }
}

impl Options {
    /// Bytes of memory that the store takes up at the most, full batches included. Beside it there are the headers of all blocks, some hundred bytes
    /// each, and what the allocators can't use.
    pub fn memory_bytes(&self) -> usize {
        let caches = self.cache_bytes + self.tree_cache_bytes + self.record_cache_bytes;
        caches + self.write_buffer_bytes / 2 * 3 + 3 * self.batch_bytes
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            tree_cache_bytes: 256 << 20,
            record_cache_bytes: 64 << 20,
            write_buffer_bytes: 48 << 20,
            batch_bytes: 16 << 20,
            reorg_depth_max: 1_024,
            open_files_max: 256,
            verify_after_crash: true,
            progress: OpenProgress::default(),
        }
    }
}

/// What was found when a store was opened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// The process that had it open before did not close it.
    pub was_unclean: bool,
    /// The database's log was damaged, and what came after the damage is gone: the tip is an earlier one. What RocksDB said.
    pub log_cut: Option<String>,
    /// Sealed segments to be fetched again.
    pub damaged_segments: Vec<DamagedSegment>,
}

/// What writers and readers share.
pub(crate) struct Shared {
    pub(crate) engine: Box<dyn Engine>,
    pub(crate) files: Box<dyn SegmentFiles>,
    pub(crate) chain: ChainName,
    pub(crate) genesis: BlockHash,
    pub(crate) segment_blocks: u32,
    pub(crate) segment_depth: u32,
    pub(crate) reorg_depth_max: u64,
    folder: Option<PathBuf>,
    hashed: Mutex<VecDeque<HashedSegment>>,
}

/// How many torrents are remembered that were hashed from blocks. Each is asked for by the block that is to carry it, and again by sealing; that may be
/// when the next one is known.
const HASHED_SEGMENTS: usize = 2;

/// The torrent of a segment that was hashed from its blocks.
struct HashedSegment {
    last_block: BlockHash,
    metainfo: Metainfo,
}

impl Shared {
    /// The ledger as of the last commit.
    pub(crate) fn read(&self) -> LedgerView<'_> {
        LedgerView::new(self.engine.snapshot(), self)
    }

    /// The torrent of the segment that ends with a block, if it was among the last that were hashed. A block's hash stands for all the text up to it.
    pub(crate) fn hashed_segment(&self, last_block: &BlockHash) -> Option<Metainfo> {
        let hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        let found = hashed.iter().find(|one| one.last_block == *last_block);
        found.map(|one| one.metainfo.clone())
    }

    pub(crate) fn keep_hashed_segment(&self, last_block: BlockHash, metainfo: Metainfo) {
        let mut hashed = self.hashed.lock().unwrap_or_else(PoisonError::into_inner);
        hashed.truncate(HASHED_SEGMENTS - 1);
        hashed.push_front(HashedSegment {
            last_block,
            metainfo,
        });
    }

    /// The segment that a height belongs to.
    pub(crate) fn segment_of(&self, height: Height) -> SegmentIndex {
        let index = height.get() / u64::from(self.segment_blocks);
        SegmentIndex::new(index).unwrap_or(SegmentIndex::MAX)
    }

    /// The heights of a segment, in order.
    pub(crate) fn heights(&self, index: SegmentIndex) -> impl Iterator<Item = Height> + use<> {
        let blocks = u64::from(self.segment_blocks);
        let first = index.get().saturating_mul(blocks);
        let heights = first..first.saturating_add(blocks);
        heights.map_while(|height| Height::new(height).ok())
    }
}

/// The ledger: the one place that writes it. Not `Clone`; [`Store::reader`] gives others to read with.
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    pub(crate) caches: Caches,
    batch_bytes: usize,
    report: OpenReport,
    pub(crate) is_closed: bool,
}

/// Reads the ledger beside its [`Store`], from any thread.
#[derive(Clone)]
pub struct Reader {
    shared: Arc<Shared>,
}

impl Reader {
    /// The ledger as of the last commit.
    pub fn read(&self) -> LedgerView<'_> {
        self.shared.read()
    }

    /// What the database takes up.
    pub fn sizes(&self) -> EngineSizes {
        self.shared.engine.sizes()
    }
}

impl Store {
    /// Opens the ledger in a data folder, or makes one there. `genesis` is the hash of the chain's first block.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Schema`], [`StoreError::Chain`], [`StoreError::Damaged`], [`StoreError::DiskFull`]: none of
    /// them changes anything.
    pub fn open(
        folder: &Path,
        spec: &ChainSpec,
        genesis: BlockHash,
        options: &Options,
    ) -> Result<Self, StoreError> {
        let segments = folder.join(SEGMENTS_FOLDER);
        let (engine, log_cut) = RocksEngine::open(&folder.join(DATABASE_FOLDER), options)?;
        let files = FolderFiles::new(segments, spec.chain.clone())?;
        let shared = Shared {
            engine: Box::new(engine),
            files: Box::new(files),
            chain: spec.chain.clone(),
            genesis,
            segment_blocks: spec.segment_blocks,
            segment_depth: spec.segment_depth,
            reorg_depth_max: options.reorg_depth_max,
            folder: Some(folder.to_owned()),
            hashed: Mutex::default(),
        };
        let mut store = Self::start(shared, options)?;
        store.report.log_cut = log_cut;
        let thorough = store.report.was_unclean && options.verify_after_crash;
        store.report.damaged_segments = store.check_segments(thorough, &options.progress)?;
        Ok(store)
    }

    /// A ledger that ends with the process: for tests and the simulator. It behaves as one on disk does.
    pub fn in_memory(spec: &ChainSpec, genesis: BlockHash, options: &Options) -> Self {
        let shared = Shared {
            engine: Box::new(MemoryEngine::default()),
            files: Box::new(MemoryFiles::default()),
            chain: spec.chain.clone(),
            genesis,
            segment_blocks: spec.segment_blocks,
            segment_depth: spec.segment_depth,
            reorg_depth_max: options.reorg_depth_max,
            folder: None,
            hashed: Mutex::default(),
        };
        Self::start(shared, options).expect("a map in memory does not fail")
    }

    /// Compares the chain, and marks the database as open.
    fn start(shared: Shared, options: &Options) -> Result<Self, StoreError> {
        let want = ChainValue {
            schema: SCHEMA,
            name: shared.chain.to_string(),
            genesis: *shared.genesis.as_bytes(),
            segment_blocks: shared.segment_blocks,
        };
        let found = shared.engine.read(Family::Meta, META_CHAIN)?;
        if let Some(found) = &found {
            shared.check_chain(found, &want)?;
        }
        let open = shared.engine.read(Family::Meta, META_OPEN)?;
        let (chain, open_mark) = (encode(&want), encode(&()));
        let writes = [
            (Family::Meta, META_CHAIN, Change::Put(&chain)),
            (Family::Meta, META_OPEN, Change::Put(&open_mark)),
        ];
        shared
            .engine
            .write(&mut writes.into_iter(), 0, Durability::Synced)?;
        failpoint::reach("open:marked");
        Ok(Self {
            shared: Arc::new(shared),
            caches: Caches::new(options),
            batch_bytes: options.batch_bytes,
            report: OpenReport {
                was_unclean: open.is_some(),
                ..OpenReport::default()
            },
            is_closed: false,
        })
    }

    /// What was found on opening.
    pub fn report(&self) -> &OpenReport {
        &self.report
    }

    /// Where the sealed segments' files are; `None` in memory.
    pub fn segments_folder(&self) -> Option<PathBuf> {
        let folder = self.shared.folder.as_ref();
        folder.map(|folder| folder.join(SEGMENTS_FOLDER))
    }

    /// The hash of the chain's first block.
    pub fn genesis(&self) -> BlockHash {
        self.shared.genesis
    }

    /// The ledger as of the last commit.
    pub fn read(&self) -> LedgerView<'_> {
        self.shared.read()
    }

    /// How much memory a batch should take up at the most, by the options.
    pub fn batch_bytes(&self) -> usize {
        self.batch_bytes
    }

    /// Another way in, for reading only.
    pub fn reader(&self) -> Reader {
        let shared = Arc::clone(&self.shared);
        Reader { shared }
    }

    /// Starts a batch of changes. Dropped without [`Batch::commit`], it leaves no trace.
    pub fn begin(&mut self) -> Batch<'_> {
        Batch::new(&self.shared, &mut self.caches)
    }

    /// Closes the ledger cleanly, so that the next start need not verify it. Dropping the store does the same, but can't say what failed.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), StoreError> {
        if std::mem::replace(&mut self.is_closed, true) {
            return Ok(());
        }
        self.shared.engine.flush()?;
        failpoint::reach("close:flushed");
        let writes = [(Family::Meta, META_OPEN, Change::Delete)];
        self.shared
            .engine
            .write(&mut writes.into_iter(), 0, Durability::Synced)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Should it fail, the next start verifies more than it need to.
        let _ = self.finish();
    }
}

impl Shared {
    fn check_chain(&self, found: &[u8], want: &ChainValue) -> Result<(), StoreError> {
        let folder = self.folder.clone().unwrap_or_default();
        // The version byte and the schema's number stand first in every schema.
        let schema = found.get(1..3).and_then(|bytes| bytes.try_into().ok());
        let got = schema.map_or(0, u16::from_le_bytes);
        if got != SCHEMA {
            return Err(StoreError::Schema {
                folder,
                got,
                want: SCHEMA,
            });
        }
        let got: ChainValue = decode(Family::Meta, META_CHAIN, found)?;
        if got == *want {
            return Ok(());
        }
        let (got, want) = (got.describe(), want.describe());
        Err(StoreError::Chain { folder, got, want })
    }
}

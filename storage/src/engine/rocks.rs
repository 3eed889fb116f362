use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB,
    DBCompressionType, DBRecoveryMode, Direction, ErrorKind, IteratorMode, ReadOptions,
    SnapshotWithThreadMode, WriteBatch, WriteOptions,
};

use super::{Change, Durability, Engine, EngineSizes, View, Visit, Write};
use crate::error::StoreError;
use crate::family::Family;
use crate::store::Options;
use crate::tree::{joined, patched};

/// Size of a database page that is read for one key at random, in bytes: what the file system reads at once.
const RANDOM_BLOCK_BYTES: usize = 4 << 10;
/// Size of a database page that is read in order, or seldom, in bytes: larger ones compress better.
const BLOCK_BYTES: usize = 16 << 10;
/// Share of a write buffer that goes to a filter of its keys: most reads are of keys that are not in it.
const BUFFER_FILTER_RATIO: f64 = 0.02;
/// Bloom filter bits per key: 1 % of the keys that are not there cost a read.
const FILTER_BITS: f64 = 10.0;
/// A table file's size at the first levels, in bytes.
const TABLE_BYTES: u64 = 32 << 20;
/// RocksDB's own text log: how many old ones are kept, and how large each gets in bytes.
const INFO_LOGS_KEPT: usize = 2;
const INFO_LOG_BYTES: usize = 1 << 20;
/// What an entry takes up in a batch beside its key and value, at the most: a tag, a family, two lengths.
const ENTRY_BYTES: usize = 16;
/// Batches come sorted: each key's place in a memory table is looked for from the place of the one before it with the same first byte.
const SORTED_WRITES: &str = "memtable_insert_with_hint_prefix_extractor=rocksdb.FixedPrefix.1";
/// The name, recorded in its files, of how pages of the state tree and their patches come together.
const PATCHES: &str = "lyceum.patches";
/// Flush and compaction threads. The node's own work needs the other cores.
const BACKGROUND_JOBS: i32 = 2;

/// A RocksDB database.
pub(crate) struct RocksEngine {
    db: DB,
    cache: Cache,
    folder: PathBuf,
    /// There are commits that the log does not have. One more that it had would be replayed without them after a crash, so they are flushed first.
    unlogged: AtomicBool,
}

impl RocksEngine {
    /// Opens the database, or makes one. Gives what RocksDB said of its log where the log's end was damaged and had to be cut off.
    pub(crate) fn open(
        folder: &Path,
        options: &Options,
    ) -> Result<(Self, Option<String>), StoreError> {
        fs::create_dir_all(folder).map_err(|error| StoreError::io(folder, error))?;
        let cache = Cache::new_lru_cache(options.cache_bytes);
        let open = |recovery| {
            let families = Family::ALL.map(|family| {
                ColumnFamilyDescriptor::new(family.name(), family_options(family, &cache))
            });
            let database = database_options(options, recovery);
            DB::open_cf_descriptors(&database, folder, families)
        };
        // An end that is only cut short is what a power failure leaves: the last commit was never confirmed. Anything else is damage,
        // which is reported; the commits before it are whole, so the ledger goes on from there.
        let mut log_cut = None;
        let mut opened = open(DBRecoveryMode::TolerateCorruptedTailRecords);
        if let Err(error) = &opened
            && error.kind() == ErrorKind::Corruption
        {
            let said = error.to_string();
            let again = open(DBRecoveryMode::PointInTime);
            if again.is_ok() {
                opened = again;
                log_cut = Some(said);
            }
        }
        let db = opened.map_err(|error| named(folder, &error))?;
        let engine = Self {
            db,
            cache,
            folder: folder.to_owned(),
            unlogged: AtomicBool::new(false),
        };
        Ok((engine, log_cut))
    }

    fn family(&self, family: Family) -> &ColumnFamily {
        let handle = self.db.cf_handle(family.name());
        handle.expect("every family is opened with the database")
    }

    fn named(&self, error: &rocksdb::Error) -> StoreError {
        named(&self.folder, error)
    }
}

/// Gives RocksDB's errors, which are texts, the names that a user can act on.
fn named(folder: &Path, error: &rocksdb::Error) -> StoreError {
    let folder = folder.to_owned();
    let reason = error.to_string();
    let says = |text| reason.contains(text);
    match error.kind() {
        _ if says("No space left on device") => StoreError::DiskFull { folder },
        ErrorKind::IOError if says("lock hold by current process") || says("While lock file") => {
            StoreError::Locked { folder }
        }
        ErrorKind::Corruption => StoreError::Damaged { folder, reason },
        // An unknown column family: a database of a later schema that has more of them.
        ErrorKind::InvalidArgument if says("Column families not opened") => StoreError::Database {
            folder,
            reason: format!("{reason}; a later version of this program wrote it"),
        },
        _ => StoreError::Database { folder, reason },
    }
}

fn database_options(options: &Options, recovery: DBRecoveryMode) -> rocksdb::Options {
    let mut database = rocksdb::Options::default();
    database.create_if_missing(true);
    database.create_missing_column_families(true);
    database.set_wal_recovery_mode(recovery);
    // All families are flushed together: whatever the log then loses, they end at the same commit.
    database.set_atomic_flush(true);
    // The bound on memory for writes, over all families; each family's own limit is out of the way.
    database.set_db_write_buffer_size(options.write_buffer_bytes);
    // The log is kept until the buffers it covers are flushed; it should not force that earlier.
    database.set_max_total_wal_size(4 * options.write_buffer_bytes as u64);
    database.set_max_open_files(i32::try_from(options.open_files_max).unwrap_or(i32::MAX));
    database.set_max_background_jobs(BACKGROUND_JOBS);
    // There is one writer; without the precautions for several it is faster.
    database.set_allow_concurrent_memtable_write(false);
    // Write table files out steadily, not in one burst that a synced commit then waits for.
    database.set_bytes_per_sync(1 << 20);
    database.set_keep_log_file_num(INFO_LOGS_KEPT);
    database.set_max_log_file_size(INFO_LOG_BYTES);
    // Nobody reads them, and the periodic thread costs an idle node.
    database.set_stats_dump_period_sec(0);
    database.set_stats_persist_period_sec(0);
    database
}

fn family_options(family: Family, cache: &Cache) -> rocksdb::Options {
    let mut tables = BlockBasedOptions::default();
    tables.set_block_cache(cache);
    tables.set_format_version(6);
    // Indexes and filters count towards the cache's bound, so that memory does not grow with the chain; those of the newest files stay.
    tables.set_cache_index_and_filter_blocks(true);
    tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
    // In pieces: a whole filter of a million keys is larger than one of the cache's shards, so it would be read anew for every key.
    tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    tables.set_partition_filters(true);
    tables.set_metadata_block_size(RANDOM_BLOCK_BYTES);
    tables.set_pin_top_level_index_and_filter(true);
    let mut options = rocksdb::Options::default()
        .get_options_from_string(SORTED_WRITES)
        .expect("an option that RocksDB has");
    options.set_target_file_size_base(TABLE_BYTES);
    // The level sizes follow the last level's: at most a tenth of the space is held by overwritten values.
    options.set_level_compaction_dynamic_level_bytes(true);
    match family {
        // Asked for keys that are not there: a transaction not yet seen, a record about to be made.
        Family::Transactions | Family::Heights | Family::Records => {
            tables.set_bloom_filter(FILTER_BITS, false);
        }
        // What is looked up is there: no filter on the last level, which has nine tenths of the keys.
        Family::Tree | Family::Headers | Family::Counts | Family::Main => {
            tables.set_bloom_filter(FILTER_BITS, false);
            options.set_optimize_filters_for_hits(true);
        }
        // Read in order, or seldom.
        Family::Meta
        | Family::Blocks
        | Family::Offsets
        | Family::Segments
        | Family::Receipts
        | Family::Undo => {}
    }
    match family {
        // A block reads and writes some hundred of each, anywhere in the family.
        Family::Records | Family::Tree | Family::Transactions | Family::Heights => {
            tables.set_block_size(RANDOM_BLOCK_BYTES);
            options.set_memtable_prefix_bloom_ratio(BUFFER_FILTER_RATIO);
            options.set_memtable_whole_key_filtering(true);
        }
        _ => tables.set_block_size(BLOCK_BYTES),
    }
    match family {
        // Hashes don't compress.
        Family::Tree | Family::Transactions | Family::Heights | Family::Segments => {
            options.set_compression_type(DBCompressionType::None);
        }
        // Read at random by each block: unpacking has to be cheap.
        Family::Records => options.set_compression_type(DBCompressionType::Lz4),
        // What stays and is seldom read: cheap while it moves through the upper levels, tight where it rests.
        Family::Receipts | Family::Headers | Family::Offsets => {
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_bottommost_compression_type(DBCompressionType::Zstd);
        }
        // Deleted before it would pay to do more.
        Family::Blocks | Family::Undo | Family::Meta | Family::Main | Family::Counts => {
            options.set_compression_type(DBCompressionType::Lz4);
        }
    }
    if family == Family::Tree {
        options.set_merge_operator(
            PATCHES,
            |_, page, patches| patched(page, patches.into_iter()),
            |_, _, patches| joined(patches.into_iter()),
        );
    }
    options.set_block_based_table_factory(&tables);
    options
}

fn scan_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    // A long scan would push what blocks need out of the cache.
    options.fill_cache(false);
    options
}

impl View for RocksEngine {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.db.get_cf(self.family(family), key);
        value.map_err(|error| self.named(&error))
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let family = self.family(family);
        for entry in self.db.iterator_cf_opt(family, scan_options(), mode) {
            let (key, value) = entry.map_err(|error| self.named(&error))?;
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// The database as it was at one moment.
struct RocksSnapshot<'e> {
    engine: &'e RocksEngine,
    snapshot: SnapshotWithThreadMode<'e, DB>,
}

impl View for RocksSnapshot<'_> {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let value = self.snapshot.get_cf(self.engine.family(family), key);
        value.map_err(|error| self.engine.named(&error))
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let mode = IteratorMode::From(from, Direction::Forward);
        let family = self.engine.family(family);
        let entries = self.snapshot.iterator_cf_opt(family, scan_options(), mode);
        for entry in entries {
            let (key, value) = entry.map_err(|error| self.engine.named(&error))?;
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Engine for RocksEngine {
    fn snapshot(&self) -> Box<dyn View + '_> {
        let snapshot = self.db.snapshot();
        Box::new(RocksSnapshot {
            engine: self,
            snapshot,
        })
    }

    fn write(
        &self,
        writes: &mut dyn Iterator<Item = Write<'_>>,
        bytes: usize,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let (entries, _) = writes.size_hint();
        let mut batch = WriteBatch::with_capacity_bytes(bytes + entries * ENTRY_BYTES);
        let families = Family::ALL.map(|family| self.family(family));
        for (family, key, change) in writes {
            let family = families[family.index()];
            match change {
                Change::Put(value) => batch.put_cf(family, key, value),
                Change::Patch(patch) => batch.merge_cf(family, key, patch),
                Change::Delete => batch.delete_cf(family, key),
            }
        }
        let mut options = WriteOptions::default();
        match durability {
            Durability::Unlogged => {
                options.disable_wal(true);
                self.unlogged.store(true, Ordering::Relaxed);
            }
            Durability::Synced | Durability::Buffered => {
                options.set_sync(durability == Durability::Synced);
                if self.unlogged.load(Ordering::Relaxed) {
                    self.flush()?;
                }
            }
        }
        let written = self.db.write_opt(batch, &options);
        written.map_err(|error| self.named(&error))
    }

    fn sizes(&self) -> EngineSizes {
        let sum = |property: &str| -> u64 {
            let of_family = |family: Family| {
                let value = self.db.property_int_value_cf(self.family(family), property);
                value.ok().flatten().unwrap_or(0)
            };
            Family::ALL.into_iter().map(of_family).sum()
        };
        EngineSizes {
            disk: sum("rocksdb.total-sst-files-size"),
            write_buffers: sum("rocksdb.cur-size-all-mem-tables"),
            cache: self.cache.get_usage() as u64,
            tables: sum("rocksdb.estimate-table-readers-mem"),
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        let families = Family::ALL.map(|family| self.family(family));
        let flushed = self
            .db
            .flush_cfs_opt(&families, &rocksdb::FlushOptions::default());
        flushed.map_err(|error| self.named(&error))?;
        self.unlogged.store(false, Ordering::Relaxed);
        Ok(())
    }
}

use std::io;
use std::path::{Path, PathBuf};

use lyceum_protocol::{BlockHash, Height, InfoHash, SegmentIndex};

/// Why the ledger can't be read or written; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has the database open.
    #[error("{folder} is in use by another process: stop that node, or choose another data folder")]
    Locked {
        /// The data folder.
        folder: PathBuf,
    },
    /// The database was written by a program of another schema.
    #[error(
        "{folder} has schema {got}, this program writes schema {want}: run the program that wrote it, or sync into another data folder"
    )]
    Schema {
        /// The data folder.
        folder: PathBuf,
        /// What the database says.
        got: u16,
        /// What this program writes.
        want: u16,
    },
    /// The database is of another chain.
    #[error(
        "{folder} holds the chain {got}, want {want}: choose another data folder, or the chain file it was made with"
    )]
    Chain {
        /// The data folder.
        folder: PathBuf,
        /// The name, genesis hash and segment length in the database.
        got: String,
        /// Those of the chain file.
        want: String,
    },
    /// The disk is full. Nothing was lost: what was committed stands.
    #[error(
        "no space left on the disk of {folder}: free some, then start again; nothing committed is lost"
    )]
    DiskFull {
        /// The data folder.
        folder: PathBuf,
    },
    /// The database's own files are damaged.
    #[error(
        "the database in {folder} is damaged: {reason}; keep a copy, move its segments folder aside and sync again"
    )]
    Damaged {
        /// The data folder.
        folder: PathBuf,
        /// What RocksDB says.
        reason: String,
    },
    /// A value is not of its family's form.
    #[error("damaged value in {family} at {key}: {reason}")]
    Value {
        /// The column family.
        family: &'static str,
        /// The key, in hex.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something that another value refers to is not there.
    #[error("damaged database: {family} has no {what}")]
    Missing {
        /// The column family.
        family: &'static str,
        /// What was looked for.
        what: String,
    },
    /// The database refuses for another reason.
    #[error("the database in {folder}: {reason}")]
    Database {
        /// The data folder.
        folder: PathBuf,
        /// What RocksDB says.
        reason: String,
    },
    /// A file can't be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The block does not follow the tip.
    #[error("block {got} at height {height} does not follow the tip {tip}")]
    NotNext {
        /// The block.
        got: BlockHash,
        /// Its height.
        height: Height,
        /// The hash of the tip, zeros where there is none.
        tip: BlockHash,
    },
    /// The first block is not the genesis block that the store was opened for.
    #[error("genesis is {got}, want {want}")]
    Genesis {
        /// The block.
        got: BlockHash,
        /// What the store was opened for.
        want: BlockHash,
    },
    /// Not the path of a record.
    #[error("{0:?} is not a path: want CONTRACT/RECORD/KEY")]
    Path(String),
    /// There is no block to take back.
    #[error("there is no block to disconnect")]
    NoTip,
    /// The block lies deeper than the deepest reorganisation kept.
    #[error(
        "the block at height {height} can't be disconnected: only the last {kept} blocks can (the option reorg_depth_max)"
    )]
    TooDeep {
        /// The block's height.
        height: Height,
        /// The option.
        kept: u64,
    },
    /// A segment that is not buried deep enough, or not next in order, was to be sealed.
    #[error("segment {index} can't be sealed: {reason}")]
    NotSealable {
        /// The segment.
        index: SegmentIndex,
        /// Why.
        reason: &'static str,
    },
    /// A sealed segment's file is damaged or gone: fetch it again.
    #[error("segment {index} is damaged ({reason}): fetch {info_hash} again")]
    SegmentDamaged {
        /// The segment.
        index: SegmentIndex,
        /// Its torrent.
        info_hash: InfoHash,
        /// What is wrong with the file.
        reason: String,
    },
    /// A text that was to restore a segment is another one.
    #[error("this is not segment {index}: its infohash is {got}, want {want}")]
    SegmentOther {
        /// The segment.
        index: SegmentIndex,
        /// The text's.
        got: InfoHash,
        /// The segment's.
        want: InfoHash,
    },
}

impl StoreError {
    /// An error of the file system, with the full disk told apart.
    pub fn io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull { folder: path },
            _ => Self::Io { path, source },
        }
    }

    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store_locked",
            Self::Schema { .. } => "store_schema",
            Self::Chain { .. } => "store_chain",
            Self::DiskFull { .. } => "disk_full",
            Self::Damaged { .. } | Self::Value { .. } | Self::Missing { .. } => "store_damaged",
            Self::Database { .. } => "store_database",
            Self::Io { .. } => "store_io",
            Self::NotNext { .. } => "not_next",
            Self::Genesis { .. } => "genesis",
            Self::Path(_) => "path",
            Self::NoTip => "no_tip",
            Self::TooDeep { .. } => "reorg_too_deep",
            Self::NotSealable { .. } => "not_sealable",
            Self::SegmentDamaged { .. } => "segment_damaged",
            Self::SegmentOther { .. } => "segment_other",
        }
    }
}

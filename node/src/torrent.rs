//! The BitTorrent side: sealed segments are seeded from their files in place, missing ones are pulled.
//!
//! The engine stands behind [`SegmentSwarm`]. It decides neither which segment is pulled nor from whom: the core does. It vouches for the
//! bytes by their infohash, and for nothing else.

mod activate;
mod buffers;
mod check;
mod config;
mod engine;
mod fetch;
mod front;
mod part;
mod registry;
mod start;
mod storage;

use std::net::SocketAddr;
use std::path::PathBuf;

use lyceum_protocol::{Metainfo, SegmentIndex};

pub use config::{
    CONNECTIONS_MAX, LIVE_MAX, RATE_BPS_MIN, SLEEP, STALL, TorrentConfig, TorrentError,
};
pub use start::{EVENTS_LEN, RqbitSwarm, RunningTorrents, TorrentStop};

/// What the engine is told. None of these waits.
pub trait SegmentSwarm: Send {
    /// A sealed segment lies at `file`: it can be seeded when somebody asks.
    fn register(&mut self, index: SegmentIndex, metainfo: Metainfo, file: PathBuf);

    /// It is no longer there: a reorganisation has unsealed it, or it is damaged.
    fn unregister(&mut self, index: SegmentIndex);

    /// Seed a registered segment now; ends in [`TorrentEvent::Activated`].
    fn activate(&mut self, index: SegmentIndex);

    /// Pull a segment from complete holders; ends in [`TorrentEvent::Fetched`] or [`TorrentEvent::FetchFailed`].
    fn fetch(&mut self, index: SegmentIndex, metainfo: Metainfo, holders: Vec<SocketAddr>);

    /// Stop pulling, without an event.
    fn cancel(&mut self, index: SegmentIndex);
}

/// Why a segment could not be pulled; each is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FetchFailure {
    /// No byte came for too long.
    #[error("no progress")]
    Stalled,
    /// No holder could be connected.
    #[error("no holder can be reached")]
    Unreachable,
    /// Holders sent bytes that do not hash as they should.
    #[error("wrong bytes")]
    WrongBytes,
    /// The disk, or the engine.
    #[error("the engine failed")]
    Engine,
}

impl FetchFailure {
    /// Its short name, for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Unreachable => "unreachable",
            Self::WrongBytes => "wrong_bytes",
            Self::Engine => "engine",
        }
    }
}

/// What the engine tells.
#[derive(Debug)]
pub enum TorrentEvent {
    /// A registered segment is being seeded, or can't be.
    Activated {
        /// Which.
        index: SegmentIndex,
        /// False where it is not registered, or its file is not what it should be: then it has been unregistered.
        is_seeded: bool,
    },
    /// A segment was pulled whole, and every piece was checked.
    Fetched {
        /// Which.
        index: SegmentIndex,
        /// Where it lies, until the core is done with it.
        file: PathBuf,
        /// Whom its bytes came from.
        from: Vec<SocketAddr>,
    },
    /// A segment could not be pulled.
    FetchFailed {
        /// Which.
        index: SegmentIndex,
        /// Why.
        failure: FetchFailure,
        /// Whose fault it was, where it was somebody's.
        culprits: Vec<SocketAddr>,
    },
    /// A registered segment's file is damaged: it has been unregistered, and is to be fetched again.
    Damaged {
        /// Which.
        index: SegmentIndex,
    },
}

/// The BitTorrent side as it stands.
#[derive(Debug, Clone, Default)]
pub struct TorrentView {
    /// Where we listen.
    pub listen: Option<SocketAddr>,
    /// Segments that can be seeded.
    pub registered: usize,
    /// Torrents that are live: seeded or being pulled.
    pub live: usize,
    /// Bytes of segments received since the start.
    pub downloaded_bytes: u64,
    /// Bytes of segments sent since the start.
    pub uploaded_bytes: u64,
    /// The pulls that run.
    pub fetches: Vec<FetchView>,
}

/// A pull that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchView {
    /// Which segment.
    pub index: SegmentIndex,
    /// Bytes that have come and were checked.
    pub got: u64,
    /// Its length.
    pub length: u64,
}

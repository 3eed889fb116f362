//! What comes to the core, and what it asks to be done.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::gossipsub::MessageId;
use lyceum_protocol::{
    BlockHash, Checked, Height, Metainfo, SegmentIndex, StateRoot, Timestamp, Transaction, TxError,
    TxId,
};

use super::chain::{PartError, SegmentPart, Template};
use super::mempool::{DropCause, MempoolError};
use super::wire::{Request, Response};
use crate::network::{GossipVerdict, ReplyId, RequestFailure, RequestId, Topic};
use crate::torrent::FetchFailure;

/// Something has happened.
#[derive(Debug)]
pub enum Event {
    /// Time has passed; some times a second.
    Tick,
    /// Go on with what [`Action::Continue`] left.
    Continue,
    /// A peer of our chain's name is connected.
    Connected {
        /// Who.
        peer: PeerId,
        /// From which IP, where it has one.
        ip: Option<IpAddr>,
    },
    /// It is gone.
    Disconnected(PeerId),
    /// A gossiped message; it gets one [`Action::Verdict`].
    Gossip {
        /// What it is about.
        topic: Topic,
        /// Who passed it on.
        from: PeerId,
        /// Names it in the verdict.
        id: MessageId,
        /// Its content.
        data: Vec<u8>,
    },
    /// A peer asks; it gets one [`Action::Respond`].
    Request {
        /// Who.
        peer: PeerId,
        /// Names it in the answer.
        reply: ReplyId,
        /// What.
        request: Request,
    },
    /// The end of an [`Action::Request`].
    Response {
        /// Who was asked.
        peer: PeerId,
        /// Which request.
        id: RequestId,
        /// The answer.
        result: Result<Response, RequestFailure>,
    },
    /// Peers that say they provide a key, after an [`Action::FindProviders`]; some of those that were not connected are being dialled.
    Providers {
        /// The key.
        key: Vec<u8>,
        /// Who; perhaps more later.
        peers: Vec<PeerId>,
    },
    /// A peer broke the protocol below the messages.
    Misbehaved {
        /// Who.
        peer: PeerId,
        /// How.
        reason: &'static str,
    },
    /// A segment is seeded, or can't be: the end of an [`Action::Activate`].
    Activated {
        /// Which.
        index: SegmentIndex,
        /// Is it?
        is_seeded: bool,
    },
    /// A segment was pulled whole.
    Fetched {
        /// Which.
        index: SegmentIndex,
        /// Where it lies.
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
        /// Whose fault it was.
        culprits: Vec<SocketAddr>,
    },
    /// The next lines of a pulled segment: the end of an [`Action::ReadSegment`].
    SegmentPart {
        /// Which.
        index: SegmentIndex,
        /// Where the lines start in its text.
        offset: u64,
        /// The lines, checked by what can be asked of each alone; none at the end.
        part: Result<SegmentPart, PartError>,
    },
    /// A sealed segment's file is damaged.
    SegmentDamaged(SegmentIndex),
    /// Where our BitTorrent side listens.
    TorrentListening(SocketAddr),
    /// Someone at this node submits a transaction; it gets one [`Action::Submitted`].
    Submit {
        /// Names it in the answer.
        reply: ReplyId,
        /// Its token.
        token: String,
    },
    /// The miner has sealed the block of a template.
    Mined {
        /// Of which [`Action::Mine`].
        template: u64,
        /// The block's token.
        token: String,
    },
}

/// Something is to be done.
#[derive(Debug)]
pub enum Action {
    /// Call again soon with [`Event::Continue`], after what else has come.
    Continue,
    /// Gossip something of our own.
    Publish {
        /// What it is about.
        topic: Topic,
        /// Its content.
        data: Vec<u8>,
    },
    /// The verdict on a gossiped message.
    Verdict {
        /// The message.
        id: MessageId,
        /// Who passed it on.
        from: PeerId,
        /// What becomes of it.
        verdict: GossipVerdict,
    },
    /// Ask a peer.
    Request {
        /// Whom.
        peer: PeerId,
        /// Names it in the response.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// Answer a peer.
    Respond {
        /// Which request.
        reply: ReplyId,
        /// The answer.
        response: Response,
    },
    /// Answer who submitted a transaction.
    Submitted {
        /// Which.
        reply: ReplyId,
        /// Its id, or why it is refused.
        result: Result<TxId, SubmitRefusal>,
    },
    /// Disconnect a peer and refuse it for a while.
    Ban {
        /// Who.
        peer: PeerId,
        /// For how long.
        duration: Duration,
        /// Why.
        reason: &'static str,
    },
    /// Announce that we hold something; `true` from now on, `false` no longer.
    Provide {
        /// The key: an infohash or a block's hash.
        key: Vec<u8>,
        /// Do we?
        held: bool,
    },
    /// Look for those who provide a key, and connect to some: [`Event::Providers`].
    FindProviders(Vec<u8>),
    /// A segment's file can be seeded from now on.
    Register {
        /// Which.
        index: SegmentIndex,
        /// Its torrent.
        metainfo: Metainfo,
        /// Where it lies; `None` for a sealed one, in its own place. It stands for an earlier place.
        file: Option<PathBuf>,
    },
    /// It no longer can.
    Unregister(SegmentIndex),
    /// Seed a registered segment now.
    Activate(SegmentIndex),
    /// Pull a segment.
    Fetch {
        /// Which.
        index: SegmentIndex,
        /// Its torrent.
        metainfo: Metainfo,
        /// From whom.
        holders: Vec<SocketAddr>,
    },
    /// Stop pulling it.
    CancelFetch(SegmentIndex),
    /// Read and check the next lines of a pulled segment: some [`PART_BYTES`](super::PART_BYTES) of them, and at least one.
    ReadSegment {
        /// Which.
        index: SegmentIndex,
        /// Where it lies.
        file: PathBuf,
        /// Where the lines start in it.
        offset: u64,
    },
    /// A pulled segment's file is of no more use.
    DeleteFetched(PathBuf),
    /// Mine on this from now on, and on nothing before it.
    Mine {
        /// Names it in [`Event::Mined`].
        template: u64,
        /// The block, but for its nonce and signature.
        block: Box<Template>,
    },
    /// Stop mining until the next template.
    StopMining,
    /// Something to be shown, counted and logged.
    Notice(Notice),
}

/// Why a submitted transaction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitRefusal {
    /// It breaks a rule.
    #[error(transparent)]
    Rule(#[from] TxError),
    /// The mempool does not take it.
    #[error(transparent)]
    Mempool(#[from] MempoolError),
}

impl SubmitRefusal {
    /// The refusal's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Rule(error) => error.reason(),
            Self::Mempool(error) => error.reason(),
        }
    }
}

/// How a block came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// Announced by gossip.
    Gossip,
    /// By `Blocks` of `sync/1`.
    Sync,
    /// In a segment, by BitTorrent.
    Torrent,
    /// Mined here.
    Mined,
}

impl Source {
    /// Its short name, for metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gossip => "gossip",
            Self::Sync => "sync",
            Self::Torrent => "torrent",
            Self::Mined => "mined",
        }
    }
}

/// How far the node is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Phase {
    /// No peer has said yet where it stands.
    #[default]
    Waiting,
    /// Asking for the ends of the segments that are missing.
    Boundaries,
    /// Pulling segments.
    Segments,
    /// Pulling single blocks.
    Blocks,
    /// No peer claims more work.
    Following,
}

impl Phase {
    /// Its short name, for metrics and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Boundaries => "boundaries",
            Self::Segments => "segments",
            Self::Blocks => "blocks",
            Self::Following => "following",
        }
    }
}

/// Something that people and programs may want to know.
#[derive(Debug)]
pub enum Notice {
    /// The main chain has a new tip.
    Tip {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// The state after it.
        state_root: StateRoot,
        /// Its own time.
        timestamp: Timestamp,
        /// Blocks put on the main chain, the tip last, and their transactions.
        blocks: usize,
        /// How many transactions they hold.
        transactions: usize,
        /// Blocks taken off it: a reorganisation, if any.
        disconnected: usize,
        /// How the tip came here.
        source: Source,
    },
    /// Blocks came in and were taken.
    Imported {
        /// How.
        source: Source,
        /// How many.
        blocks: usize,
    },
    /// A block was refused.
    BlockRejected {
        /// Why.
        reason: &'static str,
        /// Who sent it; `None` where we made it.
        from: Option<PeerId>,
    },
    /// The mempool has taken a transaction.
    Pending(Checked<Transaction>),
    /// A transaction was refused.
    TransactionRejected {
        /// Why.
        reason: &'static str,
    },
    /// A transaction is no longer pending, and not in the chain.
    Dropped {
        /// Which.
        id: TxId,
        /// Why.
        cause: DropCause,
    },
    /// A block of ours is on the main chain.
    Mined(BlockHash),
    /// A segment was sealed.
    Sealed {
        /// Which.
        index: SegmentIndex,
        /// Its torrent.
        metainfo: Metainfo,
    },
    /// A segment is no longer sealed.
    Unsealed(SegmentIndex),
    /// A segment did not come by torrent.
    FetchFailed {
        /// Which.
        index: SegmentIndex,
        /// Why.
        reason: &'static str,
    },
    /// The rest of a segment is pulled by `Blocks` instead.
    FellBack {
        /// Which.
        index: SegmentIndex,
        /// Why.
        reason: &'static str,
    },
    /// The sync is in another phase.
    Phase(Phase),
    /// A sync has made no progress for too long, and tries others.
    Stalled {
        /// With whom.
        peer: PeerId,
    },
    /// Peers: so many are connected.
    Peers(usize),
}

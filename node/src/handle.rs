//! What people and programs ask a running node: the HTTP API and the command line hold a [`NodeHandle`].
//!
//! The ledger is read straight from the store, one consistent state each; what only the core knows is asked for by [`NodeCommand`]s, over a
//! bounded channel; where the node stands is looked up without asking.

use std::sync::Arc;

use libp2p::PeerId;
use lyceum_protocol::{
    Address, BlockHash, ChainSpec, Checked, Height, SegmentIndex, Seq, StateRoot, Timestamp,
    Transaction, TxId, Work,
};
use lyceum_storage::Reader;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::core::{MempoolStats, Phase, Source, SubmitRefusal};
use crate::network::NetworkView;
use crate::torrent::TorrentView;

/// Questions of the API that may wait for the core.
pub const NODE_COMMANDS_LEN: usize = 256;
/// Happenings that a slow listener may be behind by, before it misses some.
pub const HAPPENINGS_LEN: usize = 1_024;

/// A running node, as its API and its command line see it.
#[derive(Clone)]
pub struct NodeHandle {
    /// Who we are in the network.
    pub peer_id: PeerId,
    /// The chain's file.
    pub spec: Arc<ChainSpec>,
    /// The ledger.
    pub reader: Reader,
    /// Questions to the core.
    pub commands: mpsc::Sender<NodeCommand>,
    /// Where the node stands.
    pub standing: watch::Receiver<Standing>,
    /// Who is connected.
    pub network: watch::Receiver<NetworkView>,
    /// What is seeded and pulled.
    pub torrents: watch::Receiver<TorrentView>,
    /// What happens from now on, to those who subscribe.
    pub happenings: broadcast::Sender<Happening>,
}

/// A question to the core.
#[derive(Debug)]
pub enum NodeCommand {
    /// Take a transaction into the mempool, and gossip it.
    Submit {
        /// Its token.
        token: String,
        /// Its id, or why it is refused.
        reply: oneshot::Sender<Result<TxId, SubmitRefusal>>,
    },
    /// A pending transaction.
    Pending {
        /// Which.
        id: TxId,
        /// `None` where it is not pending.
        reply: oneshot::Sender<Option<Checked<Transaction>>>,
    },
    /// Some of the pending transactions, by id.
    Mempool {
        /// After this one.
        after: Option<TxId>,
        /// At most so many.
        limit: usize,
        /// They.
        reply: oneshot::Sender<Vec<Checked<Transaction>>>,
    },
    /// The `seq` of a sender's next transaction, after those that are pending and can run.
    NextSeq {
        /// Who.
        sender: Address,
        /// It.
        reply: oneshot::Sender<Seq>,
    },
}

/// Where a node stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The tip's height.
    pub height: Height,
    /// The tip.
    pub tip: BlockHash,
    /// The state after it.
    pub state_root: StateRoot,
    /// The tip's own time.
    pub tip_timestamp: Timestamp,
    /// The main chain's work.
    pub work: Work,
    /// What the sync does.
    pub phase: Phase,
    /// The best height that a peer claims, with more work than ours; ours where there is none.
    pub target_height: Height,
    /// Segments that this sync still lacks.
    pub segments_missing: u64,
    /// Segments that are being pulled.
    pub segments_active: u64,
    /// Blocks imported a second, over the last seconds.
    pub blocks_per_second: f64,
    /// Peers of our chain.
    pub peers: usize,
    /// The mempool.
    pub mempool: MempoolStats,
    /// Is a miner at work?
    pub is_mining: bool,
    /// Reorganisations since the start.
    pub reorganisations: u64,
}

/// Something that happened, as listeners are told.
#[derive(Debug, Clone)]
pub enum Happening {
    /// The main chain has a new tip.
    Tip {
        /// Its height.
        height: Height,
        /// Its hash.
        hash: BlockHash,
        /// The state after it.
        state_root: StateRoot,
        /// Blocks put on the main chain.
        blocks: usize,
        /// Their transactions.
        transactions: usize,
        /// Blocks taken off it.
        disconnected: usize,
        /// How the tip came here.
        source: Source,
    },
    /// A transaction is pending.
    Pending(TxId),
    /// It no longer is, and is not in the chain.
    Dropped {
        /// Which.
        id: TxId,
        /// Why.
        reason: &'static str,
    },
    /// A segment was sealed.
    Sealed(SegmentIndex),
    /// The sync is in another phase.
    Phase(Phase),
}

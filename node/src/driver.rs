//! The driver: it brings what happens to the core, and does what the core asks for.
//!
//! [`Node::start`] makes one running node: the core on a thread of its own, with the ledger; the network, the torrents and the API on the
//! async runtime; the miner on threads. Several can run in one process. The API comes first, as an [`Opening`]; the ledger may take its time.
//!
//! # Who waits for whom
//!
//! Every channel is bounded. The core's thread never waits for anyone: what it sends, it sends by `try_send`; what finds no room is counted,
//! and a request among it has failed. Everyone else may wait for the core.

use std::net::SocketAddr;
use std::time::Duration;

use libp2p::PeerId;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::api::{ApiError, ApiServer};
use crate::core::ChainError;
use crate::handle::NodeHandle;
use crate::network::{IdentityError, Network, NetworkError};
use crate::torrent::{TorrentError, TorrentStop};

mod config;
mod inbox;
mod meter;
mod notices;
mod open;
mod opening;
mod outbox;
mod resting;
mod run;
mod start;

pub use config::NodeConfig;
pub use open::{OpenError, folder_chain, open_chain};
pub use opening::{OpenLedger, Opening};
pub use resting::resting_handle;

use start::CoreJoin;

/// How long what comes in is given to close: requests under way, the bans' file, the torrents.
const CLOSE_MAX: Duration = Duration::from_secs(5);
/// How long the core is given to end what it does, and to flush the ledger. A run of blocks takes a second or two, a flush of full buffers
/// some seconds on a slow disk.
const FLUSH_MAX: Duration = Duration::from_secs(60);

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its ledger can't be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The core finds its ledger in trouble.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// It has no network key.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The network.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The BitTorrent side.
    #[error(transparent)]
    Torrent(#[from] TorrentError),
    /// The API.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The system starts no thread, or gives no entropy.
    #[error("{what}: {why}")]
    System {
        /// For what.
        what: &'static str,
        /// Why.
        why: String,
    },
}

/// Why a node did not stop cleanly. What was committed is on disk all the same.
#[derive(Debug, thiserror::Error)]
pub enum StopError {
    /// The core did not end in time.
    #[error("the core has not ended in time; nothing committed is lost")]
    Core,
    /// The node could not go on, or the ledger could not be closed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The core's thread has panicked.
    #[error("the core has panicked: see the log")]
    Panic,
}

/// Where a node can be reached.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// The API.
    pub http: SocketAddr,
    /// BitTorrent, if it is on.
    pub torrent: Option<SocketAddr>,
    /// Who it is to its peers. Where it listens for them is in [`NodeHandle::network`].
    pub peer_id: PeerId,
}

/// A running node. Dropped without [`Node::stop`], it stops by itself some time later.
pub struct Node {
    handle: NodeHandle,
    addresses: Addresses,
    network: Option<Network>,
    torrents: Option<TorrentStop>,
    api: Option<(ApiServer, CancellationToken)>,
    core: Option<CoreJoin>,
    stop: CancellationToken,
}

impl Node {
    /// What the node can be asked.
    pub fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    /// Where it can be reached.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Waits until the core has ended by itself, for it could not go on; [`Node::stop`] says why.
    pub async fn ended(&self) {
        if let Some(core) = &self.core {
            core.ended().await;
        }
    }

    /// Stops the node: what comes in is closed, the core is drained, the ledger flushed, each within a deadline.
    ///
    /// # Errors
    /// [`StopError`].
    pub async fn stop(mut self) -> Result<(), StopError> {
        let close = async {
            if let Some((api, close)) = self.api.take() {
                close.cancel();
                // It has said what went wrong.
                let _ = api.task.await;
            }
            if let Some(network) = self.network.take() {
                network.shutdown().await;
            }
            if let Some(torrents) = self.torrents.take() {
                torrents.stop().await;
            }
        };
        if tokio::time::timeout(CLOSE_MAX, close).await.is_err() {
            warn!("what comes in was not closed in time");
        }
        self.stop.cancel();
        let ended = match self.core.take() {
            Some(core) => core.join(FLUSH_MAX).await,
            None => Ok(()),
        };
        info!("node stopped");
        ended
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some((_, close)) = &self.api {
            close.cancel();
        }
        if let Some(network) = &self.network {
            network.stop.cancel();
        }
        self.stop.cancel();
    }
}

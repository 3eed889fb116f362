//! A ledger without a node.

use std::sync::Arc;

use libp2p::PeerId;
use tokio::sync::{broadcast, mpsc, watch};

use crate::core::{Chain, ChainError, MempoolStats, Phase};
use crate::handle::{NodeHandle, Standing};
use crate::network::NetworkView;
use crate::torrent::TorrentView;

/// What can be asked of an open ledger that no node runs on: it has no peers, no torrents and no mempool, and takes no transactions.
///
/// # Errors
/// [`ChainError::Store`].
pub fn resting_handle(chain: &Chain, peer_id: PeerId) -> Result<NodeHandle, ChainError> {
    let tip = chain.tip()?;
    let entry = chain.store().read().block(&tip.hash)?;
    let standing = Standing {
        height: tip.height,
        tip: tip.hash,
        state_root: tip.state_root,
        tip_timestamp: entry.map_or(chain.spec().genesis_time, |entry| entry.timestamp),
        work: tip.work,
        phase: Phase::Waiting,
        target_height: tip.height,
        segments_missing: 0,
        segments_active: 0,
        blocks_per_second: 0.0,
        peers: 0,
        mempool: MempoolStats::default(),
        is_mining: false,
        reorganisations: 0,
    };
    Ok(NodeHandle {
        spec: Arc::new(chain.spec().clone()),
        peer_id,
        reader: chain.store().reader(),
        commands: mpsc::channel(1).0,
        standing: watch::channel(standing).1,
        network: watch::channel(NetworkView::default()).1,
        torrents: watch::channel(TorrentView::default()).1,
        happenings: broadcast::channel(1).0,
    })
}

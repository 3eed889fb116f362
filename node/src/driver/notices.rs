//! What has happened, told to those who listen: subscribers, metrics, the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lyceum_protocol::Timestamp;
use tokio::sync::broadcast;
use tracing::{debug, info, warn};

use super::meter::Meter;
use crate::core::{Notice, Phase, Source};
use crate::handle::Happening;
use crate::metrics::Metrics;

/// While many blocks come at once, the tip is logged no more often than this.
const TIP_LOG: Duration = Duration::from_secs(10);

/// Tells what has happened.
pub(super) struct Announcer {
    pub(super) metrics: Arc<Metrics>,
    pub(super) happenings: broadcast::Sender<Happening>,
    pub(super) meter: Meter,
    pub(super) reorganisations: u64,
    phase: Phase,
    tip_logged: Option<Instant>,
}

impl Announcer {
    pub(super) fn new(metrics: Arc<Metrics>, happenings: broadcast::Sender<Happening>) -> Self {
        Self {
            metrics,
            happenings,
            meter: Meter::new(Instant::now()),
            reorganisations: 0,
            phase: Phase::default(),
            tip_logged: None,
        }
    }

    /// Tells one; true where the node stands elsewhere now.
    pub(super) fn tell(&mut self, notice: Notice, now: Timestamp) -> bool {
        self.metrics.observe(&notice);
        match notice {
            Notice::Tip { .. } => self.tip(notice, now),
            Notice::Imported { blocks, .. } => {
                self.meter.add(Instant::now(), blocks);
                return false;
            }
            Notice::BlockRejected { reason, from } => {
                let from = from.map(tracing::field::display);
                warn!(reason, from, "block refused");
                return false;
            }
            Notice::TransactionRejected { reason } => {
                debug!(reason, "transaction refused");
                return false;
            }
            Notice::Pending(transaction) => {
                debug!(id = %transaction.id(), "transaction pending");
                self.happen(Happening::Pending(transaction.id()));
                return false;
            }
            Notice::Dropped { id, cause } => {
                let reason = cause.reason();
                debug!(%id, reason, "transaction dropped");
                self.happen(Happening::Dropped { id, reason });
                return false;
            }
            Notice::Mined(hash) => debug!(%hash, "block mined"),
            Notice::Sealed { index, metainfo } => {
                debug!(%index, info_hash = %metainfo.info_hash(), "segment sealed");
                self.happen(Happening::Sealed(index));
            }
            Notice::Unsealed(index) => warn!(%index, "segment unsealed"),
            Notice::FetchFailed { index, reason } => {
                warn!(%index, reason, "segment did not come by torrent");
            }
            Notice::FellBack { index, reason } => {
                warn!(%index, reason, "segment is pulled block by block instead");
            }
            Notice::Phase(phase) => {
                debug!(?phase, "sync");
                self.phase = phase;
                self.happen(Happening::Phase(phase));
            }
            Notice::Stalled { peer } => warn!(%peer, "the sync has stalled, others are tried"),
            Notice::Peers(peers) => debug!(peers, "peers"),
        }
        true
    }

    fn tip(&mut self, notice: Notice, now: Timestamp) {
        let Notice::Tip {
            height,
            hash,
            state_root,
            timestamp,
            blocks,
            transactions,
            disconnected,
            source,
        } = notice
        else {
            return;
        };
        if source == Source::Gossip {
            let age = now.get().saturating_sub(timestamp.get());
            self.metrics.block_propagated(Duration::from_millis(age));
        }
        if disconnected > 0 {
            self.reorganisations += 1;
            warn!(%height, %hash, disconnected, blocks, "reorganised");
        }
        let is_bulk = !matches!(self.phase, Phase::Following | Phase::Waiting);
        let is_due = self.tip_logged.is_none_or(|at| at.elapsed() >= TIP_LOG);
        if !is_bulk || is_due {
            self.tip_logged = Some(Instant::now());
            info!(%height, %hash, transactions, ?source, "tip changed");
        }
        self.happen(Happening::Tip {
            height,
            hash,
            state_root,
            blocks,
            transactions,
            disconnected,
            source,
        });
    }

    fn happen(&self, happening: Happening) {
        // Nobody may be listening.
        let _ = self.happenings.send(happening);
    }
}

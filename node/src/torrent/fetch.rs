//! One pull: a torrent in the engine until it is whole, stuck, or not wanted any more.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use librqbit::{
    AddTorrent, AddTorrentOptions, AddTorrentResponse, ManagedTorrent, Session, TorrentStatsState,
};
use lyceum_protocol::Metainfo;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::FetchFailure;
use super::buffers::PieceMemory;
use super::part::PartFile;
use super::storage::SegmentFile;

/// How often a pull is looked at. The engine's own notice of the end comes sooner, but can be missed.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The peers of one pull where holders may be found that nobody has named.
const PEERS_MAX: usize = 8;
/// A holder may be slow, but not so slow that a segment never ends: bytes a second, after [`GRACE`].
const RATE_BPS_MIN: u64 = 8 * 1024;
/// The time in which a pull need not be fast.
const GRACE: Duration = Duration::from_secs(60);

/// What a pull works with.
pub(super) struct Fetch {
    pub(super) session: Arc<Session>,
    pub(super) metainfo: Metainfo,
    pub(super) holders: Vec<SocketAddr>,
    pub(super) folder: PathBuf,
    pub(super) memory: Arc<PieceMemory>,
    pub(super) trackers: Vec<String>,
    pub(super) has_discovery: bool,
    pub(super) stall: Duration,
    /// Bytes that have come and were checked.
    pub(super) got: Arc<AtomicU64>,
    pub(super) stop: CancellationToken,
}

/// How a pull ended.
pub(super) enum Outcome {
    Whole(Whole),
    Failed(Failed),
    Cancelled,
}

/// A segment that is whole, on the disk, and was checked piece by piece.
pub(super) struct Whole {
    pub(super) file: PathBuf,
    pub(super) from: Vec<SocketAddr>,
}

/// Why a pull fails, and whose fault it is.
pub(super) struct Failed {
    pub(super) failure: FetchFailure,
    pub(super) culprits: Vec<SocketAddr>,
}

impl From<FetchFailure> for Failed {
    fn from(failure: FetchFailure) -> Self {
        let culprits = Vec::new();
        Self { failure, culprits }
    }
}

/// A peer of the pull, as the engine counts.
struct Peer {
    addr: SocketAddr,
    is_dead: bool,
    connections: u32,
    fetched_bytes: u64,
    pieces: u32,
    has_stolen: bool,
}

impl Fetch {
    pub(super) async fn run(self) -> Outcome {
        match self.pull().await {
            Ok(Some(whole)) => Outcome::Whole(whole),
            Ok(None) => Outcome::Cancelled,
            Err(failed) => Outcome::Failed(failed),
        }
    }

    /// Pulls it; `None` where it is cancelled.
    async fn pull(self) -> Result<Option<Whole>, Failed> {
        let name = self.metainfo.name().to_owned();
        let failed = |error: anyhow::Error| {
            debug!(%name, %error, "a pull failed");
            Failed::from(FetchFailure::Engine)
        };
        let (folder, metainfo) = (self.folder.clone(), self.metainfo.clone());
        let memory = self.memory.clone();
        let open = move || PartFile::open(&folder, &metainfo, memory);
        let opened = spawn_blocking(open).await;
        let part = opened.map_err(anyhow::Error::from).map_err(failed)?;
        let part = part.map_err(anyhow::Error::from).map_err(failed)?;
        let torrent = self.add(part.clone()).await.map_err(failed)?;
        let ended = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            ended = self.watch(&torrent, &part) => Some(ended),
        };
        let deleted = self.session.delete(torrent.id().into(), false).await;
        deleted.map_err(failed)?;
        let put = move || -> io::Result<Result<Option<Whole>, Failed>> {
            Ok(match ended {
                Some(Ok(from)) => {
                    let file = part.finish()?;
                    Ok(Some(Whole { file, from }))
                }
                // What has come stays: it is the start of the next try.
                Some(Err(failed)) => {
                    // Why it failed is known.
                    let _ = part.settle();
                    Err(failed)
                }
                None => {
                    part.remove();
                    Ok(None)
                }
            })
        };
        let put = spawn_blocking(put).await;
        let put = put.map_err(anyhow::Error::from).map_err(failed)?;
        put.map_err(anyhow::Error::from).map_err(failed)?
    }

    async fn add(&self, part: Arc<PartFile>) -> anyhow::Result<Arc<ManagedTorrent>> {
        let peer_limit = match self.has_discovery {
            true => PEERS_MAX,
            // Peers that a holder names (BEP 11) get a turn only where a holder is gone.
            false => self.holders.len().max(1),
        };
        let options = AddTorrentOptions {
            overwrite: true,
            initial_peers: Some(self.holders.clone()),
            peer_limit: Some(peer_limit),
            storage_factory: Some(SegmentFile::Part(part).factory()),
            ..Default::default()
        };
        let torrent = AddTorrent::from_bytes(self.metainfo.to_torrent(&self.trackers));
        match self.session.add_torrent(torrent, Some(options)).await? {
            AddTorrentResponse::Added(_, torrent) => Ok(torrent),
            _ => anyhow::bail!("it is there already"),
        }
    }

    /// Until it is whole or fails.
    async fn watch(
        &self,
        torrent: &ManagedTorrent,
        part: &PartFile,
    ) -> Result<Vec<SocketAddr>, Failed> {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let started = Instant::now();
        let slowest = GRACE + Duration::from_secs(self.metainfo.length() / RATE_BPS_MIN);
        let (mut fetched, mut moved) = (0, started);
        let mut end = torrent.wait_until_completed();
        let mut is_told = false;
        loop {
            tokio::select! {
                _ = look.tick() => {}
                _ = &mut end, if !is_told => is_told = true,
            }
            let stats = torrent.stats();
            match stats.state {
                TorrentStatsState::Error => {
                    debug!(name = self.metainfo.name(), error = ?stats.error, "a pull failed");
                    return Err(FetchFailure::Engine.into());
                }
                // Checking what is there takes its time, and is not the holders' fault.
                TorrentStatsState::Initializing { .. } => moved = Instant::now(),
                _ => self.got.store(stats.progress_bytes, Ordering::Relaxed),
            }
            let peers = peers(torrent);
            if stats.finished {
                let from = peers.iter().filter(|peer| peer.pieces > 0);
                return Ok(from.map(|peer| peer.addr).collect());
            }
            let Some(live) = stats.live else { continue };
            let snapshot = live.snapshot;
            if snapshot.fetched_bytes > fetched {
                (fetched, moved) = (snapshot.fetched_bytes, Instant::now());
            }
            let counts = &snapshot.peer_stats;
            let is_idle = counts.queued + counts.connecting + counts.live == 0;
            let wrong = part.wrong_pieces(is_idle);
            if wrong > 0 {
                let culprits = culprits(&peers, wrong);
                let failure = FetchFailure::WrongBytes;
                return Err(Failed { failure, culprits });
            }
            let was_tried = counts.dead > 0 || self.holders.is_empty();
            let is_left = is_idle && was_tried && !self.has_discovery;
            if is_left || moved.elapsed() >= self.stall || started.elapsed() >= slowest {
                let was_connected = peers.iter().any(|peer| peer.connections > 0);
                return Err(match was_connected {
                    true => FetchFailure::Stalled.into(),
                    false => FetchFailure::Unreachable.into(),
                });
            }
        }
    }
}

/// Whoever sent the wrong pieces: the engine drops each at its first one. Nobody where it can't be told from an honest peer that left, or
/// where part of a piece came from another.
fn culprits(peers: &[Peer], wrong: usize) -> Vec<SocketAddr> {
    let suspects = peers
        .iter()
        .filter(|peer| peer.is_dead && peer.fetched_bytes > 0);
    let suspects: Vec<_> = suspects.collect();
    match suspects.len() <= wrong && suspects.iter().all(|peer| !peer.has_stolen) {
        true => suspects.iter().map(|peer| peer.addr).collect(),
        false => Vec::new(),
    }
}

fn peers(torrent: &ManagedTorrent) -> Vec<Peer> {
    let Some(live) = torrent.live() else {
        return Vec::new();
    };
    // The engine does not export the filter's type, and its default leaves out whom it has dropped.
    let all = serde_json::from_str(r#"{"state":"all"}"#).expect("a filter of the engine");
    let snapshot = live.per_peer_stats_snapshot(all);
    let peers = snapshot.peers.into_iter().filter_map(|(addr, stats)| {
        Some(Peer {
            addr: addr.parse().ok()?,
            is_dead: stats.state == "dead",
            connections: stats.counters.connections,
            fetched_bytes: stats.counters.fetched_bytes,
            pieces: stats.counters.downloaded_and_checked_pieces,
            has_stolen: stats.counters.times_i_stole > 0,
        })
    });
    peers.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16, is_dead: bool, fetched_bytes: u64, has_stolen: bool) -> Peer {
        let addr = ([192, 0, 2, 1], port).into();
        Peer {
            addr,
            is_dead,
            connections: 1,
            fetched_bytes,
            pieces: 0,
            has_stolen,
        }
    }

    #[test]
    fn only_who_surely_sent_wrong_bytes_is_a_culprit() {
        let (liar, alive) = (peer(1, true, 9, false), peer(2, false, 9, false));
        let (gone, thief) = (peer(3, true, 9, false), peer(4, true, 9, true));
        let silent = peer(5, true, 0, false);
        let of = |peers: &[&Peer], wrong| {
            let copy = |from: &&Peer| Peer { ..**from };
            culprits(&peers.iter().map(copy).collect::<Vec<_>>(), wrong)
        };
        assert_eq!(of(&[&liar, &alive, &silent], 1), [liar.addr]);
        assert_eq!(of(&[&liar, &gone], 1), [], "one of two");
        assert_eq!(of(&[&liar, &gone], 2), [liar.addr, gone.addr]);
        assert_eq!(of(&[&thief, &alive], 1), [], "half was another's");
    }
}

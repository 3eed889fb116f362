//! Segments by BitTorrent, modelled: who seeds what, and how long a pull takes over the same links as all else.
//!
//! A pull deals the segment's pieces to its holders, each to the one whose lane is free first; a holder that is gone or cut off gives none. The
//! bytes are those that the holder's ledger has, or the pulled file that it seeds.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lyceum_node::core::Event;
use lyceum_node::torrent::FetchFailure;
use lyceum_protocol::{ChainSpec, Metainfo, SegmentIndex, segment_heights};
use lyceum_storage::Reader;
use tokio::time::{Instant, sleep, sleep_until};

use crate::wire::{Host, Wire};

/// Where BitTorrent listens.
const PORT: u16 = 8_652;
/// What is asked of a holder at once: a usual piece.
const PIECE_BYTES: usize = 256 << 10;
/// Round trips until the first piece is asked for: TCP, both handshakes, interest.
const ROUND_TRIPS: u32 = 3;
/// A pull without progress has failed after this long, as in the node.
const STALLED_AFTER: Duration = Duration::from_secs(8);

/// Where a host's BitTorrent side listens.
pub(crate) fn address(host: Host) -> SocketAddr {
    (host.ip(), PORT).into()
}

/// Who seeds what. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Swarm {
    wire: Wire,
    spec: Arc<ChainSpec>,
    holders: Arc<Mutex<BTreeMap<Host, Holder>>>,
}

/// A node's BitTorrent side.
struct Holder {
    reader: Reader,
    /// What it can seed: its torrent, and the pulled file; `None` for one that its ledger has sealed.
    seeds: BTreeMap<SegmentIndex, (Metainfo, Option<PathBuf>)>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    uploaded: u64,
    downloaded: u64,
}

impl Swarm {
    pub(crate) fn new(wire: Wire, spec: Arc<ChainSpec>) -> Self {
        let holders = Arc::default();
        Self {
            wire,
            spec,
            holders,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Host, Holder>> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node's BitTorrent side is there.
    pub(crate) fn join(&self, host: Host, reader: Reader) {
        let holder = Holder {
            reader,
            seeds: BTreeMap::new(),
            files: BTreeMap::new(),
            uploaded: 0,
            downloaded: 0,
        };
        self.lock().insert(host, holder);
    }

    /// It is gone, with its unfinished work; gives the bytes that it sent and took.
    pub(crate) fn leave(&self, host: Host) -> (u64, u64) {
        let left = self.lock().remove(&host);
        left.map_or((0, 0), |holder| (holder.uploaded, holder.downloaded))
    }

    /// The bytes that a node sent and took.
    pub(crate) fn bytes(&self, host: Host) -> (u64, u64) {
        let holders = self.lock();
        let holder = holders.get(&host);
        holder.map_or((0, 0), |holder| (holder.uploaded, holder.downloaded))
    }

    pub(crate) fn register(
        &self,
        host: Host,
        index: SegmentIndex,
        metainfo: Metainfo,
        file: Option<PathBuf>,
    ) {
        if let Some(holder) = self.lock().get_mut(&host) {
            holder.seeds.insert(index, (metainfo, file));
        }
    }

    pub(crate) fn unregister(&self, host: Host, index: SegmentIndex) {
        if let Some(holder) = self.lock().get_mut(&host) {
            holder.seeds.remove(&index);
        }
    }

    pub(crate) fn is_seeded(&self, host: Host, index: SegmentIndex) -> bool {
        let holders = self.lock();
        let holder = holders.get(&host);
        holder.is_some_and(|holder| holder.seeds.contains_key(&index))
    }

    /// A file's bytes from an offset on: segments are small here, so the rest is one part.
    pub(crate) fn read(&self, host: Host, file: &Path, offset: u64) -> Option<Vec<u8>> {
        let holders = self.lock();
        let text = holders.get(&host)?.files.get(file)?;
        let rest = text.get(usize::try_from(offset).ok()?..)?;
        Some(rest.to_vec())
    }

    pub(crate) fn delete(&self, host: Host, file: &Path) {
        if let Some(holder) = self.lock().get_mut(&host) {
            holder.files.remove(file);
        }
    }

    /// Pulls a segment; gives how that ended.
    pub(crate) async fn fetch(
        self,
        host: Host,
        index: SegmentIndex,
        metainfo: Metainfo,
        holders: Vec<SocketAddr>,
    ) -> Event {
        let failed = |failure| Event::FetchFailed {
            index,
            failure,
            culprits: Vec::new(),
        };
        let there: Vec<Host> = holders.iter().filter_map(host_at).collect();
        let there: Vec<Host> = there
            .into_iter()
            .filter(|holder| self.serves(*holder, host, index, &metainfo))
            .collect();
        let Some(first) = there.first() else {
            sleep(STALLED_AFTER).await;
            return failed(FetchFailure::Unreachable);
        };
        for _ in 0..ROUND_TRIPS {
            sleep_until(self.wire.send(host, *first, 0)).await;
            sleep_until(self.wire.send(*first, host, 0)).await;
        }
        let Some((sources, due)) = self.deal(host, &there, index, &metainfo) else {
            return failed(FetchFailure::Stalled);
        };
        sleep_until(due).await;
        let is_cut = |source: &&Host| self.wire.is_cut(**source, host);
        if sources.iter().any(|source| is_cut(&source)) {
            sleep(STALLED_AFTER).await;
            return failed(FetchFailure::Stalled);
        }
        let Some(text) = self.text(sources[0], index) else {
            sleep(STALLED_AFTER).await;
            return failed(FetchFailure::Stalled);
        };
        let file = PathBuf::from(format!("{index}-{}", metainfo.info_hash()));
        if let Some(holder) = self.lock().get_mut(&host) {
            holder.downloaded += text.len() as u64;
            holder.files.insert(file.clone(), text);
        }
        let from = sources.into_iter().map(address).collect();
        Event::Fetched { index, file, from }
    }

    /// Does a holder have that very segment, and is it there for `host`?
    fn serves(&self, holder: Host, host: Host, index: SegmentIndex, metainfo: &Metainfo) -> bool {
        let holders = self.lock();
        let seeds = holders.get(&holder).map(|holder| &holder.seeds);
        let torrent = seeds.and_then(|seeds| seeds.get(&index));
        torrent.is_some_and(|(seeded, _)| seeded.info_hash() == metainfo.info_hash())
            && !self.wire.is_cut(holder, host)
    }

    /// Deals the pieces out and sends them; gives who sends any, and when the last one arrives.
    fn deal(
        &self,
        host: Host,
        holders: &[Host],
        index: SegmentIndex,
        metainfo: &Metainfo,
    ) -> Option<(Vec<Host>, Instant)> {
        let mut loads = vec![(Instant::now(), 0_u64); holders.len()];
        let mut left = usize::try_from(metainfo.length()).ok()?;
        while left > 0 {
            let bytes = left.min(PIECE_BYTES);
            left -= bytes;
            let least = (0..holders.len()).min_by_key(|at| (loads[*at].0, *at))?;
            loads[least].0 = self.wire.send(holders[least], host, bytes);
            loads[least].1 += bytes as u64;
        }
        let mut all = self.lock();
        for (holder, (_, bytes)) in holders.iter().zip(&loads) {
            if let Some(holder) = all
                .get_mut(holder)
                .filter(|holder| holder.seeds.contains_key(&index))
            {
                holder.uploaded += bytes;
            }
        }
        let used = holders
            .iter()
            .zip(&loads)
            .filter(|(_, (_, bytes))| *bytes > 0);
        let sources: Vec<Host> = used.map(|(holder, _)| *holder).collect();
        let due = loads.iter().map(|(due, _)| *due).max()?;
        (!sources.is_empty()).then_some((sources, due))
    }

    /// The text that a holder serves.
    fn text(&self, holder: Host, index: SegmentIndex) -> Option<Vec<u8>> {
        let holders = self.lock();
        let holder = holders.get(&holder)?;
        match &holder.seeds.get(&index)?.1 {
            Some(file) => holder.files.get(file).cloned(),
            None => {
                let view = holder.reader.read();
                let mut text = String::new();
                for height in segment_heights(&self.spec, index) {
                    text.push_str(&view.line_at(height).ok()??);
                    text.push('\n');
                }
                Some(text.into_bytes())
            }
        }
    }
}

fn host_at(address: &SocketAddr) -> Option<Host> {
    match address.ip() {
        IpAddr::V4(ip) => Host::at(ip),
        IpAddr::V6(_) => None,
    }
}

//! An engine in a folder of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use lyceum_node::torrent::{
    RqbitSwarm, RunningTorrents, SegmentSwarm, TorrentConfig, TorrentEvent,
};
use lyceum_protocol::{ChainName, Metainfo, MetainfoBuilder, PIECE_BYTES, SegmentIndex};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

pub(crate) use super::fake::PATIENCE;

pub(crate) const PIECE: usize = PIECE_BYTES;

pub(crate) fn chain() -> ChainName {
    "dev".parse().unwrap()
}

pub(crate) fn index(index: u64) -> SegmentIndex {
    SegmentIndex::new(index).unwrap()
}

/// Some bytes that stand for segment `at`'s text, and their torrent.
pub(crate) fn segment(at: u64, length: usize) -> (Vec<u8>, Metainfo) {
    let mut content = vec![0; length];
    ChaCha8Rng::seed_from_u64(at).fill_bytes(&mut content);
    let mut builder = MetainfoBuilder::new(&chain(), index(at));
    builder.update(&content);
    (content, builder.finish())
}

pub(crate) struct Node {
    pub(crate) running: RunningTorrents,
    pub(crate) folder: TempDir,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut TorrentConfig)) -> Self {
        let folder = TempDir::new().unwrap();
        let downloads = folder.path().join("downloads");
        let mut config = TorrentConfig::new(chain(), downloads, ([127, 0, 0, 1], 0).into());
        change(&mut config);
        let running = RqbitSwarm::start(config).await.unwrap();
        Self { running, folder }
    }

    pub(crate) fn listen(&self) -> SocketAddr {
        self.running.listen
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn part(&self, metainfo: &Metainfo) -> PathBuf {
        self.path("downloads")
            .join(format!("{}.part", metainfo.name()))
    }

    /// Writes and registers a segment.
    pub(crate) fn hold(&mut self, at: u64, length: usize) -> (Vec<u8>, Metainfo, PathBuf) {
        let (content, metainfo) = segment(at, length);
        let file = self.path(metainfo.name());
        std::fs::write(&file, &content).unwrap();
        let swarm = &mut self.running.swarm;
        swarm.register(index(at), metainfo.clone(), file.clone());
        (content, metainfo, file)
    }

    pub(crate) async fn event(&mut self) -> TorrentEvent {
        let event = tokio::time::timeout(PATIENCE, self.running.events.recv()).await;
        event.expect("an event in time").expect("a running engine")
    }

    /// Activates a segment, and says whether it is seeded.
    pub(crate) async fn activate(&mut self, at: u64) -> bool {
        self.running.swarm.activate(index(at));
        match self.event().await {
            TorrentEvent::Activated {
                index: got,
                is_seeded,
            } if got == index(at) => is_seeded,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn fetch(&mut self, at: u64, metainfo: &Metainfo, holders: &[SocketAddr]) {
        let swarm = &mut self.running.swarm;
        swarm.fetch(index(at), metainfo.clone(), holders.to_vec());
    }

    /// Waits for a pull to end well; gives its file and whom it came from.
    pub(crate) async fn fetched(&mut self, at: u64) -> (PathBuf, Vec<SocketAddr>) {
        match self.event().await {
            TorrentEvent::Fetched {
                index: got,
                file,
                from,
            } if got == index(at) => (file, from),
            other => panic!("{other:?}"),
        }
    }

    /// Waits until the view is as it should be.
    pub(crate) async fn view(
        &mut self,
        wanted: impl FnMut(&lyceum_node::torrent::TorrentView) -> bool,
    ) -> lyceum_node::torrent::TorrentView {
        let wait = self.running.view.wait_for(wanted);
        let view = tokio::time::timeout(PATIENCE, wait).await;
        view.expect("a view in time").unwrap().clone()
    }
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

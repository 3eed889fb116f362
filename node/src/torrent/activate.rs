//! A registered segment comes to life: its file is checked, then the engine seeds it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use librqbit::{
    AddTorrent, AddTorrentOptions, AddTorrentResponse, ManagedTorrent, Session, TorrentStatsState,
};
use lyceum_protocol::{ChainName, SegmentIndex};
use tokio::sync::Semaphore;

use super::check::{CheckError, check_file};
use super::registry::Registered;
use super::storage::SegmentFile;

/// How often a new torrent is looked at; the engine's own way may take 100 ms.
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub(super) struct Activation {
    pub(super) session: Arc<Session>,
    pub(super) checks: Arc<Semaphore>,
    pub(super) chain: ChainName,
    pub(super) trackers: Vec<String>,
    pub(super) index: SegmentIndex,
    pub(super) entry: Registered,
}

/// Why a segment is not seeded.
#[derive(Debug, thiserror::Error)]
pub(super) enum ActivationError {
    #[error(transparent)]
    Check(#[from] CheckError),
    #[error("the file changed while it was checked")]
    Changed,
    #[error("the engine does not take it: {0}")]
    Engine(anyhow::Error),
}

impl ActivationError {
    /// Is the file not what it should be? If not, the next try may succeed.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Check(CheckError::Read(error)) => error.kind() == io::ErrorKind::NotFound,
            Self::Check(CheckError::Damaged { .. }) | Self::Changed => true,
            Self::Engine(_) => false,
        }
    }
}

impl Activation {
    pub(super) async fn run(self) -> Result<Arc<ManagedTorrent>, ActivationError> {
        let permit = self.checks.acquire_owned().await;
        let (chain, index, entry) = (self.chain, self.index, self.entry);
        let check = move || check_file(&chain, index, &entry.file, entry.length, entry.info_hash);
        let checked = tokio::task::spawn_blocking(check).await;
        let checked = checked.map_err(|error| ActivationError::Engine(error.into()))?;
        let (file, metainfo) = checked?;
        let options = AddTorrentOptions {
            overwrite: true,
            storage_factory: Some(SegmentFile::Sealed(Arc::new(file)).factory()),
            ..Default::default()
        };
        let bytes = AddTorrent::from_bytes(metainfo.to_torrent(&self.trackers));
        let added = self.session.add_torrent(bytes, Some(options)).await;
        let torrent = match added.map_err(ActivationError::Engine)? {
            AddTorrentResponse::Added(_, torrent) => torrent,
            _ => {
                let error = anyhow::anyhow!("it is there already");
                return Err(ActivationError::Engine(error));
            }
        };
        let error = match started(&torrent).await {
            Ok(true) => return Ok(torrent),
            Ok(false) => ActivationError::Changed,
            Err(error) => ActivationError::Engine(error),
        };
        drop(permit);
        // Its own error is the one to tell.
        let _ = self.session.delete(torrent.id().into(), false).await;
        Err(error)
    }
}

/// Waits until the engine has looked at the file, too. Is all of it there?
async fn started(torrent: &ManagedTorrent) -> anyhow::Result<bool> {
    loop {
        let stats = torrent.stats();
        match stats.state {
            TorrentStatsState::Initializing { .. } => tokio::time::sleep(LOOK_EVERY).await,
            TorrentStatsState::Error => anyhow::bail!(stats.error.unwrap_or_default()),
            _ => return Ok(stats.finished),
        }
    }
}

//! The actor that owns the engine's session and our registry.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use librqbit::api::TorrentIdOrHash;
use librqbit::{ManagedTorrent, Session};
use lyceum_protocol::{InfoHash, Metainfo, SegmentIndex};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::activate::{Activation, ActivationError};
use super::buffers::PieceMemory;
use super::fetch::{Failed, Fetch, Outcome, Whole};
use super::front::Lookup;
use super::registry::Registry;
use super::{FetchFailure, FetchView, TorrentConfig, TorrentEvent, TorrentView};

/// How often uploads are looked at, and the view is renewed.
const TICK: Duration = Duration::from_millis(500);
/// The pulls at once. The core asks for twelve.
const FETCHES_MAX: usize = 64;
/// Segments that are being woken when a stranger's handshake may wake one more.
const WAKES_MAX: usize = 4;
/// A torrent that has sent nothing for so long makes way for one that a stranger wants.
const IDLE: Duration = Duration::from_secs(30);

/// What the core tells.
pub(super) enum Command {
    Register(SegmentIndex, Metainfo, PathBuf),
    Unregister(SegmentIndex),
    Activate(SegmentIndex),
    Fetch(SegmentIndex, Metainfo, Vec<SocketAddr>),
    Cancel(SegmentIndex),
}

/// The end of a task.
enum Done {
    Activation(
        SegmentIndex,
        InfoHash,
        Result<Arc<ManagedTorrent>, ActivationError>,
    ),
    Fetch(SegmentIndex, Outcome),
}

/// A torrent that is seeded.
struct Live {
    torrent: Arc<ManagedTorrent>,
    uploaded: u64,
    used: Instant,
}

/// A segment that is being checked and added.
#[derive(Default)]
struct Waking {
    for_core: bool,
    strangers: Vec<oneshot::Sender<bool>>,
}

/// A pull that runs or is being ended.
struct Pull {
    stop: CancellationToken,
    got: Arc<AtomicU64>,
    length: u64,
    /// What to pull when this one has ended.
    next: Option<(Metainfo, Vec<SocketAddr>)>,
}

pub(super) struct Engine {
    config: TorrentConfig,
    session: Arc<Session>,
    listen: SocketAddr,
    registry: Registry,
    live: HashMap<SegmentIndex, Live>,
    waking: HashMap<SegmentIndex, Waking>,
    pulls: HashMap<SegmentIndex, Pull>,
    tasks: JoinSet<Done>,
    /// Whoever checks a file holds it: one at a time, about 1 GB/s, so that the rest of the node has a core.
    checks: Arc<Semaphore>,
    /// What the pulls together have in memory.
    memory: Arc<PieceMemory>,
    events: mpsc::Sender<TorrentEvent>,
    view: watch::Sender<TorrentView>,
}

impl Engine {
    pub(super) fn new(
        config: TorrentConfig,
        session: Arc<Session>,
        listen: SocketAddr,
        events: mpsc::Sender<TorrentEvent>,
        view: watch::Sender<TorrentView>,
    ) -> Self {
        Self {
            config,
            session,
            listen,
            registry: Registry::default(),
            live: HashMap::new(),
            waking: HashMap::new(),
            pulls: HashMap::new(),
            tasks: JoinSet::new(),
            checks: Arc::new(Semaphore::new(1)),
            memory: Arc::default(),
            events,
            view,
        }
    }

    /// Runs until it is stopped, or nobody listens any more.
    pub(super) async fn run(
        mut self,
        mut commands: mpsc::UnboundedReceiver<Command>,
        mut lookups: mpsc::Receiver<Lookup>,
        stop: CancellationToken,
    ) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let events = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = tick.tick() => {
                    let events = self.look();
                    self.doze().await;
                    events
                }
                Some(done) = self.tasks.join_next() => match done {
                    Ok(done) => self.on_done(done).await,
                    Err(error) => {
                        warn!(%error, "a BitTorrent task failed");
                        break;
                    }
                },
                command = commands.recv() => match command {
                    Some(command) => self.on_command(command).await,
                    None => break,
                },
                Some(lookup) = lookups.recv() => self.on_lookup(lookup),
            };
            if !self.tell(events).await {
                break;
            }
        }
        self.tasks.shutdown().await;
    }

    /// False where nobody listens any more.
    async fn tell(&self, events: Vec<TorrentEvent>) -> bool {
        for event in events {
            if self.events.send(event).await.is_err() {
                return false;
            }
        }
        true
    }

    async fn on_command(&mut self, command: Command) -> Vec<TorrentEvent> {
        match command {
            Command::Register(index, metainfo, file) => {
                if self.registry.insert(index, &metainfo, file) {
                    self.put_to_sleep(index).await;
                }
                Vec::new()
            }
            Command::Unregister(index) => {
                self.registry.remove(index);
                self.put_to_sleep(index).await;
                Vec::new()
            }
            Command::Activate(index) => self.activate(index),
            Command::Fetch(index, metainfo, holders) => self.fetch(index, metainfo, holders).await,
            Command::Cancel(index) => {
                if let Some(pull) = self.pulls.get_mut(&index) {
                    pull.stop.cancel();
                    pull.next = None;
                }
                Vec::new()
            }
        }
    }

    fn activate(&mut self, index: SegmentIndex) -> Vec<TorrentEvent> {
        if let Some(live) = self.live.get_mut(&index) {
            live.used = Instant::now();
            return vec![activated(index, true)];
        }
        if self.pulls.contains_key(&index) || !self.wake(index) {
            return vec![activated(index, false)];
        }
        if let Some(waking) = self.waking.get_mut(&index) {
            waking.for_core = true;
        }
        Vec::new()
    }

    /// A stranger's handshake.
    fn on_lookup(&mut self, lookup: Lookup) -> Vec<TorrentEvent> {
        // Dropping `lookup` is a no.
        let Some(index) = self.registry.find(lookup.info_hash) else {
            return Vec::new();
        };
        if let Some(live) = self.live.get_mut(&index) {
            live.used = Instant::now();
            let _ = lookup.reply.send(true);
            return Vec::new();
        }
        let is_free = self.live.len() + self.pulls.len() < self.config.live_max;
        let has_idle = || self.live.values().any(|live| live.used.elapsed() >= IDLE);
        let is_known = self.waking.contains_key(&index);
        let may_wake = is_known || self.waking.len() < WAKES_MAX && (is_free || has_idle());
        if !may_wake || self.pulls.contains_key(&index) || !self.wake(index) {
            return Vec::new();
        }
        if let Some(waking) = self.waking.get_mut(&index) {
            waking.strangers.push(lookup.reply);
        }
        Vec::new()
    }

    /// Starts to check and add a registered segment that sleeps. False where there is none.
    fn wake(&mut self, index: SegmentIndex) -> bool {
        let Some(entry) = self.registry.get(index) else {
            return false;
        };
        if self.waking.contains_key(&index) {
            return true;
        }
        let activation = Activation {
            session: self.session.clone(),
            checks: self.checks.clone(),
            chain: self.config.chain.clone(),
            trackers: self.config.trackers.clone(),
            index,
            entry: entry.clone(),
        };
        let info_hash = entry.info_hash;
        self.waking.insert(index, Waking::default());
        let task = async move { Done::Activation(index, info_hash, activation.run().await) };
        self.tasks.spawn(task);
        true
    }

    async fn on_done(&mut self, done: Done) -> Vec<TorrentEvent> {
        match done {
            Done::Activation(index, info_hash, result) => {
                self.on_activation(index, info_hash, result).await
            }
            Done::Fetch(index, outcome) => self.on_fetch(index, outcome).await,
        }
    }

    async fn on_activation(
        &mut self,
        index: SegmentIndex,
        info_hash: InfoHash,
        result: Result<Arc<ManagedTorrent>, ActivationError>,
    ) -> Vec<TorrentEvent> {
        let waking = self.waking.remove(&index).unwrap_or_default();
        let entry = self.registry.get(index);
        let is_wanted = entry.is_some_and(|entry| entry.info_hash == info_hash);
        let mut events = Vec::new();
        let is_seeded = match result {
            Ok(torrent) if is_wanted => {
                self.make_room().await;
                let (uploaded, used) = (0, Instant::now());
                let live = Live {
                    torrent,
                    uploaded,
                    used,
                };
                self.live.insert(index, live);
                true
            }
            Ok(torrent) => {
                self.delete(&torrent).await;
                false
            }
            Err(error) => {
                warn!(index = index.get(), %error, "a segment can't be seeded");
                if is_wanted && error.is_damage() {
                    self.registry.remove(index);
                    events.push(TorrentEvent::Damaged { index });
                }
                false
            }
        };
        for stranger in waking.strangers {
            // Who has left in the meantime needs no answer.
            let _ = stranger.send(is_seeded);
        }
        if waking.for_core {
            events.push(activated(index, is_seeded));
        }
        events
    }

    /// Puts the least recently used to sleep, so that one more can be live.
    async fn make_room(&mut self) {
        while self.live.len() + self.pulls.len() >= self.config.live_max.max(1) {
            let oldest = self.live.iter().min_by_key(|(_, live)| live.used);
            let Some(index) = oldest.map(|(index, _)| *index) else {
                break;
            };
            self.put_to_sleep(index).await;
        }
    }

    /// Puts those to sleep that nobody has used for long. Whoever wants one wakes it, by the core or by a handshake.
    async fn doze(&mut self) {
        if self.config.has_discovery() {
            return; // a torrent that sleeps is not announced
        }
        let idle = self.live.iter();
        let idle = idle.filter(|(_, live)| live.used.elapsed() >= self.config.sleep);
        for index in idle.map(|(index, _)| *index).collect::<Vec<_>>() {
            self.put_to_sleep(index).await;
        }
    }

    async fn put_to_sleep(&mut self, index: SegmentIndex) {
        if let Some(live) = self.live.remove(&index) {
            self.delete(&live.torrent).await;
        }
    }

    async fn delete(&self, torrent: &ManagedTorrent) {
        let id = TorrentIdOrHash::Id(torrent.id());
        if let Err(error) = self.session.delete(id, false).await {
            debug!(%error, "can't remove a torrent");
        }
    }

    async fn fetch(
        &mut self,
        index: SegmentIndex,
        metainfo: Metainfo,
        holders: Vec<SocketAddr>,
    ) -> Vec<TorrentEvent> {
        if let Some(pull) = self.pulls.get_mut(&index) {
            pull.stop.cancel();
            pull.next = Some((metainfo, holders));
            return Vec::new();
        }
        if self.pulls.len() >= FETCHES_MAX {
            let (failure, culprits) = (FetchFailure::Engine, Vec::new());
            return vec![TorrentEvent::FetchFailed {
                index,
                failure,
                culprits,
            }];
        }
        self.put_to_sleep(index).await;
        self.make_room().await;
        let pull = Pull {
            stop: CancellationToken::new(),
            got: Arc::default(),
            length: metainfo.length(),
            next: None,
        };
        let fetch = Fetch {
            session: self.session.clone(),
            metainfo,
            holders,
            folder: self.config.downloads.clone(),
            memory: self.memory.clone(),
            trackers: self.config.trackers.clone(),
            has_discovery: self.config.has_discovery(),
            stall: self.config.stall,
            got: pull.got.clone(),
            stop: pull.stop.clone(),
        };
        self.pulls.insert(index, pull);
        let task = async move { Done::Fetch(index, fetch.run().await) };
        self.tasks.spawn(task);
        Vec::new()
    }

    async fn on_fetch(&mut self, index: SegmentIndex, outcome: Outcome) -> Vec<TorrentEvent> {
        let Some(pull) = self.pulls.remove(&index) else {
            return Vec::new();
        };
        if let Some((metainfo, holders)) = pull.next {
            return self.fetch(index, metainfo, holders).await;
        }
        match outcome {
            // It was whole just before it was cancelled: nobody will come for the file.
            Outcome::Whole(whole) if pull.stop.is_cancelled() => {
                let _ = std::fs::remove_file(whole.file);
                Vec::new()
            }
            _ if pull.stop.is_cancelled() => Vec::new(),
            Outcome::Cancelled => Vec::new(),
            Outcome::Whole(Whole { file, from }) => {
                vec![TorrentEvent::Fetched { index, file, from }]
            }
            Outcome::Failed(Failed { failure, culprits }) => vec![TorrentEvent::FetchFailed {
                index,
                failure,
                culprits,
            }],
        }
    }

    /// Notes who has sent something, and renews the view.
    fn look(&mut self) -> Vec<TorrentEvent> {
        for live in self.live.values_mut() {
            let uploaded = live.torrent.live().map(|state| state.get_uploaded_bytes());
            if let Some(uploaded) = uploaded.filter(|uploaded| *uploaded != live.uploaded) {
                live.uploaded = uploaded;
                live.used = Instant::now();
            }
        }
        // The session's counters outlive its torrents.
        let counters = self.session.stats_snapshot().counters;
        let fetches = self.pulls.iter().map(|(index, pull)| FetchView {
            index: *index,
            got: pull.got.load(Ordering::Relaxed),
            length: pull.length,
        });
        let mut fetches: Vec<_> = fetches.collect();
        fetches.sort_unstable_by_key(|fetch| fetch.index);
        self.view.send_replace(TorrentView {
            listen: Some(self.listen),
            registered: self.registry.len(),
            live: self.live.len() + self.pulls.len(),
            downloaded_bytes: counters.fetched_bytes,
            uploaded_bytes: counters.uploaded_bytes,
            fetches,
        });
        Vec::new()
    }
}

fn activated(index: SegmentIndex, is_seeded: bool) -> TorrentEvent {
    TorrentEvent::Activated { index, is_seeded }
}

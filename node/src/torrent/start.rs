//! Starting and stopping.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use librqbit::{
    ConnectionOptions, DhtSessionConfig, ListenerMode, ListenerOptions, PeerConnectionOptions,
    Session, SessionOptions, generate_azereus_style,
};
use lyceum_protocol::{Metainfo, SegmentIndex};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::engine::{Command, Engine};
use super::front::Front;
use super::storage::open_folder;
use super::{SegmentSwarm, TorrentConfig, TorrentError, TorrentEvent, TorrentView};

/// Events that the core may be behind by; then the engine waits for it.
pub const EVENTS_LEN: usize = 256;
/// Handshakes that wait for the engine's word.
const LOOKUPS_LEN: usize = 64;
/// The peers of one torrent.
const TORRENT_PEERS_MAX: usize = 16;
/// Torrents whose files the engine checks at once: one that is seeded, and one that is pulled on.
const CHECKS_MAX: usize = 2;
/// How long a holder may take to accept a connection: a while below the watchdog's.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(5);
/// A peer that neither says nor takes anything for so long is let go.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long stopping may take.
const STOP_TIME_MAX: Duration = Duration::from_secs(5);

/// Commands to the engine; clones reach the same one.
#[derive(Debug, Clone)]
pub struct RqbitSwarm {
    // Unbounded, because the core must not wait: it is its only writer, and bounds what peers make it ask for.
    commands: mpsc::UnboundedSender<Command>,
}

impl RqbitSwarm {
    fn send(&self, command: Command) {
        // A stopped engine does nothing more.
        let _ = self.commands.send(command);
    }
}

impl SegmentSwarm for RqbitSwarm {
    fn register(&mut self, index: SegmentIndex, metainfo: Metainfo, file: PathBuf) {
        self.send(Command::Register(index, metainfo, file));
    }

    fn unregister(&mut self, index: SegmentIndex) {
        self.send(Command::Unregister(index));
    }

    fn activate(&mut self, index: SegmentIndex) {
        self.send(Command::Activate(index));
    }

    fn fetch(&mut self, index: SegmentIndex, metainfo: Metainfo, holders: Vec<SocketAddr>) {
        self.send(Command::Fetch(index, metainfo, holders));
    }

    fn cancel(&mut self, index: SegmentIndex) {
        self.send(Command::Cancel(index));
    }
}

/// A running engine. Dropping it stops it at once.
#[derive(Debug)]
pub struct RunningTorrents {
    /// Where to send commands.
    pub swarm: RqbitSwarm,
    /// What it tells.
    pub events: mpsc::Receiver<TorrentEvent>,
    /// How it stands.
    pub view: watch::Receiver<TorrentView>,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Ends it.
    pub stop: TorrentStop,
}

/// Ends a running engine: when asked, and when dropped.
#[derive(Debug)]
pub struct TorrentStop {
    task: JoinHandle<()>,
    stop: DropGuard,
}

impl TorrentStop {
    /// Stops it, and waits until it has let go of its files.
    pub async fn stop(self) {
        drop(self.stop);
        if tokio::time::timeout(STOP_TIME_MAX, self.task)
            .await
            .is_err()
        {
            warn!("the BitTorrent engine did not stop in time");
        }
    }
}

impl RqbitSwarm {
    /// Starts an engine. It wants a runtime of several threads: the engine reads and writes files on them.
    ///
    /// # Errors
    /// [`TorrentError`] where the folder or the address can't be used.
    pub async fn start(config: TorrentConfig) -> Result<RunningTorrents, TorrentError> {
        let folder = config.downloads.clone();
        let opened = tokio::task::spawn_blocking(move || open_folder(&folder)).await;
        let opened = opened.unwrap_or_else(|error| Err(error.into()));
        opened.map_err(|error| TorrentError::Folder {
            folder: config.downloads.clone(),
            error,
        })?;
        let failed = |error| TorrentError::Listen {
            listen: config.listen,
            error,
        };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let listen = listener.local_addr().map_err(failed)?;

        let stop = CancellationToken::new();
        let session = open_session(&config, listen, stop.child_token()).await;
        let failed = |error: anyhow::Error| TorrentError::Engine(format!("{error:#}"));
        let (session, engine_addr, peer_id) = session.map_err(failed)?;
        let (commands, commands_in) = mpsc::unbounded_channel();
        let (lookups, lookups_in) = mpsc::channel(LOOKUPS_LEN);
        let (events_out, events) = mpsc::channel(EVENTS_LEN);
        let first = TorrentView {
            listen: Some(listen),
            ..TorrentView::default()
        };
        let (view_out, view) = watch::channel(first);
        let front = Front {
            listener,
            engine: engine_addr,
            peer_id,
            lookups,
            connections_max: config.connections_max,
        };
        let engine = Engine::new(config, session.clone(), listen, events_out, view_out);
        let token = stop.clone();
        let task = tokio::spawn(async move {
            tokio::select! {
                () = engine.run(commands_in, lookups_in, token) => {}
                () = front.run() => {}
            }
            session.cancellation_token().cancel();
        });
        let stop = stop.drop_guard();
        Ok(RunningTorrents {
            swarm: Self { commands },
            events,
            view,
            listen,
            stop: TorrentStop { task, stop },
        })
    }
}

/// Opens the engine's session; gives where it listens and its peer id, too.
async fn open_session(
    config: &TorrentConfig,
    listen: SocketAddr,
    stop: CancellationToken,
) -> anyhow::Result<(Arc<Session>, SocketAddr, [u8; 20])> {
    let peer_id = generate_azereus_style(*b"LY", (0, 1, 0, 0));
    let peer_opts = PeerConnectionOptions {
        connect_timeout: Some(CONNECT_TIME_MAX),
        read_write_timeout: Some(SILENCE_MAX),
        ..PeerConnectionOptions::default()
    };
    let options = SessionOptions {
        dht: config.dht.then(|| DhtSessionConfig {
            persistence: None,
            ..DhtSessionConfig::default()
        }),
        disable_trackers: config.trackers.is_empty(),
        disable_local_service_discovery: true,
        // Nothing is remembered: what an earlier run has checked may be damaged by now.
        persistence: None,
        fastresume: false,
        peer_id: Some(peer_id),
        listen: Some(ListenerOptions {
            mode: ListenerMode::TcpOnly,
            listen_addr: (Ipv4Addr::LOCALHOST, 0).into(),
            enable_upnp_port_forwarding: false,
            announce_port: Some(listen.port()),
            ipv4_only: true,
            ..ListenerOptions::default()
        }),
        connect: Some(ConnectionOptions {
            peer_opts: Some(peer_opts),
            ..ConnectionOptions::default()
        }),
        cancellation_token: Some(stop),
        concurrent_init_limit: Some(CHECKS_MAX),
        ratelimits: config.limits(),
        peer_limit: Some(TORRENT_PEERS_MAX),
        client_name_and_version: Some(concat!("lyceum/", env!("CARGO_PKG_VERSION")).to_owned()),
        ..SessionOptions::default()
    };
    let session = Session::new_with_opts(config.downloads.clone(), options).await?;
    let engine = session.listen_addr();
    let engine = engine.ok_or_else(|| anyhow::anyhow!("it does not listen"))?;
    Ok((session, engine, peer_id.0))
}

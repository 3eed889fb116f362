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
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::warn;

use super::engine::{Command, Engine};
use super::front::{Front, Lookup};
use super::part::open_folder;
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
/// Threads that check files before they are seeded, and write what is pulled.
const BLOCKING_THREADS_MAX: usize = 8;
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
    /// Told when its thread has let go of its files.
    ended: oneshot::Receiver<()>,
    stop: DropGuard,
}

impl TorrentStop {
    /// Stops it, and waits until it has let go of its files.
    pub async fn stop(self) {
        drop(self.stop);
        if tokio::time::timeout(STOP_TIME_MAX, self.ended)
            .await
            .is_err()
        {
            warn!("the BitTorrent engine did not stop in time");
        }
    }
}

impl RqbitSwarm {
    /// Starts an engine, on a thread of its own.
    ///
    /// On a runtime of several threads the engine would pass its worker on to another thread for each chunk of 16 KiB that it reads or writes.
    ///
    /// # Errors
    /// [`TorrentError`] where the folder or the address can't be used.
    pub async fn start(config: TorrentConfig) -> Result<RunningTorrents, TorrentError> {
        let failed = |error: std::io::Error| TorrentError::Engine(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("torrent-files")
            .build();
        let runtime = runtime.map_err(failed)?;
        let (started, starting) = oneshot::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::Builder::new().name("torrents".to_owned());
        let run = move || {
            runtime.block_on(async {
                match Parts::start(config).await {
                    Ok((parts, running)) => {
                        // Who has started it may have gone; then it ends at once.
                        let _ = started.send(Ok(running));
                        parts.run().await;
                    }
                    Err(error) => drop(started.send(Err(error))),
                }
            });
            runtime.shutdown_timeout(STOP_TIME_MAX);
            let _ = end.send(());
        };
        thread.spawn(run).map_err(failed)?;
        let running = starting.await.unwrap_or_else(|_| {
            let error = "its thread has ended".to_owned();
            Err(TorrentError::Engine(error))
        })?;
        Ok(running.with(ended))
    }
}

/// What has been started, but for the word of its end.
struct Started {
    swarm: RqbitSwarm,
    events: mpsc::Receiver<TorrentEvent>,
    view: watch::Receiver<TorrentView>,
    listen: SocketAddr,
    stop: DropGuard,
}

impl Started {
    fn with(self, ended: oneshot::Receiver<()>) -> RunningTorrents {
        let stop = self.stop;
        RunningTorrents {
            swarm: self.swarm,
            events: self.events,
            view: self.view,
            listen: self.listen,
            stop: TorrentStop { ended, stop },
        }
    }
}

/// What runs on the engine's thread.
struct Parts {
    session: Arc<Session>,
    engine: Engine,
    front: Front,
    commands: mpsc::UnboundedReceiver<Command>,
    lookups: mpsc::Receiver<Lookup>,
    stop: CancellationToken,
}

impl Parts {
    async fn start(config: TorrentConfig) -> Result<(Self, Started), TorrentError> {
        open_folder(&config.downloads).map_err(|error| TorrentError::Folder {
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
        let (commands_out, commands) = mpsc::unbounded_channel();
        let (lookups_out, lookups) = mpsc::channel(LOOKUPS_LEN);
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
            lookups: lookups_out,
            connections_max: config.connections_max,
        };
        let engine = Engine::new(config, session.clone(), listen, events_out, view_out);
        let started = Started {
            swarm: RqbitSwarm {
                commands: commands_out,
            },
            events,
            view,
            listen,
            stop: stop.clone().drop_guard(),
        };
        let parts = Self {
            session,
            engine,
            front,
            commands,
            lookups,
            stop,
        };
        Ok((parts, started))
    }

    async fn run(self) {
        tokio::select! {
            () = self.engine.run(self.commands, self.lookups, self.stop) => {}
            () = self.front.run() => {}
        }
        self.session.cancellation_token().cancel();
    }
}

/// Opens the engine's session; gives where it listens and its peer id, too.
async fn open_session(
    config: &TorrentConfig,
    listen: SocketAddr,
    stop: CancellationToken,
) -> anyhow::Result<(Arc<Session>, SocketAddr, [u8; 20])> {
    let peer_id = generate_azereus_style(*b"LY", (0, 1, 0, 0));
    let mut options = session_options(config, listen);
    options.peer_id = Some(peer_id);
    options.cancellation_token = Some(stop);
    let session = Session::new_with_opts(config.downloads.clone(), options).await?;
    let engine = session.listen_addr();
    let engine = engine.ok_or_else(|| anyhow::anyhow!("it does not listen"))?;
    Ok((session, engine, peer_id.0))
}

pub(super) fn session_options(config: &TorrentConfig, listen: SocketAddr) -> SessionOptions {
    let peer_opts = PeerConnectionOptions {
        connect_timeout: Some(CONNECT_TIME_MAX),
        read_write_timeout: Some(SILENCE_MAX),
        ..PeerConnectionOptions::default()
    };
    SessionOptions {
        dht: config.dht.then(|| DhtSessionConfig {
            persistence: None,
            ..DhtSessionConfig::default()
        }),
        disable_trackers: config.trackers.is_empty(),
        disable_local_service_discovery: true,
        // Nothing is remembered: what an earlier run has checked may be damaged by now.
        persistence: None,
        fastresume: false,
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
        concurrent_init_limit: Some(CHECKS_MAX),
        ratelimits: config.limits(),
        peer_limit: Some(TORRENT_PEERS_MAX),
        client_name_and_version: Some(concat!("lyceum/", env!("CARGO_PKG_VERSION")).to_owned()),
        ..SessionOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The engine's DHT can't be had privately: on loopback its routing table stays empty, and it binds all interfaces. So what it is told
    /// is all that is tested.
    #[test]
    fn nothing_is_announced_unless_it_is_asked_for() {
        let chain = "dev".parse().expect("a chain's name");
        let listen = ([127, 0, 0, 1], 7).into();
        let mut config = TorrentConfig::new(chain, "x".into(), listen);
        let quiet = session_options(&config, listen);
        assert!(quiet.dht.is_none() && quiet.disable_trackers);
        assert!(quiet.disable_local_service_discovery && !config.has_discovery());
        config.dht = true;
        let dht = session_options(&config, listen);
        assert!(dht.dht.is_some() && dht.disable_trackers && config.has_discovery());
        config.dht = false;
        config.trackers = vec!["http://192.0.2.1/announce".to_owned()];
        let tracked = session_options(&config, listen);
        assert!(tracked.dht.is_none() && !tracked.disable_trackers && config.has_discovery());
        // What is announced is the port that strangers reach.
        let listener = tracked.listen.expect("it listens");
        assert_eq!(listener.announce_port, Some(7));
        assert!(listener.listen_addr.ip().is_loopback());
    }
}

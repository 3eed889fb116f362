//! Starting a node, and the end of its core.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use lyceum_protocol::Address;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::inbox::{Inbox, Receivers};
use super::notices::Announcer;
use super::outbox::Outbox;
use super::run::{CoreThread, Submitters};
use super::{Node, NodeConfig, Opening, StartError, StopError, open_chain};
use crate::clock;
use crate::core::{Action, Chain, ChainError, Core, CoreConfig, Event};
use crate::handle::{HAPPENINGS_LEN, NODE_COMMANDS_LEN, NodeHandle};
use crate::metrics::Metrics;
use crate::miner::{MINED_BLOCKS_LEN, MinedBlock, MinerConfig, MinerThreads};
use crate::network::{self, Network, NetworkConfig, load_or_create_identity};
use crate::torrent::{
    RqbitSwarm, RunningTorrents, SegmentSwarm, TorrentEvent, TorrentStop, TorrentView,
};

/// Ends of file work that wait for the core.
const FILE_EVENTS_LEN: usize = 64;

impl Node {
    /// Starts a node on the current runtime, which has several threads.
    ///
    /// # Errors
    /// [`StartError`]; nothing goes on running then.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        Opening::listen(config).await?.open(open_chain).await
    }
}

/// All but the API, over an open ledger.
pub(super) struct Rest {
    pub(super) handle: NodeHandle,
    pub(super) network: Network,
    pub(super) torrents: Option<(SocketAddr, TorrentStop)>,
    pub(super) core: CoreJoin,
    pub(super) stop: CancellationToken,
}

/// Starts all but the API.
pub(super) async fn start_rest(
    mut config: NodeConfig,
    chain: Chain,
    metrics: &Arc<Metrics>,
) -> Result<Rest, StartError> {
    let mut network = start_network(&config, &chain, metrics)?;
    let undo = network.stop.clone().drop_guard();
    let mut torrents = match config.torrents.take() {
        Some(config) => Some(RqbitSwarm::start(config).await?),
        None => None,
    };
    let stop = CancellationToken::new();
    let (handle, core) = start_core(
        config.miner.take(),
        CoreParts {
            chain,
            config: &config,
            network: &mut network,
            torrents: torrents.as_mut(),
            metrics: Arc::clone(metrics),
            stop: stop.clone(),
        },
    )?;
    undo.disarm();
    Ok(Rest {
        handle,
        network,
        torrents: torrents.map(|torrents| (torrents.listen, torrents.stop)),
        core,
        stop,
    })
}

fn start_network(
    config: &NodeConfig,
    chain: &Chain,
    metrics: &Metrics,
) -> Result<Network, StartError> {
    let identity = load_or_create_identity(&config.data_dir)?;
    let genesis = chain.store().genesis();
    let mut bootnodes = config.bootnodes.clone();
    for address in &config.spec.bootnodes {
        match address.parse() {
            Ok(address) => bootnodes.push(address),
            Err(error) => warn!(address, %error, "a bootnode of the chain file can't be used"),
        }
    }
    let network = NetworkConfig {
        listen: config.listen.clone(),
        external: config.external.clone(),
        bootnodes,
        discovery: config.discovery.clone(),
        limits: config.limits.clone(),
        timing: config.timing.clone(),
        ..NetworkConfig::new(chain.spec(), genesis, identity, &config.data_dir)
    };
    Ok(metrics.register(|registry| network::start(network, registry))?)
}

/// What the core's thread is made of.
struct CoreParts<'a> {
    chain: Chain,
    config: &'a NodeConfig,
    network: &'a mut Network,
    torrents: Option<&'a mut RunningTorrents>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

/// Starts the core's thread.
fn start_core(
    miner: Option<MinerConfig>,
    parts: CoreParts<'_>,
) -> Result<(NodeHandle, CoreJoin), StartError> {
    let CoreParts {
        chain,
        config,
        network,
        torrents,
        metrics,
        stop,
    } = parts;
    let payee = miner
        .as_ref()
        .map(|miner| Address::from_bytes(miner.key.public()));
    let core_config = core_config(config, payee, torrents.is_some())?;
    let (reader, segments) = (chain.store().reader(), chain.store().segments_folder());
    let checker = chain.run_checker();
    let (core, first) = Core::new(chain, &core_config, clock::now())?;
    let (standing_sender, standing) = watch::channel(core.standing(0.0, 0)?);

    let (mined_sender, mined) = mpsc::channel(MINED_BLOCKS_LEN);
    let miner = match miner {
        Some(miner) => Some(start_miner(miner, config, mined_sender)?),
        None => None,
    };
    let (commands, commands_receiver) = mpsc::channel(NODE_COMMANDS_LEN);
    let (files_sender, files) = mpsc::channel(FILE_EVENTS_LEN);
    let happenings = broadcast::channel(HAPPENINGS_LEN).0;
    let torrents = torrents
        .map(TorrentLink::take)
        .unwrap_or_else(TorrentLink::none);
    let receivers = Receivers {
        commands: commands_receiver,
        network: std::mem::replace(&mut network.events, mpsc::channel(1).1),
        torrents: torrents.events,
        mined,
        files,
    };
    let mut inbox = Inbox::new(stop, receivers);
    inbox
        .own
        .extend(torrents.listen.map(Event::TorrentListening));
    let outbox = Outbox {
        spec: Arc::clone(&config.spec),
        network: network.commands.clone(),
        torrents: torrents.swarm,
        miner,
        segments,
        files: files_sender,
        checker,
        runtime: Handle::current(),
        attempts: 0,
        metrics: Arc::clone(&metrics),
    };
    let handle = NodeHandle {
        spec: Arc::clone(&config.spec),
        peer_id: network.peer_id,
        reader,
        commands,
        standing,
        network: network.view.clone(),
        torrents: torrents.view,
        happenings: happenings.clone(),
    };
    let thread = CoreThread {
        core,
        inbox,
        outbox,
        announcer: Announcer::new(metrics, happenings),
        standing: standing_sender,
        runtime: Handle::current(),
        submitters: Submitters::default(),
    };
    Ok((handle, CoreJoin::start(thread, first)?))
}

fn core_config(
    config: &NodeConfig,
    miner: Option<Address>,
    has_torrents: bool,
) -> Result<CoreConfig, StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::System {
        what: "no entropy",
        why: error.to_string(),
    })?;
    Ok(CoreConfig {
        miner,
        mempool: config.mempool,
        has_torrents,
        seed,
    })
}

fn start_miner(
    miner: MinerConfig,
    config: &NodeConfig,
    mined: mpsc::Sender<MinedBlock>,
) -> Result<MinerThreads, StartError> {
    let started = MinerThreads::start(miner, Arc::clone(&config.spec), mined);
    started.map_err(|error| StartError::System {
        what: "the miner does not start",
        why: error.to_string(),
    })
}

/// How the core speaks with the torrents.
struct TorrentLink {
    swarm: Option<Box<dyn SegmentSwarm>>,
    events: mpsc::Receiver<TorrentEvent>,
    view: watch::Receiver<TorrentView>,
    listen: Option<SocketAddr>,
}

impl TorrentLink {
    fn take(running: &mut RunningTorrents) -> Self {
        Self {
            swarm: Some(Box::new(running.swarm.clone())),
            events: std::mem::replace(&mut running.events, mpsc::channel(1).1),
            view: running.view.clone(),
            listen: Some(running.listen),
        }
    }

    fn none() -> Self {
        Self {
            swarm: None,
            events: mpsc::channel(1).1,
            view: watch::channel(TorrentView::default()).1,
            listen: None,
        }
    }
}

/// The end of the core's thread.
pub(super) struct CoreJoin {
    thread: JoinHandle<Result<(), ChainError>>,
    ended: CancellationToken,
}

impl CoreJoin {
    fn start(core: CoreThread, first: Vec<Action>) -> Result<Self, StartError> {
        let ended = CancellationToken::new();
        let end = ended.clone().drop_guard();
        let thread = std::thread::Builder::new().name("core".to_owned());
        let thread = thread.spawn(move || {
            // Told even where it panics.
            let _end = end;
            core.run(first)
        });
        let thread = thread.map_err(|error| StartError::System {
            what: "the core does not start",
            why: error.to_string(),
        })?;
        Ok(Self { thread, ended })
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    /// Waits until it has ended, and says how.
    pub(super) async fn join(self, deadline: Duration) -> Result<(), StopError> {
        let ended = tokio::time::timeout(deadline, self.ended.cancelled()).await;
        ended.map_err(|_| StopError::Core)?;
        // It is at its very end.
        let joined = tokio::task::spawn_blocking(move || self.thread.join()).await;
        match joined {
            Ok(Ok(ended)) => Ok(ended?),
            _ => Err(StopError::Panic),
        }
    }
}

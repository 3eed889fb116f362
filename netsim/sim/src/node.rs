//! A whole node: the core over a ledger in memory, the network over the wire, and the loop between them that the driver is on a real one.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use lyceum_node::core::{
    Action, Chain, Core, CoreConfig, Event, MempoolLimits, Notice, PartError, SubmitRefusal,
};
use lyceum_node::driver::{core_event, network_command};
use lyceum_node::network::{
    Limits, Network, NetworkCommand, NetworkConfig, ReplyId, RequestFailure, Topic, start_over,
};
use lyceum_protocol::{BatchSeed, ChainSpec, SegmentIndex, StateRoot, Timestamp, TxId};
use lyceum_storage::{Reader, Store};
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::miner::Miner;
use crate::play::Sabotage;
use crate::torrents::{self, Swarm};
use crate::transport::{self, transport};
use crate::watch::Watch;
use crate::wire::{Host, Wire};

/// How often the core is told that time has passed, as in the driver.
const TICK: Duration = Duration::from_millis(250);
/// What a block takes a node, from the socket to the verdict: of real ones over links of 50 ms, the quickest twentieth took 59.
const BLOCK_TAKES: Duration = Duration::from_millis(8);
/// Orders that may wait for a node: the load's calls, the ends of pulls.
const ORDERS_LEN: usize = 256;

/// What all nodes share.
pub(crate) struct World {
    pub(crate) spec: Arc<ChainSpec>,
    pub(crate) wire: Wire,
    pub(crate) swarm: Swarm,
    pub(crate) started: Instant,
    /// The time of all clocks at the start.
    pub(crate) epoch: u64,
    /// Where the nodes' folders are; they hold bans, if anything.
    pub(crate) folder: PathBuf,
    pub(crate) watch: Mutex<Watch>,
    pub(crate) sabotage: Option<Sabotage>,
    pub(crate) connections_max: Option<u32>,
    /// Set when there is something to be looked at: a check has failed, a node has ended.
    pub(crate) alarm: CancellationToken,
}

impl World {
    /// Milliseconds since the start.
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// What all clocks show.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::new(self.epoch + self.millis()).unwrap_or(Timestamp::MAX)
    }

    pub(crate) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who a node is, from one start to the next.
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) number: usize,
    pub(crate) host: Host,
    pub(crate) key: Keypair,
    /// How it mines; `None` where it does not.
    pub(crate) miner: Option<Miner>,
    pub(crate) bootnodes: Vec<Multiaddr>,
    /// What its random choices follow from.
    pub(crate) seed: [u8; 32],
}

impl Identity {
    /// Where others dial it.
    pub(crate) fn address(&self) -> Multiaddr {
        let peer: PeerId = self.key.public().to_peer_id();
        transport::address(self.host).with(libp2p::multiaddr::Protocol::P2p(peer))
    }
}

/// Something that a node is to do.
pub(crate) enum Order {
    /// Take a transaction.
    Submit {
        token: String,
        reply: oneshot::Sender<Result<TxId, SubmitRefusal>>,
    },
    /// Take an event.
    Event(Box<Event>),
}

/// A running node.
pub(crate) struct Running {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) reader: Reader,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<Store>>,
}

impl Running {
    /// Ends it without a word; gives what it has committed.
    ///
    /// # Errors
    /// Where it had ended by itself.
    pub(crate) async fn kill(self) -> anyhow::Result<Store> {
        self.stop.cancel();
        self.task.await.context("it has panicked")?
    }

    /// Has it ended by itself?
    pub(crate) fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

/// Starts a node over what it has committed.
///
/// # Errors
/// Where its ledger or its network does not start.
pub(crate) fn start(
    identity: Identity,
    store: Store,
    world: &Arc<World>,
) -> anyhow::Result<Running> {
    let seed = BatchSeed::new(identity.seed);
    let chain = Chain::open((*world.spec).clone(), |_, _| Ok(store), seed)?;
    let reader = chain.store().reader();
    world.swarm.join(identity.host, reader.clone());
    let network = start_network(&identity, &chain, world)?;
    let config = CoreConfig {
        miner: identity.miner.as_ref().map(Miner::address),
        mempool: MempoolLimits::default(),
        has_torrents: true,
        seed: identity.seed,
    };
    let (core, first) = Core::new(chain, &config, world.now())?;
    let (orders, waiting) = mpsc::channel(ORDERS_LEN);
    let stop = CancellationToken::new();
    // Real nodes do not tick together.
    let phase = TICK.mul_f64(f64::from(identity.seed[0]) / 256.0);
    let mut tick = interval_at(Instant::now() + phase, TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let listening = Event::TorrentListening(torrents::address(identity.host));
    let node = Node {
        identity,
        core,
        network,
        world: Arc::clone(world),
        own_orders: orders.clone(),
        orders: waiting,
        tick,
        stop: stop.clone(),
        next: VecDeque::from([listening]),
        later: VecDeque::new(),
        is_unfinished: false,
        submitters: BTreeMap::new(),
        last_reply: 0,
        fetches: BTreeMap::new(),
    };
    let alarm = world.alarm.clone();
    let task = tokio::spawn(async move {
        let ended = node.run(first).await;
        if ended.is_err() {
            alarm.cancel();
        }
        ended
    });
    Ok(Running {
        orders,
        reader,
        stop,
        task,
    })
}

fn start_network(identity: &Identity, chain: &Chain, world: &World) -> anyhow::Result<Network> {
    let folder = world.folder.join(&identity.name);
    let genesis = chain.store().genesis();
    let config = NetworkConfig {
        listen: vec![transport::address(identity.host)],
        bootnodes: identity.bootnodes.clone(),
        limits: limits(world.connections_max),
        ..NetworkConfig::new(&world.spec, genesis, identity.key.clone(), &folder)
    };
    let wire = transport(&world.wire, identity.host, &identity.key);
    Ok(start_over(wire, config, &mut Registry::default())?)
}

/// A node's bounds; where they are set, two thirds are for those who dial it, as in the node.
fn limits(connections_max: Option<u32>) -> Limits {
    let usual = Limits {
        // The process is all nodes at once: its memory says nothing about one of them.
        memory_share: 1.0,
        ..Limits::default()
    };
    match connections_max {
        None => usual,
        Some(established) => Limits {
            established,
            inbound: established - established / 3,
            outbound: established / 3,
            ..usual
        },
    }
}

struct Node {
    identity: Identity,
    core: Core,
    network: Network,
    world: Arc<World>,
    own_orders: mpsc::Sender<Order>,
    orders: mpsc::Receiver<Order>,
    tick: Interval,
    stop: CancellationToken,
    /// Events that are due now.
    next: VecDeque<Event>,
    /// Events that wait for the next tick, so that what fails at once is not tried again at once, for ever.
    later: VecDeque<Event>,
    is_unfinished: bool,
    submitters: BTreeMap<ReplyId, oneshot::Sender<Result<TxId, SubmitRefusal>>>,
    last_reply: u64,
    fetches: BTreeMap<SegmentIndex, AbortHandle>,
}

impl Node {
    /// Runs until it is killed; gives what it has committed.
    async fn run(mut self, first: Vec<Action>) -> anyhow::Result<Store> {
        self.perform_all(first)?;
        while let Some(event) = self.next().await? {
            if matches!(event, Event::Gossip { topic, .. } if topic == Topic::Block) {
                tokio::time::sleep(BLOCK_TAKES).await;
            }
            self.step(event)?;
        }
        // No farewell: the connections are reset, as a killed process' are.
        self.network.task.abort();
        let _ = self.network.task.await;
        self.fetches.values().for_each(AbortHandle::abort);
        let (up, down) = self.world.swarm.leave(self.identity.host);
        {
            let mut watch = self.world.watch();
            let figures = watch.nodes.entry(self.identity.number).or_default();
            figures.uploaded += up;
            figures.downloaded += down;
        }
        Ok(self.core.into_chain().into_store())
    }

    /// The next event; `None` at the end.
    async fn next(&mut self) -> anyhow::Result<Option<Event>> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(None);
            }
            if let Some(event) = self.next.pop_front() {
                return Ok(Some(event));
            }
            let order = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(None),
                _ = self.tick.tick() => {
                    self.next.extend(self.later.drain(..));
                    return Ok(Some(Event::Tick));
                }
                () = found(self.identity.miner.as_ref()) => match self.seal() {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                },
                order = self.orders.recv() => order,
                event = self.network.events.recv() => {
                    let event = event.context("its network has ended")?;
                    return Ok(Some(core_event(event)));
                }
                () = std::future::ready(()), if self.is_unfinished => {
                    self.is_unfinished = false;
                    return Ok(Some(Event::Continue));
                }
            };
            match order {
                Some(Order::Event(event)) => return Ok(Some(*event)),
                Some(Order::Submit { token, reply }) => {
                    self.last_reply += 1;
                    let id = ReplyId(self.last_reply);
                    self.submitters.insert(id, reply);
                    return Ok(Some(Event::Submit { reply: id, token }));
                }
                None => return Ok(None),
            }
        }
    }

    /// The miner has found a block.
    fn seal(&mut self) -> Option<Event> {
        let world = Arc::clone(&self.world);
        let sealed = self.identity.miner.as_mut()?.seal(&world.spec)?;
        let (millis, name) = (world.millis(), self.identity.name.as_str());
        let mut watch = world.watch();
        watch.mined(millis, name, sealed.hash, &sealed.claims);
        let (template, token) = (sealed.template, sealed.token);
        Some(Event::Mined { template, token })
    }

    fn step(&mut self, event: Event) -> anyhow::Result<()> {
        let millis = self.world.millis();
        self.world
            .watch()
            .event(millis, &self.identity.name, &event);
        let actions = self.core.step(self.world.now(), event)?;
        self.perform_all(actions)
    }

    fn perform_all(&mut self, actions: Vec<Action>) -> anyhow::Result<()> {
        for action in actions {
            match network_command(action) {
                Ok(command) => self.tell_network(command),
                Err(action) => self.perform(*action)?,
            }
        }
        Ok(())
    }

    fn tell_network(&mut self, command: NetworkCommand) {
        let asked = match &command {
            NetworkCommand::Request { peer, id, .. } => Some((*peer, *id)),
            NetworkCommand::Ban { reason, .. } => {
                let me = (self.identity.number, self.identity.name.as_str());
                self.world.watch().banned(self.world.millis(), me, reason);
                None
            }
            _ => None,
        };
        if !self.network.commands.try_send(command)
            && let Some((peer, id)) = asked
        {
            let result = Err(RequestFailure::Timeout);
            self.later.push_back(Event::Response { peer, id, result });
        }
    }

    fn perform(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Continue => self.is_unfinished = true,
            Action::Submitted { reply, result } => {
                if let Some(waiting) = self.submitters.remove(&reply) {
                    // Who asked may have gone.
                    let _ = waiting.send(result);
                }
            }
            Action::Mine { template, block } => {
                if let Some(miner) = &mut self.identity.miner {
                    miner.mine(template, block.claims);
                }
            }
            Action::StopMining => {
                if let Some(miner) = &mut self.identity.miner {
                    miner.pause();
                }
            }
            Action::Notice(notice) => return self.notice(&notice),
            other => self.perform_torrent(other),
        }
        Ok(())
    }

    fn perform_torrent(&mut self, action: Action) {
        let (host, swarm) = (self.identity.host, &self.world.swarm);
        match action {
            Action::Register {
                index,
                metainfo,
                file,
            } => swarm.register(host, index, metainfo, file),
            Action::Unregister(index) => swarm.unregister(host, index),
            Action::Activate(index) => {
                let is_seeded = swarm.is_seeded(host, index);
                self.next.push_back(Event::Activated { index, is_seeded });
            }
            Action::Fetch {
                index,
                metainfo,
                holders,
            } => {
                let pull = swarm.clone().fetch(host, index, metainfo, holders);
                let orders = self.own_orders.clone();
                let task = tokio::spawn(async move {
                    let event = Box::new(pull.await);
                    // Where nobody listens, the node is gone.
                    let _ = orders.send(Order::Event(event)).await;
                });
                if let Some(former) = self.fetches.insert(index, task.abort_handle()) {
                    former.abort();
                }
            }
            Action::CancelFetch(index) => {
                if let Some(task) = self.fetches.remove(&index) {
                    task.abort();
                }
            }
            Action::ReadSegment {
                index,
                file,
                offset,
            } => {
                let text = swarm.read(host, &file, offset).ok_or(PartError::Unreadable);
                let checker = self.core.chain().run_checker();
                let part = text.and_then(|text| checker.check_part(text));
                self.next.push_back(Event::SegmentPart {
                    index,
                    offset,
                    part,
                });
            }
            Action::DeleteFetched(file) => swarm.delete(host, &file),
            // Those above are all that is left; a new one shows in the first run that meets it.
            other => unreachable!("an action that nobody does: {other:?}"),
        }
    }

    fn notice(&mut self, notice: &Notice) -> anyhow::Result<()> {
        let mut tip = match notice {
            Notice::Tip { .. } => Some(self.core.chain().tip()?),
            _ => None,
        };
        if let (Some(Sabotage::StateRoot), Some(tip)) = (self.world.sabotage, &mut tip) {
            tip.state_root = StateRoot::ZERO;
        }
        let me = (self.identity.number, self.identity.name.as_str());
        let mut watch = self.world.watch();
        watch.notice(self.world.millis(), me, notice, tip.as_ref());
        if watch.violation.is_some() {
            self.world.alarm.cancel();
        }
        Ok(())
    }
}

/// Waits until a miner finds a block.
async fn found(miner: Option<&Miner>) {
    match miner.and_then(Miner::finds_at) {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

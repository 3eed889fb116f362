//! How a network is set up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::gossipsub::{IdentTopic, TopicHash};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, StreamProtocol};
use lyceum_protocol::{BlockHash, ChainName, ChainSpec};

use super::Topic;
use crate::core::wire::ANNOUNCEMENT_BYTES_MAX;

/// Peers that a node looks for: as many as gossip keeps in its mesh.
pub const TARGET_PEERS: usize = 8;

/// How a network is set up.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// The chain's name: part of every protocol's name, so that networks never mix.
    pub chain: ChainName,
    /// The chain's first block: where nodes meet on the Mainline DHT.
    pub genesis: BlockHash,
    /// The longest transaction that is gossiped.
    pub tx_bytes_max: usize,
    /// The node's own key; see [`load_or_create_identity`](super::load_or_create_identity).
    pub identity: Keypair,
    /// Where the list of bans is kept.
    pub folder: PathBuf,
    /// Where to listen.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which others reach this node, if it is known: told to peers.
    pub external: Vec<Multiaddr>,
    /// Peers to start from; `/dnsaddr` too.
    pub bootnodes: Vec<Multiaddr>,
    /// What this node calls its software.
    pub agent: String,
    /// How peers are found, and how they find us.
    pub discovery: Discovery,
    /// Bounds on connections.
    pub limits: Limits,
    /// Intervals and deadlines.
    pub timing: Timing,
}

impl NetworkConfig {
    /// The set-up of a chain's node that listens nowhere, knows nobody and looks for nobody yet.
    pub fn new(spec: &ChainSpec, genesis: BlockHash, identity: Keypair, folder: &Path) -> Self {
        Self {
            chain: spec.chain.clone(),
            genesis,
            tx_bytes_max: spec.max_tx_bytes as usize,
            identity,
            folder: folder.to_owned(),
            listen: Vec::new(),
            external: Vec::new(),
            bootnodes: Vec::new(),
            agent: format!("lyceum/{}", env!("CARGO_PKG_VERSION")),
            discovery: Discovery::default(),
            limits: Limits::default(),
            timing: Timing::default(),
        }
    }

    pub(super) fn names(&self) -> Names {
        Names::new(&self.chain)
    }

    /// The longest gossiped message about a topic.
    pub(super) fn gossip_bytes_max(&self, topic: Topic) -> usize {
        match topic {
            Topic::Block => ANNOUNCEMENT_BYTES_MAX,
            Topic::Transaction => self.tx_bytes_max,
        }
    }
}

/// How peers are found, beside bootnodes and Kademlia, and how they reach a node behind a router. All off by default.
#[derive(Debug, Clone, Default)]
pub struct Discovery {
    /// Multicast DNS, on the local network.
    pub mdns: bool,
    /// Ask the router for a port (UPnP).
    pub upnp: bool,
    /// Ask peers whether we can be reached (AutoNAT), and answer theirs.
    pub autonat: bool,
    /// Do so among private addresses, too: those of one machine or one local network.
    pub autonat_private: bool,
    /// Where we can't be reached, be reached by a peer's relay, then directly (DCUtR).
    pub relay_client: bool,
    /// Relay for others, within bounds.
    pub relay_server: bool,
    /// Meet on the Mainline DHT of BitTorrent.
    pub mainline: Option<Mainline>,
    /// Ask Kademlia, but answer none of its questions: others find this node by what it provides alone. Nodes that can't be reached do so
    /// in any case.
    pub kad_client: bool,
}

/// The Mainline DHT.
#[derive(Debug, Clone, Default)]
pub struct Mainline {
    /// The nodes to start from; `None` for the public ones.
    pub bootstrap: Option<Vec<String>>,
    /// Is it a private DHT on this machine? Then nothing is bound but loopback.
    pub is_local: bool,
}

/// Bounds on connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Handshakes of those who dial us, at once.
    pub pending_inbound: u32,
    /// Dials of ours, at once.
    pub pending_outbound: u32,
    /// Connections that others made.
    pub inbound: u32,
    /// Connections that we made: beyond those of others, so that nobody can take all places.
    pub outbound: u32,
    /// All connections. Each may hold some requests of 256 KiB.
    pub established: u32,
    /// Connections with one peer: a direct one beside a relayed one, or two that crossed, and one by which AutoNAT tries the way back.
    pub per_peer: u32,
    /// Connections from one IPv4 address or IPv6 network of 64 bits; loopback is exempt.
    pub per_ip: u32,
    /// No new connections once the process takes this share of the machine's memory.
    pub memory_share: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_inbound: 32,
            pending_outbound: 32,
            inbound: 96,
            outbound: 48,
            established: 144,
            per_peer: 3,
            per_ip: 8,
            memory_share: 0.8,
        }
    }
}

/// Intervals and deadlines.
#[derive(Debug, Clone)]
pub struct Timing {
    /// How often the network looks after itself.
    pub tick: Duration,
    /// A peer that hasn't said by then which chain it is on is dropped.
    pub identify: Duration,
    /// A connection without any stream is closed. Gossip keeps its own open, so that this is for those who speak none.
    pub idle: Duration,
    /// Where there are many peers, one that came, asked or was asked within this time is not let go: twice a sync's patience.
    pub young: Duration,
    /// A request without an answer has failed: less than the 30 s after which a sync has stalled.
    pub request: Duration,
    /// How soon a bootnode is dialled again; doubled every time.
    pub redial_min: Duration,
    /// How late at most.
    pub redial_max: Duration,
    /// How often a node with too few peers looks for more.
    pub seek: Duration,
    /// How often a node tells the Mainline DHT where it is: its nodes forget after some 30 minutes.
    pub announce: Duration,
    /// Gossip's heartbeat.
    pub heartbeat: Duration,
    /// Between two pings of a peer.
    pub ping: Duration,
    /// How soon after the start a peer is asked whether we can be reached.
    pub reach_first: Duration,
    /// How often, until it is certain.
    pub reach: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(250),
            identify: Duration::from_secs(10),
            idle: Duration::from_secs(10),
            young: Duration::from_secs(60),
            request: Duration::from_secs(20),
            redial_min: Duration::from_secs(1),
            redial_max: Duration::from_secs(300),
            seek: Duration::from_secs(30),
            announce: Duration::from_secs(600),
            heartbeat: Duration::from_secs(1),
            ping: Duration::from_secs(15),
            reach_first: Duration::from_secs(15),
            reach: Duration::from_secs(90),
        }
    }
}

impl Timing {
    /// For networks within one machine.
    pub fn local() -> Self {
        Self {
            tick: Duration::from_millis(50),
            identify: Duration::from_secs(5),
            request: Duration::from_secs(5),
            redial_min: Duration::from_millis(100),
            redial_max: Duration::from_secs(1),
            seek: Duration::from_millis(500),
            announce: Duration::from_secs(2),
            heartbeat: Duration::from_millis(200),
            ping: Duration::from_millis(500),
            reach_first: Duration::from_secs(1),
            // Later than a connection of the last try has gone idle, lest it be one too many.
            reach: Duration::from_secs(15),
            ..Self::default()
        }
    }
}

/// The protocols' names on a chain.
#[derive(Debug, Clone)]
pub(super) struct Names {
    pub(super) identify: String,
    pub(super) kad: StreamProtocol,
    pub(super) sync: StreamProtocol,
    block: IdentTopic,
    tx: IdentTopic,
}

impl Names {
    fn new(chain: &ChainName) -> Self {
        let protocol = |name: &str| {
            let name = format!("/lyceum/{chain}/{name}");
            StreamProtocol::try_from_owned(name).expect("it starts with a slash")
        };
        Self {
            identify: format!("/lyceum/{chain}/1"),
            kad: protocol("kad/1"),
            sync: protocol("sync/1"),
            block: IdentTopic::new(format!("/lyceum/{chain}/block/1")),
            tx: IdentTopic::new(format!("/lyceum/{chain}/tx/1")),
        }
    }

    pub(super) fn topic(&self, topic: Topic) -> &IdentTopic {
        match topic {
            Topic::Block => &self.block,
            Topic::Transaction => &self.tx,
        }
    }

    /// Which topic a hash stands for.
    pub(super) fn named(&self, hash: &TopicHash) -> Option<Topic> {
        let mut topics = [Topic::Block, Topic::Transaction].into_iter();
        topics.find(|topic| self.topic(*topic).hash() == *hash)
    }
}

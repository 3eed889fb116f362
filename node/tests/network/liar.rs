//! A peer that speaks the protocols, and lies: a network of its own without a node behind it.

use std::net::SocketAddr;

use libp2p::PeerId;
use lyceum_node::core::Chain;
use lyceum_node::core::wire::{Boundary, Refusal, Request, Response, Status};
use lyceum_node::network::{
    Network, NetworkCommand, NetworkConfig, NetworkEvent, RequestId, Timing, Topic,
};
use lyceum_protocol::{BlockClaims, ChainSpec, Height};
use lyceum_storage::Reader;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::forge;
use crate::inside::Inside;

/// Makes a message to gossip; the number tells one from the next.
pub(crate) type Gossip = fn(&mut Forger, u64) -> Vec<u8>;
/// Makes an answer; `None` where an honest one will do.
pub(crate) type Answer = fn(&mut Forger, &Request) -> Option<Response>;

/// What a liar does, beside what is expected of a peer.
#[derive(Clone, Copy)]
pub(crate) enum Lie {
    /// It gossips this, again and again.
    Gossip(Topic, Gossip),
    /// It asks this, again and again.
    Ask(fn() -> Request),
    /// It answers this.
    Answer(Answer),
}

/// Follows a node's chain, and makes blocks on its tip that are not quite right.
pub(crate) struct Forger {
    pub(crate) spec: ChainSpec,
    chain: Chain,
    reader: Reader,
    /// Lines that it serves to those who ask for them by hash.
    pub(crate) kept: Vec<String>,
    /// Segments that it says it has.
    pub(crate) hoard: Option<Hoard>,
}

/// A whole chain as one offers it who has it not.
pub(crate) struct Hoard {
    pub(crate) status: Status,
    pub(crate) boundaries: Vec<Boundary>,
    /// Where each segment is served by BitTorrent.
    pub(crate) torrents: Vec<SocketAddr>,
}

impl Forger {
    fn new(spec: &ChainSpec, reader: Reader) -> Self {
        Self {
            spec: spec.clone(),
            chain: forge::chain(spec),
            reader,
            kept: Vec::new(),
            hoard: None,
        }
    }

    /// The claims of a good block on the node's tip.
    pub(crate) fn next_claims(&mut self) -> BlockClaims {
        let view = self.reader.read();
        let next = self.chain.tip().unwrap().height.get() + 1;
        let lines =
            (next..).map_while(|height| view.line_at(Height::new(height).unwrap()).unwrap());
        for line in lines {
            self.chain.import(&line, forge::now()).unwrap();
        }
        drop(view);
        let line = forge::next_line(&self.chain, 1, 1, Vec::new());
        forge::header(&self.spec, &line).claims().clone()
    }

    /// A token of such a block, changed and mined again.
    pub(crate) fn token(&mut self, change: impl FnOnce(&mut BlockClaims)) -> String {
        let mut claims = self.next_claims();
        change(&mut claims);
        forge::mine_token(&self.spec, &claims, 1)
    }

    /// A status that claims work beyond all measure.
    pub(crate) fn boast(&self, segments: u64) -> Response {
        let mut status = self.modest();
        (status.tip, status.height, status.work) = ([3; 32], 1_000_000, [1; 32]);
        status.segments = segments;
        status.torrent = Some("127.0.0.1:1".parse().unwrap());
        Response::Status(status)
    }

    /// The status of a node that has nothing.
    pub(crate) fn modest(&self) -> Status {
        let genesis = *self.chain.store().genesis().as_bytes();
        Status {
            genesis,
            tip: genesis,
            height: 0,
            work: [0; 32],
            segments: 0,
            missing: Vec::new(),
            torrent: None,
        }
    }

    fn answer(&self, request: &Request) -> Response {
        match request {
            Request::Status(_) => Response::Status(self.modest()),
            Request::BlocksByHash(hashes) => {
                let is_asked = |line: &&String| hashes.contains(forge::hash(line).as_bytes());
                Response::Blocks(self.kept.iter().filter(is_asked).cloned().collect())
            }
            _ => Response::Refused(Refusal::NotHeld),
        }
    }
}

/// The liar, connected to one node; it may hear of others by it, and lies to them as well.
pub(crate) struct Liar {
    pub(crate) forger: Forger,
    lie: Lie,
    network: Network,
    connected: usize,
    told: u64,
    /// Every request that it was sent, and by whom.
    pub(crate) asked: Vec<(PeerId, Request)>,
    _folder: TempDir,
}

impl Liar {
    /// Starts a liar under a new name; it dials `victim`, and listens nowhere.
    pub(crate) fn start(runtime: &Runtime, spec: &ChainSpec, victim: &Inside, lie: Lie) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let forger = Forger::new(spec, victim.node.handle().reader.clone());
        let identity = libp2p::identity::Keypair::generate_ed25519();
        let genesis = forger.chain.store().genesis();
        let config = NetworkConfig {
            bootnodes: vec![victim.address()],
            timing: Timing::local(),
            ..NetworkConfig::new(spec, genesis, identity, folder.path())
        };
        let _inside = runtime.enter();
        let network = lyceum_node::network::start(config, &mut Registry::default()).unwrap();
        Self {
            forger,
            lie,
            network,
            connected: 0,
            told: 0,
            asked: Vec::new(),
            _folder: folder,
        }
    }

    pub(crate) fn name(&self) -> String {
        self.network.peer_id.to_string()
    }

    /// Answers what was asked, and lies once more.
    pub(crate) fn act(&mut self) {
        while let Ok(event) = self.network.events.try_recv() {
            match event {
                NetworkEvent::Connected { .. } => self.connected += 1,
                NetworkEvent::Disconnected { .. } => self.connected -= 1,
                NetworkEvent::Request {
                    peer,
                    reply,
                    request,
                } => {
                    let lie = match self.lie {
                        Lie::Answer(lie) => lie(&mut self.forger, &request),
                        Lie::Gossip(..) | Lie::Ask(_) => None,
                    };
                    let response = lie.unwrap_or_else(|| self.forger.answer(&request));
                    self.asked.push((peer, request));
                    self.send(NetworkCommand::Respond { reply, response });
                }
                _ => {}
            }
        }
        if self.connected > 0 {
            self.tell();
        }
    }

    fn tell(&mut self) {
        self.told += 1;
        match self.lie {
            Lie::Gossip(topic, lie) => {
                let data = lie(&mut self.forger, self.told);
                self.send(NetworkCommand::Publish { topic, data });
            }
            Lie::Ask(lie) => {
                let view = self.network.view.borrow().clone();
                for peer in view.peers {
                    let (peer, id, request) = (peer.peer, RequestId(self.told), lie());
                    self.send(NetworkCommand::Request { peer, id, request });
                }
            }
            Lie::Answer(_) => {}
        }
    }

    fn send(&self, command: NetworkCommand) {
        assert!(self.network.commands.try_send(command));
    }

    pub(crate) fn stop(self, runtime: &Runtime) {
        runtime.block_on(self.network.shutdown());
    }
}

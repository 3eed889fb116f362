//! A peer that speaks the protocols, and lies: a network of its own without a node behind it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use lyceum_node::core::wire::{Boundary, Refusal, Request, Response, Status};
use lyceum_node::core::{Chain, Imported};
use lyceum_node::network::{
    Network, NetworkCommand, NetworkConfig, NetworkEvent, RequestId, Timing, Topic,
};
use lyceum_protocol::{BlockClaims, BlockHash, BlockLine, ChainSpec, Height, SegmentIndex};
use lyceum_storage::Durability;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::forge;
use crate::garbage::Garbage;

/// How often a liar takes the blocks that are new.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

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
    /// It stands where the honest stand, and seeds their segments with wrong bytes.
    Serve,
}

/// A block line that a forger asks an honest node for.
pub(crate) enum Wanted {
    /// Of the main chain.
    At(Height),
    /// Of any branch.
    Of(BlockHash),
}

/// Where a forger finds the honest chain.
pub(crate) type Lines = Box<dyn FnMut(Wanted) -> Option<String>>;

/// Follows a node's chain, and makes blocks on its tip that are not quite right.
pub(crate) struct Forger {
    pub(crate) spec: ChainSpec,
    chain: Chain,
    lines: Lines,
    /// Lines that it serves to those who ask for them by hash.
    pub(crate) kept: Vec<String>,
    /// Serves wrong bytes for the segments of the honest chain.
    pub(crate) garbage: Option<Garbage>,
}

impl Forger {
    fn new(spec: &ChainSpec, lines: Lines, garbage: Option<Garbage>) -> Self {
        Self {
            spec: spec.clone(),
            chain: forge::chain(spec),
            lines,
            kept: Vec::new(),
            garbage,
        }
    }

    /// Takes the blocks that are new, and those of another branch down to where it parts from ours.
    fn follow(&mut self) {
        loop {
            let next = self.chain.tip().unwrap().height.next();
            let Some(line) = (self.lines)(Wanted::At(next)) else {
                return;
            };
            let mut imported = self.chain.import(&line, forge::now()).unwrap();
            while let Imported::Orphan(parent) = imported {
                let Some(line) = (self.lines)(Wanted::Of(parent)) else {
                    return;
                };
                imported = self.chain.import(&line, forge::now()).unwrap();
            }
            if !matches!(imported, Imported::Tip(_)) {
                return;
            }
        }
    }

    /// The claims of a good block on the node's tip.
    pub(crate) fn next_claims(&mut self) -> BlockClaims {
        self.follow();
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

    /// The status of a node that has all of the honest chain, and seeds its segments.
    pub(crate) fn honest(&mut self) -> Status {
        self.follow();
        self.chain.seal_ready(Durability::Synced).unwrap();
        let tree = self.chain.tree();
        let (tip, view) = (tree.tip(), self.chain.store().read());
        let work = tree.total_work(&tip).unwrap();
        Status {
            tip: *tip.as_bytes(),
            height: tree.tip_height().get(),
            work: work.get().to_be_bytes(),
            segments: view.sealed_segments().unwrap().get(),
            // Not where the bytes come from: it must be found out all the same.
            torrent: self
                .garbage
                .as_ref()
                .map(|garbage| (garbage.at.ip(), 1).into()),
            ..self.modest()
        }
    }

    /// The boundaries of the honest chain's segments, as it has them.
    pub(crate) fn boundaries(&self, from: u64) -> Vec<Boundary> {
        let view = self.chain.store().read();
        let sealed = view.sealed_segments().unwrap().get();
        let boundaries = (from..sealed).map(|at| {
            let index = SegmentIndex::new(at).unwrap();
            let metainfo = view.metainfo(index).unwrap().unwrap();
            let end = (at + 1) * u64::from(self.spec.segment_blocks);
            let line = view.line_at(Height::new(end).unwrap()).unwrap().unwrap();
            Boundary {
                index: at,
                token: BlockLine::new(&line).token().to_owned(),
                length: metainfo.length(),
                pieces: metainfo.pieces().to_vec(),
            }
        });
        boundaries.collect()
    }

    /// Has wrong bytes served for a segment.
    pub(crate) fn activate(&self, index: u64) -> Option<Response> {
        let (garbage, view) = (self.garbage.as_ref()?, self.chain.store().read());
        let metainfo = view.metainfo(SegmentIndex::new(index).ok()?).unwrap()?;
        garbage.hold(&metainfo);
        Some(Response::Activated {
            length: metainfo.length(),
            pieces: metainfo.pieces().to_vec(),
            torrent: garbage.at,
        })
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

/// Where a liar is at home.
pub(crate) struct Home {
    /// The chain that it lies about.
    pub(crate) spec: ChainSpec,
    /// The honest chain.
    pub(crate) lines: Lines,
    /// Whom it dials.
    pub(crate) victims: Vec<Multiaddr>,
    /// Where it listens.
    pub(crate) listen: Vec<Multiaddr>,
    /// Where it serves wrong bytes.
    pub(crate) garbage: Option<Garbage>,
}

/// The liar; it may hear of others by its victims, and lies to them as well.
pub(crate) struct Liar {
    pub(crate) forger: Forger,
    lie: Lie,
    network: Network,
    connected: BTreeSet<PeerId>,
    ips: BTreeMap<IpAddr, PeerId>,
    followed: Instant,
    lies: u64,
    /// Whom it has told a lie.
    pub(crate) told: BTreeSet<PeerId>,
    /// Every request that it was sent, and by whom.
    pub(crate) asked: Vec<(PeerId, Request)>,
    _folder: TempDir,
}

impl Liar {
    /// Starts a liar under a new name.
    pub(crate) fn start(runtime: &Runtime, home: Home, lie: Lie) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut forger = Forger::new(&home.spec, home.lines, home.garbage);
        forger.follow();
        let identity = libp2p::identity::Keypair::generate_ed25519();
        let genesis = forger.chain.store().genesis();
        let config = NetworkConfig {
            bootnodes: home.victims,
            listen: home.listen,
            timing: Timing::local(),
            ..NetworkConfig::new(&home.spec, genesis, identity, folder.path())
        };
        let _inside = runtime.enter();
        let network = lyceum_node::network::start(config, &mut Registry::default()).unwrap();
        Self {
            forger,
            lie,
            network,
            connected: BTreeSet::new(),
            ips: BTreeMap::new(),
            followed: Instant::now(),
            lies: 0,
            told: BTreeSet::new(),
            asked: Vec::new(),
            _folder: folder,
        }
    }

    pub(crate) fn name(&self) -> String {
        self.network.peer_id.to_string()
    }

    /// Where it is found, once it listens.
    pub(crate) fn address(&self) -> Option<Multiaddr> {
        let address = self.network.view.borrow().listen.first()?.clone();
        Some(
            address
                .with_p2p(self.network.peer_id)
                .unwrap_or_else(|named| named),
        )
    }

    /// Answers what was asked, and lies once more.
    pub(crate) fn act(&mut self) {
        // Who asks it must not wait for it to catch up.
        if self.followed.elapsed() >= FOLLOW_EVERY {
            self.forger.follow();
            self.followed = Instant::now();
        }
        while let Ok(event) = self.network.events.try_recv() {
            match event {
                NetworkEvent::Connected { peer, address, .. } => {
                    self.connected.insert(peer);
                    self.ips.extend(ip_of(&address).map(|ip| (ip, peer)));
                }
                NetworkEvent::Disconnected { peer } => {
                    self.connected.remove(&peer);
                }
                NetworkEvent::Request {
                    peer,
                    reply,
                    request,
                } => {
                    let response = self.answer(peer, &request);
                    self.asked.push((peer, request));
                    self.send(NetworkCommand::Respond { reply, response });
                }
                _ => {}
            }
        }
        if !self.connected.is_empty() {
            self.tell();
        }
        // Who found out has hung up already.
        let garbage = self.forger.garbage.as_ref();
        let served = garbage.map(Garbage::served).unwrap_or_default();
        let peers = served.iter().filter_map(|ip| self.ips.get(ip));
        self.told.extend(peers);
    }

    fn answer(&mut self, peer: PeerId, request: &Request) -> Response {
        let lie = match self.lie {
            Lie::Answer(lie) => lie(&mut self.forger, request),
            Lie::Serve => {
                return match request {
                    Request::Status(_) => Response::Status(self.forger.honest()),
                    Request::Segments { from, .. } => {
                        Response::Segments(self.forger.boundaries(*from))
                    }
                    Request::Activate(index) => {
                        let activated = self.forger.activate(*index);
                        activated.unwrap_or(Response::Refused(Refusal::NotHeld))
                    }
                    _ => self.forger.answer(request),
                };
            }
            Lie::Gossip(..) | Lie::Ask(_) => None,
        };
        if lie.is_some() {
            self.told.insert(peer);
        }
        lie.unwrap_or_else(|| self.forger.answer(request))
    }

    fn tell(&mut self) {
        match self.lie {
            Lie::Gossip(topic, lie) => {
                self.lies += 1;
                let data = lie(&mut self.forger, self.lies);
                self.send(NetworkCommand::Publish { topic, data });
                self.told.extend(&self.connected);
            }
            Lie::Ask(lie) => {
                for peer in self.connected.clone() {
                    self.lies += 1;
                    let (id, request) = (RequestId(self.lies), lie());
                    self.send(NetworkCommand::Request { peer, id, request });
                    self.told.insert(peer);
                }
            }
            Lie::Answer(_) | Lie::Serve => {}
        }
    }

    fn send(&self, command: NetworkCommand) {
        assert!(self.network.commands.try_send(command));
    }

    pub(crate) fn stop(self, runtime: &Runtime) {
        runtime.block_on(self.network.shutdown());
    }
}

fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    })
}

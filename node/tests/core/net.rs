//! Cores that speak with each other over a network of the mind: a queue of events in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use libp2p::PeerId;
use libp2p::gossipsub::MessageId;
use lyceum_node::core::wire::{Refusal, Request, Response};
use lyceum_node::core::{
    Action, Chain, Core, CoreConfig, Event, MempoolLimits, Notice, Source, Template,
};
use lyceum_node::network::{GossipVerdict, ReplyId, RequestFailure, RequestId, Topic};
use lyceum_node::torrent::FetchFailure;
use lyceum_protocol::{Address, BlockHash, ChainSpec, SegmentIndex, StateRoot, Timestamp, TxId};

use crate::forge;

mod torrent;

/// How long a message travels, in milliseconds.
const LATENCY_MS: u64 = 20;
const TICK_MS: u64 = 250;
/// How long it takes to find a provider of a key, and to connect to it.
const FIND_MS: u64 = 8 * LATENCY_MS;

pub(crate) struct Net {
    pub(crate) spec: ChainSpec,
    pub(crate) now: u64,
    pub(crate) nodes: Vec<Node>,
    /// Nodes of different numbers can't reach each other.
    pub(crate) sides: Vec<u32>,
    /// How pulls by torrent end, where not well.
    pub(crate) torrents_fail: Option<FetchFailure>,
    /// Do nodes find who provides a key, wherever it is connected?
    pub(crate) finds: bool,
    /// A node that has no time for any segment.
    pub(crate) never_has_time: Option<usize>,
    providers: BTreeMap<Vec<u8>, BTreeSet<usize>>,
    queue: BTreeMap<(u64, u64), (usize, Due)>,
    order: u64,
    replies: BTreeMap<ReplyId, (usize, RequestId, usize)>,
    messages: BTreeMap<MessageId, (Topic, Vec<u8>)>,
    /// Everything that was done, for the comparison of two runs.
    pub(crate) trace: Vec<String>,
}

pub(crate) struct Node {
    pub(crate) core: Core,
    key: u8,
    pub(crate) connected: BTreeSet<usize>,
    seen: BTreeSet<MessageId>,
    seeds: BTreeMap<SegmentIndex, Option<PathBuf>>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Where pulled segments lie, of a node whose ledger is on a disk; of others they are in `files`.
    disk: Option<PathBuf>,
    template: Option<(u64, Box<Template>)>,
    pub(crate) imported: BTreeMap<&'static str, usize>,
    pub(crate) notices: Vec<String>,
    pub(crate) bans: Vec<(PeerId, &'static str)>,
    pub(crate) submitted: Vec<Result<TxId, String>>,
    /// When it searched for the providers of what.
    pub(crate) searches: Vec<(u64, Vec<u8>)>,
    /// Bytes that others have pulled from it.
    pub(crate) uploaded: u64,
}

enum Due {
    Event(Box<Event>),
    Tick,
    Mine(u64),
    /// It meets another.
    Meet(usize),
}

fn due(event: Event) -> Due {
    Due::Event(Box::new(event))
}

pub(crate) fn peer(i: usize) -> PeerId {
    let seed = [u8::try_from(i).unwrap() + 1; 32];
    let key = libp2p::identity::Keypair::ed25519_from_bytes(seed).unwrap();
    key.public().to_peer_id()
}

fn torrent_address(i: usize) -> SocketAddr {
    format!("10.0.0.{i}:4000").parse().unwrap()
}

impl Net {
    pub(crate) fn new(spec: ChainSpec) -> Self {
        let now = spec.genesis_time.get() + 10_000;
        Self {
            spec,
            now,
            nodes: Vec::new(),
            sides: Vec::new(),
            torrents_fail: None,
            finds: true,
            never_has_time: None,
            providers: BTreeMap::new(),
            queue: BTreeMap::new(),
            order: 0,
            replies: BTreeMap::new(),
            messages: BTreeMap::new(),
            trace: Vec::new(),
        }
    }

    /// Adds a node with an empty disk; gives its number.
    pub(crate) fn add(&mut self, is_miner: bool) -> usize {
        self.add_with(is_miner, true)
    }

    /// The same, with torrents or without.
    pub(crate) fn add_with(&mut self, is_miner: bool, has_torrents: bool) -> usize {
        let chain = forge::chain(&self.spec);
        self.add_chain(chain, is_miner, has_torrents, None)
    }

    /// Adds a node whose ledger is on a disk, in this folder.
    pub(crate) fn add_on_disk(&mut self, folder: &Path) -> usize {
        let chain = forge::chain_on_disk(&self.spec, &folder.join("data"));
        self.add_chain(chain, false, true, Some(folder.to_owned()))
    }

    fn add_chain(
        &mut self,
        chain: Chain,
        is_miner: bool,
        has_torrents: bool,
        disk: Option<PathBuf>,
    ) -> usize {
        let i = self.nodes.len();
        let key = u8::try_from(i % 4).unwrap();
        let miner: Option<Address> = is_miner.then(|| forge::address(key));
        let config = CoreConfig {
            miner,
            mempool: MempoolLimits::default(),
            has_torrents,
            seed: [u8::try_from(i).unwrap(); 32],
        };
        let (core, actions) = Core::new(chain, &config, self.time()).unwrap();
        self.nodes.push(Node {
            core,
            key,
            connected: BTreeSet::new(),
            seen: BTreeSet::new(),
            seeds: BTreeMap::new(),
            files: BTreeMap::new(),
            disk,
            template: None,
            imported: BTreeMap::new(),
            notices: Vec::new(),
            bans: Vec::new(),
            submitted: Vec::new(),
            searches: Vec::new(),
            uploaded: 0,
        });
        self.sides.push(0);
        self.perform(i, actions);
        if has_torrents {
            self.push(i, 0, due(Event::TorrentListening(torrent_address(i))));
        }
        self.push(i, 1, Due::Tick);
        i
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::new(self.now).unwrap()
    }

    pub(crate) fn connect(&mut self, a: usize, b: usize) {
        for (i, other) in [(a, b), (b, a)] {
            self.nodes[i].connected.insert(other);
            let event = Event::Connected {
                peer: peer(other),
                ip: Some(torrent_address(other).ip()),
            };
            self.push(i, 1, due(event));
        }
    }

    pub(crate) fn disconnect(&mut self, a: usize, b: usize) {
        for (i, other) in [(a, b), (b, a)] {
            if self.nodes[i].connected.remove(&other) {
                self.push(i, 1, due(Event::Disconnected(peer(other))));
            }
        }
    }

    /// Has a node's miner find a block every so many milliseconds, where it has something to mine.
    pub(crate) fn mine_every(&mut self, i: usize, millis: u64) {
        self.push(i, millis, Due::Mine(millis));
    }

    /// Ends the work of a node's miner.
    pub(crate) fn stop_mining(&mut self, i: usize) {
        self.queue
            .retain(|_, (at, due)| *at != i || !matches!(due, Due::Mine(_)));
    }

    /// The length of what a node has sealed.
    pub(crate) fn sealed_bytes(&self, i: usize) -> u64 {
        let view = self.nodes[i].core.chain().store().read();
        let sealed = view.sealed_segments().unwrap().get();
        let segments = (0..sealed).map(|index| SegmentIndex::new(index).unwrap());
        let lengths = segments.map(|index| view.metainfo(index).unwrap().unwrap().length());
        lengths.sum()
    }

    pub(crate) fn submit(&mut self, i: usize, token: &str) {
        let reply = ReplyId(u64::MAX);
        let token = token.to_owned();
        self.push(i, 1, due(Event::Submit { reply, token }));
    }

    fn push(&mut self, i: usize, after: u64, due: Due) {
        self.order += 1;
        self.queue.insert((self.now + after, self.order), (i, due));
    }

    /// Lets so much time pass.
    pub(crate) fn run(&mut self, millis: u64) {
        let end = self.now + millis;
        while let Some(entry) = self.queue.first_entry() {
            if entry.key().0 > end {
                break;
            }
            let ((at, _), (i, due)) = entry.remove_entry();
            self.now = at;
            match due {
                Due::Event(event) => self.step(i, *event),
                Due::Meet(other) => {
                    if other != i && !self.nodes[i].connected.contains(&other) {
                        self.connect(i, other);
                    }
                }
                Due::Tick => {
                    self.push(i, TICK_MS, Due::Tick);
                    self.step(i, Event::Tick);
                }
                Due::Mine(every) => {
                    self.push(i, every, Due::Mine(every));
                    if let Some((template, block)) = self.nodes[i].template.take() {
                        let key = self.nodes[i].key;
                        let token = forge::mine_token(&self.spec, &block.claims, key);
                        self.step(i, Event::Mined { template, token });
                    }
                }
            }
        }
        self.now = end;
    }

    fn step(&mut self, i: usize, event: Event) {
        let now = self.time();
        let actions = self.nodes[i].core.step(now, event).unwrap();
        self.perform(i, actions);
    }

    fn perform(&mut self, i: usize, actions: Vec<Action>) {
        for action in actions {
            if !matches!(action, Action::Mine { .. }) {
                self.trace.push(format!("{} {i} {action:?}", self.now));
            }
            self.act(i, action);
        }
    }

    fn act(&mut self, i: usize, action: Action) {
        match action {
            Action::Continue => self.push(i, 1, due(Event::Continue)),
            Action::Publish { topic, data } => {
                let id = MessageId::new(BlockHash::of(&data).as_bytes());
                self.messages.insert(id.clone(), (topic, data));
                self.nodes[i].seen.insert(id.clone());
                self.spread(i, &id);
            }
            Action::Verdict { id, verdict, .. } => {
                if verdict == GossipVerdict::Accept {
                    self.spread(i, &id);
                }
            }
            Action::Request { peer, id, request } => self.request(i, peer, id, request),
            Action::Respond { reply, response } => {
                if let Some((to, id, from)) = self.replies.remove(&reply) {
                    let (peer, result) = (peer(from), Ok(response));
                    self.push(to, LATENCY_MS, due(Event::Response { peer, id, result }));
                }
            }
            Action::Submitted { result, .. } => {
                let result = result.map_err(|refusal| refusal.reason().to_owned());
                self.nodes[i].submitted.push(result);
            }
            Action::Ban {
                peer: who, reason, ..
            } => {
                self.nodes[i].bans.push((who, reason));
                if let Some(other) = (0..self.nodes.len()).find(|other| peer(*other) == who) {
                    self.disconnect(i, other);
                }
            }
            Action::Mine { template, block } => self.nodes[i].template = Some((template, block)),
            Action::StopMining => self.nodes[i].template = None,
            Action::Notice(notice) => self.note(i, &notice),
            Action::Provide { key, held } => {
                let providers = self.providers.entry(key).or_default();
                match held {
                    true => providers.insert(i),
                    false => providers.remove(&i),
                };
            }
            Action::FindProviders(key) => self.find(i, key),
            Action::CancelFetch(_) => {}
            other => self.torrent(i, other),
        }
    }

    /// As the network does: tells who provides a key, and connects to them.
    fn find(&mut self, i: usize, key: Vec<u8>) {
        self.nodes[i].searches.push((self.now, key.clone()));
        let found = self.providers.get(&key).filter(|_| self.finds);
        let found = found.cloned().unwrap_or_default().into_iter();
        let side = self.sides[i];
        let found = found.filter(|other| *other != i && self.sides[*other] == side);
        let found: Vec<_> = found.collect();
        if found.is_empty() {
            return;
        }
        let peers = found.iter().map(|other| peer(*other)).collect();
        self.push(i, FIND_MS, due(Event::Providers { key, peers }));
        for other in found {
            self.push(i, FIND_MS, Due::Meet(other));
        }
    }

    fn spread(&mut self, i: usize, id: &MessageId) {
        let (topic, data) = self.messages[id].clone();
        for other in self.nodes[i].connected.clone() {
            if self.sides[i] == self.sides[other] && self.nodes[other].seen.insert(id.clone()) {
                let event = Event::Gossip {
                    topic,
                    from: peer(i),
                    id: id.clone(),
                    data: data.clone(),
                };
                self.push(other, LATENCY_MS, due(event));
            }
        }
    }

    fn request(&mut self, i: usize, to: PeerId, id: RequestId, request: Request) {
        let other = self.nodes[i].connected.iter().copied();
        let other = other.filter(|other| self.sides[i] == self.sides[*other]);
        let other = other.into_iter().find(|other| peer(*other) == to);
        let Some(other) = other else {
            let (peer, result) = (to, Err(RequestFailure::Timeout));
            self.push(i, 5_000, due(Event::Response { peer, id, result }));
            return;
        };
        if let (Request::Activate(_), true) = (&request, self.never_has_time == Some(other)) {
            let (peer, result) = (to, Ok(Response::Refused(Refusal::Busy)));
            self.push(i, LATENCY_MS, due(Event::Response { peer, id, result }));
            return;
        }
        self.order += 1;
        let reply = ReplyId(self.order);
        self.replies.insert(reply, (i, id, other));
        let peer = peer(i);
        self.push(
            other,
            LATENCY_MS,
            due(Event::Request {
                peer,
                reply,
                request,
            }),
        );
    }

    fn note(&mut self, i: usize, notice: &Notice) {
        let node = &mut self.nodes[i];
        if let Notice::Imported { source, blocks } = notice {
            let source = match source {
                Source::Gossip => "gossip",
                Source::Sync => "sync",
                Source::Torrent => "torrent",
                Source::Mined => "mined",
            };
            *node.imported.entry(source).or_default() += blocks;
        }
        if !matches!(notice, Notice::Pending(_) | Notice::Sealed { .. }) {
            node.notices.push(format!("{notice:?}"));
        }
    }

    pub(crate) fn tip(&self, i: usize) -> (u64, BlockHash, StateRoot) {
        let tip = self.nodes[i].core.chain().tip().unwrap();
        (tip.height.get(), tip.hash, tip.state_root)
    }

    /// Do all of these have one tip?
    pub(crate) fn agree(&self, nodes: impl IntoIterator<Item = usize>) -> bool {
        let tips: BTreeSet<_> = nodes.into_iter().map(|i| self.tip(i)).collect();
        tips.len() == 1
    }
}

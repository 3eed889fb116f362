//! The core: one function from what has happened to what is to be done.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

use libp2p::PeerId;
use lyceum_protocol::{Address, BlockHash, InfoHash, SegmentIndex, Seq, Timestamp};
use lyceum_storage::StoreError;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

use super::chain::{Chain, ChainError};
use super::event::{Action, Event, Notice, Phase};
use super::handouts::Handouts;
use super::mempool::{Mempool, MempoolLimits};
use super::peers::{BAN_DURATION, Offence, Peers};
use super::sync::Sync;
use super::wire::{Refusal, Request, Response, Status, WireHash};
use crate::handle::Standing;
use crate::network::{ReplyId, RequestFailure, RequestId};

pub(super) mod blocks;
mod gossip;
mod mine;
mod serve;

use gossip::{Assemblies, Early};
use mine::Mining;

/// How often a peer is asked where it stands, in milliseconds: while there is something to pull, and otherwise.
const STATUS_SYNCING_MS: u64 = 2_000;
const STATUS_FOLLOWING_MS: u64 = 15_000;

/// What a core is made with.
#[derive(Debug, Clone)]
pub struct CoreConfig {
    /// Who is paid for the blocks mined here; `None` where none are.
    pub miner: Option<Address>,
    /// The mempool's bounds.
    pub mempool: MempoolLimits,
    /// Can segments be pulled by torrent?
    pub has_torrents: bool,
    /// Where random choices come from: in earnest 32 random bytes.
    pub seed: [u8; 32],
}

/// What one of our requests was for.
#[derive(Debug)]
pub(super) enum Ask {
    Status,
    /// The rest of an announced block.
    Missing(BlockHash),
    /// A whole block, whose announcement did not do. The bool: it is known to be invalid, and whoever serves it has to answer for it.
    Body(BlockHash, bool),
    /// Blocks after a locator.
    Blocks,
    /// Boundaries from this segment on.
    Boundaries(SegmentIndex),
    Activate(SegmentIndex),
}

/// A node's decisions: the chain, the mempool, the sync and the peers' standing, over the store.
///
/// It has no clock, no socket and no thread; the same events at the same times give the same actions.
pub struct Core {
    pub(super) chain: Chain,
    pub(super) mempool: Mempool,
    pub(super) peers: Peers,
    pub(super) sync: Sync,
    pub(super) asks: BTreeMap<RequestId, (PeerId, Ask)>,
    pub(super) rng: ChaCha8Rng,
    pub(super) torrent: Option<SocketAddr>,
    pub(super) has_torrents: bool,
    /// The sealed segments, in order.
    pub(super) sealed: Vec<InfoHash>,
    pub(super) damaged: BTreeSet<SegmentIndex>,
    pub(super) actions: VecDeque<Action>,
    assemblies: Assemblies,
    early: Early,
    mining: Mining,
    /// Who waits for a segment to be seeded.
    activations: BTreeMap<SegmentIndex, Vec<ReplyId>>,
    handouts: Handouts,
    next_request: u64,
    pub(super) now: Timestamp,
}

impl Core {
    /// A core over an open chain, and what is to be done at once: its sealed segments are registered.
    ///
    /// # Errors
    /// [`ChainError::Store`].
    pub fn new(
        chain: Chain,
        config: &CoreConfig,
        now: Timestamp,
    ) -> Result<(Self, Vec<Action>), ChainError> {
        let mut core = Self {
            chain,
            mempool: Mempool::new(config.mempool),
            peers: Peers::default(),
            sync: Sync::default(),
            asks: BTreeMap::new(),
            rng: ChaCha8Rng::from_seed(config.seed),
            torrent: None,
            has_torrents: config.has_torrents,
            sealed: Vec::new(),
            damaged: BTreeSet::new(),
            actions: VecDeque::new(),
            assemblies: Assemblies::default(),
            early: Early::default(),
            mining: Mining::new(config.miner, now),
            activations: BTreeMap::new(),
            handouts: Handouts::default(),
            next_request: 0,
            now,
        };
        let damaged = core.chain.store().report().damaged_segments.iter();
        core.damaged = damaged.map(|segment| segment.index).collect();
        core.follow_seals()?;
        core.resume_segment()?;
        let actions = std::mem::take(&mut core.actions);
        Ok((core, actions.into()))
    }

    /// Takes an event, and says what is to be done.
    ///
    /// # Errors
    /// [`ChainError`] where the node can't go on: its store is in trouble. What peers do never ends it.
    pub fn step(&mut self, now: Timestamp, event: Event) -> Result<Vec<Action>, ChainError> {
        self.now = now;
        match event {
            Event::Tick => self.tick()?,
            Event::Continue => {}
            Event::Connected { peer, ip } => self.connected(peer, ip)?,
            Event::Disconnected(peer) => self.disconnected(&peer),
            Event::Gossip {
                topic,
                from,
                id,
                data,
            } => {
                let verdict = self.gossiped(topic, from, &data)?;
                self.act(Action::Verdict { id, from, verdict });
            }
            Event::Request {
                peer,
                reply,
                request,
            } => self.serve(peer, reply, request)?,
            Event::Response { peer, id, result } => self.response(peer, id, result)?,
            Event::Providers { key, peers } => self.providers_found(&key, &peers)?,
            Event::Misbehaved { peer, reason } => self.blame(&peer, Offence::Message(reason)),
            Event::Activated { index, is_seeded } => self.activated(index, is_seeded)?,
            Event::Fetched { index, file, from } => self.fetched(index, file, &from)?,
            Event::FetchFailed {
                index,
                failure,
                culprits,
            } => self.fetch_failed(index, failure, &culprits),
            Event::SegmentPart {
                index,
                offset,
                part,
            } => self.segment_part(index, offset, part)?,
            Event::SegmentDamaged(index) => self.segment_damaged(index),
            Event::TorrentListening(address) => self.torrent = Some(address),
            Event::Submit { reply, token } => self.submit(reply, &token)?,
            Event::Mined { template, token } => self.mined(template, &token)?,
        }
        self.sync_step()?;
        self.refresh_template()?;
        Ok(std::mem::take(&mut self.actions).into())
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The pending transactions.
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// Where the node stands. What the core does not count comes from the caller.
    pub fn standing(
        &self,
        blocks_per_second: f64,
        reorganisations: u64,
    ) -> Result<Standing, ChainError> {
        let tip = self.chain.tip()?;
        let entry = self.chain.store().read().block(&tip.hash)?;
        Ok(Standing {
            height: tip.height,
            tip: tip.hash,
            state_root: tip.state_root,
            tip_timestamp: entry.ok_or(StoreError::NoTip)?.timestamp,
            work: tip.work,
            phase: self.sync.phase(),
            target_height: self.target_height(),
            segments_missing: self.segments_missing(),
            segments_active: self.sync.active_len(),
            blocks_per_second,
            peers: self.peers.len(),
            mempool: self.mempool.stats(),
            is_mining: self.mining.is_active(),
            reorganisations,
        })
    }

    /// The `seq` of a sender's next transaction, after those that are pending and can run.
    pub fn next_seq(&self, sender: &Address) -> Result<Seq, ChainError> {
        let account = blocks::account(&self.chain.store().read(), sender)?;
        let ready = self.mempool.ready_len(sender) as u64;
        Ok(Seq::new(account.seq.get() + ready).unwrap_or(Seq::MAX))
    }

    /// Ends the core, and gives its chain back to be closed.
    pub fn into_chain(self) -> Chain {
        self.chain
    }

    fn tick(&mut self) -> Result<(), ChainError> {
        let every = match self.sync.phase() {
            Phase::Waiting | Phase::Following => STATUS_FOLLOWING_MS,
            _ => STATUS_SYNCING_MS,
        };
        let now = self.now;
        let due = self.peers.iter().filter(|(_, peer)| {
            let is_due = !peer.is_told || peer.asked_at.saturating_add(every) <= now;
            !peer.is_asked && is_due
        });
        for peer in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.ask_status(peer)?;
        }
        self.assemblies.expire(now);
        self.handouts.expire(now);
        self.take_early()
    }

    fn connected(&mut self, peer: PeerId, ip: Option<std::net::IpAddr>) -> Result<(), ChainError> {
        if self.peers.connect(self.now, peer, ip) {
            self.notice(Notice::Peers(self.peers.len()));
            self.ask_status(peer)?;
        }
        Ok(())
    }

    fn disconnected(&mut self, peer: &PeerId) {
        self.forget_asks(peer);
        self.handouts.forget(peer);
        if self.peers.disconnect(peer).is_some() {
            self.notice(Notice::Peers(self.peers.len()));
        }
    }

    /// Asks a peer where it stands, unless that is on its way.
    pub(super) fn ask_status(&mut self, peer: PeerId) -> Result<(), ChainError> {
        let status = self.status()?;
        let now = self.now;
        let Some(known) = self.peers.get_mut(&peer).filter(|peer| !peer.is_asked) else {
            return Ok(());
        };
        (known.is_asked, known.is_told, known.asked_at) = (true, true, now);
        self.ask(peer, Request::Status(status), Ask::Status);
        Ok(())
    }

    pub(super) fn ask(&mut self, peer: PeerId, request: Request, ask: Ask) -> RequestId {
        self.next_request += 1;
        let id = RequestId(self.next_request);
        self.asks.insert(id, (peer, ask));
        self.act(Action::Request { peer, id, request });
        id
    }

    fn response(
        &mut self,
        peer: PeerId,
        id: RequestId,
        result: Result<Response, RequestFailure>,
    ) -> Result<(), ChainError> {
        let Some((asked, ask)) = self.asks.remove(&id) else {
            return Ok(());
        };
        if asked != peer {
            return Ok(());
        }
        if let Err(RequestFailure::Malformed) = result {
            self.blame(&peer, Offence::Message("malformed_response"));
        }
        let response = match result {
            Ok(Response::Refused(refusal)) => Err(refusal),
            Ok(response) => Ok(response),
            Err(_) => Err(Refusal::Failed),
        };
        match ask {
            Ask::Status => self.status_came(peer, response),
            Ask::Missing(hash) => self.missing_came(peer, hash, response)?,
            Ask::Body(hash, is_bad) => self.body_came(peer, hash, is_bad, response)?,
            Ask::Blocks => self.blocks_came(peer, id, response)?,
            Ask::Boundaries(from) => self.boundaries_came(peer, id, from, response),
            Ask::Activate(index) => self.activation_came(peer, index, response)?,
        }
        Ok(())
    }

    fn status_came(&mut self, peer: PeerId, response: Result<Response, Refusal>) {
        if let Some(known) = self.peers.get_mut(&peer) {
            known.is_asked = false;
        }
        match response {
            Ok(Response::Status(status)) => self.take_status(&peer, &status),
            Ok(_) => self.blame(&peer, Offence::Message("wrong_response")),
            Err(_) => {}
        }
    }

    /// Takes a peer's status down; one of another chain is to blame.
    pub(super) fn take_status(&mut self, peer: &PeerId, status: &Status) {
        if status.genesis != *self.chain.store().genesis().as_bytes() {
            self.blame(peer, Offence::WrongChain);
            return;
        }
        self.peers.claim(peer, status);
    }

    /// Where we stand.
    pub(super) fn status(&self) -> Result<Status, StoreError> {
        let tip = self.chain.store().read().tip()?.ok_or(StoreError::NoTip)?;
        let (segments, missing) = self.held_segments();
        Ok(Status {
            genesis: *self.chain.store().genesis().as_bytes(),
            tip: *tip.hash.as_bytes(),
            height: tip.height.get(),
            work: tip.work.get().to_be_bytes(),
            segments,
            missing,
            torrent: self.torrent,
        })
    }

    /// Counts an offence, and bans who has too many.
    pub(super) fn blame(&mut self, peer: &PeerId, offence: Offence) {
        if self.peers.blame(self.now, peer, offence) {
            self.peers.disconnect(peer);
            self.handouts.forget(peer);
            self.act(Action::Ban {
                peer: *peer,
                duration: BAN_DURATION,
                reason: offence.reason(),
            });
            self.notice(Notice::Peers(self.peers.len()));
        }
    }

    pub(super) fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    pub(super) fn notice(&mut self, notice: Notice) {
        self.act(Action::Notice(notice));
    }

    pub(super) fn now(&self) -> Timestamp {
        self.now
    }
}

/// A hash as it is sent.
pub(super) fn wire<Kind>(hash: &lyceum_protocol::Hash<Kind>) -> WireHash {
    *hash.as_bytes()
}

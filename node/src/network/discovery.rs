//! How peers are found, and what they provide.

use std::collections::{HashMap, HashSet, VecDeque};

use libp2p::kad::store::RecordStore as _;
use libp2p::kad::{
    self, GetProvidersOk, InboundRequest, ProviderRecord, QueryId, QueryResult, RecordKey,
};
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::{Multiaddr, PeerId, autonat, mdns};
use rand::seq::IteratorRandom as _;
use tokio::time::Instant;

use super::address::{ip_of, is_plausible, network_of};
use super::config::TARGET_PEERS;
use super::metrics::Reach;
use super::task::Task;
use super::{NetworkEvent, PROVIDED_MAX, dial};

/// Announcements of keys under way at once: each asks some 20 peers.
const PROVIDE_QUERIES_MAX: usize = 8;
/// Searches for providers under way at once.
const FIND_QUERIES_MAX: usize = 32;
/// Peers told of one key.
const PROVIDERS_MAX: usize = 64;
/// Addresses kept of a peer in the routing table.
const ADDRESSES_MAX: usize = 8;
/// Known peers dialled at once by a node with too few, and providers dialled in one search.
const DIALS_MAX: usize = 4;
/// The lengths of keys: an infohash, a block's hash.
const KEY_LENS: [usize; 2] = [20, 32];

/// Keys that we provide, or look for.
#[derive(Debug, Default)]
pub(super) struct Provisions {
    waiting: VecDeque<RecordKey>,
    provided: HashSet<RecordKey>,
    announcing: HashSet<QueryId>,
    finding: HashMap<QueryId, Search>,
}

/// A search for providers.
#[derive(Debug, Default)]
struct Search {
    told: usize,
    dialled: usize,
}

impl Task {
    /// Takes a key to be announced: as soon as there is somebody to tell, and few at once.
    pub(super) fn provide(&mut self, key: Vec<u8>) {
        let (key, provisions) = (RecordKey::from(key), &mut self.provisions);
        if provisions.provided.len() >= PROVIDED_MAX {
            tracing::debug!("too many keys to provide");
        } else if provisions.provided.insert(key.clone()) {
            provisions.waiting.push_back(key);
            self.provide_next();
        }
    }

    pub(super) fn stop_providing(&mut self, key: Vec<u8>) {
        let key = RecordKey::from(key);
        if self.provisions.provided.remove(&key) {
            self.provisions.waiting.retain(|waiting| *waiting != key);
            self.swarm.behaviour_mut().kad.stop_providing(&key);
        }
    }

    pub(super) fn provide_next(&mut self) {
        let provisions = &mut self.provisions;
        if self.peers.confirmed().next().is_none() {
            return;
        }
        while provisions.announcing.len() < PROVIDE_QUERIES_MAX {
            let Some(key) = provisions.waiting.pop_front() else {
                return;
            };
            match self.swarm.behaviour_mut().kad.start_providing(key) {
                Ok(query) => drop(provisions.announcing.insert(query)),
                Err(error) => tracing::debug!(%error, "a key is not provided"),
            }
        }
    }

    pub(super) fn find_providers(&mut self, key: Vec<u8>) {
        if self.provisions.finding.len() < FIND_QUERIES_MAX {
            let query = self
                .swarm
                .behaviour_mut()
                .kad
                .get_providers(RecordKey::from(key));
            self.provisions.finding.insert(query, Search::default());
            self.counters.searches.inc();
        }
    }

    pub(super) fn kad_event(&mut self, event: kad::Event) {
        match event {
            kad::Event::InboundRequest {
                request:
                    InboundRequest::AddProvider {
                        record: Some(record),
                    },
            } => self.keep_provider(record),
            kad::Event::OutboundQueryProgressed {
                id, result, step, ..
            } => {
                self.query_event(id, result);
                if step.last {
                    self.provisions.finding.remove(&id);
                    self.provisions.announcing.remove(&id);
                    self.provide_next();
                }
            }
            _ => {}
        }
    }

    /// Keeps a provider's record, with addresses that can be its own: it may not know from where it can be reached, but we do.
    fn keep_provider(&mut self, mut record: ProviderRecord) {
        let Some(peer) = self.peers.get(&record.provider) else {
            return;
        };
        if !peer.is_confirmed || !KEY_LENS.contains(&record.key.as_ref().len()) {
            return;
        }
        let seen = peer.ips().next();
        record
            .addresses
            .retain(|address| is_plausible(address, seen));
        for address in &peer.addresses {
            if !record.addresses.contains(address) {
                record.addresses.push(address.clone());
            }
        }
        record.addresses.truncate(ADDRESSES_MAX);
        // A full store is no fault.
        let store = self.swarm.behaviour_mut().kad.store_mut();
        let _ = store.add_provider(record);
    }

    fn query_event(&mut self, id: QueryId, result: QueryResult) {
        let QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { key, providers })) =
            result
        else {
            return;
        };
        let me = *self.swarm.local_peer_id();
        let Some(search) = self.provisions.finding.get_mut(&id) else {
            return;
        };
        let others = providers.into_iter().filter(|peer| *peer != me);
        let peers: Vec<PeerId> = others.take(PROVIDERS_MAX - search.told).collect();
        search.told += peers.len();
        if peers.is_empty() {
            return;
        }
        self.counters.providers.inc_by(peers.len() as u64);
        self.dial_providers(id, &key, &peers);
        let key = key.to_vec();
        self.outbox.tell(NetworkEvent::Providers { key, peers });
    }

    /// Dials some providers that are not connected, while the query that told of them still knows where they are.
    fn dial_providers(&mut self, id: QueryId, key: &RecordKey, peers: &[PeerId]) {
        let kept = self.swarm.behaviour_mut().kad.store_mut().providers(key);
        let strangers = peers.iter().copied();
        let strangers =
            strangers.filter(|peer| self.peers.get(peer).is_none() && !self.bans.has_peer(peer));
        let Some(search) = self.provisions.finding.get_mut(&id) else {
            return;
        };
        let left = DIALS_MAX - search.dialled;
        for peer in strangers.choose_multiple(&mut rand::rng(), left) {
            let told = kept.iter().find(|record| record.provider == peer);
            let addresses = told.map(|record| record.addresses.clone());
            let options = DialOpts::peer_id(peer)
                .addresses(addresses.unwrap_or_default())
                .extend_addresses_through_behaviour()
                .build();
            match self.swarm.dial(options) {
                Ok(()) => search.dialled += 1,
                Err(error) => tracing::debug!(%peer, %error, "provider not dialled"),
            }
        }
    }

    /// Notes those of a peer's addresses that can be its own, and takes it into the routing table where it answers Kademlia's questions.
    pub(super) fn learn(&mut self, id: PeerId, addresses: &[Multiaddr], is_router: bool) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let seen = peer.ips().next();
        let plausible = addresses
            .iter()
            .filter(|address| is_plausible(address, seen));
        peer.addresses = plausible.take(ADDRESSES_MAX).cloned().collect();
        let kad = &mut self.swarm.behaviour_mut().kad;
        match is_router {
            true => peer.addresses.iter().for_each(|address| {
                kad.add_address(&id, address.clone());
            }),
            false => drop(kad.remove_peer(&id)),
        }
    }

    pub(super) fn dial(&mut self, address: Multiaddr) {
        if !self.may_dial(&address) {
            return;
        }
        if let Err(error) = self.swarm.dial(address.clone()) {
            tracing::debug!(%address, %error, "not dialled");
        }
    }

    fn may_dial(&self, address: &Multiaddr) -> bool {
        let is_banned = |ip| {
            self.bans
                .addresses()
                .any(|banned| *banned == network_of(ip))
        };
        let peer = dial::peer_of(address);
        !peer.is_some_and(|peer| self.bans.has_peer(&peer))
            && !ip_of(address).is_some_and(is_banned)
    }

    fn has_enough_peers(&self) -> bool {
        self.peers.confirmed().count() >= TARGET_PEERS
    }

    /// Dials the bootnodes that are due, while there are too few peers.
    pub(super) fn redial(&mut self, now: Instant) {
        if self.has_enough_peers() {
            return;
        }
        let peers = &self.peers;
        for (index, address) in self.bootnodes.due(now, |peer| peers.is_confirmed(peer)) {
            if !self.may_dial(&address) {
                continue;
            }
            let options = DialOpts::from(address.clone());
            self.bootnodes.dialling(index, options.connection_id());
            if let Err(error) = self.swarm.dial(options) {
                tracing::debug!(%address, %error, "bootnode not dialled");
            }
        }
    }

    /// Looks for more peers while there are too few: asks those in the routing table for others, and dials some of them, or of those on the local
    /// network. These are told of once; two that dial each other at the same moment may both fail.
    pub(super) fn seek(&mut self, now: Instant) {
        if now < self.next_seek || self.has_enough_peers() {
            return;
        }
        let pause = self.config.timing.seek;
        self.next_seek = now + pause + pause.mul_f64(rand::random_range(0.0..0.25));
        let behaviour = self.swarm.behaviour_mut();
        let kad = &mut behaviour.kad;
        // Without anybody in the routing table there is nobody to ask.
        let _ = kad.bootstrap();
        let mut known: Vec<PeerId> = Vec::new();
        for bucket in kad.kbuckets() {
            known.extend(bucket.iter().map(|entry| *entry.node.key.preimage()));
        }
        if let Some(mdns) = behaviour.mdns.as_ref() {
            known.extend(mdns.discovered_nodes());
        }
        known.sort_unstable();
        known.dedup();
        let others = known
            .into_iter()
            .filter(|peer| self.peers.get(peer).is_none() && !self.bans.has_peer(peer));
        for peer in others.choose_multiple(&mut rand::rng(), DIALS_MAX) {
            // Kademlia and mDNS know the addresses.
            let _ = self.swarm.dial(DialOpts::peer_id(peer).build());
        }
    }

    pub(super) fn mdns_event(&mut self, event: mdns::Event) {
        let mdns::Event::Discovered(found) = event else {
            return;
        };
        for (peer, address) in found.into_iter().take(ADDRESSES_MAX) {
            if self.peers.get(&peer).is_none() && !self.has_enough_peers() {
                self.dial(address);
            }
        }
    }

    /// Answers Kademlia's questions only where we can be reached; where we can't, looks for a relay.
    pub(super) fn autonat_event(&mut self, event: autonat::Event) {
        let autonat::Event::StatusChanged { new, .. } = event else {
            return;
        };
        tracing::info!(status = ?new, "reachability changed");
        self.counters.reach(Reach::from(&new));
        self.is_private = new == autonat::NatStatus::Private;
        let mode = if self.is_private || self.config.discovery.kad_client {
            kad::Mode::Client
        } else {
            kad::Mode::Server
        };
        self.swarm.behaviour_mut().kad.set_mode(Some(mode));
        self.be_relayed();
    }

    /// Listens at a peer that relays, where nobody can reach us otherwise.
    pub(super) fn be_relayed(&mut self) {
        if !self.is_private || self.is_relayed || !self.config.discovery.relay_client {
            return;
        }
        let mut relays = self.peers.confirmed().filter(|(_, peer)| peer.is_relay);
        let Some((id, peer)) = relays.next() else {
            return;
        };
        let Some((address, _)) = peer.address() else {
            return;
        };
        let Some(address) = address.clone().with_p2p(*id).ok() else {
            return;
        };
        let address = address.with(libp2p::multiaddr::Protocol::P2pCircuit);
        match self.swarm.listen_on(address) {
            Ok(_) => self.is_relayed = true,
            Err(error) => tracing::debug!(%error, "not relayed"),
        }
    }
}

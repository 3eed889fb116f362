//! Who is connected.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::address::{ip_of, is_relayed, network_of};
use super::{NetworkEvent, PeerView};
use crate::core::wire::Request;

/// Gossip and requests that are kept back for a peer until identify has confirmed it.
pub(super) const HELD_MAX: usize = 16;
/// What is kept of what a peer calls its software.
const AGENT_CHARS_MAX: usize = 64;

/// One connection.
#[derive(Debug)]
struct Link {
    id: ConnectionId,
    address: Multiaddr,
    is_outbound: bool,
    /// Are we closing it? That takes a moment.
    is_closing: bool,
}

/// A peer with at least one connection.
#[derive(Debug)]
pub(super) struct Peer {
    links: Vec<Link>,
    pub(super) since: Instant,
    /// When it last asked for something, or was asked, but for where it stands.
    pub(super) used: Instant,
    /// Has identify shown that it is on our chain?
    pub(super) is_confirmed: bool,
    pub(super) agent: String,
    /// Where it says that it listens, as far as that can be.
    pub(super) addresses: Vec<Multiaddr>,
    pub(super) ping: Option<Duration>,
    /// Does it relay?
    pub(super) is_relay: bool,
    /// Has its bad score been reported?
    pub(super) is_reported: bool,
    pub(super) held: Vec<NetworkEvent>,
}

impl Peer {
    /// The address of its first connection without a relay, or else of its first.
    pub(super) fn address(&self) -> Option<(&Multiaddr, bool)> {
        let mut links = self.links.iter();
        let direct = links.find(|link| !is_relayed(&link.address));
        let link = direct.or(self.links.first())?;
        Some((&link.address, link.is_outbound))
    }

    /// Are we letting it go?
    pub(super) fn is_leaving(&self) -> bool {
        self.links.iter().all(|link| link.is_closing)
    }

    /// Where it is connected from.
    pub(super) fn ips(&self) -> impl Iterator<Item = IpAddr> {
        self.links
            .iter()
            .filter_map(|link| ip_of(&link.address).map(network_of))
    }
}

/// The connected peers. The swarm's limits bound them.
#[derive(Debug, Default)]
pub(super) struct Peers {
    by_id: HashMap<PeerId, Peer>,
}

impl Peers {
    /// A connection is there, with an address that has no name in it where that is known.
    pub(super) fn connect(
        &mut self,
        id: PeerId,
        connection: ConnectionId,
        (address, is_outbound): (Multiaddr, bool),
    ) {
        let now = Instant::now();
        let peer = self.by_id.entry(id).or_insert_with(|| Peer {
            links: Vec::new(),
            since: now,
            used: now,
            is_confirmed: false,
            agent: String::new(),
            addresses: Vec::new(),
            ping: None,
            is_relay: false,
            is_reported: false,
            held: Vec::new(),
        });
        peer.links.push(Link {
            id: connection,
            address,
            is_outbound,
            is_closing: false,
        });
    }

    /// Its connections are being closed. `false` where nothing is left of them that was not closing before.
    pub(super) fn closing(&mut self, id: &PeerId) -> bool {
        let links = self.by_id.get_mut(id).into_iter();
        let open = links.flat_map(|peer| peer.links.iter_mut().filter(|link| !link.is_closing));
        open.map(|link| link.is_closing = true).count() > 0
    }

    /// A connection is gone; gives the peer back where it was the last one.
    pub(super) fn disconnect(&mut self, id: &PeerId, connection: ConnectionId) -> Option<Peer> {
        let peer = self.by_id.get_mut(id)?;
        peer.links.retain(|link| link.id != connection);
        match peer.links.is_empty() {
            true => self.by_id.remove(id),
            false => None,
        }
    }

    pub(super) fn get(&self, id: &PeerId) -> Option<&Peer> {
        self.by_id.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.by_id.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.by_id.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (&PeerId, &mut Peer)> {
        self.by_id.iter_mut()
    }

    /// It asks for something, or is asked. Where it stands is no use: that is asked of everybody, again and again.
    pub(super) fn asked(&mut self, id: &PeerId, request: &Request) {
        let is_use = !matches!(request, Request::Status(_));
        if let Some(peer) = self.by_id.get_mut(id).filter(|_| is_use) {
            peer.used = Instant::now();
        }
    }

    pub(super) fn is_confirmed(&self, id: &PeerId) -> bool {
        self.by_id.get(id).is_some_and(|peer| peer.is_confirmed)
    }

    pub(super) fn confirmed(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.by_id.iter().filter(|(_, peer)| peer.is_confirmed)
    }

    pub(super) fn view(&self) -> Vec<PeerView> {
        let views = self.confirmed().filter_map(|(id, peer)| {
            let (address, is_outbound) = peer.address()?;
            Some(PeerView {
                peer: *id,
                address: address.clone(),
                is_outbound,
                agent: peer.agent.clone(),
                ping: peer.ping,
            })
        });
        let mut views: Vec<_> = views.collect();
        views.sort_unstable_by_key(|view| view.peer);
        views
    }
}

/// What a peer calls its software, fit to be shown.
pub(super) fn shown_agent(agent: &str) -> String {
    let visible = agent.chars().filter(|c| c.is_ascii_graphic() || *c == ' ');
    visible.take(AGENT_CHARS_MAX).collect()
}

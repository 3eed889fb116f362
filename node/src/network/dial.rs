//! Whom to dial again, and when.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

/// A peer to start from.
#[derive(Debug)]
struct Bootnode {
    address: Multiaddr,
    /// Who it is: said by the address, or by the last connection.
    peer: Option<PeerId>,
    dial: Option<ConnectionId>,
    next: Instant,
    delay: Duration,
}

/// The bootnodes, each with its own patience.
#[derive(Debug)]
pub(super) struct Bootnodes {
    list: Vec<Bootnode>,
    delay_min: Duration,
    delay_max: Duration,
}

impl Bootnodes {
    pub(super) fn new(
        addresses: Vec<Multiaddr>,
        now: Instant,
        delay_min: Duration,
        delay_max: Duration,
    ) -> Self {
        let list = addresses.into_iter().map(|address| Bootnode {
            peer: peer_of(&address),
            address,
            dial: None,
            next: now,
            delay: delay_min,
        });
        let list = list.collect();
        Self {
            list,
            delay_min,
            delay_max,
        }
    }

    /// Those to be dialled now, by index; each waits twice as long next time.
    pub(super) fn due(
        &mut self,
        now: Instant,
        is_connected: impl Fn(&PeerId) -> bool,
    ) -> Vec<(usize, Multiaddr)> {
        let mut due = Vec::new();
        for (index, node) in self.list.iter_mut().enumerate() {
            if node.next > now || node.peer.is_some_and(|peer| is_connected(&peer)) {
                continue;
            }
            // A random part, so that nodes that lost a bootnode together don't come back together.
            let jitter = node.delay.mul_f64(rand::random_range(0.0..0.25));
            node.next = now + node.delay + jitter;
            node.delay = (node.delay * 2).min(self.delay_max);
            due.push((index, node.address.clone()));
        }
        due
    }

    pub(super) fn dialling(&mut self, index: usize, dial: ConnectionId) {
        if let Some(node) = self.list.get_mut(index) {
            node.dial = Some(dial);
        }
    }

    /// A dial has led to a peer.
    pub(super) fn reached(&mut self, dial: ConnectionId, peer: PeerId) {
        if let Some(node) = self.list.iter_mut().find(|node| node.dial == Some(dial)) {
            node.peer = Some(peer);
            node.dial = None;
        }
    }

    pub(super) fn is_one(&self, peer: &PeerId) -> bool {
        self.list.iter().any(|node| node.peer == Some(*peer))
    }

    /// A peer turned out to be of our chain: no need for patience any more.
    pub(super) fn confirmed(&mut self, peer: &PeerId) {
        let delay_min = self.delay_min;
        let nodes = self.list.iter_mut().filter(|node| node.peer == Some(*peer));
        nodes.for_each(|node| node.delay = delay_min);
    }
}

/// Who is at an address, where it says so.
pub(super) fn peer_of(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_doubles_up_to_a_bound_and_ends_with_a_good_connection() {
        let (min, max) = (Duration::from_secs(1), Duration::from_secs(8));
        let mut now = Instant::now();
        let address: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().unwrap();
        let mut nodes = Bootnodes::new(vec![address.clone()], now, min, max);
        let nobody = |_: &PeerId| false;
        for secs in [1, 2, 4, 8, 8] {
            assert_eq!(nodes.due(now, nobody), [(0, address.clone())]);
            let wait = Duration::from_secs(secs);
            assert_eq!(nodes.due(now + wait - Duration::from_millis(1), nobody), []);
            now += wait * 5 / 4;
        }
        let (dial, peer) = (ConnectionId::new_unchecked(1), PeerId::random());
        nodes.dialling(0, dial);
        nodes.reached(dial, peer);
        assert_eq!(nodes.due(now, |who| *who == peer), []);
        nodes.confirmed(&peer);
        assert_eq!(nodes.due(now, nobody).len(), 1);
        assert_eq!(nodes.due(now + min * 5 / 4, nobody).len(), 1);
    }
}

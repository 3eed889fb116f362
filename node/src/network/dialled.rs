//! Where dials have led: a name's address.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use libp2p::core::ConnectedPoint;
use libp2p::{Multiaddr, PeerId};

use super::address::is_named;

/// The last dials that are kept. A connection is told of right after its handshake, so no more than those under way matter.
const KEPT_MAX: usize = 256;

/// The addresses that the last dials have reached. The swarm knows a dial by what was asked for, which may be a name; bans, limits and
/// torrents need to know the IP.
#[derive(Debug, Clone, Default)]
pub(super) struct Dialled(Arc<Mutex<VecDeque<(PeerId, Multiaddr)>>>);

impl Dialled {
    /// A handshake with an IP is done.
    pub(super) fn note(&self, peer: PeerId, end: &ConnectedPoint) {
        if let ConnectedPoint::Dialer { address, .. } = end {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            kept.truncate(KEPT_MAX - 1);
            kept.push_front((peer, address.clone()));
        }
    }

    /// What an address of a peer stands for: itself, or where its name has led.
    pub(super) fn resolved(&self, peer: &PeerId, address: &Multiaddr) -> Multiaddr {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut of_peer = kept.iter().filter(|(of, _)| of == peer);
        let last = of_peer.next().filter(|_| is_named(address));
        last.map_or(address, |(_, address)| address).clone()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::Endpoint;
    use libp2p::core::transport::PortUse;

    use super::*;

    fn dialled(address: &str) -> ConnectedPoint {
        ConnectedPoint::Dialer {
            address: address.parse().unwrap(),
            role_override: Endpoint::Dialer,
            port_use: PortUse::New,
        }
    }

    #[test]
    fn a_name_is_where_its_last_dial_has_led() {
        let (seen, peer) = (Dialled::default(), PeerId::random());
        let name: Multiaddr = "/dnsaddr/example.org".parse().unwrap();
        assert_eq!(seen.resolved(&peer, &name), name);
        for ip in ["192.0.2.1", "192.0.2.2"] {
            seen.note(peer, &dialled(&format!("/ip4/{ip}/tcp/1")));
        }
        seen.note(PeerId::random(), &dialled("/ip4/192.0.2.3/tcp/1"));
        let last: Multiaddr = "/ip4/192.0.2.2/tcp/1".parse().unwrap();
        assert_eq!(seen.resolved(&peer, &name), last);
        let other: Multiaddr = "/ip4/192.0.2.9/tcp/1".parse().unwrap();
        assert_eq!(seen.resolved(&peer, &other), other);
        let relayed: Multiaddr = format!("/dns4/example.org/tcp/1/p2p/{peer}/p2p-circuit")
            .parse()
            .unwrap();
        assert_eq!(seen.resolved(&peer, &relayed), relayed);
        (0..KEPT_MAX).for_each(|_| seen.note(PeerId::random(), &dialled("/ip4/192.0.2.4/tcp/1")));
        assert_eq!(seen.resolved(&peer, &name), name);
    }
}

//! Who may connect, by address: nobody who is banned, and not too many from one place.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::{
    ConnectionClosed, ConnectionDenied, ConnectionId, DialFailure, FromSwarm, ListenFailure,
    NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};

use super::address::{ip_of, network_of};
use super::dialled::Dialled;

/// Why an address may not connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum GateRefusal {
    /// It is banned.
    #[error("{0} is banned")]
    Banned(IpAddr),
    /// It has as many connections as it may have.
    #[error("{ip} has {max} connections already")]
    Crowded { ip: IpAddr, max: u32 },
}

/// Counts the connections with each place, from the handshake on.
#[derive(Debug)]
pub(super) struct Gate {
    max: u32,
    dialled: Dialled,
    banned: HashSet<IpAddr>,
    by_connection: HashMap<ConnectionId, IpAddr>,
    counts: HashMap<IpAddr, u32>,
}

impl Gate {
    pub(super) fn new(max: u32, dialled: Dialled) -> Self {
        let (by_connection, counts) = (HashMap::new(), HashMap::new());
        let banned = HashSet::new();
        Self {
            max,
            dialled,
            banned,
            by_connection,
            counts,
        }
    }

    /// What an address of a peer that is connected stands for: itself, or where its name has led.
    pub(super) fn resolved(&self, peer: &PeerId, address: &Multiaddr) -> Multiaddr {
        self.dialled.resolved(peer, address)
    }

    pub(super) fn ban(&mut self, ip: IpAddr) {
        self.banned.insert(network_of(ip));
    }

    pub(super) fn unban(&mut self, ip: IpAddr) {
        self.banned.remove(&network_of(ip));
    }

    fn check_ban(&self, ip: IpAddr) -> Result<(), GateRefusal> {
        match self.banned.contains(&ip) {
            true => Err(GateRefusal::Banned(ip)),
            false => Ok(()),
        }
    }

    fn check_room(&self, ip: IpAddr) -> Result<(), GateRefusal> {
        let (count, max) = (self.counts.get(&ip).copied().unwrap_or(0), self.max);
        match count >= max && !ip.is_loopback() {
            true => Err(GateRefusal::Crowded { ip, max }),
            false => Ok(()),
        }
    }

    fn enter(&mut self, id: ConnectionId, ip: IpAddr) {
        if self.by_connection.insert(id, ip).is_none() {
            *self.counts.entry(ip).or_default() += 1;
        }
    }

    fn leave(&mut self, id: ConnectionId) {
        let Some(ip) = self.by_connection.remove(&id) else {
            return;
        };
        if let Some(count) = self.counts.get_mut(&ip) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&ip);
            }
        }
    }
}

impl NetworkBehaviour for Gate {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(ip) = ip_of(remote).map(network_of) else {
            return Ok(());
        };
        self.check_ban(ip).map_err(ConnectionDenied::new)?;
        self.check_room(ip).map_err(ConnectionDenied::new)?;
        self.enter(id, ip);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        _id: ConnectionId,
        _peer: PeerId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        if let Some(ip) = ip_of(remote).map(network_of) {
            // It may have been banned during the handshake.
            self.check_ban(ip).map_err(ConnectionDenied::new)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        remote: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let remote = self.resolved(&peer, remote);
        if let Some(ip) = ip_of(&remote).map(network_of) {
            self.check_ban(ip).map_err(ConnectionDenied::new)?;
            self.enter(id, ip);
        }
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. })
            | FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.leave(connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(
        &mut self,
        _peer: PeerId,
        _id: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use libp2p::core::ConnectedPoint;

    use super::*;

    fn knock(gate: &mut Gate, id: usize, remote: &str) -> Result<(), GateRefusal> {
        let local = "/ip4/10.0.0.1/tcp/1".parse().unwrap();
        let remote = remote.parse().unwrap();
        let id = ConnectionId::new_unchecked(id);
        let answer = gate.handle_pending_inbound_connection(id, &local, &remote);
        answer.map_err(|denied| denied.downcast::<GateRefusal>().unwrap())
    }

    #[test]
    fn a_place_has_only_so_many_connections() {
        let mut gate = Gate::new(2, Dialled::default());
        let (ip, max) = ("192.0.2.1".parse().unwrap(), 2);
        assert_eq!(knock(&mut gate, 1, "/ip4/192.0.2.1/tcp/1"), Ok(()));
        assert_eq!(knock(&mut gate, 2, "/ip4/192.0.2.1/tcp/2"), Ok(()));
        let refusal = Err(GateRefusal::Crowded { ip, max });
        assert_eq!(knock(&mut gate, 3, "/ip4/192.0.2.1/udp/3/quic-v1"), refusal);
        assert_eq!(knock(&mut gate, 4, "/ip4/192.0.2.2/tcp/1"), Ok(()));
        gate.leave(ConnectionId::new_unchecked(3));
        assert_eq!(knock(&mut gate, 5, "/ip4/192.0.2.1/tcp/1"), refusal);
        gate.leave(ConnectionId::new_unchecked(1));
        assert_eq!(knock(&mut gate, 6, "/ip4/192.0.2.1/tcp/1"), Ok(()));
    }

    #[test]
    fn a_ban_holds_where_a_name_leads() {
        let (dialled, peer) = (Dialled::default(), PeerId::random());
        let mut gate = Gate::new(1, dialled.clone());
        gate.ban("192.0.2.1".parse().unwrap());
        let (role_override, port_use) = (Endpoint::Dialer, PortUse::New);
        let mut dial = |ip: &str| {
            let end = ConnectedPoint::Dialer {
                address: format!("/ip4/{ip}/tcp/1").parse().unwrap(),
                role_override,
                port_use,
            };
            dialled.note(peer, &end);
            let (id, name) = (ConnectionId::new_unchecked(1), "/dns4/example.org/tcp/1");
            let name = name.parse().unwrap();
            gate.handle_established_outbound_connection(id, peer, &name, role_override, port_use)
        };
        assert!(dial("192.0.2.1").is_err());
        assert!(dial("192.0.2.2").is_ok());
    }

    #[test]
    fn an_ipv6_network_is_one_place_and_loopback_is_none() {
        let mut gate = Gate::new(1, Dialled::default());
        assert_eq!(knock(&mut gate, 1, "/ip6/2001:db8::1/tcp/1"), Ok(()));
        assert!(knock(&mut gate, 2, "/ip6/2001:db8::2/tcp/1").is_err());
        assert_eq!(knock(&mut gate, 3, "/ip6/2001:db8:0:1::2/tcp/1"), Ok(()));
        assert!((4..20).all(|id| knock(&mut gate, id, "/ip4/127.0.0.1/tcp/1").is_ok()));
    }

    #[test]
    fn the_banned_stay_out_until_they_are_forgiven() {
        let mut gate = Gate::new(2, Dialled::default());
        let ip = "192.0.2.1".parse().unwrap();
        gate.ban(ip);
        let refusal = Err(GateRefusal::Banned(ip));
        assert_eq!(knock(&mut gate, 1, "/ip4/192.0.2.1/tcp/1"), refusal);
        let id = ConnectionId::new_unchecked(2);
        let (peer, remote) = (PeerId::random(), "/ip4/192.0.2.1/tcp/1".parse().unwrap());
        let (role, port) = (Endpoint::Dialer, PortUse::New);
        let dialled = gate.handle_established_outbound_connection(id, peer, &remote, role, port);
        assert!(dialled.is_err());
        gate.unban(ip);
        assert_eq!(knock(&mut gate, 1, "/ip4/192.0.2.1/tcp/1"), Ok(()));
    }
}

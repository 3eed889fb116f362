//! What an address says, and what is made of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// The IP of the other end; `None` where it is a name, or a relay's.
pub(super) fn ip_of(address: &Multiaddr) -> Option<IpAddr> {
    if is_relayed(address) {
        return None;
    }
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// Does an address lead through a relay? Whoever comes by one has no address but its name.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    let is_circuit = address.iter().any(|part| part == Protocol::P2pCircuit);
    is_circuit || matches!(address.iter().next(), Some(Protocol::P2p(_)))
}

/// What limits and bans see of an IP: all of IPv4, the first 64 bits of IPv6, within which anybody has as many as they want.
pub(super) fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.into(),
        IpAddr::V6(ip) if ip.is_loopback() => ip.into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (!0 << 64)).into(),
    }
}

/// May an IP be banned? Not where it is the whole machine, or could be anybody.
pub(super) fn is_bannable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !ip.is_unspecified() && !is_link_local(ip)
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// How far an IP reaches: within the machine, within a private network, everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Machine,
    Private,
    World,
}

fn reach(ip: IpAddr) -> Reach {
    // 100.64.0.0/10 is what carriers share among their customers.
    let is_shared = |ip: Ipv4Addr| ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64;
    match ip {
        _ if ip.is_loopback() => Reach::Machine,
        IpAddr::V4(ip) if ip.is_private() || is_shared(ip) => Reach::Private,
        IpAddr::V6(ip) if ip.is_unique_local() => Reach::Private,
        _ if is_link_local(ip) => Reach::Private,
        _ => Reach::World,
    }
}

/// Does an address give a name of DNS where the other end is, and no relay?
pub(super) fn is_named(address: &Multiaddr) -> bool {
    let is_name = matches!(
        address.iter().next(),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_) | Protocol::Dnsaddr(_))
    );
    is_name && !is_relayed(address)
}

/// Can a peer that is connected from `seen` be listening at `address`?
///
/// Somebody out in the world can't be reached at our loopback or in our private network; whoever says so would have us dial our neighbours.
pub(super) fn is_plausible(address: &Multiaddr, seen: Option<IpAddr>) -> bool {
    if is_relayed(address) {
        return true;
    }
    let mut parts = address.iter();
    let is_host = match parts.next() {
        Some(Protocol::Ip4(ip)) => is_plausible_ip(ip.into(), seen),
        Some(Protocol::Ip6(ip)) => is_plausible_ip(IpAddr::V6(ip).to_canonical(), seen),
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => true,
        _ => false,
    };
    let is_port = match parts.next() {
        Some(Protocol::Tcp(port)) => port != 0,
        Some(Protocol::Udp(port)) => port != 0 && parts.next() == Some(Protocol::QuicV1),
        _ => false,
    };
    is_host && is_port
}

/// Is an address of one of the few kinds that our nodes listen at? What a peer says of others must not become the label of a metric.
pub(super) fn is_of_known_kind(address: &Multiaddr) -> bool {
    let parts: Vec<_> = address.iter().map(|part| part.tag()).collect();
    let Some((host, rest)) = parts.split_first() else {
        return false;
    };
    let circuit: &[&str] = &["p2p", "p2p-circuit", "p2p"];
    let rest = match rest {
        ["tcp", rest @ ..] | ["udp", "quic-v1", rest @ ..] => rest,
        _ => return false,
    };
    ["ip4", "ip6", "dns", "dns4", "dns6"].contains(host) && circuit.starts_with(rest)
}

fn is_plausible_ip(ip: IpAddr, seen: Option<IpAddr>) -> bool {
    if ip.is_unspecified() || ip.is_multicast() {
        return false;
    }
    reach(ip) >= seen.map_or(Reach::World, reach)
}

/// The port of a TCP address that is no relay's.
pub(super) fn tcp_port(address: &Multiaddr) -> Option<u16> {
    if address.iter().any(|part| part == Protocol::P2pCircuit) {
        return None;
    }
    address.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_ip_is_the_peers_own() {
        let of = |text: &str| ip_of(&text.parse().unwrap());
        assert_eq!(of("/ip4/10.1.2.3/tcp/1"), Some(ip("10.1.2.3")));
        assert_eq!(
            of("/ip6/::ffff:10.1.2.3/udp/1/quic-v1"),
            Some(ip("10.1.2.3"))
        );
        assert_eq!(of("/dns4/example.org/tcp/1"), None);
        let relay = "/ip4/10.1.2.3/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        assert_eq!(of(&format!("{relay}/p2p-circuit")), None);
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        assert_eq!(network_of(ip("2001:db8:1:2:3:4:5:6")), ip("2001:db8:1:2::"));
        assert_eq!(network_of(ip("192.0.2.7")), ip("192.0.2.7"));
        assert_eq!(network_of(ip("::1")), ip("::1"));
        assert!(is_bannable(ip("10.0.0.1")) && is_bannable(ip("192.0.2.7")));
        assert!(
            ["127.0.0.1", "::1", "0.0.0.0", "fe80::1"]
                .iter()
                .all(|text| !is_bannable(ip(text)))
        );
    }

    #[test]
    fn kinds_of_addresses_are_few() {
        let is = |address: &str| is_of_known_kind(&address.parse().unwrap());
        let id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        assert!(is("/ip4/10.0.0.1/tcp/1") && is("/ip6/::1/udp/1/quic-v1"));
        assert!(is(&format!("/dns4/example.org/tcp/1/p2p/{id}")));
        assert!(is(&format!(
            "/ip4/10.0.0.1/tcp/1/p2p/{id}/p2p-circuit/p2p/{id}"
        )));
        assert!(!is("/ip4/10.0.0.1/tcp/1/tcp/1") && !is("/ip4/10.0.0.1/udp/1"));
        assert!(!is("/memory/7") && !is("/ip4/10.0.0.1/tcp/1/ws") && !is("/ip4/10.0.0.1"));
    }

    #[test]
    fn only_plausible_addresses_are_believed() {
        let is =
            |address: &str, seen: &str| is_plausible(&address.parse().unwrap(), seen.parse().ok());
        assert!(is("/ip4/127.0.0.1/tcp/1", "127.0.0.1"));
        assert!(is("/ip4/10.0.0.1/udp/1/quic-v1", "127.0.0.1"));
        assert!(is("/ip4/8.8.8.8/tcp/1", "10.0.0.1"));
        assert!(is("/dns/example.org/tcp/1", "8.8.8.8"));
        assert!(!is("/ip4/127.0.0.1/tcp/1", "10.0.0.1"));
        assert!(!is("/ip4/10.0.0.1/tcp/1", "8.8.8.8"));
        assert!(!is("/ip4/10.0.0.1/tcp/1", "by name"));
        assert!(!is("/ip4/8.8.8.8/tcp/0", "8.8.8.8"));
        assert!(!is("/ip4/0.0.0.0/tcp/1", "127.0.0.1"));
        assert!(!is("/ip4/8.8.8.8/udp/1", "8.8.8.8"));
        assert!(!is("/ip4/8.8.8.8", "8.8.8.8"));
        assert!(!is("/memory/7", "8.8.8.8"));
    }
}

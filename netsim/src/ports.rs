//! Free ports of the loopback address.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;

use rand::Rng as _;

/// Where ports are sought: above the nodes' own usual ones, and below those that Linux gives to outgoing connections and to whoever asks for
/// any (`net.ipv4.ip_local_port_range`, 32768 to 60999 unless set otherwise). One of those could be gone before the node asks for it.
const RANGE: Range<u16> = 10_000..32_000;
/// How many are tried for one that is free.
const TRIES_EACH: usize = 100;

/// Finds `count` ports that nobody uses for TCP nor for UDP. They are drawn, so that two networks that start together take others.
///
/// # Errors
/// Where nearly all are in use.
pub(crate) fn free(count: usize) -> anyhow::Result<Vec<u16>> {
    let mut free = BTreeSet::new();
    for _ in 0..count * TRIES_EACH {
        if free.len() == count {
            break;
        }
        let port = rand::rng().random_range(RANGE);
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            free.insert(port);
        }
    }
    anyhow::ensure!(
        free.len() == count,
        "the loopback address has no {count} ports that are free for TCP and UDP between {} and {}",
        RANGE.start,
        RANGE.end
    );
    Ok(free.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_can_be_bound() {
        let ports = free(20).unwrap();
        let distinct: BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), 20);
        for port in ports {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
            UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}

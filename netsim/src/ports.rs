//! Free ports of the loopback address.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use anyhow::Context as _;

/// Finds `count` ports that nobody uses for TCP nor for UDP.
///
/// They are free when it returns; a program that opens ports just then could still take one, and the node that wanted it would say so.
///
/// # Errors
/// Where the system has no more.
pub(crate) fn free(count: usize) -> anyhow::Result<Vec<u16>> {
    // All are held until the last is found, so that they differ.
    let mut held = Vec::new();
    let mut tries = 0;
    while held.len() < count {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.context("the loopback address has no free port")?;
        let address: SocketAddr = listener.local_addr()?;
        match UdpSocket::bind(address) {
            Ok(socket) => held.push((listener, socket, address.port())),
            Err(error) => {
                tries += 1;
                anyhow::ensure!(tries < 100, "no port is free for TCP and UDP: {error}");
            }
        }
    }
    Ok(held.into_iter().map(|(_, _, port)| port).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

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

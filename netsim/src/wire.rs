//! A network of netsim's own: each node in a network namespace on a TUN device, and a switch in userspace between them.
//!
//! The switch forwards IPv4 packets by their destination, after what the link between the two would do to them: latency, jitter, loss,
//! bandwidth, or nothing at all where they are cut off. Each direction of each link draws from a generator of its own, seeded.
//!
//! It needs root, `ip` (iproute2) and `/dev/net/tun`.

use std::ffi::OsString;
use std::fs::File;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;

mod link;
mod switch;
mod tun;

pub use link::Link;
use switch::Switch;

/// The networks that there may be at once on a machine: each is named by the second byte of its addresses, 10.N.0.0/16.
const NETWORKS: RangeInclusive<u8> = 77..=108;
/// Bits of an address that name the network.
const PREFIX: u8 = 16;
/// Room for a packet of any tunnel on the way.
const MTU: &str = "1400";
/// The most nodes: their numbers are the last byte of their addresses.
pub const NODES_MAX: usize = 250;

/// The network, for as long as it lives.
pub(crate) struct Wire {
    switch: Arc<Switch>,
    /// Names it on this machine.
    network: u8,
    namespaces: Vec<String>,
}

/// Fails where the user may make no such network.
///
/// # Errors
/// They are not root.
pub(crate) fn check_rights() -> anyhow::Result<()> {
    anyhow::ensure!(
        rustix::process::geteuid().is_root(),
        "scenarios run in network namespaces, which only root may make; run it as root (`netsim up` needs none)"
    );
    Ok(())
}

impl Wire {
    /// Makes the network with nobody on it.
    ///
    /// # Errors
    /// Without root, `ip` or TUN devices, or where there are too many such networks.
    pub(crate) fn new(seed: u64, link: Link) -> anyhow::Result<Self> {
        let (network, own) = open_control()?;
        sweep(network)?;
        let (device, control) = (device(network, 0), Ipv4Addr::new(10, network, 255, 1));
        let switch = Switch::start(seed, link)?;
        let address = format!("{control}/{PREFIX}");
        ip(&["addr", "add", &address, "dev", &device])?;
        ip(&["link", "set", &device, "mtu", MTU, "up"])?;
        switch.plug_control(control, own)?;
        let namespaces = Vec::new();
        Ok(Self {
            switch,
            network,
            namespaces,
        })
    }

    /// Puts a node on the network: gives its address, and what stands before its command.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn plug(&mut self) -> anyhow::Result<(Ipv4Addr, Vec<OsString>)> {
        let number = self.namespaces.len() + 1;
        let last = u8::try_from(number).ok().filter(|_| number <= NODES_MAX);
        let last = last.context("too many nodes")?;
        let address = Ipv4Addr::new(10, self.network, 0, last);
        // With the process' id: nobody else's, not even when the network is another's next.
        let space = format!("lyceum{}-{}-{last}", self.network, std::process::id());
        let device = device(self.network, last);
        let own = tun::open(&device).context("no TUN device can be made for a node")?;
        ip(&["netns", "add", &space])?;
        self.namespaces.push(space.clone());
        ip(&["link", "set", &device, "netns", &space])?;
        let inside = |arguments: &[&str]| ip(&[&["-n", &space], arguments].concat());
        let own_address = format!("{address}/{PREFIX}");
        inside(&["addr", "add", &own_address, "dev", &device])?;
        inside(&["link", "set", &device, "mtu", MTU, "up"])?;
        inside(&["link", "set", "lo", "up"])?;
        self.switch.plug(address, own)?;
        let before = ["ip", "netns", "exec", &space].map(OsString::from);
        Ok((address, before.to_vec()))
    }

    /// Cuts the network into parts; who is in none of them is alone.
    pub(crate) fn split(&self, parts: &[Vec<Ipv4Addr>]) {
        self.switch.split(parts);
    }

    /// Joins all parts.
    pub(crate) fn heal(&self) {
        self.switch.split(&[]);
    }

    /// Packets forwarded, and packets lost.
    pub(crate) fn packets(&self) -> (u64, u64) {
        self.switch.packets()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for space in &self.namespaces {
            if let Err(error) = ip(&["netns", "del", space]) {
                eprintln!("netsim: {error:#}");
            }
        }
    }
}

/// The name of a device: netsim's own is number 0.
fn device(network: u8, number: u8) -> String {
    format!("lyceum{network}-{number}")
}

/// Removes the namespaces of a network that a process left behind which was killed: whoever holds the network is the only one on it.
fn sweep(network: u8) -> anyhow::Result<()> {
    let list = ip(&["netns", "list"])?;
    let names = list.lines().filter_map(|line| line.split(' ').next());
    let prefix = format!("lyceum{network}-");
    for left in names.filter(|name| name.starts_with(&prefix)) {
        ip(&["netns", "del", left])?;
    }
    Ok(())
}

/// Makes netsim's own end of the first network that nobody has: the kernel gives a name once.
fn open_control() -> anyhow::Result<(u8, File)> {
    for network in NETWORKS {
        match tun::open(&device(network, 0)) {
            Ok(own) => return Ok((network, own)),
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
            Err(error) => {
                return Err(error)
                    .context("no TUN device can be made: does this machine have /dev/net/tun?");
            }
        }
    }
    let most = NETWORKS.len();
    anyhow::bail!("{most} `netsim run` are at work already; wait for one to end")
}

/// What `ip` prints.
fn ip(arguments: &[&str]) -> anyhow::Result<String> {
    let done = Command::new("ip").args(arguments).output();
    let done = done.context("ip cannot be run: install iproute2")?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(
        done.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        said.trim_end()
    );
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_networks_stand_side_by_side_and_what_a_killed_process_left_is_swept() {
        if !rustix::process::geteuid().is_root() {
            return; // only root may make them
        }
        let exists = |space: &String| std::path::Path::new("/run/netns").join(space).exists();
        let make = || Wire::new(1, Link::default()).unwrap();
        let mut wires = [make(), make()];
        assert_ne!(wires[0].network, wires[1].network);
        let left = format!("lyceum{}-0-3", wires[0].network);
        ip(&["netns", "add", &left]).unwrap();
        let other = wires[1].plug().unwrap().0;
        sweep(wires[0].network).unwrap();
        assert!(!exists(&left));
        let one = wires[0].plug().unwrap().0;
        assert_ne!(one.octets()[1], other.octets()[1]);
        let spaces = wires.each_ref().map(|wire| wire.namespaces.clone());
        assert!(spaces.iter().flatten().all(exists));
        drop(wires);
        assert!(!spaces.iter().flatten().any(exists));
    }
}

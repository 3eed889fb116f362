//! A network of netsim's own: each node in a network namespace on a TUN device, and a switch in userspace between them.
//!
//! The switch forwards IPv4 packets by their destination, after what the link between the two would do to them: latency, jitter, loss,
//! bandwidth, or nothing at all where they are cut off. Each direction of each link draws from a generator of its own, seeded.
//!
//! It needs root, `ip` (iproute2) and `/dev/net/tun`.

use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;

mod link;
mod switch;
mod tun;

pub use link::Link;
use switch::Switch;

/// Netsim's own end, from where it asks the nodes.
const CONTROL: Ipv4Addr = Ipv4Addr::new(10, 77, 255, 1);
/// Bits of an address that name the network.
const PREFIX: u8 = 16;
/// Room for a packet of any tunnel on the way.
const MTU: &str = "1400";
/// The most nodes: their numbers are the last byte of their addresses.
pub const NODES_MAX: usize = 250;

/// The network, for as long as it lives.
pub(crate) struct Wire {
    switch: Arc<Switch>,
    namespaces: Vec<String>,
}

impl Wire {
    /// Makes the network with nobody on it.
    ///
    /// # Errors
    /// Without root, without `ip`, or where another netsim has such a network.
    pub(crate) fn new(seed: u64, link: Link) -> anyhow::Result<Self> {
        anyhow::ensure!(
            rustix::process::geteuid().is_root(),
            "scenarios run in network namespaces, which only root may make; run it as root (`netsim up` needs none)"
        );
        let own = tun::open("lyceum-ctl").context(
            "no TUN device can be made: another `netsim run` is at work, or this machine has no /dev/net/tun",
        )?;
        let switch = Switch::start(seed, link)?;
        ip(&[
            "addr",
            "add",
            &format!("{CONTROL}/{PREFIX}"),
            "dev",
            "lyceum-ctl",
        ])?;
        ip(&["link", "set", "lyceum-ctl", "mtu", MTU, "up"])?;
        switch.plug_control(CONTROL, own)?;
        let namespaces = Vec::new();
        Ok(Self { switch, namespaces })
    }

    /// Puts a node on the network: gives its address, and what stands before its command.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn plug(&mut self) -> anyhow::Result<(Ipv4Addr, Vec<OsString>)> {
        let number = self.namespaces.len() + 1;
        let last = u8::try_from(number).ok().filter(|_| number <= NODES_MAX);
        let address = Ipv4Addr::new(10, 77, 0, last.context("too many nodes")?);
        let space = format!("lyceum-{}-{number}", std::process::id());
        let device = format!("lyceum{number}");
        let own = tun::open(&device)?;
        ip(&["netns", "add", &space])?;
        self.namespaces.push(space.clone());
        ip(&["link", "set", &device, "netns", &space])?;
        let inside = |arguments: &[&str]| ip(&[&["-n", &space], arguments].concat());
        inside(&[
            "addr",
            "add",
            &format!("{address}/{PREFIX}"),
            "dev",
            &device,
        ])?;
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

fn ip(arguments: &[&str]) -> anyhow::Result<()> {
    let done = Command::new("ip").args(arguments).output();
    let done = done.with_context(|| {
        format!(
            "{} cannot be run: install iproute2",
            Path::new("ip").display()
        )
    })?;
    let said = String::from_utf8_lossy(&done.stderr);
    anyhow::ensure!(
        done.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        said.trim_end()
    );
    Ok(())
}

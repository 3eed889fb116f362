//! Network namespaces: machines of their own, as far as addresses go.

use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where `ip netns exec` finds what a namespace has in the place of `/etc/resolv.conf`.
const ETC: &str = "/etc/netns";

/// A hub, and others that are each joined to it by a link; gone when dropped.
pub(crate) struct Spaces {
    names: Vec<String>,
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!(
            "ip {}: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

impl Spaces {
    /// A hub and so many others; `None`, and a word about why, where this user may not make any.
    pub(crate) fn new(others: usize) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = |i| format!("lyceum-{}-{number}-{i}", std::process::id());
        let mut spaces = Self { names: Vec::new() };
        for i in 0..=others {
            if let Err(why) = ip(&["netns", "add", &name(i)]) {
                assert!(i == 0, "{why}");
                println!("skipped: no network namespaces here ({why}); run the test as root");
                return None;
            }
            spaces.names.push(name(i));
            ip(&["-n", &name(i), "link", "set", "lo", "up"]).unwrap();
        }
        for i in 1..=others {
            spaces.join(i);
        }
        Some(spaces)
    }

    fn join(&self, i: usize) {
        let (hub, other, link) = (self.name(0), self.name(i), format!("e{i}"));
        ip(&[
            "link", "add", &link, "netns", hub, "type", "veth", "peer", "name", "e0", "netns",
            other,
        ])
        .unwrap();
        for (space, link, host) in [(hub, link.as_str(), 1), (other, "e0", 2)] {
            let address = format!("10.77.{i}.{host}/24");
            ip(&["-n", space, "addr", "add", &address, "dev", link]).unwrap();
            ip(&["-n", space, "link", "set", link, "up"]).unwrap();
        }
    }

    /// The name of one; 0 is the hub.
    pub(crate) fn name(&self, i: usize) -> &str {
        &self.names[i]
    }

    /// The hub's address on the link to another.
    pub(crate) fn hub_address(i: usize) -> String {
        format!("10.77.{i}.1")
    }

    /// Another's own address.
    pub(crate) fn address(i: usize) -> String {
        format!("10.77.{i}.2")
    }

    /// Has one send what is for elsewhere to the hub.
    pub(crate) fn route_by_hub(&self, i: usize) {
        let hub = Self::hub_address(i);
        ip(&["-n", self.name(i), "route", "add", "default", "via", &hub]).unwrap();
    }

    fn etc(name: &str) -> PathBuf {
        PathBuf::from(ETC).join(name)
    }

    /// Has programs in a namespace ask the name server at 127.0.0.1 there.
    pub(crate) fn resolve_locally(&self, i: usize) {
        let folder = Self::etc(self.name(i));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    }
}

impl Drop for Spaces {
    fn drop(&mut self) {
        for name in &self.names {
            // What can't be deleted is of no harm: it has no link to anywhere.
            let _ = ip(&["netns", "delete", name]);
            let _ = std::fs::remove_dir_all(Self::etc(name));
        }
    }
}

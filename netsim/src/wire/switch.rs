//! The switch: reads packets from each device, holds them for as long as they travel, and writes them to the other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::Context as _;

use super::link::{Lane, Link};

/// The longest packet that is read.
const PACKET_BYTES_MAX: usize = 2_048;
/// Packets on their way; more are lost.
const FLYING_MAX: usize = 100_000;

/// A switch; its threads end with the process, or with their device.
pub(super) struct Switch {
    state: Mutex<State>,
    /// Rings when a packet is due sooner than all others.
    sooner: Condvar,
}

struct State {
    seed: u64,
    link: Link,
    control: Option<Ipv4Addr>,
    devices: BTreeMap<Ipv4Addr, Arc<File>>,
    lanes: BTreeMap<(Ipv4Addr, Ipv4Addr), Lane>,
    /// The part of each; empty where the network is whole.
    parts: BTreeMap<Ipv4Addr, usize>,
    flying: BinaryHeap<Reverse<Flying>>,
    count: u64,
    lost: u64,
}

/// A packet on its way, the soonest first, and of two those that came first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Flying {
    due: Instant,
    number: u64,
    to: Ipv4Addr,
    packet: Vec<u8>,
}

impl Switch {
    pub(super) fn start(seed: u64, link: Link) -> anyhow::Result<Arc<Self>> {
        let state = State {
            seed,
            link,
            control: None,
            devices: BTreeMap::new(),
            lanes: BTreeMap::new(),
            parts: BTreeMap::new(),
            flying: BinaryHeap::new(),
            count: 0,
            lost: 0,
        };
        let switch = Arc::new(Self {
            state: Mutex::new(state),
            sooner: Condvar::new(),
        });
        let own = Arc::clone(&switch);
        let thread = std::thread::Builder::new().name("switch".to_owned());
        thread
            .spawn(move || own.deliver())
            .context("the switch needs a thread")?;
        Ok(switch)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plugs in netsim's own end, whose links do nothing and are never cut.
    pub(super) fn plug_control(
        self: &Arc<Self>,
        address: Ipv4Addr,
        device: File,
    ) -> anyhow::Result<()> {
        self.lock().control = Some(address);
        self.plug(address, device)
    }

    /// Plugs in a device.
    pub(super) fn plug(self: &Arc<Self>, address: Ipv4Addr, device: File) -> anyhow::Result<()> {
        let device = Arc::new(device);
        self.lock().devices.insert(address, Arc::clone(&device));
        let switch = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("from {address}"));
        let done = thread.spawn(move || {
            let mut packet = [0; PACKET_BYTES_MAX];
            // An error: the device is gone.
            while let Ok(bytes) = (&*device).read(&mut packet) {
                switch.take(address, &packet[..bytes]);
            }
        });
        done.context("each device needs a thread")?;
        Ok(())
    }

    pub(super) fn split(&self, parts: &[Vec<Ipv4Addr>]) {
        let numbered = parts.iter().enumerate();
        let members =
            numbered.flat_map(|(part, members)| members.iter().map(move |member| (*member, part)));
        self.lock().parts = members.collect();
    }

    pub(super) fn packets(&self) -> (u64, u64) {
        let state = self.lock();
        (state.count, state.lost)
    }

    /// Takes a packet from a device.
    fn take(&self, from: Ipv4Addr, packet: &[u8]) {
        let Some(to) = destination(packet) else {
            return;
        };
        let mut state = self.lock();
        if !state.devices.contains_key(&to) {
            return;
        }
        let Some(due) = state.pass(from, to, packet.len()) else {
            state.lost += 1;
            return;
        };
        state.count += 1;
        let number = state.count;
        let is_first = state
            .flying
            .peek()
            .is_none_or(|Reverse(first)| due < first.due);
        let packet = packet.to_vec();
        state.flying.push(Reverse(Flying {
            due,
            number,
            to,
            packet,
        }));
        if is_first {
            self.sooner.notify_one();
        }
    }

    /// Writes packets when they are due.
    fn deliver(&self) {
        let mut state = self.lock();
        loop {
            let now = Instant::now();
            let wait = state
                .flying
                .peek()
                .map(|Reverse(first)| first.due.saturating_duration_since(now));
            state = match wait {
                None => self
                    .sooner
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
                Some(wait) if !wait.is_zero() => {
                    let woken = self.sooner.wait_timeout(state, wait);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
                Some(_) => {
                    let Some(Reverse(first)) = state.flying.pop() else {
                        continue;
                    };
                    let device = state.devices.get(&first.to).cloned();
                    drop(state);
                    if let Some(device) = device {
                        // A full device loses packets, as a real one does.
                        let _ = (&*device).write(&first.packet);
                    }
                    self.lock()
                }
            };
        }
    }
}

impl State {
    /// When a packet arrives; `None` where it is lost.
    fn pass(&mut self, from: Ipv4Addr, to: Ipv4Addr, bytes: usize) -> Option<Instant> {
        let now = Instant::now();
        if self.flying.len() >= FLYING_MAX {
            return None;
        }
        if self.control == Some(from) || self.control == Some(to) {
            return Some(now);
        }
        if !self.parts.is_empty() {
            let part = self.parts.get(&from)?;
            self.parts.get(&to).filter(|other| *other == part)?;
        }
        let seed = self.seed;
        let lane = self.lanes.entry((from, to));
        let lane = lane.or_insert_with(|| Lane::new(seed, host(from), host(to)));
        lane.pass(&self.link, now, bytes)
    }
}

/// The part of an address that names the node: a lane's fate does not hang on which network this is.
fn host(address: Ipv4Addr) -> u32 {
    address.to_bits() & 0xffff
}

/// Where an IPv4 packet goes.
fn destination(packet: &[u8]) -> Option<Ipv4Addr> {
    let is_v4 = packet.first()? >> 4 == 4;
    let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    is_v4.then(|| Ipv4Addr::from(to))
}

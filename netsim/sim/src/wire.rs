//! The network between the nodes: who reaches whom, and how long bytes are under way.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use lyceum_netsim::wire::Link;
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tokio::time::{Instant, sleep};

use crate::places::Places;
use crate::stream::{Stream, pair};

/// What a packet carries, and what its headers take, with an Ethernet of 1 400 bytes as `netsim run` has it.
const PACKET_BYTES: usize = 1_348;
const HEADER_BYTES: usize = 52;
/// What TCP waits beside a round trip until it sends a lost packet again: Linux' least.
const RETRANSMIT: Duration = Duration::from_millis(200);
/// Retransmissions of one write at most; TCP would go on.
const RETRANSMITS_MAX: u32 = 8;
/// A connection request that is not answered is sent again after a second, then after twice as long each time; libp2p gives up before long.
const SYN_AGAIN: Duration = Duration::from_secs(1);
/// How long after the end of a cut a connection's retransmission may come: TCP backs off to twice as long each time, within this.
const BACKOFF_MAX: Duration = Duration::from_secs(120);

/// A node's place on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Host(pub(crate) u16);

impl Host {
    /// Its address: in a private network, as in `netsim run`.
    pub(crate) fn ip(self) -> Ipv4Addr {
        let [high, low] = self.0.to_be_bytes();
        Ipv4Addr::new(10, 77, high, low)
    }

    /// Whose address it is.
    pub(crate) fn at(ip: Ipv4Addr) -> Option<Self> {
        match ip.octets() {
            [10, 77, high, low] => Some(Self(u16::from_be_bytes([high, low]))),
            _ => None,
        }
    }
}

/// The wire. Clones are the same one.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<State>>);

struct State {
    seed: u64,
    link: Link,
    places: Option<Places>,
    lanes: BTreeMap<(Host, Host), Lane>,
    /// Who is in which part, while the network is cut; who is in none is alone.
    parts: Option<BTreeMap<Host, usize>>,
    ports: BTreeMap<Host, Port>,
    /// Readers that wait for the end of a cut.
    parked: Vec<Waker>,
    packets: u64,
    lost: u64,
}

/// One direction between two hosts: all connections share it.
struct Lane {
    rng: ChaCha8Rng,
    free_at: Option<Instant>,
}

/// Where a host listens.
#[derive(Default)]
struct Port {
    arrivals: VecDeque<(Host, Stream)>,
    waker: Option<Waker>,
}

impl Wire {
    pub(crate) fn new(seed: u64, link: Link, places: Option<Places>) -> Self {
        Self(Arc::new(Mutex::new(State {
            seed,
            link,
            places,
            lanes: BTreeMap::new(),
            parts: None,
            ports: BTreeMap::new(),
            parked: Vec::new(),
            packets: 0,
            lost: 0,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Cuts the network into parts; who is in none of them is alone.
    pub(crate) fn split(&self, parts: &[Vec<Host>]) {
        let numbered = parts.iter().enumerate();
        let members =
            numbered.flat_map(|(part, hosts)| hosts.iter().map(move |host| (*host, part)));
        self.lock().parts = Some(members.collect());
    }

    /// Joins all parts.
    pub(crate) fn heal(&self) {
        let parked = {
            let mut state = self.lock();
            state.parts = None;
            std::mem::take(&mut state.parked)
        };
        parked.into_iter().for_each(Waker::wake);
    }

    /// Can nothing pass between the two now?
    pub(crate) fn is_cut(&self, a: Host, b: Host) -> bool {
        self.lock().is_cut(a, b)
    }

    /// Like [`Wire::is_cut`], and wakes the caller at the end of the cut.
    pub(crate) fn poll_cut(&self, a: Host, b: Host, context: &Context<'_>) -> bool {
        let mut state = self.lock();
        let is_cut = state.is_cut(a, b);
        if is_cut {
            state.parked.push(context.waker().clone());
        }
        is_cut
    }

    /// Sends bytes; gives when they arrive, retransmissions included.
    pub(crate) fn send(&self, from: Host, to: Host, bytes: usize) -> Instant {
        self.lock().send(from, to, bytes)
    }

    /// When a connection's first retransmission arrives after a cut that began then.
    pub(crate) fn resume(&self, from: Host, to: Host, cut_since: Instant) -> Instant {
        let now = Instant::now();
        let cut_for = now.saturating_duration_since(cut_since).min(BACKOFF_MAX);
        let mut state = self.lock();
        let part: f64 = state.lane(from, to).rng.random();
        now + cut_for.mul_f64(part) + state.latency(from, to)
    }

    /// Packets sent, and how many of them had to be sent again.
    pub(crate) fn packets(&self) -> (u64, u64) {
        let state = self.lock();
        (state.packets, state.lost)
    }

    /// Starts to listen.
    pub(crate) fn listen(&self, host: Host) {
        self.lock().ports.insert(host, Port::default());
    }

    /// Listens no longer; what has come and was not taken is reset.
    pub(crate) fn close(&self, host: Host) {
        let port = self.lock().ports.remove(&host);
        // Dropped without the lock: a stream that ends sends its end.
        drop(port);
    }

    /// The next connection to a host, and from whom it is.
    pub(crate) fn poll_accept(&self, host: Host, context: &Context<'_>) -> Poll<(Host, Stream)> {
        let mut state = self.lock();
        let Some(port) = state.ports.get_mut(&host) else {
            return Poll::Pending;
        };
        match port.arrivals.pop_front() {
            Some(arrival) => Poll::Ready(arrival),
            None => {
                port.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Connects, as TCP does: a request, an answer.
    ///
    /// # Errors
    /// Where nobody listens there.
    pub(crate) async fn connect(self, from: Host, to: Host) -> io::Result<Stream> {
        let mut again = SYN_AGAIN;
        while self.is_cut(from, to) {
            sleep(again).await;
            again *= 2;
        }
        tokio::time::sleep_until(self.send(from, to, 0)).await;
        let accepted = self.arrive(from, to);
        tokio::time::sleep_until(self.send(to, from, 0)).await;
        accepted.ok_or_else(|| io::ErrorKind::ConnectionRefused.into())
    }

    /// A request arrives; `None` where nobody listens.
    fn arrive(&self, from: Host, to: Host) -> Option<Stream> {
        let (near, far) = pair(self, from, to);
        let mut state = self.lock();
        let Some(port) = state.ports.get_mut(&to) else {
            drop(state);
            return None;
        };
        port.arrivals.push_back((from, far));
        if let Some(waker) = port.waker.take() {
            waker.wake();
        }
        Some(near)
    }
}

impl State {
    fn is_cut(&self, a: Host, b: Host) -> bool {
        let Some(parts) = &self.parts else {
            return false;
        };
        match (parts.get(&a), parts.get(&b)) {
            (Some(a), Some(b)) => a != b,
            _ => a != b,
        }
    }

    fn lane(&mut self, from: Host, to: Host) -> &mut Lane {
        let seed = self.seed;
        self.lanes.entry((from, to)).or_insert_with(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(u64::from(from.0) << 32 | u64::from(to.0));
            let free_at = None;
            Lane { rng, free_at }
        })
    }

    fn latency(&self, from: Host, to: Host) -> Duration {
        let millis = match &self.places {
            Some(places) => places.latency_ms(from, to),
            None => self.link.latency_ms,
        };
        Duration::from_secs_f64(millis / 1e3)
    }

    fn send(&mut self, from: Host, to: Host, bytes: usize) -> Instant {
        let (now, link) = (Instant::now(), self.link);
        let (there, back) = (self.latency(from, to), self.latency(to, from));
        let packets = bytes.div_ceil(PACKET_BYTES).max(1);
        let lane = self.lane(from, to);
        // All are always drawn, so that what befalls one write does not hang on the one before.
        let (fate, late): (f64, f64) = (lane.rng.random(), lane.rng.random());
        let rate = link.kib_per_second * 1_024.0;
        let sending = match rate > 0.0 {
            true => (bytes + packets * HEADER_BYTES) as f64 / rate,
            false => 0.0,
        };
        let start = lane.free_at.map_or(now, |free_at| free_at.max(now));
        let sent = start + Duration::from_secs_f64(sending);
        lane.free_at = Some(sent);
        let again = retransmits(fate, link.loss, packets);
        let again_after = (there + back + RETRANSMIT) * ((1 << again) - 1);
        let jitter = Duration::from_secs_f64(late * link.jitter_ms / 1e3);
        self.packets += packets as u64 + u64::from(again);
        self.lost += u64::from(again);
        sent + there + jitter + again_after
    }
}

/// How often one of so many packets has to be sent again, by a number from 0 to 1: the first time any of them may be lost, then the one.
fn retransmits(fate: f64, loss: f64, packets: usize) -> u32 {
    let mut likely = 1.0 - (1.0 - loss).powf(packets as f64);
    let mut again = 0;
    while fate < likely && again < RETRANSMITS_MAX {
        again += 1;
        likely *= loss;
    }
    again
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retransmissions_are_as_rare_as_the_loss_says() {
        let count = |loss: f64, packets| {
            let fates = (0..100_000).map(|at| f64::from(at) / 100_000.0);
            let again = fates.map(|fate| retransmits(fate, loss, packets));
            again.fold([0; 3], |mut counts, again| {
                counts[usize::try_from(again.min(2)).unwrap()] += 1;
                counts
            })
        };
        assert_eq!(count(0.0, 10), [100_000, 0, 0]);
        assert_eq!(count(0.1, 1), [90_000, 9_000, 1_000]);
        let [none, _, _] = count(0.01, 10);
        assert!((90_000..91_000).contains(&none), "{none}");
        assert_eq!(retransmits(0.0, 1.0, 1), RETRANSMITS_MAX);
    }

    #[test]
    fn an_address_names_its_host() {
        for number in [0, 1, 255, 256, 65_535] {
            assert_eq!(Host::at(Host(number).ip()), Some(Host(number)));
        }
        assert_eq!(Host::at(Ipv4Addr::LOCALHOST), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_narrow_link_takes_its_time_and_a_wide_one_its_latency() {
        let mut link = Link {
            latency_ms: 40.0,
            ..Link::default()
        };
        let (a, b, now) = (Host(1), Host(2), Instant::now());
        let wide = Wire::new(1, link, None);
        assert_eq!(wide.send(a, b, 100_000) - now, Duration::from_millis(40));
        link.kib_per_second = 100.0;
        let narrow = Wire::new(1, link, None);
        let first = narrow.send(a, b, 100 * 1_024) - now;
        let second = narrow.send(a, b, 1_024) - now;
        assert!((1.04..1.10).contains(&first.as_secs_f64()), "{first:?}");
        assert!(second > first, "it waits for those before it");
        let back = narrow.send(b, a, 0) - now;
        assert!(back < Duration::from_millis(42), "{back:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_in_no_part_is_alone() {
        let wire = Wire::new(1, Link::default(), None);
        let [a, b, c, d] = [1, 2, 3, 4].map(Host);
        assert!(!wire.is_cut(a, b));
        wire.split(&[vec![a, b], vec![c]]);
        assert!(!wire.is_cut(a, b) && wire.is_cut(a, c) && wire.is_cut(c, d) && wire.is_cut(d, a));
        wire.heal();
        assert!(!wire.is_cut(a, c) && !wire.is_cut(c, d));
    }
}

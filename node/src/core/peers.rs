//! The connected peers: where they stand, what they owe, how they behave.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libp2p::PeerId;
use lyceum_protocol::{BlockHash, Height, SegmentIndex, Timestamp, U256, Work};

use super::schedule::HeldSegments;
use super::wire;

/// A peer with so many points is banned.
pub const BAN_POINTS: u32 = 100;
/// How long a peer is banned.
pub const BAN_DURATION: Duration = Duration::from_secs(3_600);
/// After this long, in milliseconds, half of a peer's points are forgiven: a wrong transaction now and then happens to the best.
const FORGIVE_MS: u64 = 600_000;
/// Requests that a peer may make at once, and the rate at which it may go on, a second.
const REQUESTS_BURST: u32 = 256;
const REQUESTS_PER_SECOND: u32 = 64;
/// The most peers that are gone whose offences are remembered: a new name costs a liar no more than coming back.
const REMEMBERED_MAX: usize = 1_024;
/// The most peers kept: more than the network lets in.
const PEERS_MAX: usize = 4_096;

/// What a peer did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offence {
    /// It sent a block that breaks a rule, and that it says is good.
    Block(&'static str),
    /// It sent a transaction that breaks a rule.
    Transaction(&'static str),
    /// Its segments hold what they must not, or other bytes than they should.
    Segment(&'static str),
    /// It sent a message that can't be read, or an answer that does not fit the question.
    Message(&'static str),
    /// It claimed work that it can't show.
    FalseClaim,
    /// It asks too much.
    Flood,
    /// It is on another chain.
    WrongChain,
}

impl Offence {
    /// How bad it is. What costs the peer nothing to avoid bans at once.
    fn points(self) -> u32 {
        match self {
            Self::Block(_) | Self::Segment(_) | Self::Message(_) | Self::WrongChain => BAN_POINTS,
            Self::FalseClaim => 50,
            Self::Transaction(_) => 20,
            Self::Flood => 5,
        }
    }

    /// Its short name, for metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Block(reason)
            | Self::Transaction(reason)
            | Self::Segment(reason)
            | Self::Message(reason) => reason,
            Self::FalseClaim => "false_claim",
            Self::Flood => "flood",
            Self::WrongChain => "wrong_genesis",
        }
    }
}

/// Where a peer says that it stands.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) tip: BlockHash,
    pub(super) height: Height,
    pub(super) work: Work,
    pub(super) held: HeldSegments,
    pub(super) torrent: Option<SocketAddr>,
}

/// One peer.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) ip: Option<IpAddr>,
    /// Its last status; `None` until the first.
    pub(super) claim: Option<Claim>,
    /// When it was last asked for one.
    pub(super) asked_at: Timestamp,
    /// Is a status on its way?
    pub(super) is_asked: bool,
    /// Does it know all the segments that we hold?
    pub(super) is_told: bool,
    /// Its claims are not followed until then.
    pub(super) distrusted_until: Timestamp,
    points: u32,
    points_at: Timestamp,
    requests: u32,
    requests_at: Timestamp,
}

/// The connected peers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    by_id: BTreeMap<PeerId, Peer>,
    /// The offences of those that are gone.
    remembered: BTreeMap<PeerId, Remembered>,
}

/// What a peer that is gone did wrong.
#[derive(Debug, Clone, Copy)]
struct Remembered {
    points: u32,
    points_at: Timestamp,
    distrusted_until: Timestamp,
}

impl Peers {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Takes a new peer; false where it is known, or there are too many.
    pub(super) fn connect(&mut self, now: Timestamp, id: PeerId, ip: Option<IpAddr>) -> bool {
        if self.by_id.len() >= PEERS_MAX || self.by_id.contains_key(&id) {
            return false;
        }
        let before = self.remembered.remove(&id).unwrap_or(Remembered {
            points: 0,
            points_at: now,
            distrusted_until: Timestamp::ZERO,
        });
        let peer = Peer {
            ip,
            claim: None,
            asked_at: Timestamp::ZERO,
            is_asked: false,
            is_told: true,
            distrusted_until: before.distrusted_until,
            points: before.points,
            points_at: before.points_at,
            requests: REQUESTS_BURST,
            requests_at: now,
        };
        self.by_id.insert(id, peer);
        true
    }

    pub(super) fn disconnect(&mut self, id: &PeerId) -> Option<Peer> {
        let peer = self.by_id.remove(id)?;
        if peer.points > 0 {
            if self.remembered.len() >= REMEMBERED_MAX {
                let oldest = self
                    .remembered
                    .iter()
                    .min_by_key(|(_, peer)| peer.points_at);
                if let Some(oldest) = oldest.map(|(id, _)| *id) {
                    self.remembered.remove(&oldest);
                }
            }
            let remembered = Remembered {
                points: peer.points,
                points_at: peer.points_at,
                distrusted_until: peer.distrusted_until,
            };
            self.remembered.insert(*id, remembered);
        }
        Some(peer)
    }

    /// Is there nobody whose word counts now?
    pub(super) fn is_alone(&self, now: Timestamp) -> bool {
        let mut peers = self.by_id.values();
        peers.all(|peer| peer.distrusted_until > now)
    }

    pub(super) fn get(&self, id: &PeerId) -> Option<&Peer> {
        self.by_id.get(id)
    }

    pub(super) fn get_mut(&mut self, id: &PeerId) -> Option<&mut Peer> {
        self.by_id.get_mut(id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PeerId, &Peer)> {
        self.by_id.iter()
    }

    /// Those whose claims can be followed now.
    pub(super) fn claims(&self, now: Timestamp) -> impl Iterator<Item = (&PeerId, &Claim)> {
        let trusted = self.by_id.iter();
        let trusted = trusted.filter(move |(_, peer)| peer.distrusted_until <= now);
        trusted.filter_map(|(id, peer)| Some((id, peer.claim.as_ref()?)))
    }

    /// The peers whose BitTorrent side is at an address.
    pub(super) fn at(&self, address: &SocketAddr) -> Vec<PeerId> {
        let same = self.by_id.iter().filter(|(_, peer)| {
            let claim = peer.claim.as_ref();
            claim.and_then(|claim| claim.torrent) == Some(*address)
        });
        same.map(|(id, _)| *id).collect()
    }

    /// Counts an offence; true where the peer is to be banned.
    pub(super) fn blame(&mut self, now: Timestamp, id: &PeerId, offence: Offence) -> bool {
        let Some(peer) = self.by_id.get_mut(id) else {
            return false;
        };
        let since = now.get().saturating_sub(peer.points_at.get());
        let halvings = u32::try_from(since / FORGIVE_MS).unwrap_or(31).min(31);
        peer.points = (peer.points >> halvings).saturating_add(offence.points());
        peer.points_at = now;
        peer.points >= BAN_POINTS
    }

    /// May the peer make a request now?
    pub(super) fn take_request(&mut self, now: Timestamp, id: &PeerId) -> bool {
        let Some(peer) = self.by_id.get_mut(id) else {
            return true;
        };
        let millis = now.get().saturating_sub(peer.requests_at.get());
        let earned = millis.saturating_mul(u64::from(REQUESTS_PER_SECOND)) / 1_000;
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(REQUESTS_BURST);
            peer.requests = peer.requests.saturating_add(earned).min(REQUESTS_BURST);
            peer.requests_at = now;
        }
        let may = peer.requests > 0;
        peer.requests = peer.requests.saturating_sub(1);
        may
    }

    /// Takes a peer's status down.
    pub(super) fn claim(&mut self, id: &PeerId, status: &wire::Status) {
        let Some(peer) = self.by_id.get_mut(id) else {
            return;
        };
        let torrent = status.torrent;
        let torrent = torrent.and_then(|address| resolve(peer.ip, address));
        peer.claim = Some(Claim {
            tip: BlockHash::from_bytes(status.tip),
            height: Height::new(status.height).unwrap_or(Height::MAX),
            work: Work::new(U256::from_be_bytes(status.work)),
            held: HeldSegments::new(
                status.segments,
                status.missing.iter().copied().take(wire::MISSING_MAX),
            ),
            torrent,
        });
    }

    /// We hold a segment from now on: those that lack it are to be told soon.
    pub(super) fn tell_of(&mut self, index: SegmentIndex) {
        for peer in self.by_id.values_mut() {
            let lacks = |claim: &Claim| !claim.held.holds(index);
            if peer.claim.as_ref().is_some_and(lacks) {
                peer.is_told = false;
            }
        }
    }

    /// Where a peer means by an address of its own: an unspecified IP is the one that it is connected from.
    pub(super) fn address_of(&self, id: &PeerId, address: SocketAddr) -> Option<SocketAddr> {
        resolve(self.by_id.get(id)?.ip, address)
    }

    /// A peer turned out not to seed a segment.
    pub(super) fn lacks(&mut self, id: &PeerId, index: SegmentIndex) {
        if let Some(claim) = self.by_id.get_mut(id).and_then(|peer| peer.claim.as_mut()) {
            claim.held.remove(index);
        }
    }
}

fn resolve(connected_from: Option<IpAddr>, address: SocketAddr) -> Option<SocketAddr> {
    let ip = match address.ip().is_unspecified() {
        true => connected_from?,
        false => address.ip(),
    };
    (address.port() != 0).then(|| SocketAddr::new(ip, address.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::new(millis).unwrap()
    }

    #[test]
    fn points_add_up_and_are_forgiven() {
        let (mut peers, id) = (Peers::default(), PeerId::random());
        assert!(peers.connect(at(0), id, None));
        assert!(!peers.connect(at(0), id, None));
        let wrong = Offence::Transaction("fee");
        assert!((0..4).all(|_| !peers.blame(at(0), &id, wrong)));
        assert!(!peers.blame(at(FORGIVE_MS), &id, wrong));
        assert!(!peers.blame(at(FORGIVE_MS), &id, wrong));
        assert!(peers.blame(at(FORGIVE_MS), &id, wrong));
        assert!(peers.blame(at(0), &id, Offence::Block("work")));
    }

    #[test]
    fn who_comes_back_has_its_points_still() {
        let (mut peers, id) = (Peers::default(), PeerId::random());
        peers.connect(at(0), id, None);
        assert!(!peers.blame(at(0), &id, Offence::FalseClaim));
        peers.get_mut(&id).unwrap().distrusted_until = at(9);
        peers.disconnect(&id);
        assert!(peers.is_alone(at(1)));
        peers.connect(at(1), id, None);
        assert!(peers.is_alone(at(1)) && !peers.is_alone(at(9)));
        assert!(peers.blame(at(1), &id, Offence::FalseClaim));
        for _ in 0..2 * REMEMBERED_MAX {
            let id = PeerId::random();
            peers.connect(at(2), id, None);
            peers.blame(at(2), &id, Offence::Flood);
            peers.disconnect(&id);
        }
        assert_eq!(peers.remembered.len(), REMEMBERED_MAX);
    }

    #[test]
    fn a_flood_of_requests_is_refused_and_an_even_flow_is_not() {
        let (mut peers, id) = (Peers::default(), PeerId::random());
        peers.connect(at(0), id, None);
        let taken = (0..1_000).filter(|_| peers.take_request(at(0), &id));
        assert_eq!(taken.count(), REQUESTS_BURST as usize);
        let second = 1_000 / u64::from(REQUESTS_PER_SECOND) + 1;
        assert!((1..200).all(|i| peers.take_request(at(i * second), &id)));
    }

    #[test]
    fn an_unspecified_address_is_the_one_connected_from() {
        let (mut peers, id) = (Peers::default(), PeerId::random());
        peers.connect(at(0), id, Some([10, 0, 0, 9].into()));
        let status = |torrent: &str| wire::Status {
            genesis: [0; 32],
            tip: [1; 32],
            height: 7,
            work: [0; 32],
            segments: 3,
            missing: vec![1],
            torrent: torrent.parse().ok(),
        };
        peers.claim(&id, &status("0.0.0.0:77"));
        assert_eq!(peers.at(&"10.0.0.9:77".parse().unwrap()), [id]);
        peers.claim(&id, &status("10.0.0.8:78"));
        assert_eq!(peers.at(&"10.0.0.8:78".parse().unwrap()), [id]);
        let held = |i| {
            let index = SegmentIndex::new(i).unwrap();
            peers
                .get(&id)
                .unwrap()
                .claim
                .as_ref()
                .unwrap()
                .held
                .holds(index)
        };
        assert_eq!([0, 1, 2, 3].map(held), [true, false, true, false]);
    }
}

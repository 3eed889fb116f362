//! Whom to let go while there are many peers.
//!
//! Gossip keeps its streams open, so no connection is ever idle: whom Kademlia's searches have led to would stay, and nodes would end as good
//! as all connected with all, each at its limit and without a place for newcomers. So above a high water mark the least useful go.

use std::cmp::Reverse;
use std::time::Duration;

use libp2p::PeerId;
use tokio::time::Instant;

use super::Topic;
use super::config::{Limits, TARGET_PEERS};
use super::task::Task;

/// Above so many peers some are let go, where the limits leave room for more: the meshes of both topics take 24 of them at most.
pub const PEERS_HIGH: usize = 64;
/// So many of those are kept: letting go a few each time would never end.
const KEPT: Share = Share { of: 4, keep: 3 };
/// Where limits are low, so much of all connections may be used for long; the rest is for newcomers.
const USED: Share = Share { of: 4, keep: 3 };

const _: () = assert!(TARGET_PEERS <= PEERS_HIGH / KEPT.of * KEPT.keep);

/// A part of a whole.
struct Share {
    of: usize,
    keep: usize,
}

impl Share {
    fn of(&self, whole: usize) -> usize {
        whole / self.of * self.keep
    }
}

/// Above how many peers some are let go, and how many are kept then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Marks {
    high: usize,
    kept: usize,
}

impl Marks {
    fn of(limits: &Limits) -> Self {
        let high = USED.of(limits.established as usize).min(PEERS_HIGH);
        let kept = KEPT.of(high).max(TARGET_PEERS);
        let high = high.max(kept);
        Self { high, kept }
    }
}

/// A peer's place.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    id: PeerId,
    /// It is in a mesh of gossip, a bootnode, or our relay.
    is_needed: bool,
    is_outbound: bool,
    /// Gossip has something against it.
    is_bad: bool,
    since: Instant,
    /// When it last asked for something, or was asked, but for where it stands.
    used: Instant,
}

/// The peers to be let go, least useful first.
///
/// Nobody that is needed, that came within `young` or was used within it, so that whoever pulls the chain from us, or we from them, may go on.
/// Inbound before outbound, for whom we chose is harder to choose for us; then those with a bad name; then the youngest, so that whoever
/// fills our places does not drive out those who have been here for long.
fn surplus(places: Vec<Place>, marks: Marks, young: Duration, now: Instant) -> Vec<PeerId> {
    if places.len() <= marks.high {
        return Vec::new();
    }
    let many = places.len() - marks.kept;
    let is_quiet = |at: Instant| now.saturating_duration_since(at) >= young;
    let mut places = places;
    places.retain(|place| !place.is_needed && is_quiet(place.since) && is_quiet(place.used));
    places.sort_unstable_by_key(|place| {
        let is_good = !place.is_bad;
        (place.is_outbound, is_good, Reverse(place.since), place.id)
    });
    places.truncate(many);
    places.into_iter().map(|place| place.id).collect()
}

impl Task {
    /// Lets some go where there are many.
    pub(super) fn thin_out(&mut self, now: Instant) {
        let marks = Marks::of(&self.config.limits);
        let staying = || {
            self.peers
                .confirmed()
                .filter(|(_, peer)| !peer.is_leaving())
        };
        if staying().count() <= marks.high {
            return;
        }
        let gossip = &self.swarm.behaviour().gossip;
        let is_in_mesh = |id: &PeerId| {
            let mut topics = [Topic::Block, Topic::Transaction].into_iter();
            topics.any(|topic| {
                let topic = self.names.topic(topic).hash();
                gossip.mesh_peers(&topic).any(|peer| peer == id)
            })
        };
        let places = staying().filter_map(|(id, peer)| {
            let (_, is_outbound) = peer.address()?;
            let is_our_relay = self.is_relayed && peer.is_relay;
            Some(Place {
                id: *id,
                is_needed: is_our_relay || self.bootnodes.is_one(id) || is_in_mesh(id),
                is_outbound,
                is_bad: gossip.peer_score(id).is_some_and(|score| score < 0.0),
                since: peer.since,
                used: peer.used,
            })
        });
        let young = self.config.timing.young;
        for id in surplus(places.collect(), marks, young, now) {
            tracing::debug!(peer = %id, "let go: there are many");
            self.counters.surplus.inc();
            self.disconnect(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YOUNG: Duration = Duration::from_secs(60);
    const MARKS: Marks = Marks { high: 4, kept: 3 };

    /// Quiet ones that came one a minute, inbound, the oldest first.
    fn places(count: u32, now: Instant) -> Vec<Place> {
        let place = |at| {
            let since = now - YOUNG * (count - at);
            Place {
                id: PeerId::random(),
                is_needed: false,
                is_outbound: false,
                is_bad: false,
                since,
                used: since,
            }
        };
        (0..count).map(place).collect()
    }

    fn now() -> Instant {
        Instant::now() + YOUNG * 100
    }

    fn gone(places: &[Place], now: Instant) -> Vec<usize> {
        let gone = surplus(places.to_vec(), MARKS, YOUNG, now);
        let at = |id: &PeerId| places.iter().position(|place| place.id == *id);
        gone.iter().filter_map(at).collect()
    }

    #[test]
    fn nobody_goes_up_to_the_mark_and_then_as_many_as_leave_the_kept() {
        let now = now();
        assert!(gone(&places(4, now), now).is_empty());
        assert_eq!(gone(&places(5, now), now), [4, 3]);
        assert_eq!(gone(&places(7, now), now), [6, 5, 4, 3]);
    }

    #[test]
    fn whom_we_dialled_goes_last_and_who_has_a_bad_name_first() {
        let now = now();
        let mut places = places(7, now);
        places[6].is_outbound = true;
        places[1].is_bad = true;
        assert_eq!(gone(&places, now), [1, 5, 4, 3]);
        for place in &mut places[2..] {
            place.is_outbound = true;
        }
        assert_eq!(gone(&places, now), [1, 0, 6, 5]);
    }

    #[test]
    fn the_needed_the_new_and_the_busy_stay_though_there_are_more_than_are_kept() {
        let now = now();
        let mut places = places(9, now);
        let moment = Duration::from_millis(1);
        for at in [2, 3, 4] {
            places[at].is_needed = true;
        }
        places[8].since = now - YOUNG + moment;
        places[7].used = now - YOUNG + moment;
        places[6].used = now;
        assert_eq!(gone(&places, now), [5, 1, 0]);
        // A minute later nothing speaks for them any more.
        assert_eq!(gone(&places, now + YOUNG), [8, 7, 6, 5, 1, 0]);
    }

    #[test]
    fn the_order_does_not_depend_on_the_order_of_the_peers() {
        let now = now();
        let mut places = places(40, now);
        for place in &mut places {
            place.since = now - YOUNG;
        }
        let one = surplus(places.clone(), MARKS, YOUNG, now);
        places.reverse();
        assert_eq!(surplus(places, MARKS, YOUNG, now), one);
    }

    #[test]
    fn the_marks_follow_the_limits() {
        let marks = |established| {
            let limits = Limits {
                established,
                ..Limits::default()
            };
            Marks::of(&limits)
        };
        let (high, kept) = (PEERS_HIGH, 48);
        assert_eq!(Marks::of(&Limits::default()), Marks { high, kept });
        assert!(high < Limits::default().inbound as usize);
        let (high, kept) = (15, 9);
        assert_eq!(marks(20), Marks { high, kept });
        // As many as a node looks for are kept in any case.
        let (high, kept) = (TARGET_PEERS, TARGET_PEERS);
        assert_eq!(marks(4), Marks { high, kept });
    }
}

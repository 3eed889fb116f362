//! Whom a holder gives a segment: a crowd of newcomers is to trade among itself, not to have the whole chain from one.
//!
//! A segment goes to a few at a time; the others are told to come later. Meanwhile those few serve them. Who has waited its time is served
//! all the same: nobody depends on others.

use std::collections::BTreeMap;

use libp2p::PeerId;
use lyceum_protocol::{SegmentIndex, Timestamp};

use super::schedule::WINDOW_SEGMENTS;

/// A segment is given to so many at a time. One that leaves with it must not hold up the others, so more than one.
const GIVEN_MAX: usize = 2;
/// The time in which those who have a small segment pass it on, in milliseconds: a dozen newcomers need about half of it, in rounds of a pull,
/// a status and a question of a second or more each.
const SMALL_MS: u64 = 10_000;
/// What a longer segment takes besides: a millisecond for so many bytes, as on a line of 1 MiB/s.
const BYTES_PER_MS: u64 = 1_024;
/// Nobody waits longer, in milliseconds.
pub(super) const WAIT_MS_MAX: u64 = 30_000;
/// The segments that one peer waits for; an honest one looks a window ahead.
const WAITING_MAX: usize = 2 * WINDOW_SEGMENTS;

/// How long those to whom a segment was given have for passing it on, and how long others wait at most, in milliseconds.
fn wait_ms(length: u64) -> u64 {
    (SMALL_MS + length / BYTES_PER_MS).min(WAIT_MS_MAX)
}

/// What was given lately, and who waits for what.
#[derive(Debug, Default)]
pub(super) struct Handouts {
    /// To whom, and until when they have time to pass it on: at most [`GIVEN_MAX`] of each segment.
    given: BTreeMap<SegmentIndex, Vec<(PeerId, Timestamp)>>,
    /// From when on each is served.
    waiting: BTreeMap<PeerId, BTreeMap<SegmentIndex, Timestamp>>,
}

impl Handouts {
    /// May a peer that asks have a segment of this length now? If not, it may after a while, whatever others do.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        index: SegmentIndex,
        length: u64,
    ) -> bool {
        let given = self.given.entry(index).or_default();
        given.retain(|(_, until)| *until > now);
        let until = now.saturating_add(wait_ms(length));
        if given.iter().any(|(other, _)| *other == peer) {
            return true;
        }
        if given.len() < GIVEN_MAX {
            given.push((peer, until));
            self.forget_wait(&peer, index);
            return true;
        }
        let waiting = self.waiting.entry(peer).or_default();
        if let Some(from) = waiting.get(&index) {
            return *from <= now;
        }
        if waiting.len() < WAITING_MAX {
            waiting.insert(index, until);
        }
        false
    }

    fn forget_wait(&mut self, peer: &PeerId, index: SegmentIndex) {
        if let Some(waiting) = self.waiting.get_mut(peer) {
            waiting.remove(&index);
        }
    }

    /// A peer is gone, and waits no more.
    pub(super) fn forget(&mut self, peer: &PeerId) {
        self.waiting.remove(peer);
    }

    /// Forgets what is over: who was served, or has not come back.
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.given.retain(|_, given| {
            given.retain(|(_, until)| *until > now);
            !given.is_empty()
        });
        self.waiting.retain(|_, waiting| {
            waiting.retain(|_, from| from.saturating_add(WAIT_MS_MAX) > now);
            !waiting.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::new(millis).unwrap()
    }

    fn segment(index: u64) -> SegmentIndex {
        SegmentIndex::new(index).unwrap()
    }

    #[test]
    fn a_few_are_served_and_the_others_after_their_time() {
        let mut handouts = Handouts::default();
        let peers: Vec<_> = (0..5).map(|_| PeerId::random()).collect();
        let mut take = |millis, peer: usize| handouts.take(at(millis), peers[peer], segment(3), 1);
        assert!(take(0, 0) && take(1, 1) && !take(2, 2) && !take(5, 3));
        assert!(take(9, 0), "again, to whom it was given");
        let wait = wait_ms(1);
        assert!(!take(wait - 1, 2) && !take(wait - 1, 3));
        // The time of the first two is over: two more.
        assert!(take(wait + 1, 2) && take(wait + 1, 4));
        assert!(!take(wait + 2, 1));
        // Nobody waits for ever, however many others come before it.
        assert!(!take(wait + 4, 3) && take(wait + 5, 3));
    }

    #[test]
    fn segments_are_counted_apart_and_long_ones_take_longer() {
        let mut handouts = Handouts::default();
        let peers: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
        for index in [1, 2].map(segment) {
            let mut taken = peers
                .iter()
                .map(|peer| handouts.take(at(0), *peer, index, 1));
            assert!([true, true, false].into_iter().eq(&mut taken));
        }
        assert!(wait_ms(0) < wait_ms(1 << 20) && wait_ms(1 << 20) < wait_ms(16 << 20));
        assert_eq!(wait_ms(u64::MAX), WAIT_MS_MAX);
    }

    #[test]
    fn what_peers_can_make_it_remember_is_bounded_and_forgotten() {
        let mut handouts = Handouts::default();
        let (first, second, flooder) = (PeerId::random(), PeerId::random(), PeerId::random());
        for index in (0..1_000).map(segment) {
            for peer in [first, second, flooder] {
                handouts.take(at(0), peer, index, 1);
            }
        }
        assert_eq!(handouts.waiting[&flooder].len(), WAITING_MAX);
        handouts.forget(&flooder);
        assert!(!handouts.waiting.contains_key(&flooder));
        handouts.take(at(0), flooder, segment(0), 1);
        handouts.expire(at(wait_ms(1)));
        assert!(handouts.given.is_empty() && !handouts.waiting.is_empty());
        handouts.expire(at(wait_ms(1) + WAIT_MS_MAX));
        assert!(handouts.waiting.is_empty());
    }
}

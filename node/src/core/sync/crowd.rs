//! Holders that have no time now: a joiner asks others meanwhile, looks for more of them (see `providers`), and comes back.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::PeerId;
use lyceum_protocol::{SegmentIndex, Timestamp};

use crate::core::handouts::WAIT_MS_MAX;
use crate::core::schedule::WINDOW_SEGMENTS;

/// A holder that had no time is asked again after this long, in milliseconds. A joiner wants at most a window of segments at a time, so that
/// it asks a holder at most 32 times a second, half of what a holder allows.
const ASK_AGAIN_MS: u64 = 2_000;
/// Holders that have had no time for so long, in milliseconds, have failed: by then an honest one has served whoever asks.
const PATIENCE_MS: u64 = 45_000;

const _: () = assert!(WAIT_MS_MAX + 2 * ASK_AGAIN_MS < PATIENCE_MS);
const _: () = assert!(WINDOW_SEGMENTS as u64 * 1_000 <= 32 * ASK_AGAIN_MS);

/// A segment that more want than its holders serve at a time.
#[derive(Debug)]
struct Contested {
    since: Timestamp,
    /// Who had no time, and when it is asked again.
    busy: BTreeMap<PeerId, Timestamp>,
}

/// What waits for holders that have no time.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    contested: BTreeMap<SegmentIndex, Contested>,
}

impl Crowd {
    /// A holder has no time for a segment. False where patience is at an end.
    pub(super) fn refused(&mut self, now: Timestamp, index: SegmentIndex, holder: PeerId) -> bool {
        let contested = self.contested.entry(index).or_insert(Contested {
            since: now,
            busy: BTreeMap::new(),
        });
        let again = now.saturating_add(ASK_AGAIN_MS);
        contested.busy.insert(holder, again);
        contested.since.saturating_add(PATIENCE_MS) > now
    }

    pub(super) fn is_contested(&self, index: SegmentIndex) -> bool {
        self.contested.contains_key(&index)
    }

    /// Whom not to ask for what now.
    pub(super) fn busy(&self, now: Timestamp) -> BTreeSet<(SegmentIndex, PeerId)> {
        let all = self.contested.iter();
        let all = all.flat_map(|(index, contested)| {
            let busy = contested.busy.iter();
            let busy = busy.filter(|(_, again)| **again > now);
            busy.map(|(peer, _)| (*index, *peer))
        });
        all.collect()
    }

    /// Is there a segment for which somebody is to be asked again, as the sync goes?
    pub(super) fn is_waiting(&self, now: Timestamp) -> bool {
        self.contested.values().any(|contested| {
            let mut busy = contested.busy.values();
            contested.since.saturating_add(PATIENCE_MS) > now
                && busy.any(|again| again.saturating_add(ASK_AGAIN_MS) > now)
        })
    }

    /// It came, or is not wanted any more.
    pub(super) fn forget(&mut self, index: SegmentIndex) {
        self.contested.remove(&index);
    }

    /// Keeps what is still wanted.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&SegmentIndex) -> bool) {
        self.contested.retain(|index, _| is_wanted(index));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::new(millis).unwrap()
    }

    #[test]
    fn patience_has_an_end_and_who_is_asked_again_is_not_busy() {
        let (mut crowd, index, holder) = (Crowd::default(), SegmentIndex::MAX, PeerId::random());
        assert!(!crowd.is_waiting(at(5)) && !crowd.is_contested(index));
        assert!(crowd.refused(at(5), index, holder));
        assert!(crowd.is_waiting(at(6)) && crowd.is_contested(index));
        assert_eq!(crowd.busy(at(6)), BTreeSet::from([(index, holder)]));
        assert!(crowd.busy(at(5 + ASK_AGAIN_MS)).is_empty());
        assert!(
            crowd.is_waiting(at(5 + ASK_AGAIN_MS)),
            "for the next answer"
        );
        assert!(
            !crowd.is_waiting(at(5 + 2 * ASK_AGAIN_MS)),
            "nobody answers"
        );
        assert!(crowd.refused(at(4 + PATIENCE_MS), index, holder));
        assert!(crowd.is_waiting(at(4 + PATIENCE_MS)));
        assert!(!crowd.refused(at(5 + PATIENCE_MS), index, holder));
        assert!(!crowd.is_waiting(at(5 + PATIENCE_MS)));
        crowd.forget(index);
        assert!(crowd.refused(at(6 + PATIENCE_MS), index, holder));
    }
}

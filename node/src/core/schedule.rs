//! Which segment is pulled next, and from whom: rarest first with random ties, the origin last, only from complete holders.
//!
//! Torrents of one segment each trade badly among empty leechers, so the swarm is made of whole segments: whoever has one serves it to the
//! others at once. See STACK.md, trap 3.

use std::collections::{BTreeMap, BTreeSet};

use lyceum_protocol::SegmentIndex;
use rand::Rng;
use rand::seq::{IndexedRandom, SliceRandom};

/// The segments ahead that are pulled in any order. A status lists at most 64 segments below its highest as not held, so a node that pulls
/// further ahead could not say what it holds.
pub const WINDOW_SEGMENTS: usize = 64;
/// The most holders that serve one pull: more would only blur who sent wrong bytes.
pub const HOLDERS_MAX: usize = 3;
/// A segment up to this length is small: the hand-shakes take longer than its bytes.
pub const SMALL_BYTES_MAX: u64 = 1 << 20;
/// The pulls that run at once, of large segments. One at a time would leave the line idle between two.
pub const LARGE_AT_ONCE: usize = 2;
/// The pulls that run at once, of small segments.
pub const SMALL_AT_ONCE: usize = 12;

const _: () = assert!(WINDOW_SEGMENTS <= super::wire::MISSING_MAX);
const _: () = assert!(LARGE_AT_ONCE < SMALL_AT_ONCE && SMALL_AT_ONCE <= WINDOW_SEGMENTS);

/// How many segments of about this length are pulled at once.
pub fn fetches_at_once(length: u64) -> usize {
    match length <= SMALL_BYTES_MAX {
        true => SMALL_AT_ONCE,
        false => LARGE_AT_ONCE,
    }
}

/// The segments that a peer says it can seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldSegments {
    end: u64,
    missing: BTreeSet<u64>,
}

impl HeldSegments {
    /// Those of a status: all below `end`, but for `missing`.
    pub fn new(end: u64, missing: impl IntoIterator<Item = u64>) -> Self {
        let missing = missing.into_iter().filter(|index| *index < end);
        let missing = missing.collect();
        Self { end, missing }
    }

    /// The number above the highest.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Does it hold this one?
    pub fn holds(&self, index: SegmentIndex) -> bool {
        index.get() < self.end && !self.missing.contains(&index.get())
    }

    /// It could not serve this one.
    pub fn remove(&mut self, index: SegmentIndex) {
        if index.get() < self.end {
            self.missing.insert(index.get());
        }
    }
}

/// A pull to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextFetch<Peer> {
    /// Which segment.
    pub index: SegmentIndex,
    /// Complete holders to pull it from, the best first: at most [`HOLDERS_MAX`].
    pub holders: Vec<Peer>,
}

/// Chooses the next segment to pull, and from whom; `None` where nothing should be started now.
///
/// - `wanted`: what is missing, in order, without what is being pulled; only the first [`WINDOW_SEGMENTS`] are looked at. Leave out what
///   must wait.
/// - `holders`: what each peer that may be asked can seed. Peers that hold nothing belong in it, too: they are fellow joiners, and change
///   how the origin is treated. Leave out peers that failed for a while.
/// - `busy`: who has just said that it can't serve a segment now.
/// - `active`: the pulls that run, and from whom.
/// - `at_once`: the most pulls, see [`fetches_at_once`].
///
/// An *origin* is a peer that holds all that is wanted. Where there are fellow joiners, an origin gets one joiner's share of the pulls, at
/// least one, so that the joiners trade the rest; and a segment that a fellow joiner can serve now is never pulled from an origin. The same arguments and the same `rng` give
/// the same answer.
pub fn next_fetch<Peer: Copy + Ord>(
    wanted: impl IntoIterator<Item = SegmentIndex>,
    holders: &BTreeMap<Peer, HeldSegments>,
    busy: &BTreeSet<(SegmentIndex, Peer)>,
    active: &BTreeMap<SegmentIndex, Vec<Peer>>,
    at_once: usize,
    rng: &mut impl Rng,
) -> Option<NextFetch<Peer>> {
    if active.len() >= at_once {
        return None;
    }
    let wanted = wanted.into_iter().take(WINDOW_SEGMENTS);
    let wanted: Vec<_> = wanted.filter(|index| !active.contains_key(index)).collect();
    let is_origin = |peer: &Peer| wanted.iter().all(|index| holders[peer].holds(*index));
    let (origins, joiners): (Vec<Peer>, Vec<Peer>) = holders.keys().copied().partition(is_origin);
    let origin_max = (at_once / (1 + joiners.len())).max(1);
    let load = |peer: &Peer| active.values().filter(|from| from.contains(peer)).count();
    let free_origins = origins.iter().copied();
    let free_origins = free_origins.filter(|peer| load(peer) < origin_max);
    let free_origins: Vec<_> = free_origins.collect();

    let held = |peers: &[Peer], index| {
        let peers = peers.iter().copied();
        let held = peers.filter(|peer| holders[peer].holds(index));
        held.collect::<Vec<_>>()
    };
    let not_busy = |mut peers: Vec<Peer>, index| {
        peers.retain(|peer| !busy.contains(&(index, *peer)));
        peers
    };
    let mut rarest: Vec<NextFetch<Peer>> = Vec::new();
    let mut rarity = usize::MAX;
    for index in wanted.iter().copied() {
        let from_joiners = held(&joiners, index);
        let count = origins.len() + from_joiners.len();
        let from_joiners = not_busy(from_joiners, index);
        let usable = match from_joiners.is_empty() {
            true => not_busy(free_origins.clone(), index),
            false => from_joiners,
        };
        if usable.is_empty() || count > rarity {
            continue;
        }
        if count < rarity {
            rarity = count;
            rarest.clear();
        }
        let holders = usable;
        rarest.push(NextFetch { index, holders });
    }
    let mut next = rarest.choose(rng)?.clone();
    next.holders.shuffle(rng);
    next.holders.sort_by_key(load);
    next.holders.truncate(HOLDERS_MAX);
    Some(next)
}

#[cfg(test)]
mod tests;

//! Holders that no peer is yet: Kademlia's provider records tell of them.

use std::collections::{BTreeMap, BTreeSet};

use libp2p::PeerId;
use lyceum_protocol::{InfoHash, SegmentIndex, Timestamp};
use rand::seq::IndexedRandom as _;

use super::STALL_MS;
use crate::core::chain::ChainError;
use crate::core::event::Action;
use crate::core::schedule::{HOLDERS_MAX, HeldSegments, WINDOW_SEGMENTS};
use crate::core::step::Core;

/// Others are looked for where fewer peers than this hold a segment: so many serve one pull.
const HOLDERS_WANTED: usize = HOLDERS_MAX;
/// Between two searches, in milliseconds: each asks some 20 nodes. Whoever is found says by its status what else it holds.
const SEARCH_EVERY_MS: u64 = 1_000;
/// A segment that nobody gives now is searched for again after this long, in milliseconds.
const AGAIN_NONE_MS: u64 = 10_000;
/// One that some give, but few.
const AGAIN_FEW_MS: u64 = 60_000;
/// A peer that is found is not asked where it stands more often than this, in milliseconds.
const STATUS_EVERY_MS: u64 = 1_000;

// A second try comes before the sync counts as stalled.
const _: () = assert!(2 * AGAIN_NONE_MS < STALL_MS);

/// What was searched for.
#[derive(Debug, Default)]
pub(super) struct Searches {
    last: Option<Timestamp>,
    /// When each was, and by which key. At most what is wanted: see [`Core::search_holders`].
    by_segment: BTreeMap<SegmentIndex, (Timestamp, InfoHash)>,
}

impl Core {
    /// Searches for holders of one of these segments: one that nobody gives now, or else one that few hold.
    pub(super) fn search_holders(
        &mut self,
        wanted: &[SegmentIndex],
        holders: &BTreeMap<PeerId, HeldSegments>,
        busy: &BTreeSet<(SegmentIndex, PeerId)>,
    ) -> Result<(), ChainError> {
        let now = self.now();
        let is_over = |at: Timestamp, millis| at.saturating_add(millis) <= now;
        let last = self.sync.searches.last;
        if last.is_some_and(|last| !is_over(last, SEARCH_EVERY_MS)) {
            return Ok(());
        }
        let (boundaries, damaged) = (&self.sync.boundaries, &self.damaged);
        let searched = &mut self.sync.searches.by_segment;
        searched.retain(|index, _| boundaries.contains_key(index) || damaged.contains(index));
        let (mut given_by_none, mut given_by_few) = (Vec::new(), Vec::new());
        for index in wanted.iter().take(WINDOW_SEGMENTS) {
            let held = holders.iter().filter(|(_, held)| held.holds(*index));
            let free = held.filter(|(peer, _)| !busy.contains(&(*index, **peer)));
            let (list, again) = match free.count() {
                0 => (&mut given_by_none, AGAIN_NONE_MS),
                count if count < HOLDERS_WANTED => (&mut given_by_few, AGAIN_FEW_MS),
                _ => continue,
            };
            let before = searched.get(index);
            if before.is_none_or(|(at, _)| is_over(*at, again)) {
                list.push(*index);
            }
        }
        // At random, so that not all newcomers look for the same one.
        let none = given_by_none.choose(&mut self.rng);
        let Some(index) = none.or_else(|| given_by_few.choose(&mut self.rng)) else {
            return Ok(());
        };
        let Some(metainfo) = self.metainfo_of(*index)? else {
            return Ok(());
        };
        let key = metainfo.info_hash();
        self.sync.searches.last = Some(now);
        self.sync.searches.by_segment.insert(*index, (now, key));
        self.act(Action::FindProviders(key.as_bytes().to_vec()));
        Ok(())
    }

    /// Some say that they provide a segment. Those who connect now are asked as everyone is; those who are here may hold more than they
    /// did when they were last asked.
    pub(in crate::core) fn providers_found(
        &mut self,
        key: &[u8],
        peers: &[PeerId],
    ) -> Result<(), ChainError> {
        let mut searched = self.sync.searches.by_segment.iter();
        let found = searched.find(|(_, (_, info_hash))| info_hash.as_bytes() == key);
        let Some(index) = found.map(|(index, _)| *index) else {
            return Ok(());
        };
        for id in peers {
            let is_news = self.peers.get(id).is_some_and(|peer| {
                let claim = peer.claim.as_ref();
                let is_known = claim.is_some_and(|claim| claim.held.holds(index));
                !is_known && peer.asked_at.saturating_add(STATUS_EVERY_MS) <= self.now()
            });
            if is_news {
                self.ask_status(*id)?;
            }
        }
        Ok(())
    }
}

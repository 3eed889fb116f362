//! Holders that no peer is yet: Kademlia's provider records tell of them.

use std::collections::BTreeMap;

use libp2p::PeerId;
use lyceum_protocol::{InfoHash, SegmentIndex, Timestamp};

use super::STALL_MS;
use crate::core::chain::ChainError;
use crate::core::event::Action;
use crate::core::schedule::{HOLDERS_MAX, HeldSegments, WINDOW_SEGMENTS};
use crate::core::step::Core;

/// Others are looked for where fewer peers than this hold a segment: so many serve one pull.
const HOLDERS_WANTED: usize = HOLDERS_MAX;
/// Between two searches, in milliseconds: each asks some 20 nodes. Whoever is found says by its status what else it holds.
const SEARCH_EVERY_MS: u64 = 1_000;
/// A segment that nobody holds is searched for again after this long, in milliseconds.
const AGAIN_NONE_MS: u64 = 10_000;
/// One that some hold, but few.
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
    /// Searches for holders of the first segment that has none, or else of the first that has few.
    pub(super) fn search_holders(
        &mut self,
        holders: &BTreeMap<PeerId, HeldSegments>,
    ) -> Result<(), ChainError> {
        let now = self.now();
        let is_over = |at: Timestamp, millis| at.saturating_add(millis) <= now;
        if !self
            .sync
            .searches
            .last
            .is_none_or(|last| is_over(last, SEARCH_EVERY_MS))
        {
            return Ok(());
        }
        let (boundaries, damaged) = (&self.sync.boundaries, &self.damaged);
        let searched = &mut self.sync.searches.by_segment;
        searched.retain(|index, _| boundaries.contains_key(index) || damaged.contains(index));
        let searched = &self.sync.searches.by_segment;
        let wanted = self.wanted().into_iter().take(WINDOW_SEGMENTS);
        let due = wanted.filter_map(|index| {
            let count = holders.values().filter(|held| held.holds(index)).count();
            let again = match count {
                0 => AGAIN_NONE_MS,
                _ => AGAIN_FEW_MS,
            };
            let is_due = searched
                .get(&index)
                .is_none_or(|(at, _)| is_over(*at, again));
            (count < HOLDERS_WANTED && is_due).then_some((count > 0, index))
        });
        let Some((_, index)) = due.min() else {
            return Ok(());
        };
        let Some(metainfo) = self.metainfo_of(index)? else {
            return Ok(());
        };
        let key = metainfo.info_hash();
        self.sync.searches.last = Some(now);
        self.sync.searches.by_segment.insert(index, (now, key));
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

//! The sync: which chain is followed, what of it is pulled by torrent and what by `Blocks`, and what is done when that stalls.
//!
//! The target is the peer that claims the most work. While it can seed segments that we lack, their boundaries are asked for, then the segments
//! are pulled, several at once, and imported in order; the rest comes by `Blocks`. One question for boundaries or blocks is on its way at a time.

use std::collections::BTreeMap;
use std::path::PathBuf;

use libp2p::PeerId;
use lyceum_protocol::{BlockHash, Height, Metainfo, SegmentIndex, Timestamp, Work};

use super::chain::ChainError;
use super::event::{Action, Notice, Phase};
use super::peers::{Claim, Offence};
use super::step::Core;
use crate::network::RequestId;

mod blocks;
mod boundaries;
mod crowd;
mod fetch;
mod import;
mod providers;

use crowd::Crowd;
use fetch::Fetch;
use import::Import;
use providers::Searches;

/// Without progress for so long, in milliseconds, others are asked (SPEC.md section 11).
const STALL_MS: u64 = 30_000;
/// How long the claims of a peer are not followed that did not keep them.
const DISTRUST_MS: u64 = 60_000;

/// What the sync knows and does.
#[derive(Debug, Default)]
pub(super) struct Sync {
    phase: Phase,
    /// Whose chain is followed.
    target: Option<PeerId>,
    /// The last block that the target has sent, wherever it stands.
    cursor: Option<BlockHash>,
    /// The question for boundaries or blocks that is on its way.
    asked: Option<RequestId>,
    boundaries: BTreeMap<SegmentIndex, KnownBoundary>,
    fetches: BTreeMap<SegmentIndex, Fetch>,
    crowd: Crowd,
    failures: BTreeMap<SegmentIndex, u32>,
    searches: Searches,
    files: BTreeMap<SegmentIndex, Pulled>,
    /// The part of a segment that is being read: which, and from where.
    reading: Option<(SegmentIndex, u64)>,
    import: Option<Import>,
    /// Heights below this come by `Blocks`, though they are in segments.
    blocks_until: u64,
    progress_at: Timestamp,
}

/// A segment's torrent, as a boundary token commits to it.
#[derive(Debug)]
struct KnownBoundary {
    metainfo: Metainfo,
    from: PeerId,
}

/// A segment that was pulled whole, and is not sealed here yet.
#[derive(Debug, Default)]
struct Pulled {
    file: PathBuf,
    from: Vec<PeerId>,
    /// The file lies with the sealed ones: the chain has taken it over.
    is_adopted: bool,
}

impl Sync {
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// The file of a pulled segment.
    pub(super) fn file_of(&self, index: SegmentIndex) -> Option<&PathBuf> {
        self.files.get(&index).map(|pulled| &pulled.file)
    }

    /// The pulled segments, in order.
    pub(super) fn files(&self) -> impl Iterator<Item = SegmentIndex> {
        self.files.keys().copied()
    }

    /// Forgets a pulled segment; its file, where that is of no more use.
    pub(super) fn forget_file(&mut self, index: SegmentIndex) -> Option<PathBuf> {
        let pulled = self.files.remove(&index)?;
        (!pulled.is_adopted).then_some(pulled.file)
    }

    /// A question has no answer any more.
    pub(super) fn forget_request(&mut self, id: RequestId) {
        if self.asked == Some(id) {
            self.asked = None;
        }
    }

    /// Pulls that run.
    pub(super) fn active_len(&self) -> u64 {
        self.fetches.len() as u64
    }
}

impl Core {
    /// Goes on with the sync as far as it goes without waiting.
    pub(super) fn sync_step(&mut self) -> Result<(), ChainError> {
        self.import_some()?;
        self.choose_target()?;
        self.start_reading()?;
        self.advance_fetches();
        self.ask_boundaries();
        self.start_fetches()?;
        self.ask_blocks()?;
        self.follow_phase();
        Ok(())
    }

    /// The peer that is followed, and what it claims.
    pub(super) fn target(&self) -> Option<(PeerId, &Claim)> {
        let target = self.sync.target?;
        let claim = self.peers.get(&target)?.claim.as_ref()?;
        Some((target, claim))
    }

    /// The first segment that is not whole on our main chain.
    pub(super) fn next_segment(&self) -> SegmentIndex {
        let blocks = self.chain.tree().tip_height().get() + 1;
        let next = blocks / u64::from(self.chain.spec().segment_blocks);
        SegmentIndex::new(next).unwrap_or(SegmentIndex::MAX)
    }

    /// The height after a segment's last.
    fn end_of(&self, index: SegmentIndex) -> u64 {
        (index.get() + 1).saturating_mul(u64::from(self.chain.spec().segment_blocks))
    }

    /// How many segments the target holds that we lack.
    pub(super) fn segments_missing(&self) -> u64 {
        let held = self.target().map_or(0, |(_, claim)| claim.held.end());
        held.saturating_sub(self.next_segment().get())
    }

    fn our_work(&self) -> Work {
        let tree = self.chain.tree();
        tree.total_work(&tree.tip()).unwrap_or_default()
    }

    /// Follows whoever claims the most work, and gives up on whom nothing comes from.
    fn choose_target(&mut self) -> Result<(), ChainError> {
        let ours = self.our_work();
        let best = self.peers.claims(self.now());
        let tree = self.chain.tree();
        let best = best.filter(|(_, claim)| claim.work > ours && !tree.is_invalid(&claim.tip));
        // Who is followed already goes before others of the same claim.
        let best = best.max_by_key(|(id, claim)| (claim.work, self.sync.target == Some(**id)));
        let best = best.map(|(id, _)| *id);
        if best != self.sync.target {
            self.sync.target = best;
            self.sync.cursor = None;
            self.sync.progress_at = self.now();
            if best.is_none() {
                self.finish_sync()?;
            }
        }
        let is_pulling = self.sync.fetches.values().any(Fetch::is_pulling);
        // The engine has a watchdog of its own, and patience with busy holders an end.
        let is_waiting = is_pulling || self.sync.crowd.is_waiting(self.now());
        if is_waiting || self.sync.import.is_some() || self.sync.reading.is_some() {
            self.sync.progress_at = self.now();
        }
        if let Some(peer) = self.sync.target
            && self.sync.progress_at.saturating_add(STALL_MS) <= self.now()
        {
            self.notice(Notice::Stalled { peer });
            // Where nobody gives a segment, whoever is followed is not to blame: it may have the blocks.
            let is_by_torrent = self.wants_segments() && !self.sync.boundaries.is_empty();
            // From torrents to `Blocks`, and back.
            self.sync.blocks_until = match self.sync.blocks_until {
                u64::MAX => 0,
                _ => u64::MAX,
            };
            match is_by_torrent {
                true => self.progress(),
                false => self.distrust(&peer),
            }
        }
        Ok(())
    }

    /// Does not follow a peer's claims for a while.
    fn distrust(&mut self, id: &PeerId) {
        let until = self.now().saturating_add(DISTRUST_MS);
        if let Some(peer) = self.peers.get_mut(id) {
            peer.distrusted_until = until;
        }
        if self.sync.target == Some(*id) {
            self.sync.target = None;
            self.sync.asked = None;
            self.sync.cursor = None;
        }
    }

    /// A peer claimed work that it does not show.
    fn claimed_falsely(&mut self, id: &PeerId) {
        self.blame(id, Offence::FalseClaim);
        self.distrust(id);
    }

    /// No peer claims more work than we have: what was under way is dropped.
    fn finish_sync(&mut self) -> Result<(), ChainError> {
        self.sync.asked = None;
        self.sync.boundaries.clear();
        self.sync.failures.clear();
        self.sync.crowd.retain(|index| self.damaged.contains(index));
        self.sync.blocks_until = 0;
        let next = self.next_segment();
        let fetches = self.sync.fetches.keys().copied();
        let fetches: Vec<_> = fetches
            .filter(|index| !self.damaged.contains(index))
            .collect();
        for index in fetches {
            self.sync.fetches.remove(&index);
            self.act(Action::CancelFetch(index));
        }
        // Those that are on the main chain wait to be sealed.
        let files: Vec<_> = self.sync.files().filter(|index| *index >= next).collect();
        for index in files {
            self.drop_file(index)?;
        }
        self.follow_seals()
    }

    /// Lets go of a pulled segment.
    pub(super) fn drop_file(&mut self, index: SegmentIndex) -> Result<(), ChainError> {
        if let Some(pulled) = self.sync.files.remove(&index) {
            if index.get() >= self.sealed.len() as u64 {
                self.act(Action::Unregister(index));
            }
            match pulled.is_adopted {
                true => self.abandon(index)?,
                false => self.act(Action::DeleteFetched(pulled.file)),
            }
        }
        if self
            .sync
            .import
            .as_ref()
            .is_some_and(|import| import.index() == index)
        {
            self.sync.import = None;
        }
        Ok(())
    }

    fn follow_phase(&mut self) {
        let phase = match self.target() {
            None if self.peers.claims(self.now()).next().is_some() => Phase::Following,
            None => Phase::Waiting,
            Some(_) if !self.wants_segments() => Phase::Blocks,
            Some(_) if self.sync.boundaries.is_empty() => Phase::Boundaries,
            Some(_) => Phase::Segments,
        };
        if phase != self.sync.phase {
            self.sync.phase = phase;
            self.notice(Notice::Phase(phase));
        }
    }

    /// Are segments to be pulled by torrent from now on?
    fn wants_segments(&self) -> bool {
        let next = self.next_segment();
        let held = self.target().map_or(0, |(_, claim)| claim.held.end());
        self.has_torrents && self.sync.blocks_until < u64::MAX && held > next.get()
    }

    fn progress(&mut self) {
        self.sync.progress_at = self.now();
    }

    /// The height that the sync is after.
    pub(super) fn target_height(&self) -> Height {
        let ours = self.chain.tree().tip_height();
        self.target()
            .map_or(ours, |(_, claim)| claim.height.max(ours))
    }
}

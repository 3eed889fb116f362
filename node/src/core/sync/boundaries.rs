//! Boundaries: the tokens under whose proof of work the chain commits to its segments.

use libp2p::PeerId;
use lyceum_protocol::{BlockError, Header, Metainfo, SegmentIndex, check_work};

use super::KnownBoundary;
use crate::core::peers::Offence;
use crate::core::schedule::WINDOW_SEGMENTS;
use crate::core::step::{Ask, Core};
use crate::core::wire::{BOUNDARIES_MAX, Boundary, Refusal, Request, Response};
use crate::network::RequestId;

/// Boundaries are known at most so far ahead: two windows, so that the next ones are there when a window ends.
const AHEAD_MAX: u64 = 2 * WINDOW_SEGMENTS as u64;

const _: () = assert!(AHEAD_MAX <= BOUNDARIES_MAX as u64);

impl Core {
    /// Asks the target for boundaries that are not known yet.
    pub(super) fn ask_boundaries(&mut self) {
        let next = self.next_segment();
        self.sync.boundaries = self.sync.boundaries.split_off(&next);
        let damaged = &self.damaged;
        let is_wanted = |index: &SegmentIndex| *index >= next || damaged.contains(index);
        self.sync.crowd.retain(is_wanted);
        if !self.wants_segments() || self.sync.asked.is_some() {
            return;
        }
        let Some((target, claim)) = self.target() else {
            return;
        };
        let end = claim.held.end().min(next.get().saturating_add(AHEAD_MAX));
        let known = |index: &u64| {
            let index = SegmentIndex::new(*index).unwrap_or(SegmentIndex::MAX);
            self.sync.boundaries.contains_key(&index)
        };
        let Some(from) = (next.get()..end).find(|index| !known(index)) else {
            return;
        };
        // One at a time would be a question for every block at the tip of a long sync.
        let limit = u32::try_from(end - from).unwrap_or(u32::MAX);
        let is_enough = from >= next.get().saturating_add(WINDOW_SEGMENTS as u64);
        if is_enough && u64::from(limit) < AHEAD_MAX / 4 {
            return;
        }
        let from_index = SegmentIndex::new(from).unwrap_or(SegmentIndex::MAX);
        let request = Request::Segments { from, limit };
        self.sync.asked = Some(self.ask(target, request, Ask::Boundaries(from_index)));
    }

    /// Boundaries have come.
    pub(in crate::core) fn boundaries_came(
        &mut self,
        peer: PeerId,
        id: RequestId,
        from: SegmentIndex,
        response: Result<Response, Refusal>,
    ) {
        if self.sync.asked != Some(id) {
            return;
        }
        self.sync.asked = None;
        let boundaries = match response {
            Ok(Response::Segments(boundaries)) => boundaries,
            Ok(_) => return self.blame(&peer, Offence::Message("wrong_response")),
            Err(_) => return self.distrust(&peer),
        };
        if boundaries.is_empty() {
            return self.claimed_falsely(&peer);
        }
        for (boundary, index) in boundaries.iter().zip(from.get()..) {
            match self.check_boundary(boundary, index) {
                Ok((index, metainfo)) => {
                    let from = peer;
                    let known = KnownBoundary { metainfo, from };
                    self.sync.boundaries.insert(index, known);
                }
                Err(reason) => return self.blame(&peer, Offence::Segment(reason)),
            }
        }
        self.progress();
    }

    /// Does a boundary token commit to the torrent that is sent with it, under proof of work? Its place in the chain shows when it comes.
    fn check_boundary(
        &self,
        boundary: &Boundary,
        want: u64,
    ) -> Result<(SegmentIndex, Metainfo), &'static str> {
        let spec = self.chain.spec();
        let index = SegmentIndex::new(boundary.index).map_err(|_| "boundary_index")?;
        if boundary.index != want {
            return Err("boundary_index");
        }
        let header = Header::decode(&boundary.token, spec).map_err(BlockError::from);
        let header = header.map_err(|error| error.reason())?;
        check_work(&header, spec).map_err(|error| error.reason())?;
        if header.claims().height.get() != self.end_of(index) {
            return Err("boundary_height");
        }
        let longest = u64::from(spec.segment_blocks) * (u64::from(spec.max_block_bytes) + 1);
        if boundary.length > longest {
            return Err("boundary_length");
        }
        let pieces = boundary.pieces.clone();
        let metainfo = Metainfo::from_pieces(&spec.chain, index, boundary.length, pieces);
        let metainfo = metainfo.ok_or("boundary_pieces")?;
        match header.claims().segment == Some(metainfo.info_hash()) {
            true => Ok((index, metainfo)),
            false => Err("boundary_infohash"),
        }
    }
}

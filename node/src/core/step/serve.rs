//! Answers to peers: each bounded by bytes, none that costs more than it says.

use libp2p::PeerId;
use lyceum_protocol::{BlockHash, BlockLine, Height, LOCATOR_LEN_MAX, SegmentIndex, TxId};
use lyceum_storage::StoreError;

use super::{Ask, Core};
use crate::core::chain::ChainError;
use crate::core::event::Action;
use crate::core::peers::Offence;
use crate::core::wire::{
    BLOCKS_MAX, BOUNDARIES_MAX, Boundary, RESPONSE_BYTES_MAX, Refusal, Request, Response, WireHash,
};
use crate::network::ReplyId;

/// The most bytes of lines, tokens or boundaries in an answer that holds more than one; what frames them fits in the rest.
const ANSWER_BYTES_MAX: usize = 4 << 20;
/// Peers that wait for the same segment to be seeded.
const WAITING_MAX: usize = 64;

const _: () = assert!(ANSWER_BYTES_MAX + (64 << 10) <= RESPONSE_BYTES_MAX);

impl Core {
    /// Answers a peer, at once or when a segment is seeded.
    pub(super) fn serve(
        &mut self,
        peer: PeerId,
        reply: ReplyId,
        request: Request,
    ) -> Result<(), ChainError> {
        if !self.peers.take_request(self.now, &peer) {
            self.blame(&peer, Offence::Flood);
            self.respond(reply, Response::Refused(Refusal::Busy));
            return Ok(());
        }
        let answer = match request {
            Request::Status(status) => {
                self.take_status(&peer, &status);
                self.status().map(Response::Status)
            }
            Request::BlocksAfter {
                locator,
                blocks_max,
            } => self.blocks_after(&locator, blocks_max),
            Request::BlocksByHash(hashes) => self.blocks_by_hash(&hashes),
            Request::Transactions(ids) => self.transactions(&ids),
            Request::Segments { from, limit } => self.boundaries(from, limit),
            Request::Activate(index) => return self.activate(peer, reply, index),
        };
        // A damaged segment file is no reason to stop: others have it.
        let response = answer.unwrap_or_else(|error| {
            if let StoreError::SegmentDamaged { index, .. } = error {
                self.segment_damaged(index);
            }
            Response::Refused(Refusal::Failed)
        });
        self.respond(reply, response);
        Ok(())
    }

    pub(super) fn respond(&mut self, reply: ReplyId, response: Response) {
        self.act(Action::Respond { reply, response });
    }

    fn blocks_after(&self, locator: &[WireHash], blocks_max: u32) -> Result<Response, StoreError> {
        let locator = locator.iter().take(LOCATOR_LEN_MAX);
        let locator: Vec<_> = locator.map(|hash| BlockHash::from_bytes(*hash)).collect();
        let limit = BLOCKS_MAX.min(blocks_max as usize);
        let hashes = self.chain.tree().first_after_locator(&locator, limit);
        self.lines(hashes)
    }

    fn blocks_by_hash(&self, hashes: &[WireHash]) -> Result<Response, StoreError> {
        let hashes = hashes.iter().take(BLOCKS_MAX);
        self.lines(hashes.map(|hash| BlockHash::from_bytes(*hash)))
    }

    fn lines(&self, hashes: impl IntoIterator<Item = BlockHash>) -> Result<Response, StoreError> {
        let view = self.chain.store().read();
        let (mut lines, mut bytes) = (Vec::new(), 0);
        for hash in hashes {
            let Some(line) = view.line(&hash)? else {
                continue;
            };
            bytes += line.len();
            if bytes > ANSWER_BYTES_MAX && !lines.is_empty() {
                break;
            }
            lines.push(line);
        }
        Ok(Response::Blocks(lines))
    }

    fn transactions(&self, ids: &[WireHash]) -> Result<Response, StoreError> {
        let view = self.chain.store().read();
        let (mut tokens, mut bytes) = (Vec::new(), 0);
        // Ids of one block come together: its line is read once.
        let mut last: Option<(BlockHash, String)> = None;
        for id in ids.iter().map(|id| TxId::from_bytes(*id)) {
            let token = match self.mempool.transaction(&id) {
                Some(pending) => pending.token().to_owned(),
                None => {
                    let Some(at) = view.transaction(&id)? else {
                        continue;
                    };
                    if last.as_ref().is_none_or(|(hash, _)| *hash != at.block) {
                        last = Some((at.block, view.line(&at.block)?.unwrap_or_default()));
                    }
                    let line = last.as_ref().map_or("", |(_, line)| line.as_str());
                    let token = BlockLine::new(line).transactions().nth(at.index as usize);
                    token.unwrap_or_default().to_owned()
                }
            };
            bytes += token.len();
            if bytes > ANSWER_BYTES_MAX && !tokens.is_empty() {
                break;
            }
            tokens.push(token);
        }
        Ok(Response::Transactions(tokens))
    }

    fn boundaries(&self, from: u64, limit: u32) -> Result<Response, StoreError> {
        let view = self.chain.store().read();
        let blocks = u64::from(self.chain.spec().segment_blocks);
        let (mut boundaries, mut bytes) = (Vec::new(), 0);
        let limit = BOUNDARIES_MAX.min(limit as usize) as u64;
        let end = (self.sealed.len() as u64).min(from.saturating_add(limit));
        for index in from..end {
            let Some(segment) = view.segment(SegmentIndex::new(index).unwrap_or_default())? else {
                break;
            };
            let height = Height::new((index + 1).saturating_mul(blocks)).unwrap_or(Height::MAX);
            // Deep enough to be sealed is deep enough to have a block after its end, but where the depth is 0.
            let Some(line) = view.line_at(height)? else {
                break;
            };
            let token = BlockLine::new(&line).token().to_owned();
            let pieces = segment.metainfo.pieces().to_vec();
            bytes += token.len() + pieces.len();
            if bytes > ANSWER_BYTES_MAX && !boundaries.is_empty() {
                break;
            }
            boundaries.push(Boundary {
                index,
                token,
                length: segment.metainfo.length(),
                pieces,
            });
        }
        Ok(Response::Segments(boundaries))
    }

    /// Has a segment seeded for a peer, or tells it to come later.
    fn activate(&mut self, peer: PeerId, reply: ReplyId, index: u64) -> Result<(), ChainError> {
        let index = SegmentIndex::new(index).ok();
        let index = index.filter(|index| self.has_torrents && self.holds(*index));
        let metainfo = match index {
            Some(index) => self.metainfo_of(index)?.map(|metainfo| (index, metainfo)),
            None => None,
        };
        let Some((index, metainfo)) = metainfo else {
            self.respond(reply, Response::Refused(Refusal::NotHeld));
            return Ok(());
        };
        let waiting = self.activations.get(&index).map_or(0, Vec::len);
        let (now, length) = (self.now, metainfo.length());
        if waiting >= WAITING_MAX || !self.handouts.take(now, peer, index, length) {
            self.respond(reply, Response::Refused(Refusal::Busy));
            return Ok(());
        }
        let waiting = self.activations.entry(index).or_default();
        waiting.push(reply);
        if waiting.len() == 1 {
            self.act(Action::Activate(index));
        }
        Ok(())
    }

    /// A segment is seeded, or can't be.
    pub(super) fn activated(
        &mut self,
        index: SegmentIndex,
        is_seeded: bool,
    ) -> Result<(), ChainError> {
        let waiting = self.activations.remove(&index).unwrap_or_default();
        let metainfo = self.metainfo_of(index)?;
        for reply in waiting {
            let response = match (&metainfo, self.torrent) {
                (Some(metainfo), Some(torrent)) if is_seeded => Response::Activated {
                    length: metainfo.length(),
                    pieces: metainfo.pieces().to_vec(),
                    torrent,
                },
                _ => Response::Refused(Refusal::NotHeld),
            };
            self.respond(reply, response);
        }
        Ok(())
    }

    /// Can we seed this segment?
    fn holds(&self, index: SegmentIndex) -> bool {
        let is_sealed = index.get() < self.sealed.len() as u64 && !self.damaged.contains(&index);
        is_sealed || self.sync.file_of(index).is_some()
    }

    /// The segments that we can seed: all below the first number, but for those listed.
    pub(super) fn held_segments(&self) -> (u64, Vec<u64>) {
        use crate::core::wire::MISSING_MAX;
        let sealed = self.sealed.len() as u64;
        let mut missing: Vec<u64> = self.damaged.iter().map(|index| index.get()).collect();
        missing.retain(|index| *index < sealed);
        if missing.len() > MISSING_MAX {
            return (missing[MISSING_MAX], missing[..MISSING_MAX].to_vec());
        }
        let mut end = sealed;
        for index in self.sync.files().map(|index| index.get()) {
            if index < end {
                continue;
            }
            if missing.len() as u64 + (index - end) > MISSING_MAX as u64 {
                break;
            }
            missing.extend(end..index);
            end = index + 1;
        }
        (end, missing)
    }

    pub(super) fn forget_asks(&mut self, peer: &PeerId) {
        let gone = self.asks.iter().filter(|(_, (asked, _))| asked == peer);
        let gone: Vec<_> = gone.map(|(id, _)| *id).collect();
        for id in gone {
            if let Some((_, Ask::Blocks | Ask::Boundaries(_))) = self.asks.remove(&id) {
                self.sync.forget_request(id);
            }
        }
    }
}

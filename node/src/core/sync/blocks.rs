//! Blocks by `sync/1`: what no segment holds yet, branches, and segments that don't come by torrent.

use libp2p::PeerId;
use lyceum_protocol::{BlockHash, BlockLine, Verdict};
use lyceum_storage::Durability;

use crate::core::chain::{ChainError, ImportRun};
use crate::core::event::{Notice, Source};
use crate::core::peers::Offence;
use crate::core::step::blocks::refusal;
use crate::core::step::{Ask, Core, wire};
use crate::core::wire::{BLOCKS_MAX, Refusal, Request, Response};
use crate::network::RequestId;

/// So few blocks are written through to the disk at once; in longer runs a power failure may cost the last ones.
const SYNCED_BLOCKS: usize = 16;

impl Core {
    /// Asks the target for blocks, where the next ones don't come in segments.
    pub(super) fn ask_blocks(&mut self) -> Result<(), ChainError> {
        let Some((target, _)) = self.target() else {
            return Ok(());
        };
        let next = self.next_segment();
        let by_torrent = self.wants_segments() && self.end_of(next) > self.sync.blocks_until;
        if self.sync.asked.is_some() || by_torrent {
            return Ok(());
        }
        let tree = self.chain.tree();
        let from = self.sync.cursor.filter(|hash| tree.contains(hash));
        let locator = tree
            .locator(&from.unwrap_or(tree.tip()))
            .unwrap_or_default();
        let request = Request::BlocksAfter {
            locator: locator.iter().map(wire).collect(),
            blocks_max: BLOCKS_MAX as u32,
        };
        self.sync.asked = Some(self.ask(target, request, Ask::Blocks));
        Ok(())
    }

    /// Blocks have come.
    pub(in crate::core) fn blocks_came(
        &mut self,
        peer: PeerId,
        id: RequestId,
        response: Result<Response, Refusal>,
    ) -> Result<(), ChainError> {
        if self.sync.asked != Some(id) {
            return Ok(());
        }
        self.sync.asked = None;
        let lines = match response {
            Ok(Response::Blocks(lines)) => lines,
            Ok(_) => {
                self.blame(&peer, Offence::Message("wrong_response"));
                return Ok(());
            }
            Err(_) => {
                self.distrust(&peer);
                return Ok(());
            }
        };
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let last = lines.last().map(|line| hash_of(line));
        if last.is_none() || last == self.sync.cursor {
            // It has nothing after what we know, and yet claims more work.
            if self
                .peers
                .get(&peer)
                .and_then(|peer| peer.claim.as_ref())
                .is_some_and(|claim| claim.work > self.our_work())
            {
                self.claimed_falsely(&peer);
            }
            return Ok(());
        }
        self.import_lines(&lines, Source::Sync, &[peer])?;
        self.sync.cursor = last.filter(|hash| self.chain.tree().contains(hash));
        if self.sync.cursor.is_none() && self.peers.get(&peer).is_some() {
            // They don't follow from anything that we have told it of.
            self.claimed_falsely(&peer);
        }
        Ok(())
    }

    /// Takes lines that follow each other; true where none was refused. Those to `blame` answer for what breaks a rule.
    pub(super) fn import_lines(
        &mut self,
        lines: &[&str],
        source: Source,
        blame: &[PeerId],
    ) -> Result<bool, ChainError> {
        // A segment's first blocks may be here; of genesis no rule asks what a block's do.
        let tree = self.chain.tree();
        let known = lines
            .iter()
            .take_while(|line| tree.contains(&hash_of(line)));
        let lines = &lines[known.count()..];
        if lines.is_empty() {
            return Ok(true);
        }
        let durability = match lines.len() <= SYNCED_BLOCKS {
            true => Durability::Synced,
            false => Durability::Buffered,
        };
        let now = self.now();
        let run = self.chain.import_run(lines, now, durability);
        self.imported(run, lines, source, blame)
    }

    /// Does what follows from an import of lines; true where none was refused.
    pub(super) fn imported(
        &mut self,
        run: ImportRun,
        lines: &[&str],
        source: Source,
        blame: &[PeerId],
    ) -> Result<bool, ChainError> {
        if run.new > 0 {
            self.progress();
            let blocks = run.new;
            self.notice(Notice::Imported { source, blocks });
        }
        self.changed(&run.change, source, Some(&lines[..run.done]))?;
        let Some(error) = run.error else {
            return Ok(true);
        };
        let refused = refusal(error)?;
        if refused.verdict == Verdict::Reject {
            let (reason, from) = (refused.reason, blame.first().copied());
            self.notice(Notice::BlockRejected { reason, from });
            for peer in blame {
                let offence = match source {
                    Source::Torrent => Offence::Segment(reason),
                    _ => Offence::Block(reason),
                };
                self.blame(peer, offence);
            }
        } else {
            for peer in blame {
                self.distrust(peer);
            }
        }
        Ok(false)
    }
}

pub(super) fn hash_of(line: &str) -> BlockHash {
    BlockHash::of(BlockLine::new(line).token().as_bytes())
}

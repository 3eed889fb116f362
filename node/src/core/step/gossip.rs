//! Gossip: announcements are checked by their token, then rebuilt from what is pending; transactions go to the mempool.

use std::collections::{BTreeMap, VecDeque};

use libp2p::PeerId;
use lyceum_protocol::{
    BlockHash, BlockLine, LINE_SEPARATOR, Timestamp, TxId, Verdict, check_transaction,
};

use super::{Ask, Core, wire};
use crate::core::chain::{ChainError, Imported};
use crate::core::event::{Action, Notice, Source, SubmitRefusal};
use crate::core::mempool::MempoolError;
use crate::core::peers::Offence;
use crate::core::step::blocks::refusal;
use crate::core::wire::{Announcement, IDS_MAX, Refusal, Request, Response, Wire as _, WireHash};
use crate::network::{GossipVerdict, ReplyId, Topic};

/// Announced blocks that wait for transactions. Each cost its miner work at a height near the tip, so there are few.
const ASSEMBLIES_MAX: usize = 16;
/// How long one waits, in milliseconds, before it is given up: the sync brings the block.
const ASSEMBLY_MS: u64 = 10_000;
/// Announcements that are ahead of our clock and wait for it.
const EARLY_MAX: usize = 16;
/// An announced block so far below the tip is of no use: whoever reorganises that deep syncs.
const ANNOUNCED_DEPTH_MAX: u64 = 100;

/// A block of which some transactions are missing.
#[derive(Debug)]
struct Assembly {
    announcement: Announcement,
    from: PeerId,
    since: Timestamp,
}

/// The blocks that wait for transactions.
#[derive(Debug, Default)]
pub(super) struct Assemblies(BTreeMap<BlockHash, Assembly>);

impl Assemblies {
    pub(super) fn expire(&mut self, now: Timestamp) {
        self.0
            .retain(|_, waiting| waiting.since.saturating_add(ASSEMBLY_MS) > now);
    }
}

/// Announcements from the near future, and who sent them.
#[derive(Debug, Default)]
pub(super) struct Early(VecDeque<(PeerId, Announcement)>);

impl Core {
    /// Judges a gossiped message.
    pub(super) fn gossiped(
        &mut self,
        topic: Topic,
        from: PeerId,
        data: &[u8],
    ) -> Result<GossipVerdict, ChainError> {
        match topic {
            Topic::Transaction => self.transaction_gossiped(from, data),
            Topic::Block => match Announcement::decode(data) {
                Ok(announcement) => self.announced(from, announcement),
                Err(_) => {
                    self.blame(&from, Offence::Message("announcement"));
                    Ok(GossipVerdict::Reject)
                }
            },
        }
    }

    fn transaction_gossiped(
        &mut self,
        from: PeerId,
        data: &[u8],
    ) -> Result<GossipVerdict, ChainError> {
        let Ok(token) = std::str::from_utf8(data) else {
            self.blame(&from, Offence::Transaction("token_text"));
            return Ok(GossipVerdict::Reject);
        };
        match self.pend(token)? {
            Ok(_) => Ok(GossipVerdict::Accept),
            Err(SubmitRefusal::Mempool(_)) => Ok(GossipVerdict::Ignore),
            Err(SubmitRefusal::Rule(error)) => {
                self.blame(&from, Offence::Transaction(error.reason()));
                Ok(GossipVerdict::Reject)
            }
        }
    }

    /// Takes a transaction into the mempool.
    fn pend(&mut self, token: &str) -> Result<Result<TxId, SubmitRefusal>, ChainError> {
        let id = TxId::of(token.as_bytes());
        if self.mempool.contains(&id) {
            return Ok(Err(MempoolError::Known(id).into()));
        }
        let taken = match check_transaction(token, self.chain.spec()) {
            Ok(transaction) => {
                let taken = transaction.clone();
                let inserted =
                    self.settled(|mempool, accounts| mempool.insert(transaction, accounts))?;
                inserted
                    .map(|accepted| (taken, accepted))
                    .map_err(SubmitRefusal::from)
            }
            Err(error) => Err(error.into()),
        };
        match taken {
            Ok((transaction, accepted)) => {
                self.notice(Notice::Pending(transaction));
                for dropped in accepted.dropped {
                    let (id, cause) = (dropped.id, dropped.cause);
                    self.notice(Notice::Dropped { id, cause });
                }
                Ok(Ok(id))
            }
            Err(error) => {
                if !matches!(error, SubmitRefusal::Mempool(MempoolError::Known(_))) {
                    let reason = error.reason();
                    self.notice(Notice::TransactionRejected { reason });
                }
                Ok(Err(error))
            }
        }
    }

    /// Takes a transaction of somebody at this node.
    pub(super) fn submit(&mut self, reply: ReplyId, token: &str) -> Result<(), ChainError> {
        let result = self.pend(token)?;
        if result.is_ok() {
            self.act(Action::Publish {
                topic: Topic::Transaction,
                data: token.as_bytes().to_vec(),
            });
        }
        self.act(Action::Submitted { reply, result });
        Ok(())
    }

    /// Judges an announcement: what carries its own proof of work is relayed.
    fn announced(
        &mut self,
        from: PeerId,
        announcement: Announcement,
    ) -> Result<GossipVerdict, ChainError> {
        let hash = BlockHash::of(announcement.token.as_bytes());
        if self.chain.tree().contains(&hash) || self.assemblies.0.contains_key(&hash) {
            return Ok(GossipVerdict::Ignore);
        }
        let checked = self.chain.check_announced(&announcement.token, self.now);
        let header = match checked {
            Ok(header) => header,
            Err(error) => return self.announcement_refused(from, announcement, error),
        };
        let height = header.claims().height.get();
        if height + ANNOUNCED_DEPTH_MAX < self.chain.tree().tip_height().get()
            || self.chain.tree().is_invalid(&hash)
        {
            return Ok(GossipVerdict::Ignore);
        }
        self.assemble(from, hash, announcement)?;
        Ok(GossipVerdict::Accept)
    }

    fn announcement_refused(
        &mut self,
        from: PeerId,
        announcement: Announcement,
        error: ChainError,
    ) -> Result<GossipVerdict, ChainError> {
        let refused = refusal(error)?;
        match refused.verdict {
            Verdict::Reject => {
                let (reason, peer) = (refused.reason, Some(from));
                self.notice(Notice::BlockRejected { reason, from: peer });
                self.blame(&from, Offence::Block(reason));
                Ok(GossipVerdict::Reject)
            }
            Verdict::RetryLater => {
                if self.early.0.len() == EARLY_MAX {
                    self.early.0.pop_front();
                }
                self.early.0.push_back((from, announcement));
                Ok(GossipVerdict::Ignore)
            }
            Verdict::Ignore => {
                // We lack its parent: perhaps the peer is on a better chain.
                self.ask_status(from)?;
                Ok(GossipVerdict::Ignore)
            }
        }
    }

    /// Tries announcements again that were ahead of our clock.
    pub(super) fn take_early(&mut self) -> Result<(), ChainError> {
        for (from, announcement) in std::mem::take(&mut self.early.0) {
            self.announced(from, announcement)?;
        }
        Ok(())
    }

    /// Rebuilds an announced block, or asks for what it lacks.
    fn assemble(
        &mut self,
        from: PeerId,
        hash: BlockHash,
        announcement: Announcement,
    ) -> Result<(), ChainError> {
        let missing = self.missing(&announcement, &BTreeMap::new());
        if missing.is_empty() {
            return self.assembled(from, hash, &announcement, &BTreeMap::new());
        }
        if missing.len() > IDS_MAX {
            self.ask_body(from, hash, false);
            return Ok(());
        }
        if self.assemblies.0.len() == ASSEMBLIES_MAX {
            let oldest = self.assemblies.0.iter();
            let oldest = oldest.min_by_key(|(_, waiting)| waiting.since);
            if let Some(oldest) = oldest.map(|(hash, _)| *hash) {
                self.assemblies.0.remove(&oldest);
            }
        }
        let since = self.now;
        self.assemblies.0.insert(
            hash,
            Assembly {
                announcement,
                from,
                since,
            },
        );
        self.ask(from, Request::Transactions(missing), Ask::Missing(hash));
        Ok(())
    }

    fn missing(&self, announcement: &Announcement, have: &BTreeMap<TxId, String>) -> Vec<WireHash> {
        let ids = announcement.ids.iter().copied();
        let lacks = |id: &WireHash| {
            let id = TxId::from_bytes(*id);
            !self.mempool.contains(&id) && !have.contains_key(&id)
        };
        ids.filter(lacks).collect()
    }

    /// The rest of an announced block has come, or has not.
    pub(super) fn missing_came(
        &mut self,
        peer: PeerId,
        hash: BlockHash,
        response: Result<Response, Refusal>,
    ) -> Result<(), ChainError> {
        let Some(waiting) = self.assemblies.0.remove(&hash) else {
            return Ok(());
        };
        let tokens = match response {
            Ok(Response::Transactions(tokens)) => tokens,
            Ok(_) => {
                self.blame(&peer, Offence::Message("wrong_response"));
                return Ok(());
            }
            Err(_) => return Ok(()), // the sync brings it
        };
        let tokens = tokens.into_iter();
        let have: BTreeMap<_, _> = tokens
            .map(|token| (TxId::of(token.as_bytes()), token))
            .collect();
        if self.missing(&waiting.announcement, &have).is_empty() {
            return self.assembled(waiting.from, hash, &waiting.announcement, &have);
        }
        self.ask_body(peer, hash, false);
        Ok(())
    }

    /// Takes a block whose transactions are all here.
    fn assembled(
        &mut self,
        from: PeerId,
        hash: BlockHash,
        announcement: &Announcement,
        have: &BTreeMap<TxId, String>,
    ) -> Result<(), ChainError> {
        let mut line = announcement.token.clone();
        for id in &announcement.ids {
            let id = TxId::from_bytes(*id);
            let pending = self.mempool.transaction(&id);
            let pending = pending.map(|transaction| transaction.token());
            let token = pending.or_else(|| have.get(&id).map(String::as_str));
            line.push(LINE_SEPARATOR);
            line.push_str(token.unwrap_or_default());
        }
        match self.take_line(&line, Source::Gossip, Some(from))? {
            Err(refused) if refused.verdict == Verdict::Reject => {
                // The token commits to its transactions, the announcement's list does not: others may have changed it on the way.
                let is_bad = refused.reason != "tx_root" && refused.reason != "block_size";
                self.ask_body(from, hash, is_bad);
            }
            Ok(Imported::Orphan(_)) => self.ask_status(from)?,
            _ => {}
        }
        Ok(())
    }

    fn ask_body(&mut self, peer: PeerId, hash: BlockHash, is_bad: bool) {
        let request = Request::BlocksByHash(vec![wire(&hash)]);
        self.ask(peer, request, Ask::Body(hash, is_bad));
    }

    /// A whole announced block has come. Where it is known to be invalid, whoever keeps it is not an honest node.
    pub(super) fn body_came(
        &mut self,
        peer: PeerId,
        hash: BlockHash,
        is_bad: bool,
        response: Result<Response, Refusal>,
    ) -> Result<(), ChainError> {
        let lines = match response {
            Ok(Response::Blocks(lines)) => lines,
            Ok(_) => {
                self.blame(&peer, Offence::Message("wrong_response"));
                return Ok(());
            }
            Err(_) => return Ok(()),
        };
        let Some(line) = lines.first() else {
            return Ok(());
        };
        if BlockHash::of(BlockLine::new(line).token().as_bytes()) != hash {
            self.blame(&peer, Offence::Message("wrong_response"));
            return Ok(());
        }
        if is_bad {
            self.blame(&peer, Offence::Block("kept_invalid"));
            return Ok(());
        }
        if let Err(refused) = self.take_line(line, Source::Gossip, Some(peer))?
            && refused.verdict == Verdict::Reject
        {
            self.blame(&peer, Offence::Block(refused.reason));
        }
        Ok(())
    }
}

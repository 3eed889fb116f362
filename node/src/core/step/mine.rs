//! Mining: when there is something to mine, on what, and what becomes of a sealed block.

use std::collections::VecDeque;

use lyceum_protocol::{Address, BlockHash, Timestamp};

use super::{Core, wire};
use crate::core::chain::{ChainError, Imported, Template};
use crate::core::event::{Action, Notice, Phase, Source};
use crate::core::wire::{Announcement, Wire as _};
use crate::network::Topic;

/// A node that finds no peer mines alone after this long: the first of a network, or one without an uplink.
const ALONE_MS: u64 = 3_000;
/// A template takes up new transactions at most so often, in milliseconds: each start costs the miner what it has hashed ahead, and us a run.
const REFRESH_MS: u64 = 500;
/// A template without news is renewed for its timestamp.
const STALE_MS: u64 = 10_000;
/// Our last blocks that are announced as provider records.
const PROVIDED_MAX: usize = 16;

/// What the miner does.
#[derive(Debug)]
pub(super) struct Mining {
    miner: Option<Address>,
    since: Timestamp,
    number: u64,
    current: Option<Current>,
    provided: VecDeque<BlockHash>,
}

#[derive(Debug)]
struct Current {
    template: Template,
    parent: BlockHash,
    made: Timestamp,
    arrivals: u64,
}

impl Mining {
    pub(super) fn new(miner: Option<Address>, since: Timestamp) -> Self {
        Self {
            miner,
            since,
            number: 0,
            current: None,
            provided: VecDeque::new(),
        }
    }

    pub(super) fn is_active(&self) -> bool {
        self.current.is_some()
    }
}

impl Core {
    /// Mines only where nothing better is known to follow.
    fn may_mine(&self) -> bool {
        let waited = self.mining.since.saturating_add(ALONE_MS) <= self.now;
        match self.sync.phase() {
            Phase::Following => true,
            Phase::Waiting => waited && self.peers.is_alone(self.now),
            _ => false,
        }
    }

    /// Gives the miner a new template where the tip, the mempool or the time ask for one.
    pub(super) fn refresh_template(&mut self) -> Result<(), ChainError> {
        let Some(miner) = self.mining.miner else {
            return Ok(());
        };
        if !self.may_mine() {
            if self.mining.current.take().is_some() {
                self.act(Action::StopMining);
            }
            return Ok(());
        }
        let tip = self.chain.tree().tip();
        let arrivals = self.mempool.arrivals();
        if let Some(current) = &self.mining.current {
            let is_due = |millis| current.made.saturating_add(millis) <= self.now;
            let has_news = current.arrivals != arrivals;
            if current.parent == tip && !(has_news && is_due(REFRESH_MS)) && !is_due(STALE_MS) {
                return Ok(());
            }
        }
        let spec = self.chain.spec();
        let bytes = spec.max_block_bytes as usize;
        let candidates = self.mempool.template(spec.block_gas, bytes);
        let candidates = candidates.into_iter().cloned();
        let template = self.chain.template(miner, candidates, self.now)?;
        self.mining.number += 1;
        self.mining.current = Some(Current {
            template: template.clone(),
            parent: tip,
            made: self.now,
            arrivals,
        });
        self.act(Action::Mine {
            template: self.mining.number,
            block: Box::new(template),
        });
        Ok(())
    }

    /// The miner has sealed a block.
    pub(super) fn mined(&mut self, template: u64, token: &str) -> Result<(), ChainError> {
        if template != self.mining.number {
            return Ok(()); // the tip has moved on
        }
        let Some(current) = self.mining.current.take() else {
            return Ok(());
        };
        let line = current.template.line(token);
        if let Ok(Imported::Known | Imported::Orphan(_)) | Err(_) =
            self.take_line(&line, Source::Mined, None)?
        {
            return Ok(());
        }
        let transactions = current.template.transactions.iter();
        let ids = transactions.map(|transaction| wire(&transaction.id()));
        let announcement = Announcement {
            token: token.to_owned(),
            ids: ids.collect(),
        };
        self.act(Action::Publish {
            topic: Topic::Block,
            data: announcement.encode(),
        });
        let hash = BlockHash::of(token.as_bytes());
        self.mining.provided.push_back(hash);
        self.act(Action::Provide {
            key: hash.as_bytes().to_vec(),
            held: true,
        });
        if self.mining.provided.len() > PROVIDED_MAX
            && let Some(old) = self.mining.provided.pop_front()
        {
            let key = old.as_bytes().to_vec();
            self.act(Action::Provide { key, held: false });
        }
        self.notice(Notice::Mined(hash));
        Ok(())
    }
}

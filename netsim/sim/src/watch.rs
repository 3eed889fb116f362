//! What is seen of the nodes: the trace, the checks, the figures.

use std::collections::BTreeMap;
use std::fmt;

use lyceum_node::core::wire::{Request, Response};
use lyceum_node::core::{Event, Notice, Source};
use lyceum_protocol::{BlockClaims, BlockHash};
use lyceum_storage::Tip;

use crate::check::{Checker, Violation};
use crate::trace::Trace;

/// All that is seen. Times are in milliseconds from the start.
pub(crate) struct Watch {
    pub(crate) trace: Trace,
    checker: Checker,
    /// The first check that failed.
    pub(crate) violation: Option<Violation>,
    /// When each block was mined.
    mined: BTreeMap<BlockHash, u64>,
    /// How long each block took to each node that it came to by gossip, the miner's own left out.
    pub(crate) propagation: Vec<u64>,
    /// Each node's figures.
    pub(crate) nodes: BTreeMap<usize, Figures>,
}

/// A node's figures.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) reorganisations: u64,
    pub(crate) blocks_by_source: BTreeMap<&'static str, u64>,
    pub(crate) bans: u64,
    pub(crate) uploaded: u64,
    pub(crate) downloaded: u64,
}

impl Watch {
    pub(crate) fn new(trace: Trace, genesis: &Tip) -> Self {
        Self {
            trace,
            checker: Checker::new(genesis),
            violation: None,
            mined: BTreeMap::new(),
            propagation: Vec::new(),
            nodes: BTreeMap::new(),
        }
    }

    /// How many blocks were mined.
    pub(crate) fn blocks(&self) -> usize {
        self.mined.len()
    }

    /// A node is told of something. Ticks are left out: they come four times a second.
    pub(crate) fn event(&mut self, millis: u64, node: &str, event: &Event) {
        if !matches!(event, Event::Tick | Event::Continue) {
            self.trace
                .event(millis, node, format_args!("{}", Shown(event)));
        }
    }

    /// A miner has made a block.
    pub(crate) fn mined(&mut self, millis: u64, node: &str, hash: BlockHash, claims: &BlockClaims) {
        self.trace.event(millis, node, format_args!("seals {hash}"));
        self.mined.insert(hash, millis);
        let checked = self.checker.mined(hash, claims);
        self.note(checked);
    }

    /// A node tells something; where it has a new tip, its ledger says which.
    pub(crate) fn notice(
        &mut self,
        millis: u64,
        (at, node): (usize, &str),
        notice: &Notice,
        tip: Option<&Tip>,
    ) {
        match notice {
            // One of many, and the event that brought it stands there.
            Notice::Pending(_) => return,
            Notice::Tip {
                hash,
                source,
                disconnected,
                ..
            } => {
                let figures = self.nodes.entry(at).or_default();
                figures.reorganisations += u64::from(*disconnected > 0);
                if let Some(since) = self.mined.get(hash).filter(|_| *source == Source::Gossip) {
                    self.propagation.push(millis - since);
                }
            }
            Notice::Imported { source, blocks } => {
                let figures = self.nodes.entry(at).or_default();
                *figures.blocks_by_source.entry(source.name()).or_default() += *blocks as u64;
            }
            _ => {}
        }
        self.trace
            .event(millis, node, format_args!("{}", ShownNotice(notice)));
        if let Some(tip) = tip {
            let checked = self.checker.follows(at, node, tip);
            self.note(checked);
        }
    }

    /// A node bans a peer.
    pub(crate) fn banned(&mut self, millis: u64, (at, node): (usize, &str), reason: &str) {
        self.trace
            .event(millis, node, format_args!("bans for {reason}"));
        self.nodes.entry(at).or_default().bans += 1;
    }

    /// Remembers the first check that failed.
    pub(crate) fn note(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.violation.get_or_insert(violation);
        }
    }
}

/// An event as the trace has it: what it is, with whom, and what it is about.
struct Shown<'a>(&'a Event);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Event::Gossip {
                topic, from, id, ..
            } => write!(f, "gossip {topic:?} {id} from {from}"),
            Event::Request {
                peer,
                reply,
                request,
            } => {
                let kind = match request {
                    Request::Status(_) => "status",
                    Request::BlocksAfter { .. } => "blocks after",
                    Request::BlocksByHash(_) => "blocks by hash",
                    Request::Transactions(_) => "transactions",
                    Request::Segments { .. } => "segments",
                    Request::Activate(_) => "activate",
                };
                write!(f, "request {} {kind} from {peer}", reply.0)
            }
            Event::Response { peer, id, result } => {
                let kind = match result {
                    Ok(Response::Refused(_)) => "refused",
                    Ok(_) => "answered",
                    Err(_) => "failed",
                };
                write!(f, "response {} {kind} from {peer}", id.0)
            }
            Event::Mined { template, .. } => write!(f, "mined {template}"),
            Event::Submit { .. } => f.write_str("submit"),
            Event::SegmentPart {
                index,
                offset,
                part,
            } => write!(f, "part {index} from {offset} {part:?}"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// A notice as the trace has it.
struct ShownNotice<'a>(&'a Notice);

impl fmt::Display for ShownNotice<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Notice::Sealed { index, metainfo } => {
                write!(f, "sealed {index} {}", metainfo.info_hash())
            }
            other => write!(f, "{other:?}"),
        }
    }
}

//! The verdict on a network: do all nodes have the same chain and the same state?

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::client::Client;
use crate::duration::show;
use crate::load::Tally;

/// How long the nodes may take to agree after the load has ended.
const AGREE_WITHIN: Duration = Duration::from_secs(30);
/// How often they are asked.
const ASK_EVERY: Duration = Duration::from_millis(200);
/// Blocks mined after the load has ended that all must have: what was pending is in them.
const BLOCKS_AFTER: u64 = 2;

/// A block that every node has, at the same height.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// Its height.
    pub height: u64,
    /// Its hash.
    pub hash: String,
    /// The state after it.
    pub state_root: String,
}

/// How a newcomer got the chain.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Newcomer {
    /// The network's height when it was started.
    pub joined_at: u64,
    /// From its start until it had all that the others had; `None` where that did not happen.
    pub seconds_to_sync: Option<f64>,
    /// The blocks that it took until then, by source.
    pub blocks_by_source: BTreeMap<String, u64>,
}

/// What there is to say in the end.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Do all nodes agree?
    pub converged: bool,
    /// How many nodes there are.
    pub nodes: usize,
    /// What they agree on, or where each stands.
    pub agreement: Option<Agreement>,
    /// Each node's height and tip, where they do not agree.
    pub tips: BTreeMap<String, String>,
    /// Transactions in the chain up to there.
    pub transactions: u64,
    /// Transactions that nodes took.
    pub taken: u64,
    /// Those taken, by what they call.
    pub calls: BTreeMap<&'static str, u64>,
    /// Transactions refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Transactions that were handed in again.
    pub again: u64,
    /// Reorganisations, of all nodes together.
    pub reorganisations: u64,
    /// How the node that came half-way got the chain.
    pub newcomer: Option<Newcomer>,
    /// From the first node's start to the verdict.
    pub seconds: f64,
    /// What went wrong beside.
    pub faults: Vec<String>,
}

impl Verdict {
    /// A verdict with the load's figures in it.
    pub fn new(
        nodes: usize,
        agreement: Result<Agreement, BTreeMap<String, String>>,
        tally: Tally,
    ) -> Self {
        let (agreement, tips) = match agreement {
            Ok(agreement) => (Some(agreement), BTreeMap::new()),
            Err(tips) => (None, tips),
        };
        Self {
            converged: agreement.is_some(),
            nodes,
            agreement,
            tips,
            transactions: 0,
            taken: tally.taken,
            calls: tally.kinds,
            refused: tally.refused,
            again: tally.again,
            reorganisations: 0,
            newcomer: None,
            seconds: 0.0,
            faults: Vec::new(),
        }
    }

    /// Is all as it should be?
    pub fn is_good(&self) -> bool {
        self.converged && self.faults.is_empty()
    }
}

impl AsRef<Self> for Verdict {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// Waits until all nodes have the same block at the same height, some blocks past where the network is now.
///
/// # Errors
/// Each node's height and tip, where they do not come to agree.
pub(crate) fn agree(nodes: &[(String, Client)]) -> Result<Agreement, BTreeMap<String, String>> {
    let deadline = Instant::now() + AGREE_WITHIN;
    let heights = nodes.iter().filter_map(|(_, client)| client.status().ok());
    let goal = heights.map(|status| status.height).max().unwrap_or(0) + BLOCKS_AFTER;
    loop {
        if let Some(agreement) = common_block(nodes).filter(|common| common.height >= goal) {
            return Ok(agreement);
        }
        if Instant::now() >= deadline {
            return Err(tips(nodes));
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// The block at the least of all heights, where all nodes have the same.
fn common_block(nodes: &[(String, Client)]) -> Option<Agreement> {
    let heights = nodes.iter().map(|(_, client)| client.status().ok());
    let heights: Option<Vec<_>> = heights.map(|status| Some(status?.height)).collect();
    let height = heights?.into_iter().min()?;
    let mut common = None;
    for (_, client) in nodes {
        let block = client.block(height).ok()?;
        let got = Agreement {
            height: block.height,
            hash: block.hash,
            state_root: block.claims.state_root,
        };
        match &common {
            Some(common) if *common != got => return None,
            _ => common = Some(got),
        }
    }
    common
}

fn tips(nodes: &[(String, Client)]) -> BTreeMap<String, String> {
    let tip = |client: &Client| match client.status() {
        Ok(status) => format!(
            "height {}, tip {}, state {}",
            status.height, status.tip, status.state_root
        ),
        Err(error) => format!("no answer: {error:#}"),
    };
    nodes
        .iter()
        .map(|(name, client)| (name.clone(), tip(client)))
        .collect()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nodes, seconds) = (self.nodes, show(Duration::from_secs_f64(self.seconds)));
        match &self.agreement {
            Some(common) => {
                writeln!(
                    f,
                    "CONVERGED: {nodes} nodes, one chain, one state, after {seconds}"
                )?;
                writeln!(f, "  block {}  {}", common.height, common.hash)?;
                writeln!(f, "  state root {}", common.state_root)?;
            }
            None => {
                writeln!(
                    f,
                    "NOT CONVERGED: {nodes} nodes do not agree after {seconds}"
                )?;
                for (name, tip) in &self.tips {
                    writeln!(f, "  {name}: {tip}")?;
                }
            }
        }
        let refused: u64 = self.refused.values().sum();
        let (taken, included, again) = (self.taken, self.transactions, self.again);
        writeln!(
            f,
            "  transactions: {taken} handed in, {included} in the chain, {refused} refused, {again} handed in again"
        )?;
        if refused > 0 {
            writeln!(f, "  refused: {}", list(&self.refused))?;
        }
        writeln!(f, "  calls: {}", list(&self.calls))?;
        writeln!(f, "  reorganisations: {}", self.reorganisations)?;
        if let Some(late) = &self.newcomer {
            let at = late.joined_at;
            match late.seconds_to_sync {
                Some(seconds) => writeln!(
                    f,
                    "  newcomer: at height {at} with an empty disk, in step after {seconds:.1} s; its blocks by source: {}",
                    list(&late.blocks_by_source)
                )?,
                None => writeln!(f, "  newcomer: at height {at}, never in step")?,
            }
        }
        for fault in &self.faults {
            writeln!(f, "  FAULT: {fault}")?;
        }
        Ok(())
    }
}

fn list<K: fmt::Display>(counts: &BTreeMap<K, u64>) -> String {
    let parts: Vec<_> = counts
        .iter()
        .map(|(key, count)| format!("{key} {count}"))
        .collect();
    parts.join(", ")
}

//! What a transaction would do now: a run of it here, over the state that a node shows.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use lyceum_protocol::{Address, Gas, Height, Timestamp, TxBody, json};
use lyceum_vm::{CallContext, Executor, Receipt, World, WorldError};
use serde_json::Value;

use super::source::{Source, segment};
use crate::clock;

/// Where a chain's contracts stand, as a kind of record.
const DEFINITIONS: &str = "/api/v1/state/contracts/definition";
/// The contracts of genesis that are looked for: a chain has a handful.
const DEFINITIONS_MAX: usize = 1_000;

/// Records that are counted page by page, at most.
const COUNT_MAX: u64 = 10_000;

/// Runs `body` as the next block would, with all the gas of a block.
pub(super) fn dry_run(
    source: &Source,
    status: &Value,
    caller: Address,
    body: &TxBody,
    gas: Gas,
) -> anyhow::Result<Receipt> {
    let open = status["limits"]["open"].as_bool().unwrap_or(false);
    let executor = Executor::new(open, genesis_contracts(source)?);
    let height = status["height"].as_u64().unwrap_or_default() + 1;
    let caller = caller.to_string();
    let context = CallContext {
        caller: &caller,
        height: Height::new(height)?,
        timestamp: clock::now().max(Timestamp::ZERO),
    };
    let mut world = ShownWorld {
        source,
        records: RefCell::default(),
        changes: BTreeMap::new(),
    };
    Ok(executor.execute(&mut world, &context, body, gas)?)
}

/// The contracts that nobody has deployed: their actions need no contract's name.
fn genesis_contracts(source: &Source) -> anyhow::Result<Vec<String>> {
    let (mut names, mut after, mut seen) = (Vec::new(), String::new(), 0);
    while seen < DEFINITIONS_MAX {
        let page = source.get(&format!("{DEFINITIONS}?limit=100{after}"))?;
        let items = page["items"].as_array().cloned().unwrap_or_default();
        seen += items.len();
        let of_genesis = items
            .iter()
            .filter(|item| item["record"]["owner"].is_null());
        names.extend(of_genesis.filter_map(|item| item["key"].as_str().map(str::to_owned)));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={}", segment(next)),
            None => break,
        }
    }
    Ok(names)
}

/// The records that a node shows, and what was changed here.
struct ShownWorld<'a> {
    source: &'a Source,
    /// What was read.
    records: RefCell<BTreeMap<String, Option<String>>>,
    changes: BTreeMap<String, Option<String>>,
}

impl World for ShownWorld<'_> {
    fn text(&self, path: &str) -> Result<Option<Cow<'_, str>>, WorldError> {
        if let Some(changed) = self.changes.get(path) {
            return Ok(changed.as_deref().map(Cow::Borrowed));
        }
        if let Some(read) = self.records.borrow().get(path) {
            return Ok(read.clone().map(Cow::Owned));
        }
        let parts: Vec<_> = path.splitn(3, '/').map(segment).collect();
        let found = self
            .source
            .find(&format!("/api/v1/state/{}", parts.join("/")));
        let found = found.map_err(|error| WorldError(format!("{error:#}")))?;
        let record = found.map(|found| json::canonical(&found["record"]));
        let mut records = self.records.borrow_mut();
        records.insert(path.to_owned(), record.clone());
        Ok(record.map(Cow::Owned))
    }

    fn count(&self, prefix: &str) -> Result<u64, WorldError> {
        let parts: Vec<_> = prefix
            .trim_end_matches('/')
            .split('/')
            .map(segment)
            .collect();
        let base = format!("/api/v1/state/{}?limit=100", parts.join("/"));
        let (mut count, mut after) = (0, String::new());
        loop {
            let page = self.source.get(&format!("{base}{after}"));
            let page = page.map_err(|error| WorldError(format!("{error:#}")))?;
            count += page["items"].as_array().map_or(0, Vec::len) as u64;
            if count > COUNT_MAX {
                let why = format!("{prefix}: too many records to be counted from here");
                return Err(WorldError(why));
            }
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", segment(next)),
                None => break,
            }
        }
        for (path, record) in self
            .changes
            .iter()
            .filter(|(path, _)| path.starts_with(prefix))
        {
            let shown = self.records.borrow().get(path).is_some_and(Option::is_some);
            match (shown, record.is_some()) {
                (false, true) => count += 1,
                (true, false) => count = count.saturating_sub(1),
                _ => {}
            }
        }
        Ok(count)
    }

    fn put(&mut self, path: String, record: String) -> Result<(), WorldError> {
        self.text(&path)?;
        self.changes.insert(path, Some(record));
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), WorldError> {
        self.text(path)?;
        self.changes.insert(path.to_owned(), None);
        Ok(())
    }
}

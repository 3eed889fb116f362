//! The ledger's state as contracts see it, with the changes of one block on top.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use lyceum_protocol::{BlockHash, json};
use lyceum_storage::{LedgerView, StateChanges, StoreError};
use lyceum_vm::{DEFINITIONS, World, WorldError, definition_path};
use serde_json::Value;

/// A block's changes over a view of the ledger.
pub struct StateWorld<'v> {
    view: &'v LedgerView<'v>,
    changes: BTreeMap<String, Change>,
    /// Whether a definition is among the changes.
    has_new_definitions: bool,
    /// The hashes of definitions as the view has them: every call asks.
    definitions: RefCell<HashMap<String, Option<[u8; 32]>>>,
}

struct Change {
    existed: bool,
    now: Option<Value>,
}

impl<'v> StateWorld<'v> {
    /// No changes yet.
    pub fn new(view: &'v LedgerView<'v>) -> Self {
        Self {
            view,
            changes: BTreeMap::new(),
            has_new_definitions: false,
            definitions: RefCell::default(),
        }
    }

    /// The changed records, in canonical JSON.
    pub fn into_changes(self) -> StateChanges {
        let changes = self.changes.into_iter();
        let changes = changes.filter(|(_, change)| change.existed || change.now.is_some());
        changes
            .map(|(path, change)| (path, change.now.as_ref().map(json::canonical)))
            .collect()
    }

    fn change(&mut self, path: &str, now: Option<Value>) -> Result<(), WorldError> {
        match self.changes.get_mut(path) {
            Some(change) => change.now = now,
            None => {
                let existed = self.view.record(path).map_err(failed)?.is_some();
                let change = Change { existed, now };
                self.changes.insert(path.to_owned(), change);
                self.has_new_definitions |= path.starts_with(DEFINITIONS);
            }
        }
        Ok(())
    }
}

fn failed(error: StoreError) -> WorldError {
    WorldError(error.to_string())
}

/// The SHA-256 of a record's canonical JSON.
fn hash(record: &str) -> [u8; 32] {
    *BlockHash::of(record.as_bytes()).as_bytes()
}

impl World for StateWorld<'_> {
    fn load(&self, path: &str) -> Result<Option<Value>, WorldError> {
        if let Some(change) = self.changes.get(path) {
            return Ok(change.now.clone());
        }
        let record = self.view.record(path).map_err(failed)?;
        let parse = |text: String| serde_json::from_str(&text);
        let record = record.map(parse).transpose();
        record.map_err(|error| WorldError(format!("{path}: {error}")))
    }

    fn exists(&self, path: &str) -> Result<bool, WorldError> {
        match self.changes.get(path) {
            Some(change) => Ok(change.now.is_some()),
            None => Ok(self.view.record(path).map_err(failed)?.is_some()),
        }
    }

    fn count(&self, prefix: &str) -> Result<u64, WorldError> {
        let before = self.view.count(prefix).map_err(failed)?;
        let changes = self.changes.range(prefix.to_owned()..);
        let changes = changes.take_while(|(path, _)| path.starts_with(prefix));
        Ok(changes.fold(before, |count, (_, change)| {
            count + u64::from(change.now.is_some()) - u64::from(change.existed)
        }))
    }

    fn store(&mut self, path: &str, record: Value) -> Result<(), WorldError> {
        self.change(path, Some(record))
    }

    fn delete(&mut self, path: &str) -> Result<(), WorldError> {
        self.change(path, None)
    }

    fn definition_hash(&self, contract: &str) -> Result<Option<[u8; 32]>, WorldError> {
        if self.has_new_definitions
            && let Some(change) = self.changes.get(&definition_path(contract))
        {
            let record = change.now.as_ref().map(json::canonical);
            return Ok(record.map(|record| hash(&record)));
        }
        if let Some(known) = self.definitions.borrow().get(contract) {
            return Ok(*known);
        }
        let record = self.view.record(&definition_path(contract));
        let record = record.map_err(failed)?;
        let found = record.map(|record| hash(&record));
        self.definitions
            .borrow_mut()
            .insert(contract.to_owned(), found);
        Ok(found)
    }
}

//! The ledger's state as contracts see it, with the changes of one block on top.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use lyceum_protocol::BlockHash;
use lyceum_storage::{LedgerView, SeededState, StateChanges, StoreError};
use lyceum_vm::{DEFINITIONS, World, WorldError, definition_path};

type Map<V> = HashMap<String, V, SeededState>;

/// A block's changes over a view of the ledger.
pub struct StateWorld<'v> {
    view: &'v LedgerView<'v>,
    /// By path.
    changes: Map<Change>,
    /// The changed paths by `CONTRACT/RECORD/`, which is what is counted: few blocks count anything.
    prefixes: OnceCell<Map<Vec<String>>>,
    /// Whether a definition is among the changes.
    has_new_definitions: bool,
    /// The hashes of definitions as the view has them: every call asks.
    definitions: RefCell<Map<Option<[u8; 32]>>>,
}

/// A record now, `None` where it is deleted, and whether the view has one, where that was asked.
struct Change {
    existed: Cell<Option<bool>>,
    now: Option<String>,
}

impl<'v> StateWorld<'v> {
    /// No changes yet.
    pub fn new(view: &'v LedgerView<'v>) -> Self {
        Self {
            view,
            changes: Map::default(),
            prefixes: OnceCell::new(),
            has_new_definitions: false,
            definitions: RefCell::default(),
        }
    }

    /// The changed records, in canonical JSON. A record that was put and deleted again is among them, as deleted.
    pub fn into_changes(self) -> StateChanges {
        let changes = self.changes.into_iter();
        changes.map(|(path, change)| (path, change.now)).collect()
    }

    fn change(&mut self, path: String, now: Option<String>) {
        match self.changes.entry(path) {
            Entry::Occupied(mut change) => change.get_mut().now = now,
            Entry::Vacant(place) => {
                let path = place.key();
                self.has_new_definitions |= path.starts_with(DEFINITIONS);
                if let Some(prefixes) = self.prefixes.get_mut() {
                    index(prefixes, path);
                }
                let existed = Cell::new(None);
                place.insert(Change { existed, now });
            }
        }
    }

    /// The changed paths with that prefix.
    fn changed_below(&self, prefix: &str) -> &[String] {
        let prefixes = self.prefixes.get_or_init(|| {
            let mut prefixes = Map::default();
            for path in self.changes.keys() {
                index(&mut prefixes, path);
            }
            prefixes
        });
        prefixes.get(prefix).map_or(&[], Vec::as_slice)
    }

    /// Does the view have this record?
    fn existed(&self, path: &str, change: &Change) -> Result<bool, WorldError> {
        if let Some(existed) = change.existed.get() {
            return Ok(existed);
        }
        let existed = self.view.has_record(path).map_err(failed)?;
        change.existed.set(Some(existed));
        Ok(existed)
    }
}

fn index(prefixes: &mut Map<Vec<String>>, path: &str) {
    match prefixes.get_mut(prefix(path)) {
        Some(paths) => paths.push(path.to_owned()),
        None => {
            prefixes.insert(prefix(path).to_owned(), vec![path.to_owned()]);
        }
    }
}

/// The path's `CONTRACT/RECORD/`; of what is no path, all of it.
fn prefix(path: &str) -> &str {
    let second = path.match_indices('/').nth(1);
    second.map_or(path, |(at, _)| &path[..=at])
}

fn failed(error: StoreError) -> WorldError {
    WorldError(error.to_string())
}

/// The SHA-256 of a record's canonical JSON.
fn hash(record: &str) -> [u8; 32] {
    *BlockHash::of(record.as_bytes()).as_bytes()
}

impl World for StateWorld<'_> {
    fn text(&self, path: &str) -> Result<Option<Cow<'_, str>>, WorldError> {
        if let Some(change) = self.changes.get(path) {
            return Ok(change.now.as_deref().map(Cow::Borrowed));
        }
        let record = self.view.record(path).map_err(failed)?;
        Ok(record.map(Cow::Owned))
    }

    fn exists(&self, path: &str) -> Result<bool, WorldError> {
        match self.changes.get(path) {
            Some(change) => Ok(change.now.is_some()),
            None => self.view.has_record(path).map_err(failed),
        }
    }

    fn count(&self, prefix: &str) -> Result<u64, WorldError> {
        let mut count = self.view.count(prefix).map_err(failed)?;
        for path in self.changed_below(prefix) {
            let change = &self.changes[path];
            let existed = self.existed(path, change)?;
            count = count + u64::from(change.now.is_some()) - u64::from(existed);
        }
        Ok(count)
    }

    fn put(&mut self, path: String, record: String) -> Result<(), WorldError> {
        self.change(path, Some(record));
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), WorldError> {
        self.change(path.to_owned(), None);
        Ok(())
    }

    fn definition_hash(&self, contract: &str) -> Result<Option<[u8; 32]>, WorldError> {
        if self.has_new_definitions
            && let Some(change) = self.changes.get(&definition_path(contract))
        {
            return Ok(change.now.as_deref().map(hash));
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

//! The state as contracts see it: records by path, and the journals that make a transaction all or nothing.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;

use lyceum_protocol::json::canonical;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The state could not be read or written. That is the node's own trouble, never a verdict on a transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("state: {0}")]
pub struct WorldError(pub String);

/// Records by path (`CONTRACT/RECORD/KEY`); each record is a JSON object, and stands here as its canonical text (RFC 8785): nearly every call
/// reads and writes some, so they pass through without being made into trees.
///
/// A contract's remaining effects need no method of their own: events go into the receipt, and credits are the records
/// `credits/account/…`.
pub trait World {
    /// The text of the record at `path`.
    ///
    /// # Errors
    /// [`WorldError`] where the state cannot be read; so too below.
    fn text(&self, path: &str) -> Result<Option<Cow<'_, str>>, WorldError>;

    /// Puts a record by its canonical text, replacing what is there.
    ///
    /// # Errors
    /// [`WorldError`].
    fn put(&mut self, path: String, record: String) -> Result<(), WorldError>;

    /// The record at `path`, as a tree.
    ///
    /// # Errors
    /// [`WorldError`], also where the state holds what is not JSON.
    fn load(&self, path: &str) -> Result<Option<Value>, WorldError> {
        let text = self.text(path)?;
        let record = text.map(|text| serde_json::from_str(&text)).transpose();
        record.map_err(|error| WorldError(format!("{path}: {error}")))
    }

    /// Whether there is a record at `path`.
    ///
    /// # Errors
    /// [`WorldError`].
    fn exists(&self, path: &str) -> Result<bool, WorldError> {
        Ok(self.text(path)?.is_some())
    }

    /// How many records have a path that begins with `prefix`, which is `CONTRACT/RECORD/`.
    ///
    /// # Errors
    /// [`WorldError`].
    fn count(&self, prefix: &str) -> Result<u64, WorldError>;

    /// Puts a record, replacing what is there.
    ///
    /// # Errors
    /// [`WorldError`].
    fn store(&mut self, path: &str, record: Value) -> Result<(), WorldError> {
        self.put(path.to_owned(), canonical(&record))
    }

    /// Removes a record, if it is there.
    ///
    /// # Errors
    /// [`WorldError`].
    fn delete(&mut self, path: &str) -> Result<(), WorldError>;

    /// The SHA-256 of a contract's definition (its canonical JSON), by which its translation is kept.
    ///
    /// A state that has the hash at hand should give it without loading the definition: every call asks.
    ///
    /// # Errors
    /// [`WorldError`].
    fn definition_hash(&self, contract: &str) -> Result<Option<[u8; 32]>, WorldError> {
        Ok(self
            .text(&definition_path(contract))?
            .map(|definition| record_hash(&definition)))
    }
}

/// Where a contract's definition is kept.
pub fn definition_path(contract: &str) -> String {
    format!("{DEFINITIONS}{contract}")
}

/// What the path of every contract's definition begins with.
pub const DEFINITIONS: &str = "contracts/definition/";

fn record_hash(record: &str) -> [u8; 32] {
    Sha256::digest(record.as_bytes()).into()
}

/// A world in memory, for tests, tools and simulations.
#[derive(Debug, Clone, Default)]
pub struct MemoryWorld {
    records: BTreeMap<String, String>,
    definitions: BTreeMap<String, [u8; 32]>,
}

/// Equal records; what is derived from them follows.
impl PartialEq for MemoryWorld {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records
    }
}

impl MemoryWorld {
    /// An empty world.
    pub fn new() -> Self {
        Self::default()
    }

    /// The canonical texts of all records, in the order of their paths.
    pub fn texts(&self) -> &BTreeMap<String, String> {
        &self.records
    }

    /// All records, in the order of their paths.
    pub fn records(&self) -> BTreeMap<String, Value> {
        let tree = |text: &String| serde_json::from_str(text).unwrap_or_default();
        let records = self.records.iter();
        records
            .map(|(path, text)| (path.clone(), tree(text)))
            .collect()
    }
}

impl FromIterator<(String, Value)> for MemoryWorld {
    fn from_iter<T: IntoIterator<Item = (String, Value)>>(records: T) -> Self {
        let mut world = Self::new();
        for (path, record) in records {
            world.insert(path, canonical(&record));
        }
        world
    }
}

impl MemoryWorld {
    fn insert(&mut self, path: String, record: String) {
        if let Some(contract) = path.strip_prefix(DEFINITIONS) {
            self.definitions
                .insert(contract.to_owned(), record_hash(&record));
        }
        self.records.insert(path, record);
    }
}

impl World for MemoryWorld {
    fn text(&self, path: &str) -> Result<Option<Cow<'_, str>>, WorldError> {
        let record = self.records.get(path);
        Ok(record.map(|record| Cow::Borrowed(record.as_str())))
    }

    fn exists(&self, path: &str) -> Result<bool, WorldError> {
        Ok(self.records.contains_key(path))
    }

    fn count(&self, prefix: &str) -> Result<u64, WorldError> {
        let from = self
            .records
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        Ok(from
            .take_while(|(path, _)| path.starts_with(prefix))
            .count() as u64)
    }

    fn put(&mut self, path: String, record: String) -> Result<(), WorldError> {
        self.insert(path, record);
        Ok(())
    }

    fn delete(&mut self, path: &str) -> Result<(), WorldError> {
        self.records.remove(path);
        if let Some(contract) = path.strip_prefix(DEFINITIONS) {
            self.definitions.remove(contract);
        }
        Ok(())
    }

    fn definition_hash(&self, contract: &str) -> Result<Option<[u8; 32]>, WorldError> {
        Ok(self.definitions.get(contract).copied())
    }
}

/// Changes not yet made to the world below.
///
/// Dropping a journal undoes everything; [`Journal::commit`] writes it through.
pub struct Journal<'a> {
    below: &'a mut dyn World,
    changes: BTreeMap<String, Change>,
}

/// A path's record now, `None` for a deleted one, and whether there was one below, where that was asked.
struct Change {
    existed: Cell<Option<bool>>,
    now: Option<String>,
}

impl Change {
    fn existed(&self, below: &dyn World, path: &str) -> Result<bool, WorldError> {
        if let Some(existed) = self.existed.get() {
            return Ok(existed);
        }
        let existed = below.exists(path)?;
        self.existed.set(Some(existed));
        Ok(existed)
    }
}

impl<'a> Journal<'a> {
    /// An empty journal over `below`.
    pub fn new(below: &'a mut dyn World) -> Self {
        Self {
            below,
            changes: BTreeMap::new(),
        }
    }

    /// Writes every change to the world below, in the order of the paths.
    ///
    /// # Errors
    /// [`WorldError`] from below.
    pub fn commit(self) -> Result<(), WorldError> {
        for (path, change) in self.changes {
            match change.now {
                Some(record) => self.below.put(path, record)?,
                None => self.below.delete(&path)?,
            }
        }
        Ok(())
    }

    fn change(&mut self, path: String, now: Option<String>) {
        match self.changes.entry(path) {
            Entry::Occupied(mut change) => change.get_mut().now = now,
            Entry::Vacant(place) => {
                let existed = Cell::new(None);
                place.insert(Change { existed, now });
            }
        }
    }
}

impl World for Journal<'_> {
    fn text(&self, path: &str) -> Result<Option<Cow<'_, str>>, WorldError> {
        match self.changes.get(path) {
            Some(change) => Ok(change.now.as_deref().map(Cow::Borrowed)),
            None => self.below.text(path),
        }
    }

    fn exists(&self, path: &str) -> Result<bool, WorldError> {
        match self.changes.get(path) {
            Some(change) => Ok(change.now.is_some()),
            None => self.below.exists(path),
        }
    }

    fn count(&self, prefix: &str) -> Result<u64, WorldError> {
        let mut count = self.below.count(prefix)?;
        let from = self
            .changes
            .range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        for (path, change) in from.take_while(|(path, _)| path.starts_with(prefix)) {
            let existed = change.existed(self.below, path)?;
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
        // Nearly every call asks before anything is changed.
        if !self.changes.is_empty()
            && let Some(change) = self.changes.get(&definition_path(contract))
        {
            return Ok(change.now.as_deref().map(record_hash));
        }
        self.below.definition_hash(contract)
    }
}

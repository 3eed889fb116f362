use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::{Change, Durability, Engine, EngineSizes, View, Visit, Write};
use crate::error::StoreError;
use crate::family::Family;
use crate::schema::damaged;
use crate::tree::patched;

/// Why a patch can't be written: never so, for pages are read before they are changed.
const NO_PAGE: &str = "a patch of a page that is not there";

type Maps = [BTreeMap<Vec<u8>, Vec<u8>>; Family::ALL.len()];

/// A database that ends with the process: for tests and the simulator.
#[derive(Debug, Default)]
pub(crate) struct MemoryEngine {
    /// A snapshot shares the maps; the first write while one lives copies them.
    maps: RwLock<Arc<Maps>>,
}

impl MemoryEngine {
    fn maps(&self) -> Arc<Maps> {
        // A write is a loop of inserts that can't panic half-way, so a poisoned lock's maps are whole.
        let maps = self.maps.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&maps)
    }
}

fn scan(maps: &Maps, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
    for (key, value) in maps[family.index()].range(from.to_vec()..) {
        if visit(key, value)?.is_break() {
            break;
        }
    }
    Ok(())
}

impl View for MemoryEngine {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.maps()[family.index()].get(key).cloned())
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        scan(&self.maps(), family, from, visit)
    }
}

struct MemorySnapshot(Arc<Maps>);

impl View for MemorySnapshot {
    fn read(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0[family.index()].get(key).cloned())
    }

    fn scan(&self, family: Family, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        scan(&self.0, family, from, visit)
    }
}

impl Engine for MemoryEngine {
    fn snapshot(&self) -> Box<dyn View + '_> {
        Box::new(MemorySnapshot(self.maps()))
    }

    fn write(
        &self,
        writes: &mut dyn Iterator<Item = Write<'_>>,
        _: usize,
        _: Durability,
    ) -> Result<(), StoreError> {
        let mut maps = self.maps.write().unwrap_or_else(PoisonError::into_inner);
        let maps = Arc::make_mut(&mut maps);
        for (family, key, change) in writes {
            let map = &mut maps[family.index()];
            match change {
                Change::Put(value) => map.insert(key.to_vec(), value.to_vec()),
                Change::Patch(patch) => {
                    let page = patched(map.get(key).map(Vec::as_slice), [patch].into_iter());
                    let page = page.ok_or_else(|| damaged(family, key, NO_PAGE))?;
                    map.insert(key.to_vec(), page)
                }
                Change::Delete => map.remove(key),
            };
        }
        Ok(())
    }

    fn sizes(&self) -> EngineSizes {
        let maps = self.maps();
        let entries = maps.iter().flatten();
        let bytes = entries.map(|(key, value)| (key.len() + value.len()) as u64);
        EngineSizes {
            write_buffers: bytes.sum(),
            ..EngineSizes::default()
        }
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

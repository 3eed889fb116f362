use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use lyceum_protocol::{ChainName, SegmentIndex, segment_file_name};

use crate::error::StoreError;
use crate::failpoint;

/// Appends the next part of a file; `false` at its end.
pub(crate) type Fill<'a> = &'a mut dyn FnMut(&mut Vec<u8>) -> Result<bool, StoreError>;

/// How much is gathered before it is written.
const WRITE_BYTES: usize = 1 << 20;

/// Where segments' texts are kept.
pub(crate) trait SegmentFiles: Send + Sync {
    /// Writes a segment's text: all of it, durably, or none.
    fn write(&self, index: SegmentIndex, fill: Fill<'_>) -> Result<(), StoreError>;
    /// Takes over a file that holds a segment's text: durably, or not at all.
    fn adopt(&self, index: SegmentIndex, file: &Path) -> Result<(), StoreError>;
    /// Reads some bytes of it.
    fn read_at(&self, index: SegmentIndex, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Its length in bytes.
    fn length(&self, index: SegmentIndex) -> io::Result<u64>;
    /// Removes it, if it is there.
    fn remove(&self, index: SegmentIndex) -> Result<(), StoreError>;
}

/// A folder of plain files.
pub(crate) struct FolderFiles {
    folder: PathBuf,
    chain: ChainName,
}

impl FolderFiles {
    /// Makes the folder, if there is none.
    pub(crate) fn new(folder: PathBuf, chain: ChainName) -> Result<Self, StoreError> {
        fs::create_dir_all(&folder).map_err(|error| StoreError::io(&folder, error))?;
        Ok(Self { folder, chain })
    }

    fn path(&self, index: SegmentIndex) -> PathBuf {
        self.folder.join(segment_file_name(&self.chain, index))
    }

    fn rename(&self, from: &Path, to: &Path, done: &str) -> Result<(), StoreError> {
        fs::rename(from, to).map_err(|error| StoreError::io(to, error))?;
        failpoint::reach(done);
        let folder = File::open(&self.folder).and_then(|folder| folder.sync_all());
        folder.map_err(|error| StoreError::io(&self.folder, error))
    }

    fn write_part(&self, part: &Path, fill: Fill<'_>) -> Result<(), StoreError> {
        let failed = |error| StoreError::io(part, error);
        let mut file = File::create(part).map_err(failed)?;
        failpoint::reach("segment:created");
        let mut buffer = Vec::with_capacity(WRITE_BYTES);
        while fill(&mut buffer)? {
            if buffer.len() >= WRITE_BYTES {
                file.write_all(&buffer).map_err(failed)?;
                buffer.clear();
            }
        }
        let (first, second) = buffer.split_at(buffer.len() / 2);
        file.write_all(first).map_err(failed)?;
        failpoint::reach("segment:half_written");
        file.write_all(second).map_err(failed)?;
        failpoint::reach("segment:written");
        file.sync_all().map_err(failed)?;
        failpoint::reach("segment:synced");
        Ok(())
    }
}

impl SegmentFiles for FolderFiles {
    fn write(&self, index: SegmentIndex, fill: Fill<'_>) -> Result<(), StoreError> {
        let path = self.path(index);
        let part = path.with_extension("jwts.part");
        if let Err(error) = self.write_part(&part, fill) {
            // Best effort: the next try starts the part anew.
            let _ = fs::remove_file(&part);
            return Err(error);
        }
        self.rename(&part, &path, "segment:renamed")
    }

    fn adopt(&self, index: SegmentIndex, file: &Path) -> Result<(), StoreError> {
        let synced = File::open(file).and_then(|file| file.sync_all());
        synced.map_err(|error| StoreError::io(file, error))?;
        failpoint::reach("adopt:synced");
        self.rename(file, &self.path(index), "adopt:renamed")
    }

    fn read_at(&self, index: SegmentIndex, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut content = vec![0; bytes];
        File::open(self.path(index))?.read_exact_at(&mut content, offset)?;
        Ok(content)
    }

    fn length(&self, index: SegmentIndex) -> io::Result<u64> {
        Ok(fs::metadata(self.path(index))?.len())
    }

    fn remove(&self, index: SegmentIndex) -> Result<(), StoreError> {
        let path = self.path(index);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(&path, error))
            }
            _ => Ok(()),
        }
    }
}

/// Texts that end with the process.
#[derive(Default)]
pub(crate) struct MemoryFiles {
    texts: RwLock<BTreeMap<SegmentIndex, Vec<u8>>>,
}

impl MemoryFiles {
    fn with<T>(&self, index: SegmentIndex, read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        let texts = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        let text = texts.get(&index);
        Ok(read(text.ok_or(io::ErrorKind::NotFound)?))
    }
}

impl SegmentFiles for MemoryFiles {
    fn write(&self, index: SegmentIndex, fill: Fill<'_>) -> Result<(), StoreError> {
        let mut text = Vec::new();
        while fill(&mut text)? {}
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.insert(index, text);
        Ok(())
    }

    fn adopt(&self, index: SegmentIndex, file: &Path) -> Result<(), StoreError> {
        let failed = |error| StoreError::io(file, error);
        let text = fs::read(file).map_err(failed)?;
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.insert(index, text);
        drop(texts);
        fs::remove_file(file).map_err(failed)
    }

    fn read_at(&self, index: SegmentIndex, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let read = self.with(index, |text| {
            let start = usize::try_from(offset).ok()?;
            Some(text.get(start..start.checked_add(bytes)?)?.to_vec())
        })?;
        read.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    fn length(&self, index: SegmentIndex) -> io::Result<u64> {
        self.with(index, |text| text.len() as u64)
    }

    fn remove(&self, index: SegmentIndex) -> Result<(), StoreError> {
        let mut texts = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.remove(&index);
        Ok(())
    }
}

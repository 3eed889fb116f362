//! Where the engine reads and writes: sealed files in place, read only, and `.part` files of what is pulled.

use std::fs::File;
use std::io::IoSlice;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use librqbit::storage::{BoxStorageFactory, StorageFactory, StorageFactoryExt, TorrentStorage};
use librqbit::{ManagedTorrentShared, TorrentMetadata};
use librqbit_core::lengths::ValidPieceIndex;

use super::part::PartFile;

/// A file that holds one torrent, as the engine uses it.
///
/// Cloning shares it: the engine moves its storage about between the states of a torrent, and may do so while a peer is still read from.
#[derive(Clone)]
pub(super) enum SegmentFile {
    /// A sealed segment's own file.
    Sealed(Arc<File>),
    /// The file of a segment that is being pulled.
    Part(Arc<PartFile>),
}

impl SegmentFile {
    pub(super) fn factory(self) -> BoxStorageFactory {
        Factory(self).boxed()
    }

    fn file(&self) -> &File {
        match self {
            Self::Sealed(file) => file,
            Self::Part(part) => part.file(),
        }
    }

    fn write(&self, offset: u64, bytes: [&[u8]; 2]) -> anyhow::Result<()> {
        match self {
            Self::Sealed(_) => bail!("a sealed segment is never written"),
            Self::Part(_) if bytes.iter().all(|bytes| bytes.is_empty()) => Ok(()),
            Self::Part(part) => Ok(part.write(offset, bytes)?),
        }
    }
}

struct Factory(SegmentFile);

impl StorageFactory for Factory {
    type Storage = SegmentFile;

    fn create(
        &self,
        _: &ManagedTorrentShared,
        metadata: &TorrentMetadata,
    ) -> anyhow::Result<SegmentFile> {
        // Ours have exactly one; the engine numbers files within a torrent.
        if metadata.file_infos.len() != 1 {
            bail!("a segment's torrent has one file");
        }
        Ok(self.0.clone())
    }

    fn clone_box(&self) -> BoxStorageFactory {
        Factory(self.0.clone()).boxed()
    }
}

impl TorrentStorage for SegmentFile {
    fn init(&mut self, _: &ManagedTorrentShared, _: &TorrentMetadata) -> anyhow::Result<()> {
        Ok(())
    }

    fn pread_exact(&self, _: usize, offset: u64, buffer: &mut [u8]) -> anyhow::Result<()> {
        match self {
            Self::Sealed(file) => Ok(file.read_exact_at(buffer, offset)?),
            Self::Part(part) => Ok(part.read(offset, buffer)?),
        }
    }

    fn pwrite_all(&self, _: usize, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        self.write(offset, [bytes, &[]])
    }

    fn pwrite_all_vectored(
        &self,
        _: usize,
        offset: u64,
        bytes: [IoSlice<'_>; 2],
    ) -> anyhow::Result<usize> {
        let [first, second] = &bytes;
        self.write(offset, [first, second])?;
        Ok(first.len() + second.len())
    }

    fn remove_file(&self, _: usize, _: &Path) -> anyhow::Result<()> {
        bail!("the engine removes no files")
    }

    fn remove_directory_if_empty(&self, _: &Path) -> anyhow::Result<()> {
        bail!("the engine removes no folders")
    }

    fn ensure_file_length(&self, _: usize, length: u64) -> anyhow::Result<()> {
        let is = self.file().metadata()?.len();
        match self {
            Self::Part(part) if is != length => Ok(part.file().set_len(length)?),
            Self::Sealed(_) if is != length => bail!("the file has {is} bytes, want {length}"),
            _ => Ok(()),
        }
    }

    fn take(&self) -> anyhow::Result<Box<dyn TorrentStorage>> {
        Ok(Box::new(self.clone()))
    }

    fn on_piece_completed(&self, piece: ValidPieceIndex) -> anyhow::Result<()> {
        if let Self::Part(part) = self {
            part.on_whole(u64::from(piece.get()));
        }
        Ok(())
    }
}

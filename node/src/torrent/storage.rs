//! Where the engine reads and writes: sealed files in place, read only, and `.part` files of what is pulled.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::bail;
use librqbit::storage::{BoxStorageFactory, StorageFactory, StorageFactoryExt, TorrentStorage};
use librqbit::{ManagedTorrentShared, TorrentMetadata};
use librqbit_core::lengths::ValidPieceIndex;
use lyceum_protocol::{Metainfo, PIECE_BYTES};

/// A piece whose check has begun and not ended well for so long is wrong: a check reads 256 KiB.
const CHECK_TIME_MAX: Duration = Duration::from_secs(1);

/// So many whole pieces, 4 MiB, are written through together.
const UNWRITTEN_PIECES: usize = 16;

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
            Self::Part(part) => &part.file,
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
        if let Self::Part(part) = self {
            part.on_read(offset);
        }
        Ok(self.file().read_exact_at(buffer, offset)?)
    }

    fn pwrite_all(&self, _: usize, offset: u64, bytes: &[u8]) -> anyhow::Result<()> {
        let Self::Part(part) = self else {
            bail!("a sealed segment is never written");
        };
        if !bytes.is_empty() {
            part.on_write(offset);
            part.file.write_all_at(bytes, offset)?;
        }
        Ok(())
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
            Self::Part(part) if is != length => Ok(part.file.set_len(length)?),
            Self::Sealed(_) if is != length => bail!("the file has {is} bytes, want {length}"),
            _ => Ok(()),
        }
    }

    fn take(&self) -> anyhow::Result<Box<dyn TorrentStorage>> {
        Ok(Box::new(self.clone()))
    }

    fn on_piece_completed(&self, piece: ValidPieceIndex) -> anyhow::Result<()> {
        if let Self::Part(part) = self
            && part.on_whole(u64::from(piece.get()))
        {
            let part = Arc::clone(part);
            tokio::task::spawn_blocking(move || part.write_through());
        }
        Ok(())
    }
}

/// The file of a segment that is being pulled: `NAME.part`, and `NAME` once it is whole and on the disk.
pub(super) struct PartFile {
    file: File,
    part: PathBuf,
    whole: PathBuf,
    pieces: Mutex<Pieces>,
}

/// What the storage alone can know: the engine drops whoever sent a wrong piece, and tells nobody.
#[derive(Default)]
struct Pieces {
    open: HashMap<u64, OpenPiece>,
    wrong: usize,
    /// Whole ones that may not be on the disk yet.
    unwritten: usize,
    is_writing: bool,
}

enum OpenPiece {
    Written,
    Checking(Instant),
}

impl PartFile {
    /// Opens the file, with what an earlier pull left in it: every piece is checked before it counts.
    pub(super) fn open(folder: &Path, metainfo: &Metainfo) -> io::Result<Arc<Self>> {
        let whole = folder.join(metainfo.name());
        let part = folder.join(format!("{}{PART_SUFFIX}", metainfo.name()));
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&part)?;
        let pieces = Mutex::default();
        Ok(Arc::new(Self {
            file,
            part,
            whole,
            pieces,
        }))
    }

    fn pieces(&self) -> std::sync::MutexGuard<'_, Pieces> {
        // A panic elsewhere leaves nothing half done in here.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on_write(&self, offset: u64) {
        let mut pieces = self.pieces();
        let before = pieces
            .open
            .insert(offset / PIECE_BYTES as u64, OpenPiece::Written);
        // Nobody writes while a piece is checked, so that check has failed.
        pieces.wrong += usize::from(matches!(before, Some(OpenPiece::Checking(_))));
    }

    fn on_read(&self, offset: u64) {
        if let Some(piece) = self.pieces().open.get_mut(&(offset / PIECE_BYTES as u64))
            && matches!(piece, OpenPiece::Written)
        {
            *piece = OpenPiece::Checking(Instant::now());
        }
    }

    /// A piece is whole and right. Is it time to write through what has come?
    fn on_whole(&self, piece: u64) -> bool {
        let mut pieces = self.pieces();
        pieces.open.remove(&piece);
        pieces.unwritten += 1;
        let is_time = pieces.unwritten >= UNWRITTEN_PIECES && !pieces.is_writing;
        if is_time {
            (pieces.unwritten, pieces.is_writing) = (0, true);
        }
        is_time
    }

    /// Puts on the disk what has come, while more comes: at the end little is left to wait for.
    fn write_through(&self) {
        // Where it fails, the end fails, too, and says so.
        let _ = self.file.sync_data();
        self.pieces().is_writing = false;
    }

    /// How many pieces came whole and were wrong. `is_idle`: no peer is connected, so no check can be under way.
    pub(super) fn wrong_pieces(&self, is_idle: bool) -> usize {
        let pieces = self.pieces();
        let is_wrong = |piece: &&OpenPiece| match piece {
            OpenPiece::Written => false,
            OpenPiece::Checking(since) => is_idle || since.elapsed() > CHECK_TIME_MAX,
        };
        pieces.wrong + pieces.open.values().filter(is_wrong).count()
    }

    /// All of it is there: puts it on the disk, and gives it its own name.
    pub(super) fn finish(&self) -> io::Result<PathBuf> {
        self.file.sync_all()?;
        std::fs::rename(&self.part, &self.whole)?;
        if let Some(folder) = self.whole.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(self.whole.clone())
    }

    /// It is not wanted any more.
    pub(super) fn remove(&self) {
        // What is left of it costs a little space, and the next pull of the segment starts with it.
        let _ = std::fs::remove_file(&self.part);
    }
}

/// The end of the name of a file that is not whole.
const PART_SUFFIX: &str = ".part";

/// Makes the folder, and lets what an earlier run has pulled, and nobody has taken, be found by the next pull of the same segment.
pub(super) fn open_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.ends_with(".jwts") {
            let part = folder.join(format!("{name}{PART_SUFFIX}"));
            std::fs::rename(&path, part)?;
        }
    }
    Ok(())
}

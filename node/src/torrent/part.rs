//! The file of a segment that is being pulled, and the pieces of it that are still in memory.
//!
//! The engine's one thread receives, checks and asks for more. So a piece is gathered in memory and checked there, and another thread writes
//! it, whole. What a crash takes with it was never told to anybody as held: a segment counts when [`PartFile::finish`] has put all of it on
//! the disk, and what is found in a `.part` file is checked piece by piece before it counts.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lyceum_protocol::{Metainfo, PIECE_BYTES};
use tokio::task::spawn_blocking;

use super::buffers::{PieceBuffer, PieceMemory};

/// A piece whose check has begun and not ended well for so long is wrong: a check reads 256 KiB.
const CHECK_TIME_MAX: Duration = Duration::from_secs(1);

/// So many whole pieces, 1 MiB, are written together: waking a thread for each costs more than the write. Of a pull that is killed, so much comes
/// again.
const UNWRITTEN_PIECES: usize = 4;

/// So many written pieces, 4 MiB, are put on the disk together.
const UNSYNCED_PIECES: usize = 16;

/// The end of the name of a file that is not whole.
const PART_SUFFIX: &str = ".part";

/// `NAME.part`, and `NAME` once it is whole and on the disk.
pub(super) struct PartFile {
    file: File,
    part: PathBuf,
    whole: PathBuf,
    length: u64,
    memory: Arc<PieceMemory>,
    pieces: Mutex<Pieces>,
    /// Told when a write has ended.
    written: Condvar,
}

#[derive(Default)]
struct Pieces {
    /// Not whole yet, or not checked.
    open: HashMap<u64, OpenPiece>,
    /// What the storage alone can know: the engine drops whoever sent a wrong piece, and tells nobody.
    wrong: usize,
    /// Whole and right, and not written yet; in this order.
    queue: VecDeque<u64>,
    /// Those of `queue`, and those that are being written.
    unwritten: HashMap<u64, Arc<PieceBuffer>>,
    /// A thread has been asked to empty the queue, and has not seen it empty.
    has_writer: bool,
    /// Pieces that are being written.
    writing: usize,
    /// Written ones that may not be on the disk yet.
    unsynced: usize,
    is_syncing: bool,
    /// A write has failed: nothing that is still to come helps.
    failed: Option<io::ErrorKind>,
}

struct OpenPiece {
    /// `None`: there was no memory for it, so it is in the file.
    buffer: Option<PieceBuffer>,
    /// Since when it is being checked.
    checking: Option<Instant>,
}

impl PartFile {
    /// Opens the file, with what an earlier pull left in it: every piece is checked before it counts.
    pub(super) fn open(
        folder: &Path,
        metainfo: &Metainfo,
        memory: Arc<PieceMemory>,
    ) -> io::Result<Arc<Self>> {
        let whole = folder.join(metainfo.name());
        let part = folder.join(format!("{}{PART_SUFFIX}", metainfo.name()));
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&part)?;
        Ok(Arc::new(Self {
            file,
            part,
            whole,
            length: metainfo.length(),
            memory,
            pieces: Mutex::default(),
            written: Condvar::new(),
        }))
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    fn pieces(&self) -> MutexGuard<'_, Pieces> {
        // A panic elsewhere leaves nothing half done in here.
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a chunk.
    pub(super) fn write(&self, offset: u64, bytes: [&[u8]; 2]) -> io::Result<()> {
        let length = bytes[0].len() + bytes[1].len();
        let (piece, at) = place(offset, length)?;
        let mut pieces = self.pieces();
        let Pieces {
            open,
            wrong,
            failed,
            ..
        } = &mut *pieces;
        if let Some(kind) = failed {
            return Err((*kind).into());
        }
        let open = open.entry(piece).or_insert_with(|| OpenPiece {
            buffer: self.memory.take(),
            checking: None,
        });
        // Nobody writes while a piece is checked, so that check has failed.
        *wrong += usize::from(open.checking.take().is_some());
        if let Some(buffer) = &mut open.buffer {
            let (first, second) = buffer[at..at + length].split_at_mut(bytes[0].len());
            first.copy_from_slice(bytes[0]);
            second.copy_from_slice(bytes[1]);
            return Ok(());
        }
        drop(pieces);
        self.file.write_all_at(bytes[0], offset)?;
        let offset = offset + bytes[0].len() as u64;
        self.file.write_all_at(bytes[1], offset)
    }

    /// Reads within a piece. Where the piece is not known to be right, that is its check.
    pub(super) fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let (piece, at) = place(offset, bytes.len())?;
        let mut pieces = self.pieces();
        let Pieces {
            open, unwritten, ..
        } = &mut *pieces;
        let buffer = match open.get_mut(&piece) {
            Some(open) => {
                open.checking.get_or_insert_with(Instant::now);
                open.buffer.as_ref()
            }
            None => unwritten.get(&piece).map(Arc::as_ref),
        };
        if let Some(buffer) = buffer {
            bytes.copy_from_slice(&buffer[at..at + bytes.len()]);
            return Ok(());
        }
        drop(pieces);
        self.file.read_exact_at(bytes, offset)
    }

    /// A piece is whole and right: another thread writes it. Within a runtime.
    pub(super) fn on_whole(self: &Arc<Self>, piece: u64) {
        let mut pieces = self.pieces();
        match pieces.open.remove(&piece).and_then(|open| open.buffer) {
            Some(buffer) => {
                pieces.unwritten.insert(piece, Arc::new(buffer));
                pieces.queue.push_back(piece);
            }
            None => pieces.unsynced += 1,
        }
        let needs_writer = pieces.queue.len() >= UNWRITTEN_PIECES && !pieces.has_writer;
        pieces.has_writer |= needs_writer;
        let needs_sync = pieces.unsynced >= UNSYNCED_PIECES && !pieces.is_syncing;
        if needs_sync {
            (pieces.unsynced, pieces.is_syncing) = (0, true);
        }
        drop(pieces);
        if needs_writer {
            let part = self.clone();
            spawn_blocking(move || part.write_queue());
        }
        if needs_sync {
            let part = self.clone();
            spawn_blocking(move || part.sync());
        }
    }

    /// Writes what waits.
    fn write_queue(&self) {
        let mut pieces = self.pieces();
        while let Some(piece) = pieces.queue.pop_front() {
            let buffer = pieces.unwritten.get(&piece).cloned();
            let buffer = buffer.expect("the queue is of these alone");
            pieces.writing += 1;
            drop(pieces);
            let offset = piece * PIECE_BYTES as u64;
            let length = self.length.saturating_sub(offset).min(PIECE_BYTES as u64);
            let written = self.file.write_all_at(&buffer[..length as usize], offset);
            pieces = self.pieces();
            pieces.writing -= 1;
            pieces.unwritten.remove(&piece);
            pieces.unsynced += 1;
            if let Err(error) = written {
                pieces.failed = Some(error.kind());
            }
            self.written.notify_all();
        }
        pieces.has_writer = false;
    }

    /// Puts on the disk what was written, while more comes: at the end little is left to wait for.
    fn sync(&self) {
        // Where it fails, the end fails, too, and says so.
        let _ = self.file.sync_data();
        self.pieces().is_syncing = false;
    }

    /// Writes what is whole, and waits until nothing is being written. The rest of what is in memory is forgotten.
    ///
    /// # Errors
    /// Where any write failed.
    pub(super) fn settle(&self) -> io::Result<()> {
        // Not left to the writer, which may wait for a thread that waits in here.
        self.write_queue();
        let pieces = self.pieces();
        let is_writing = |pieces: &mut Pieces| pieces.writing > 0;
        let settled = self.written.wait_while(pieces, is_writing);
        let mut pieces = settled.unwrap_or_else(PoisonError::into_inner);
        pieces.open = HashMap::new();
        match pieces.failed {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    /// How many pieces came whole and were wrong. `is_idle`: no peer is connected, so no check can be under way.
    pub(super) fn wrong_pieces(&self, is_idle: bool) -> usize {
        let pieces = self.pieces();
        let is_wrong = |piece: &&OpenPiece| match piece.checking {
            None => false,
            Some(since) => is_idle || since.elapsed() > CHECK_TIME_MAX,
        };
        pieces.wrong + pieces.open.values().filter(is_wrong).count()
    }

    /// All of it is there: puts it on the disk, and gives it its own name.
    pub(super) fn finish(&self) -> io::Result<PathBuf> {
        self.settle()?;
        self.file.sync_all()?;
        std::fs::rename(&self.part, &self.whole)?;
        if let Some(folder) = self.whole.parent() {
            File::open(folder)?.sync_all()?;
        }
        Ok(self.whole.clone())
    }

    /// It is not wanted any more.
    pub(super) fn remove(&self) {
        let mut pieces = self.pieces();
        pieces.queue = VecDeque::new();
        pieces.open = HashMap::new();
        drop(pieces);
        // What is left of it costs a little space, and the next pull of the segment starts with it.
        let _ = std::fs::remove_file(&self.part);
    }
}

impl Drop for PartFile {
    /// The engine is stopped: what is whole need not come again.
    fn drop(&mut self) {
        self.write_queue();
    }
}

/// The piece, and where in it.
fn place(offset: u64, length: usize) -> io::Result<(u64, usize)> {
    let piece_bytes = PIECE_BYTES as u64;
    let at = (offset % piece_bytes) as usize;
    if at + length > PIECE_BYTES {
        return Err(io::Error::other("a chunk of two pieces"));
    }
    Ok((offset / piece_bytes, at))
}

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

#[cfg(test)]
mod tests {
    use lyceum_protocol::{MetainfoBuilder, SegmentIndex};

    use super::super::buffers::PIECES_IN_MEMORY_MAX;
    use super::*;

    const CHUNK: usize = 16 * 1024;

    fn content(length: usize) -> (Vec<u8>, Metainfo) {
        let content: Vec<_> = (0..length).map(|at| (at / 7) as u8).collect();
        let chain = "dev".parse().unwrap();
        let mut builder = MetainfoBuilder::new(&chain, SegmentIndex::new(0).unwrap());
        builder.update(&content);
        (content, builder.finish())
    }

    fn memory() -> Arc<PieceMemory> {
        Arc::default()
    }

    /// A piece comes as the engine hands it on, in chunks of two parts.
    fn write_piece(part: &PartFile, content: &[u8], piece: usize) {
        let end = content.len().min((piece + 1) * PIECE_BYTES);
        for at in (piece * PIECE_BYTES..end).step_by(CHUNK) {
            let chunk = &content[at..end.min(at + CHUNK)];
            let (first, second) = chunk.split_at(chunk.len() / 3);
            part.write(at as u64, [first, second]).unwrap();
        }
    }

    fn read(part: &PartFile, at: usize, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        part.read(at as u64, &mut bytes).unwrap();
        bytes
    }

    #[tokio::test]
    async fn a_piece_is_checked_in_memory_and_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let (content, metainfo) = content(PIECE_BYTES + 100);
        let part = PartFile::open(folder.path(), &metainfo, memory()).unwrap();
        write_piece(&part, &content, 1);
        write_piece(&part, &content, 0);
        assert_eq!(part.file().metadata().unwrap().len(), 0);
        assert_eq!(read(&part, 9, CHUNK), content[9..9 + CHUNK]);
        part.on_whole(0);
        part.on_whole(1);
        // It can be read whether it is written or not, and that is no check any more.
        assert_eq!(read(&part, PIECE_BYTES, 100), content[PIECE_BYTES..]);
        assert_eq!(part.wrong_pieces(true), 0);
        let whole = part.finish().unwrap();
        assert_eq!(std::fs::read(whole).unwrap(), content);
        assert_eq!(read(&part, PIECE_BYTES, 100), content[PIECE_BYTES..]);
    }

    #[tokio::test]
    async fn many_pieces_are_written_as_they_come() {
        let folder = tempfile::tempdir().unwrap();
        let (content, metainfo) = content(3 * PIECES_IN_MEMORY_MAX * PIECE_BYTES);
        let part = PartFile::open(folder.path(), &metainfo, memory()).unwrap();
        // No turn for a writer in between: the memory runs out, and the rest goes through.
        for piece in 0..3 * PIECES_IN_MEMORY_MAX {
            write_piece(&part, &content, piece);
            assert_eq!(part.pieces().open.len(), piece + 1);
        }
        assert!(part.memory.take().is_none());
        for piece in (0..3 * PIECES_IN_MEMORY_MAX).rev() {
            let at = piece * PIECE_BYTES;
            assert_eq!(read(&part, at, CHUNK), content[at..at + CHUNK]);
            part.on_whole(piece as u64);
        }
        assert_eq!(std::fs::read(part.finish().unwrap()).unwrap(), content);
        assert!(part.memory.take().is_some());
    }

    #[tokio::test]
    async fn what_is_whole_outlives_a_failure_and_a_stop() {
        let folder = tempfile::tempdir().unwrap();
        let (content, metainfo) = content(3 * PIECE_BYTES);
        for (piece, is_stopped) in [(0, false), (1, true)] {
            let part = PartFile::open(folder.path(), &metainfo, memory()).unwrap();
            part.write(2 * PIECE_BYTES as u64, [&content[..CHUNK], &[]])
                .unwrap();
            write_piece(&part, &content, piece);
            part.on_whole(piece as u64);
            match is_stopped {
                true => drop(part),
                false => part.settle().unwrap(),
            }
        }
        let part = PartFile::open(folder.path(), &metainfo, memory()).unwrap();
        let found = std::fs::read(&part.part).unwrap();
        assert_eq!(found, content[..2 * PIECE_BYTES]);
        part.remove();
        assert!(!part.part.exists());
    }

    #[test]
    fn a_piece_that_comes_again_was_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let (content, metainfo) = content(2 * PIECE_BYTES);
        let part = PartFile::open(folder.path(), &metainfo, memory()).unwrap();
        write_piece(&part, &content, 0);
        write_piece(&part, &content, 1);
        read(&part, 0, CHUNK);
        assert_eq!(part.wrong_pieces(false), 0, "it is being checked");
        assert_eq!(part.wrong_pieces(true), 1, "nobody is there to check it");
        write_piece(&part, &content, 0);
        assert_eq!(part.wrong_pieces(true), 1);
    }

    #[tokio::test]
    async fn a_full_disk_is_told_to_whoever_writes_next() {
        let folder = tempfile::tempdir().unwrap();
        let (content, metainfo) = content(2 * PIECE_BYTES);
        std::os::unix::fs::symlink(
            "/dev/full",
            folder.path().join(format!("{}.part", metainfo.name())),
        )
        .unwrap();
        let part = PartFile::open(folder.path(), &metainfo, memory()).unwrap();
        write_piece(&part, &content, 0);
        part.on_whole(0);
        let full = io::ErrorKind::StorageFull;
        assert_eq!(part.settle().unwrap_err().kind(), full);
        let next = part.write(PIECE_BYTES as u64, [&content[..CHUNK], &[]]);
        assert_eq!(next.unwrap_err().kind(), full);
        assert_eq!(part.finish().unwrap_err().kind(), full);
    }

    #[test]
    fn a_chunk_of_two_pieces_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (content, metainfo) = content(2 * PIECE_BYTES);
        let part = PartFile::open(folder.path(), &metainfo, memory()).unwrap();
        let at = (PIECE_BYTES - 1) as u64;
        assert!(part.write(at, [&content[..1], &content[..1]]).is_err());
        assert!(part.read(at, &mut [0; 2]).is_err());
        assert!(part.write(at, [&content[..1], &[]]).is_ok());
    }
}

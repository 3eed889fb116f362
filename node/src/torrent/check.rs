//! A segment's file is read whole before it is seeded: what the engine remembers of an earlier check would not notice damage.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use lyceum_protocol::{ChainName, InfoHash, Metainfo, MetainfoBuilder, SegmentIndex};

/// Read at a time.
const READ_BYTES: usize = 256 * 1024;

/// Why a registered segment can't be seeded.
#[derive(Debug, thiserror::Error)]
pub(super) enum CheckError {
    #[error("the file can't be read: {0}")]
    Read(#[from] io::Error),
    #[error("the file's infohash is {got}, want {want}")]
    Damaged { got: InfoHash, want: InfoHash },
}

/// Reads a sealed segment's file and makes its torrent, which must have this infohash.
///
/// So the registry need not keep the pieces' hashes: 20 bytes for each 256 KiB, for ten thousands of segments.
pub(super) fn check_file(
    chain: &ChainName,
    index: SegmentIndex,
    path: &Path,
    length: u64,
    want: InfoHash,
) -> Result<(File, Metainfo), CheckError> {
    let mut file = File::open(path)?;
    let mut builder = MetainfoBuilder::new(chain, index);
    let mut buffer = vec![0; READ_BYTES];
    // One byte more would show a file that is too long, and a file without end is not read to it.
    let mut left = length.saturating_add(1);
    while left > 0 {
        let most = buffer
            .len()
            .min(usize::try_from(left).unwrap_or(usize::MAX));
        match file.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(count) => {
                builder.update(&buffer[..count]);
                left -= count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let metainfo = builder.finish();
    match metainfo.info_hash() {
        got if got == want => Ok((file, metainfo)),
        got => Err(CheckError::Damaged { got, want }),
    }
}

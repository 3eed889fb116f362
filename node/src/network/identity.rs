//! The node's own key on disk.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use libp2p::identity::{DecodingError, Keypair};

/// The key's file in the data folder.
pub const IDENTITY_FILE: &str = "network.key";
/// More than any encoded key takes.
const IDENTITY_BYTES_MAX: u64 = 4_096;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file can't be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file holds no key.
    #[error("{path}: not a key of libp2p ({error}); delete it to get a new identity")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// Why.
        error: DecodingError,
    },
}

/// Reads the node's key in a data folder; makes one where there is none. Nobody else can read the file: its mode is 0600.
///
/// # Errors
/// [`IdentityError`].
pub fn load_or_create_identity(folder: &Path) -> Result<Keypair, IdentityError> {
    let path = folder.join(IDENTITY_FILE);
    let at = |error| IdentityError::File {
        path: path.clone(),
        error,
    };
    match create(folder, &path) {
        Ok(key) => return Ok(key),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(at(error)),
    }
    let mut file = File::open(&path).map_err(at)?;
    let mode = file.metadata().map_err(at)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others could read the network key; now they can't");
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(at)?;
    }
    let mut bytes = Vec::new();
    let mut bounded = (&mut file).take(IDENTITY_BYTES_MAX);
    bounded.read_to_end(&mut bytes).map_err(at)?;
    Keypair::from_protobuf_encoding(&bytes)
        .map_err(|error| IdentityError::Malformed { path, error })
}

/// Writes a new key, whole or not at all, unless there is one.
fn create(folder: &Path, path: &Path) -> io::Result<Keypair> {
    if path.try_exists()? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    fs::create_dir_all(folder)?;
    let key = Keypair::generate_ed25519();
    let bytes = key.to_protobuf_encoding().map_err(io::Error::other)?;
    // Made with O_EXCL and mode 0600: nobody else can read it at any moment.
    let mut draft = tempfile::Builder::new()
        .prefix(".network-")
        .tempfile_in(folder)?;
    draft.write_all(&bytes)?;
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_stays_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let made = load_or_create_identity(folder.path()).unwrap();
        let path = folder.path().join(IDENTITY_FILE);
        let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let read = load_or_create_identity(folder.path()).unwrap();
        assert_eq!(read.public(), made.public());
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn a_damaged_identity_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(IDENTITY_FILE);
        fs::write(&path, b"no key").unwrap();
        let error = load_or_create_identity(folder.path()).unwrap_err();
        assert!(matches!(error, IdentityError::Malformed { .. }));
        assert_eq!(fs::read(&path).unwrap(), b"no key");
    }
}

use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use super::WalletFileError;

/// Who may read a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Its owner alone (mode 0600).
    Secret,
    /// Everyone (mode 0644).
    Public,
}

/// Writes a new file durably: after a crash there is all of it or nothing, and no file is ever replaced.
///
/// # Errors
/// [`WalletFileError::Exists`], [`WalletFileError::Write`].
pub fn write_new(path: &Path, text: &str, visibility: Visibility) -> Result<(), WalletFileError> {
    match try_write_new(path, text, visibility) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let path = path.to_owned();
            Err(WalletFileError::Exists { path })
        }
        Err(error) => {
            let path = path.to_owned();
            Err(WalletFileError::Write { path, error })
        }
    }
}

fn try_write_new(path: &Path, text: &str, visibility: Visibility) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Made with O_EXCL and mode 0600: nobody else can read it at any moment.
    let mut draft = tempfile::Builder::new()
        .prefix(".wallet-")
        .suffix(".tmp")
        .tempfile_in(folder)?;
    draft.write_all(text.as_bytes())?;
    if visibility == Visibility::Public {
        let permissions = Permissions::from_mode(0o644);
        draft.as_file().set_permissions(permissions)?;
    }
    draft.as_file().sync_all()?;
    draft.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

/// Makes a folder for wallets, and those above it, for its owner alone.
pub(super) fn make_folder(path: &Path) -> Result<(), WalletFileError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| WalletFileError::Write {
        path: path.to_owned(),
        error,
    })
}

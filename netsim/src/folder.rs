//! The folder with a network's files.

use std::path::PathBuf;

use anyhow::Context as _;
use tempfile::TempDir;

/// A folder that the user has named, or one that is deleted in the end.
#[derive(Debug)]
pub(crate) enum Folder {
    Given(PathBuf),
    Temporary(TempDir),
}

impl Folder {
    /// Makes it, or takes the one given if it is empty.
    ///
    /// # Errors
    /// Where it can't be made, or is not empty.
    pub(crate) fn make(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = given else {
            let folder = tempfile::Builder::new().prefix("lyceum-").tempdir()?;
            return Ok(Self::Temporary(folder));
        };
        let cannot = || format!("{}: cannot be made", path.display());
        std::fs::create_dir_all(&path).with_context(cannot)?;
        let is_empty = std::fs::read_dir(&path)
            .with_context(cannot)?
            .next()
            .is_none();
        anyhow::ensure!(is_empty, "{}: not empty; name a new folder", path.display());
        Ok(Self::Given(path))
    }

    /// Where it is, from the root.
    pub(crate) fn path(&self) -> anyhow::Result<PathBuf> {
        let path = match self {
            Self::Given(path) => path,
            Self::Temporary(folder) => folder.path(),
        };
        Ok(std::fs::canonicalize(path)?)
    }

    /// Leaves it there, temporary or not.
    pub(crate) fn keep(self) {
        if let Self::Temporary(folder) = self {
            let _ = folder.keep();
        }
    }
}

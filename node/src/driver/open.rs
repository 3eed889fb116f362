//! The data folder: whose it is, and the ledger in it.

use std::path::{Path, PathBuf};

use lyceum_protocol::{BatchSeed, ChainFields, ChainSpec, ChainSpecError};
use lyceum_storage::{Options, Store, StoreError};

use crate::core::{Chain, ChainError};

/// The chain file that a data folder keeps, so that it knows its own chain.
pub(crate) const CHAIN_FILE: &str = "chain.json";

/// Why a ledger can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A file or folder.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The data folder's own chain file is damaged.
    #[error("{}: {error}", path.display())]
    ChainFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: ChainSpecError,
    },
    /// The data folder is another chain's.
    #[error("{}: holds another chain file of {chain:?}: choose another data folder, or the chain file it was made with", folder.display())]
    OtherChain {
        /// The folder.
        folder: PathBuf,
        /// Its chain.
        chain: String,
    },
    /// The ledger.
    #[error("{}: {error}", folder.display())]
    Chain {
        /// The data folder.
        folder: PathBuf,
        /// Why.
        error: Box<ChainError>,
    },
    /// The operating system gives no entropy.
    #[error("the operating system gives no entropy: {0}")]
    Entropy(#[from] getrandom::Error),
}

impl OpenError {
    /// Does another process have the ledger open?
    pub fn is_locked(&self) -> bool {
        let Self::Chain { error, .. } = self else {
            return false;
        };
        matches!(**error, ChainError::Store(StoreError::Locked { .. }))
    }
}

/// The chain of a data folder; `None` where there is none yet.
///
/// # Errors
/// [`OpenError::Io`], [`OpenError::ChainFile`].
pub fn folder_chain(folder: &Path) -> Result<Option<ChainSpec>, OpenError> {
    let path = folder.join(CHAIN_FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => match ChainSpec::parse(&text) {
            Ok(spec) => Ok(Some(spec)),
            Err(error) => Err(OpenError::ChainFile { path, error }),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(OpenError::Io { path, error }),
    }
}

/// Opens the ledger of `spec` in a data folder, or makes one there. What was found damaged is in its report.
///
/// # Errors
/// [`OpenError`]. A folder that another process has open is [`lyceum_storage::StoreError::Locked`].
pub fn open_chain(folder: &Path, spec: &ChainSpec, options: &Options) -> Result<Chain, OpenError> {
    let io = |path: &Path, error| OpenError::Io {
        path: path.to_owned(),
        error,
    };
    let own = folder_chain(folder)?;
    if own.as_ref().is_some_and(|own| !is_same_chain(own, spec)) {
        let (folder, chain) = (folder.to_owned(), spec.chain.to_string());
        return Err(OpenError::OtherChain { folder, chain });
    }
    std::fs::create_dir_all(folder).map_err(|error| io(folder, error))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let open = |spec: &ChainSpec, genesis| Store::open(folder, spec, genesis, options);
    let chain = Chain::open(spec.clone(), open, BatchSeed::new(seed));
    let chain = chain.map_err(|error| OpenError::Chain {
        folder: folder.to_owned(),
        error: Box::new(error),
    })?;
    if own.as_ref() != Some(spec) {
        let file = folder.join(CHAIN_FILE);
        std::fs::write(&file, spec.to_json()).map_err(|error| io(&file, error))?;
    }
    Ok(chain)
}

/// Do two chain files make the same chain? Where peers are found first may change over the years.
fn is_same_chain(a: &ChainSpec, b: &ChainSpec) -> bool {
    let core = |spec: &ChainSpec| ChainFields {
        bootnodes: Vec::new(),
        trackers: Vec::new(),
        rendezvous: false,
        ..(**spec).clone()
    };
    core(a) == core(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(change: impl FnOnce(&mut ChainFields)) -> ChainSpec {
        let mut fields = (*ChainSpec::dev()).clone();
        change(&mut fields);
        ChainSpec::new(fields).unwrap()
    }

    #[test]
    fn a_folder_knows_its_chain_and_takes_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("new");
        let options = Options::default();
        assert!(folder_chain(&folder).unwrap().is_none());
        let spec = ChainSpec::dev();
        let chain = open_chain(&folder, &spec, &options).unwrap();
        let genesis = chain.store().genesis();
        assert_eq!(folder_chain(&folder).unwrap(), Some(spec.clone()));
        let second = open_chain(&folder, &spec, &options)
            .map(|_| ())
            .unwrap_err();
        assert!(second.is_locked(), "{second}");
        chain.close().unwrap();

        let other = changed(|fields| fields.max_tx_bytes -= 1);
        let error = open_chain(&folder, &other, &options)
            .map(|_| ())
            .unwrap_err();
        assert!(matches!(error, OpenError::OtherChain { .. }), "{error}");
        assert_eq!(folder_chain(&folder).unwrap(), Some(spec));

        let moved = changed(|fields| fields.bootnodes.push("/ip4/127.0.0.1/tcp/1".into()));
        let chain = open_chain(&folder, &moved, &options).unwrap();
        assert_eq!(chain.store().genesis(), genesis);
        assert_eq!(folder_chain(&folder).unwrap(), Some(moved));

        std::fs::write(folder.join(CHAIN_FILE), "{}").unwrap();
        let error = folder_chain(&folder).unwrap_err();
        assert!(error.to_string().contains(CHAIN_FILE), "{error}");
    }
}

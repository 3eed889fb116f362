//! Wallets on disk: a private key in a PEM file, and beside it the identity card, a JWT that anyone may see.
//!
//! `NAME.pem` is PKCS#8, by default encrypted under a passphrase, readable by its owner alone; `NAME.jwt` is the wallet token. Files are
//! written whole or not at all, and never over others.
//!
//! Source: SPEC.md section 2; RFC 5958 (PKCS#8), RFC 8018 (PBES2), RFC 7914 (scrypt), RFC 8410 (Ed25519 keys).

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use lyceum_protocol::{Address, SecretKey, WALLET_BYTES_MAX, Wallet, WalletError};
use zeroize::Zeroizing;

mod folder;
mod passphrase;
mod pem;
mod write;

pub use folder::{KeyState, WalletFolder, WalletName, WalletNameError, WalletPaths, WalletView};
pub use passphrase::{
    PASSPHRASE_BYTES_MAX, PASSPHRASE_VARIABLE, Passphrase, PassphraseError, PassphraseSource,
};
pub use pem::{EncryptedKey, KeyFile, KeyFileError, Protection, encode_key};
pub use write::{Visibility, write_new};

/// The longest key file. One that we write takes about 400 bytes.
pub const KEY_FILE_BYTES_MAX: usize = 16 << 10;

/// Loads the private key in a PEM file, asking `passphrase` only where it is encrypted.
///
/// # Errors
/// [`WalletFileError`]: no such file, no Ed25519 key in it, a wrong passphrase or none.
pub fn load_key(path: &Path, passphrase: &PassphraseSource) -> Result<SecretKey, WalletFileError> {
    match read_key(path)? {
        KeyFile::Plain(key) => Ok(key),
        KeyFile::Encrypted(encrypted) => {
            let prompt = format!("Passphrase of {}: ", path.display());
            let passphrase = passphrase.read(&prompt)?;
            let key = encrypted.open(&passphrase);
            key.map_err(|error| WalletFileError::key(path, error))
        }
    }
}

/// Reads a key file without opening it.
///
/// # Errors
/// [`WalletFileError`] where it can't be read, or is no key file.
pub fn read_key(path: &Path) -> Result<KeyFile, WalletFileError> {
    let text = read_bounded(path, KEY_FILE_BYTES_MAX)?;
    KeyFile::parse(&text).map_err(|error| WalletFileError::key(path, error))
}

/// Reads an identity card and verifies its signature.
///
/// # Errors
/// [`WalletFileError`] where it can't be read, or is no wallet.
pub fn read_card(path: &Path) -> Result<Wallet, WalletFileError> {
    // A line feed may follow.
    let text = read_bounded(path, WALLET_BYTES_MAX + 2)?;
    Wallet::decode(text.trim_end()).map_err(|error| {
        let path = path.to_owned();
        WalletFileError::Card { path, error }
    })
}

/// A new key from the operating system's entropy.
///
/// # Errors
/// [`WalletFileError::Entropy`] where the system has none.
pub fn new_key() -> Result<SecretKey, WalletFileError> {
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice())?;
    Ok(SecretKey::from_seed(&seed))
}

fn read_bounded(path: &Path, max: usize) -> Result<Zeroizing<String>, WalletFileError> {
    let failed = |error| WalletFileError::Read {
        path: path.to_owned(),
        error,
    };
    // Room for all of it, so that no copy is left behind by growing.
    let mut text = Zeroizing::new(String::with_capacity(max + 1));
    let mut file = File::open(path).map_err(failed)?.take(max as u64 + 1);
    file.read_to_string(&mut text).map_err(failed)?;
    if text.len() > max {
        let path = path.to_owned();
        return Err(WalletFileError::Size { path, max });
    }
    Ok(text)
}

/// Why a wallet can't be read or written, and in which file.
#[derive(Debug, thiserror::Error)]
pub enum WalletFileError {
    /// The file can't be read.
    #[error("{}: cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The file is too long to be a wallet's.
    #[error("{}: longer than {max} bytes, so no wallet file", path.display())]
    Size {
        /// The file.
        path: PathBuf,
        /// The most bytes allowed.
        max: usize,
    },
    /// The file can't be written.
    #[error("{}: cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is such a file already.
    #[error("{}: exists already, and is never overwritten; choose another name or move it away", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Neither a key nor a card of that name.
    #[error("{}: no such wallet; `lyceum wallet list` shows those there are, `lyceum wallet new NAME` makes one", path.display())]
    Missing {
        /// Where its key would be.
        path: PathBuf,
    },
    /// An encrypted key without its card, so that not even its address is known.
    #[error("{}: missing, and the key beside it is encrypted; `lyceum wallet import NEWNAME KEYFILE` makes a new card", path.display())]
    MissingCard {
        /// Where its card would be.
        path: PathBuf,
    },
    /// Not a key file, or not one that opens.
    #[error("{}: {error}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        error: KeyFileError,
    },
    /// Not an identity card.
    #[error("{}: not a wallet's identity card: {error}", path.display())]
    Card {
        /// The file.
        path: PathBuf,
        /// Why.
        error: WalletError,
    },
    /// The card belongs to another key.
    #[error("{}: the card of {card}, but the key is that of {key}; put the right card there", path.display())]
    CardOfAnother {
        /// The card.
        path: PathBuf,
        /// Whose card it is.
        card: Address,
        /// Whose key it is.
        key: Address,
    },
    /// No passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// The operating system gives no entropy.
    #[error("the operating system gives no entropy: {0}")]
    Entropy(#[from] getrandom::Error),
}

impl WalletFileError {
    fn key(path: &Path, error: KeyFileError) -> Self {
        let path = path.to_owned();
        Self::Key { path, error }
    }

    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Size { .. } => "file_size",
            Self::Write { .. } => "write",
            Self::Exists { .. } => "exists",
            Self::Missing { .. } => "missing",
            Self::MissingCard { .. } => "missing_card",
            Self::Key { error, .. } => error.reason(),
            Self::Card { error, .. } => error.reason(),
            Self::CardOfAnother { .. } => "card_of_another",
            Self::Passphrase(error) => error.reason(),
            Self::Entropy(_) => "entropy",
        }
    }
}

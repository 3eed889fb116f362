use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use directories::ProjectDirs;
use lyceum_protocol::{Address, SecretKey, UserId, Wallet};

use super::write::make_folder;
use super::{
    KeyFile, Protection, Visibility, WalletFileError, encode_key, read_card, read_key, write_new,
};

/// The longest name of a wallet.
const NAME_BYTES_MAX: usize = 64;

/// What a wallet is called on this machine: 1 to 64 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, not starting with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalletName(String);

impl WalletName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as a user id: it is always one.
    pub fn to_user_id(&self) -> UserId {
        self.0.parse().expect("every name is a user id")
    }
}

impl fmt::Display for WalletName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WalletName {
    type Err = WalletNameError;

    fn from_str(text: &str) -> Result<Self, WalletNameError> {
        let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
        let is_name = (1..=NAME_BYTES_MAX).contains(&text.len())
            && !text.starts_with('.')
            && text.bytes().all(is_allowed);
        is_name
            .then(|| Self(text.to_owned()))
            .ok_or(WalletNameError)
    }
}

/// A text is not a wallet's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-', and does not start with a dot")]
pub struct WalletNameError;

/// The two files of a wallet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletPaths {
    /// The private key, in PEM.
    pub key: PathBuf,
    /// The identity card, a JWT.
    pub card: PathBuf,
}

impl WalletPaths {
    /// The files of the wallet to which `file`, a key or a card (`.jwt`), belongs.
    pub fn beside(file: &Path) -> Self {
        let is_card = file.extension().is_some_and(|extension| extension == "jwt");
        let key = if is_card {
            file.with_extension("pem")
        } else {
            file.to_owned()
        };
        let card = file.with_extension("jwt");
        Self { key, card }
    }

    /// Looks at the files: whose they are, and whether they belong together as far as that shows without a passphrase.
    ///
    /// # Errors
    /// [`WalletFileError`] where a file is damaged, both are missing, or the card is that of another key.
    pub fn look(&self) -> Result<WalletView, WalletFileError> {
        let card = there(read_card(&self.card))?;
        let key = there(read_key(&self.key))?;
        let address = match (&key, &card) {
            (Some(KeyFile::Plain(key)), _) => Address::from_bytes(key.public()),
            (_, Some(card)) => card.address(),
            (Some(KeyFile::Encrypted(_)), None) => {
                let path = self.card.clone();
                return Err(WalletFileError::MissingCard { path });
            }
            (None, None) => {
                let path = self.key.clone();
                return Err(WalletFileError::Missing { path });
            }
        };
        if let Some(card) = &card {
            self.check_card(card, address)?;
        }
        Ok(WalletView {
            address,
            key: match key {
                None => KeyState::Missing,
                Some(KeyFile::Plain(_)) => KeyState::Plain,
                Some(KeyFile::Encrypted(_)) => KeyState::Encrypted,
            },
            card,
        })
    }

    fn check_card(&self, card: &Wallet, key: Address) -> Result<(), WalletFileError> {
        if card.address() == key {
            return Ok(());
        }
        let (path, card) = (self.card.clone(), card.address());
        Err(WalletFileError::CardOfAnother { path, card, key })
    }

    /// Writes a new wallet: the key, then the card, which can be made again.
    ///
    /// # Errors
    /// [`WalletFileError::Exists`] where one of the files is there: then nothing is written.
    pub fn create(
        &self,
        key: &SecretKey,
        card: &Wallet,
        protection: Protection<'_>,
    ) -> Result<(), WalletFileError> {
        self.check_card(card, Address::from_bytes(key.public()))?;
        self.check_free()?;
        if let Some(folder) = self.key.parent() {
            make_folder(folder)?;
        }
        let pem = encode_key(key, protection);
        let pem = pem.map_err(|error| WalletFileError::key(&self.key, error))?;
        write_new(&self.key, &pem, Visibility::Secret)?;
        let line = format!("{}\n", card.token());
        write_new(&self.card, &line, Visibility::Public)
    }

    /// Is there room for a new wallet? Asked before a passphrase is.
    ///
    /// # Errors
    /// [`WalletFileError::Exists`].
    pub fn check_free(&self) -> Result<(), WalletFileError> {
        for path in [&self.key, &self.card] {
            if path.symlink_metadata().is_ok() {
                let path = path.clone();
                return Err(WalletFileError::Exists { path });
            }
        }
        Ok(())
    }
}

/// A file that is not there is no error.
fn there<T>(read: Result<T, WalletFileError>) -> Result<Option<T>, WalletFileError> {
    match read {
        Err(WalletFileError::Read { error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        read => read.map(Some),
    }
}

/// What can be seen of a wallet without a passphrase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletView {
    /// Its address.
    pub address: Address,
    /// Its identity card, if there is one.
    pub card: Option<Wallet>,
    /// Its key.
    pub key: KeyState,
}

/// How a wallet's key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Not at all: there is only a card.
    Missing,
    /// Without a passphrase; it is that of the card.
    Plain,
    /// Under a passphrase.
    Encrypted,
}

/// The folder of a user's wallets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WalletFolder {
    path: PathBuf,
}

impl WalletFolder {
    /// The folder at `path`, which need not exist yet.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// The user's own: `lyceum/wallets` in the XDG data folder. `None` for a user without a home.
    pub fn of_user() -> Option<Self> {
        let folders = ProjectDirs::from("", "", "lyceum")?;
        Some(Self::new(folders.data_dir().join("wallets")))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of the wallet `name`.
    pub fn paths(&self, name: &WalletName) -> WalletPaths {
        WalletPaths {
            key: self.path.join(format!("{name}.pem")),
            card: self.path.join(format!("{name}.jwt")),
        }
    }

    /// The names of the wallets in it, sorted; none where there is no such folder.
    ///
    /// # Errors
    /// [`WalletFileError::Read`].
    pub fn names(&self) -> Result<BTreeSet<WalletName>, WalletFileError> {
        let failed = |error| WalletFileError::Read {
            path: self.path.clone(),
            error,
        };
        let Some(entries) = there(fs::read_dir(&self.path).map_err(failed))? else {
            return Ok(BTreeSet::new());
        };
        let mut names = BTreeSet::new();
        for entry in entries {
            let file = entry.map_err(failed)?.file_name();
            let stem = file.to_str().and_then(|file| {
                let stem = file.strip_suffix(".pem");
                stem.or_else(|| file.strip_suffix(".jwt"))
            });
            names.extend(stem.and_then(|stem| stem.parse().ok()));
        }
        Ok(names)
    }
}

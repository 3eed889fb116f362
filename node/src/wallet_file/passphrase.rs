use std::fmt;
use std::io::{self, Read as _};
use std::path::PathBuf;

use zeroize::Zeroizing;

/// The longest passphrase, in bytes.
pub const PASSPHRASE_BYTES_MAX: usize = 1024;
/// The environment variable that gives a passphrase.
pub const PASSPHRASE_VARIABLE: &str = "LYCEUM_PASSPHRASE";

/// What a key is encrypted under: 1 to 1024 bytes. Wiped from memory on drop; never printed.
pub struct Passphrase(Zeroizing<String>);

impl Passphrase {
    /// Wraps a text.
    ///
    /// # Errors
    /// [`PassphraseError::Empty`], [`PassphraseError::Size`].
    pub fn new(text: Zeroizing<String>) -> Result<Self, PassphraseError> {
        match text.len() {
            0 => Err(PassphraseError::Empty),
            1..=PASSPHRASE_BYTES_MAX => Ok(Self(text)),
            _ => Err(PassphraseError::Size),
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passphrase").finish_non_exhaustive()
    }
}

/// Where a passphrase comes from.
#[derive(Debug)]
pub enum PassphraseSource {
    /// The first line of a file.
    File(PathBuf),
    /// A text that is at hand.
    Text(Zeroizing<String>),
    /// The terminal, without echo.
    Terminal,
}

impl PassphraseSource {
    /// A command's choice: `file` if it is given, else the variable [`PASSPHRASE_VARIABLE`] if it is set, else the terminal.
    ///
    /// # Errors
    /// [`PassphraseError::NotText`] where the variable is not UTF-8.
    pub fn choose(file: Option<PathBuf>) -> Result<Self, PassphraseError> {
        if let Some(file) = file {
            return Ok(Self::File(file));
        }
        match std::env::var(PASSPHRASE_VARIABLE) {
            Ok(text) => Ok(Self::Text(Zeroizing::new(text))),
            Err(std::env::VarError::NotPresent) => Ok(Self::Terminal),
            Err(std::env::VarError::NotUnicode(_)) => Err(PassphraseError::NotText),
        }
    }

    /// Reads the passphrase of a key that there is; `prompt` asks for it on a terminal.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn read(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        let text = match self {
            Self::File(path) => first_line(path)?,
            Self::Text(text) => text.clone(),
            Self::Terminal => ask(prompt)?,
        };
        Passphrase::new(text)
    }

    /// Reads the passphrase for a new key, on a terminal twice.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn read_new(&self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        let first = self.read(prompt)?;
        if matches!(self, Self::Terminal) && *ask("Once more: ")? != *first.0 {
            return Err(PassphraseError::Differs);
        }
        Ok(first)
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let text = rpassword::prompt_password(prompt);
    text.map(Zeroizing::new).map_err(PassphraseError::Terminal)
}

fn first_line(path: &PathBuf) -> Result<Zeroizing<String>, PassphraseError> {
    let failed = |error| PassphraseError::File {
        path: path.clone(),
        error,
    };
    let room = PASSPHRASE_BYTES_MAX + 3;
    let mut text = Zeroizing::new(String::with_capacity(room));
    let file = std::fs::File::open(path).map_err(failed)?;
    let read = file.take(room as u64).read_to_string(&mut text);
    read.map_err(failed)?;
    let line = text.lines().next().unwrap_or_default();
    Ok(Zeroizing::new(line.to_owned()))
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// It has no characters.
    #[error("the passphrase is empty; to keep a key without one, give --plain")]
    Empty,
    /// It is too long.
    #[error("the passphrase is longer than {PASSPHRASE_BYTES_MAX} bytes")]
    Size,
    /// The variable is not UTF-8.
    #[error("{PASSPHRASE_VARIABLE} is not UTF-8")]
    NotText,
    /// Typed differently the second time.
    #[error("the two passphrases differ; nothing was written")]
    Differs,
    /// Its file can't be read.
    #[error("{}: the passphrase cannot be read: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no terminal to ask on.
    #[error(
        "no terminal to ask for a passphrase on ({0}); give --passphrase-file FILE or set {PASSPHRASE_VARIABLE}"
    )]
    Terminal(io::Error),
}

impl PassphraseError {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "passphrase_empty",
            Self::Size => "passphrase_size",
            Self::NotText => "passphrase_text",
            Self::Differs => "passphrase_differs",
            Self::File { .. } => "passphrase_file",
            Self::Terminal(_) => "passphrase_terminal",
        }
    }
}

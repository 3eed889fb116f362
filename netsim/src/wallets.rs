//! The people of a local network: wallets that `lyceum wallet` makes, in a folder where a user finds them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use ed25519::pkcs8::KeypairBytes;
use lyceum_protocol::{Address, SecretKey};

use crate::process::without_variables;

/// What somebody does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Runs the learning centre: members, proposals.
    Registrar,
    /// Gives courses, grades and certificates.
    Teacher,
    /// Takes courses.
    Student,
    /// Mines, and sends nothing.
    Miner,
}

/// Everybody who sends transactions.
pub const PEOPLE: [(&str, Role); 12] = [
    ("registrar", Role::Registrar),
    ("ada", Role::Teacher),
    ("emmy", Role::Teacher),
    ("kurt", Role::Teacher),
    ("alan", Role::Student),
    ("barbara", Role::Student),
    ("claude", Role::Student),
    ("dorothy", Role::Student),
    ("edsger", Role::Student),
    ("frances", Role::Student),
    ("grace", Role::Student),
    ("hedy", Role::Student),
];

/// A wallet with its key.
pub struct Person {
    /// The wallet's name, and its user id.
    pub name: String,
    /// What they do.
    pub role: Role,
    /// Their key.
    pub key: SecretKey,
    /// Their address.
    pub address: Address,
    /// The identity card: a wallet token.
    pub card: String,
    /// The key file.
    pub key_file: PathBuf,
}

/// Makes a wallet in `folder`, its key without a passphrase.
///
/// # Errors
/// Where `lyceum wallet new` fails, or its files are not as expected.
pub(crate) fn make(lyceum: &Path, folder: &Path, name: &str, role: Role) -> anyhow::Result<Person> {
    let mut command = Command::new(lyceum);
    without_variables(&mut command);
    let made = command
        .args(["wallet", "new", name, "--plain", "--dir"])
        .arg(folder)
        .output()
        .with_context(|| format!("{}: cannot be run", lyceum.display()))?;
    anyhow::ensure!(
        made.status.success(),
        "`lyceum wallet new {name}` failed: {}",
        String::from_utf8_lossy(&made.stderr).trim_end()
    );
    let key_file = folder.join(format!("{name}.pem"));
    let card = folder.join(format!("{name}.jwt"));
    let read = |path: &Path| {
        std::fs::read_to_string(path).with_context(|| format!("{}: cannot be read", path.display()))
    };
    let pair: Result<KeypairBytes, _> = read(&key_file)?.parse();
    let pair = pair.map_err(|error| anyhow::anyhow!("{}: {error}", key_file.display()))?;
    let key = SecretKey::from_seed(&pair.secret_key);
    Ok(Person {
        name: name.to_owned(),
        role,
        address: Address::from_bytes(key.public()),
        key,
        card: read(&card)?.trim_end().to_owned(),
        key_file,
    })
}

//! `lyceum wallet`: keys and their identity cards.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use lyceum_protocol::{SecretKey, UserId, Wallet};
use serde_json::{Value, json};

use super::print;
use crate::wallet_file::{
    KeyFile, KeyState, Passphrase, PassphraseSource, Protection, Visibility, WalletFileError,
    WalletFolder, WalletName, WalletPaths, WalletView, encode_key, load_key, new_key, read_card,
    read_key, write_new,
};

#[derive(Debug, Subcommand)]
pub(crate) enum WalletCommand {
    /// Make a wallet: a private key, and the identity card that it signs
    #[command(after_help = NEW_HELP)]
    New(New),
    /// Show a wallet's address, user id and files
    #[command(after_help = SHOW_HELP)]
    Show(Show),
    /// List the wallets of a folder
    List(List),
    /// Make a wallet of a private key that there is
    #[command(after_help = IMPORT_HELP)]
    Import(Import),
    /// Write a wallet's identity card, or its private key, somewhere else
    #[command(after_help = EXPORT_HELP)]
    Export(Export),
}

const NEW_HELP: &str = "\
The key is encrypted under a passphrase: that in --passphrase-file, else in the variable LYCEUM_PASSPHRASE, else one asked for on the
terminal, twice. Whoever has both files and the passphrase is the wallet's holder; nobody can give a lost one back.

Examples:
  lyceum wallet new alice
  lyceum wallet new alice --user-id student123
  lyceum wallet new miner --plain --dir /var/lib/lyceum/wallets";

const SHOW_HELP: &str = "\
Examples:
  lyceum wallet show alice
  lyceum wallet show ./alice.jwt --json";

const IMPORT_HELP: &str = "\
FILE is an Ed25519 key in PEM (PKCS#8), plain or encrypted. A passphrase that comes from a file or from LYCEUM_PASSPHRASE is that of FILE,
if it is encrypted, and that of the new wallet.

Examples:
  openssl genpkey -algorithm ed25519 -out key.pem
  lyceum wallet import alice key.pem
  lyceum wallet import alice backup/alice.pem --card backup/alice.jwt";

const EXPORT_HELP: &str = "\
Examples:
  lyceum wallet export alice                             prints the identity card, which is no secret
  lyceum wallet export alice --secret --out backup.pem   copies the key, encrypted as it is
  lyceum wallet export alice --secret --plain            prints the key itself";

/// Which folder.
#[derive(Debug, Args)]
struct Folder {
    /// The folder of the wallets [default: lyceum/wallets in the user's data folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Folder {
    fn open(&self) -> anyhow::Result<WalletFolder> {
        let given = self.dir.clone().map(WalletFolder::new);
        given
            .or_else(WalletFolder::of_user)
            .context("this user has no home folder; say where with --dir DIR")
    }
}

/// How a key is kept.
#[derive(Debug, Args)]
struct Secrecy {
    /// Keep the key without a passphrase: whoever can read the file has it
    #[arg(long)]
    plain: bool,
    #[command(flatten)]
    passphrase: FromFile,
}

#[derive(Debug, Args)]
struct FromFile {
    /// Read the passphrase from the first line of FILE
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl FromFile {
    fn source(&self) -> anyhow::Result<PassphraseSource> {
        Ok(PassphraseSource::choose(self.passphrase_file.clone())?)
    }
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// What to call it here: A-Z, a-z, 0-9, '.', '_' and '-'
    name: WalletName,
    /// The name that the identity card gives its holder [default: NAME]
    #[arg(long, value_name = "ID")]
    user_id: Option<UserId>,
    #[command(flatten)]
    secrecy: Secrecy,
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// A wallet's name, or one of its files
    #[arg(value_name = "NAME|FILE")]
    wallet: PathBuf,
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// What to call it here: A-Z, a-z, 0-9, '.', '_' and '-'
    name: WalletName,
    /// The private key
    file: PathBuf,
    /// The name that a new identity card gives its holder [default: NAME]
    #[arg(long, value_name = "ID", conflicts_with = "card")]
    user_id: Option<UserId>,
    /// Keep this identity card of the key instead of making a new one
    #[arg(long, value_name = "CARD")]
    card: Option<PathBuf>,
    #[command(flatten)]
    secrecy: Secrecy,
    #[command(flatten)]
    folder: Folder,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The wallet's name
    name: WalletName,
    /// Write to a new file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the private key instead of the identity card
    #[arg(long)]
    secret: bool,
    /// Write the private key without its passphrase
    #[arg(long, requires = "secret")]
    plain: bool,
    #[command(flatten)]
    passphrase: FromFile,
    #[command(flatten)]
    folder: Folder,
}

impl WalletCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::New(new) => new.run(),
            Self::Show(show) => show.run(),
            Self::List(list) => list.run(),
            Self::Import(import) => import.run(),
            Self::Export(export) => export.run(),
        }
    }
}

impl New {
    fn run(self) -> anyhow::Result<()> {
        let paths = self.folder.open()?.paths(&self.name);
        paths.check_free()?;
        let key = new_key()?;
        let user_id = self.user_id.unwrap_or_else(|| self.name.to_user_id());
        let card = Wallet::create(&key, &user_id, now_seconds()?)?;
        let source = self.secrecy.passphrase.source()?;
        create(&paths, &key, &card, &source, self.secrecy.plain)?;
        print_wallet(&self.name.to_string(), &paths, self.json)
    }
}

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let wallet = self.wallet.to_string_lossy();
        let is_file = is_file(&self.wallet);
        let paths = find_wallet(&self.wallet, self.folder.dir.clone())?;
        let name = self.wallet.file_stem().map(|stem| stem.to_string_lossy());
        let name = if is_file {
            name.unwrap_or(wallet.clone())
        } else {
            wallet.clone()
        };
        print_wallet(&name, &paths, self.json)
    }
}

/// Is this a wallet's file, and not its name?
fn is_file(wallet: &Path) -> bool {
    let text = wallet.to_string_lossy();
    let is_wallet = text.ends_with(".pem") || text.ends_with(".jwt");
    text.contains(['/', '\\']) || is_wallet && wallet.exists()
}

/// The files of a wallet, by its name in a folder (the user's own where none is given), or by one of them.
pub(crate) fn find_wallet(wallet: &Path, dir: Option<PathBuf>) -> anyhow::Result<WalletPaths> {
    if is_file(wallet) {
        return Ok(WalletPaths::beside(wallet));
    }
    let text = wallet.to_string_lossy();
    let name: WalletName = text.parse().with_context(|| {
        format!("{text:?} is no wallet's name; a file is given with its folder, as in ./FILE")
    })?;
    Ok(Folder { dir }.open()?.paths(&name))
}

/// Makes a plain wallet of a new key in `file`, for a miner that was given none, unless it is there.
pub(crate) fn make_miner_wallet(file: &Path) -> anyhow::Result<()> {
    if file.exists() {
        return Ok(());
    }
    let key = new_key()?;
    let user_id = "miner".parse().expect("a user id");
    let card = Wallet::create(&key, &user_id, now_seconds()?)?;
    Ok(WalletPaths::beside(file).create(&key, &card, Protection::Plain)?)
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let folder = self.folder.open()?;
        let names = folder.names()?;
        if names.is_empty() && !self.json {
            eprintln!(
                "no wallets in {}; `lyceum wallet new NAME` makes one",
                folder.path().display()
            );
        }
        let width = names.iter().map(|name| name.as_str().len()).max();
        let (mut text, mut items) = (String::new(), Vec::new());
        for name in names {
            let paths = folder.paths(&name);
            let (line, item) = match paths.look() {
                Ok(view) => {
                    let user_id = view
                        .card
                        .as_ref()
                        .map_or("-", |card| card.user_id().as_str());
                    let line = format!("{}  {user_id}  {}", view.address, kept(view.key));
                    (line, to_json(name.as_str(), &paths, &view))
                }
                Err(error) => {
                    let error = error.to_string();
                    (
                        format!("damaged: {error}"),
                        json!({"name": name.as_str(), "error": error}),
                    )
                }
            };
            let width = width.unwrap_or_default();
            text += &format!("{:width$}  {line}\n", name.as_str());
            items.push(item);
        }
        match self.json {
            true => print_json(&Value::Array(items)),
            false => print(text.as_bytes()),
        }
    }
}

impl Import {
    fn run(self) -> anyhow::Result<()> {
        let paths = self.folder.open()?.paths(&self.name);
        paths.check_free()?;
        let source = self.secrecy.passphrase.source()?;
        let key = load_key(&self.file, &source)?;
        let card = match &self.card {
            Some(card) => read_card(card)?,
            None => {
                let user_id = self.user_id.unwrap_or_else(|| self.name.to_user_id());
                Wallet::create(&key, &user_id, now_seconds()?)?
            }
        };
        let created = create(&paths, &key, &card, &source, self.secrecy.plain);
        // Of a card that is not the key's, say which file it was.
        created.map_err(|error| match (error, self.card) {
            (WalletFileError::CardOfAnother { card, key, .. }, Some(path)) => {
                WalletFileError::CardOfAnother { path, card, key }
            }
            (error, _) => error,
        })?;
        print_wallet(&self.name.to_string(), &paths, self.json)
    }
}

impl Export {
    fn run(self) -> anyhow::Result<()> {
        let paths = self.folder.open()?.paths(&self.name);
        if !self.secret {
            paths.look()?;
            let card = read_card(&paths.card)?;
            let line = format!("{}\n", card.token());
            return self.write(&line, Visibility::Public);
        }
        let text = match read_key(&paths.key)? {
            KeyFile::Encrypted(_) if !self.plain => {
                eprintln!(
                    "warning: this is the private key; whoever has it and its passphrase is the wallet's holder"
                );
                super::read_text(&paths.key)?.into()
            }
            _ => {
                let source = self.passphrase.source()?;
                let key = load_key(&paths.key, &source)?;
                eprintln!(
                    "warning: this is the private key without a passphrase; whoever reads it is the wallet's holder"
                );
                encode_key(&key, Protection::Plain)?
            }
        };
        self.write(&text, Visibility::Secret)
    }

    fn write(&self, text: &str, visibility: Visibility) -> anyhow::Result<()> {
        match &self.out {
            Some(path) => Ok(write_new(path, text, visibility)?),
            None => print(text.as_bytes()),
        }
    }
}

/// Writes a wallet's files, asking for a passphrase unless the key is kept plain.
fn create(
    paths: &WalletPaths,
    key: &SecretKey,
    card: &Wallet,
    source: &PassphraseSource,
    is_plain: bool,
) -> Result<(), WalletFileError> {
    if is_plain {
        return paths.create(key, card, Protection::Plain);
    }
    let passphrase: Passphrase = source.read_new("Passphrase for the new wallet: ")?;
    paths.create(key, card, Protection::Passphrase(&passphrase))
}

fn print_wallet(name: &str, paths: &WalletPaths, is_json: bool) -> anyhow::Result<()> {
    let view = paths.look()?;
    if is_json {
        return print_json(&to_json(name, paths, &view));
    }
    let mut text = format!("address  {}\n", view.address);
    if let Some(card) = &view.card {
        text += &format!("user id  {}\n", card.user_id());
        text += &format!("card     {}\n", paths.card.display());
    }
    let key = match view.key {
        KeyState::Missing => "none here".to_owned(),
        state => format!("{} ({})", paths.key.display(), kept(state)),
    };
    text += &format!("key      {key}\n");
    print(text.as_bytes())
}

fn kept(state: KeyState) -> &'static str {
    match state {
        KeyState::Missing => "card only",
        KeyState::Plain => "plain",
        KeyState::Encrypted => "encrypted",
    }
}

fn to_json(name: &str, paths: &WalletPaths, view: &WalletView) -> Value {
    let file = |path: &Path, is_there: bool| is_there.then(|| path.display().to_string());
    let card = view.card.as_ref();
    json!({
        "name": name,
        "address": view.address.to_string(),
        "user_id": card.map(|card| card.user_id().as_str()),
        "issued_at": card.map(Wallet::issued_at),
        "card": file(&paths.card, card.is_some()),
        "key": file(&paths.key, view.key != KeyState::Missing),
        "encrypted": view.key == KeyState::Encrypted,
        // An encrypted key shows only when it is opened whose it is.
        "verified": card.is_some() && view.key == KeyState::Plain,
    })
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    print(format!("{value}\n").as_bytes())
}

fn now_seconds() -> anyhow::Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.context("this machine's clock stands before 1970; set it")?;
    Ok(now.as_secs())
}

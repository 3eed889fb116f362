//! What a node is told: a TOML file, then `LYCEUM_*` variables, then flags; the later has the last word.
//!
//! [`Settings`] has every option once, with its default and its description: the command line, the variables, the file and `--print-config` all
//! follow from it.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::path::{Path, PathBuf};

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches as _, ValueEnum};
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};
use toml::Table;

mod print;

use crate::core::{BYTES_MAX, SENDER_SEQS_MAX, TRANSACTIONS_MAX};

/// The longest file of settings.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// Where the API listens, and where commands ask a node, unless told otherwise.
pub const HTTP_DEFAULT: &str = "127.0.0.1:8650";

/// How lines are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Every option of `lyceum node`.
#[derive(Debug, Clone, PartialEq, Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[group(skip)]
pub struct Settings {
    /// The chain: dev, public, or a chain file [default: that of the data folder, else dev]
    #[arg(long, env = "LYCEUM_CHAIN", value_name = "dev|public|FILE")]
    pub chain: Option<String>,
    /// Where the ledger, the node's identity and its bans are kept [default: the user's data folder, one per chain]
    #[arg(long, env = "LYCEUM_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What is logged: error, warn, info, debug, trace, or a filter such as info,lyceum_node=debug
    #[arg(
        long,
        env = "LYCEUM_LOG_LEVEL",
        value_name = "LEVEL|FILTER",
        default_value = "info"
    )]
    pub log_level: String,
    /// How lines are logged
    #[arg(long, env = "LYCEUM_LOG_FORMAT", value_enum, value_name = "FORMAT", default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Mine blocks
    #[arg(long, env = "LYCEUM_MINE", help_heading = "Mining", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub mine: bool,
    /// The wallet that is paid: its name, or its key file [default: miner.pem in the data folder, made where there is none]
    #[arg(
        long,
        env = "LYCEUM_WALLET",
        help_heading = "Mining",
        value_name = "NAME|FILE"
    )]
    pub wallet: Option<PathBuf>,
    /// Read the wallet's passphrase from the first line of FILE [default: LYCEUM_PASSPHRASE, else ask]
    #[arg(
        long,
        env = "LYCEUM_PASSPHRASE_FILE",
        help_heading = "Mining",
        value_name = "FILE"
    )]
    pub passphrase_file: Option<PathBuf>,
    /// Threads that mine
    #[arg(
        long,
        env = "LYCEUM_MINE_THREADS",
        help_heading = "Mining",
        value_name = "N",
        default_value = "1"
    )]
    pub mine_threads: NonZeroUsize,
    /// At most so many attempts a second, of all threads together [default: as many as they can make]
    #[arg(
        long,
        env = "LYCEUM_MINE_RATE",
        help_heading = "Mining",
        value_name = "N"
    )]
    pub mine_rate: Option<NonZeroU64>,

    /// Listen for peers here; may be given several times
    #[arg(long, env = "LYCEUM_LISTEN", help_heading = "Network", value_name = "MULTIADDR", value_delimiter = ',', default_values = ["/ip4/0.0.0.0/tcp/8651", "/ip4/0.0.0.0/udp/8651/quic-v1"])]
    pub listen: Vec<Multiaddr>,
    /// Tell peers this address of ours too; may be given several times
    #[arg(
        long,
        env = "LYCEUM_EXTERNAL",
        help_heading = "Network",
        value_name = "MULTIADDR",
        value_delimiter = ','
    )]
    pub external: Vec<Multiaddr>,
    /// Find first peers here, beside the chain's own bootnodes; may be given several times
    #[arg(
        long,
        env = "LYCEUM_BOOTNODE",
        help_heading = "Network",
        value_name = "MULTIADDR",
        value_delimiter = ','
    )]
    pub bootnode: Vec<Multiaddr>,
    /// The most connections, of both directions
    #[arg(
        long,
        env = "LYCEUM_CONNECTIONS_MAX",
        help_heading = "Network",
        value_name = "N",
        default_value = "144"
    )]
    pub connections_max: NonZeroU32,
    /// The most connections from one IP address
    #[arg(
        long,
        env = "LYCEUM_CONNECTIONS_PER_IP_MAX",
        help_heading = "Network",
        value_name = "N",
        default_value = "8"
    )]
    pub connections_per_ip_max: NonZeroU32,
    /// Find peers on the local network (mDNS)
    #[arg(long, env = "LYCEUM_MDNS", help_heading = "Network", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub mdns: bool,
    /// Ask the router to forward our ports (UPnP)
    #[arg(long, env = "LYCEUM_UPNP", help_heading = "Network", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub upnp: bool,
    /// Find out whether peers can reach us, and be reached through relays and hole punching where not (AutoNAT, relay, DCUtR)
    #[arg(long, env = "LYCEUM_NAT", help_heading = "Network", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub nat: bool,
    /// Relay connections for peers that can't be reached, within bounds
    #[arg(long, env = "LYCEUM_RELAY", help_heading = "Network", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub relay: bool,
    /// Find peers by the BitTorrent Mainline DHT [default: as the chain says]
    #[arg(long, env = "LYCEUM_RENDEZVOUS", help_heading = "Network", value_name = "BOOL", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub rendezvous: Option<bool>,

    /// Pull and seed segments by BitTorrent
    #[arg(long, env = "LYCEUM_TORRENTS", help_heading = "Torrents", value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub torrents: bool,
    /// Listen for BitTorrent clients here
    #[arg(
        long,
        env = "LYCEUM_TORRENT_LISTEN",
        help_heading = "Torrents",
        value_name = "ADDR",
        default_value = "0.0.0.0:8652"
    )]
    pub torrent_listen: SocketAddr,
    /// Announce segments to the chain's trackers
    #[arg(long, env = "LYCEUM_TRACKERS", help_heading = "Torrents", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub trackers: bool,
    /// Announce segments on the BitTorrent DHT, for clients that have but a magnet link
    #[arg(long, env = "LYCEUM_DHT", help_heading = "Torrents", value_name = "BOOL", default_value = "false", default_missing_value = "true", num_args = 0..=1, require_equals = true, value_parser = BoolishValueParser::new(), action = clap::ArgAction::Set)]
    pub dht: bool,
    /// The most torrents that are live at once; the others come to life when somebody asks
    #[arg(
        long,
        env = "LYCEUM_TORRENTS_LIVE_MAX",
        help_heading = "Torrents",
        value_name = "N",
        default_value = "100"
    )]
    pub torrents_live_max: NonZeroUsize,
    /// Send at most so many bytes a second by BitTorrent; at least 16384 [default: no limit]
    #[arg(long, env = "LYCEUM_TORRENT_UPLOAD_RATE", help_heading = "Torrents", value_name = "BYTES", value_parser = upload_rate)]
    pub torrent_upload_rate: Option<NonZeroU32>,
    /// Take at most so many bytes a second by BitTorrent [default: no limit]
    #[arg(
        long,
        env = "LYCEUM_TORRENT_DOWNLOAD_RATE",
        help_heading = "Torrents",
        value_name = "BYTES"
    )]
    pub torrent_download_rate: Option<NonZeroU32>,

    /// Serve the API, /metrics and health here
    #[arg(long, env = "LYCEUM_HTTP", help_heading = "API", value_name = "ADDR", default_value = HTTP_DEFAULT)]
    pub http: SocketAddr,
    /// Let web pages of this origin use the API; may be given several times [default: none]
    #[arg(
        long,
        env = "LYCEUM_CORS",
        help_heading = "API",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub cors: Vec<String>,

    /// Memory for what was read from the database, in MiB
    #[arg(
        long,
        env = "LYCEUM_CACHE_MIB",
        help_heading = "Ledger",
        value_name = "MIB",
        default_value = "64"
    )]
    pub cache_mib: NonZeroUsize,
    /// Memory for the state tree's pages, in MiB
    #[arg(
        long,
        env = "LYCEUM_TREE_CACHE_MIB",
        help_heading = "Ledger",
        value_name = "MIB",
        default_value = "256"
    )]
    pub tree_cache_mib: NonZeroUsize,
    /// Memory for the state's records, in MiB
    #[arg(
        long,
        env = "LYCEUM_RECORD_CACHE_MIB",
        help_heading = "Ledger",
        value_name = "MIB",
        default_value = "64"
    )]
    pub record_cache_mib: NonZeroUsize,
    /// Memory for blocks that are written together during sync, in MiB; the write takes as much again, and so does the next batch
    #[arg(
        long,
        env = "LYCEUM_BATCH_MIB",
        help_heading = "Ledger",
        value_name = "MIB",
        default_value = "16"
    )]
    pub batch_mib: NonZeroUsize,
    /// Memory for what is being written, in MiB; half as much again while it goes to a file
    #[arg(
        long,
        env = "LYCEUM_WRITE_BUFFER_MIB",
        help_heading = "Ledger",
        value_name = "MIB",
        default_value = "48"
    )]
    pub write_buffer_mib: NonZeroUsize,
    /// How many of the last blocks can be undone
    #[arg(
        long,
        env = "LYCEUM_REORG_DEPTH",
        help_heading = "Ledger",
        value_name = "BLOCKS",
        default_value = "1024"
    )]
    pub reorg_depth: NonZeroU64,
    /// The most pending transactions
    #[arg(long, env = "LYCEUM_MEMPOOL_TRANSACTIONS", help_heading = "Ledger", value_name = "N", default_value_t = NonZeroUsize::new(TRANSACTIONS_MAX).expect("not 0"))]
    pub mempool_transactions: NonZeroUsize,
    /// The most bytes of pending transactions, in MiB
    #[arg(long, env = "LYCEUM_MEMPOOL_MIB", help_heading = "Ledger", value_name = "MIB", default_value_t = NonZeroUsize::new(BYTES_MAX >> 20).expect("not 0"))]
    pub mempool_mib: NonZeroUsize,
    /// The most pending transactions of one sender
    #[arg(long, env = "LYCEUM_MEMPOOL_PER_SENDER", help_heading = "Ledger", value_name = "N", default_value_t = NonZeroU64::new(SENDER_SEQS_MAX).expect("not 0"))]
    pub mempool_per_sender: NonZeroU64,
}

/// The least upload rate: below it the engine sends nothing at all.
const UPLOAD_RATE_MIN: u32 = 16_384;

fn upload_rate(text: &str) -> Result<NonZeroU32, String> {
    let rate: NonZeroU32 = text.parse().map_err(|error| format!("{error}"))?;
    match rate.get() >= UPLOAD_RATE_MIN {
        true => Ok(rate),
        false => Err(format!("want at least {UPLOAD_RATE_MIN}")),
    }
}

/// Why settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The file is too long.
    #[error("{}: longer than {FILE_BYTES_MAX} bytes, so no configuration", path.display())]
    Size {
        /// The file.
        path: PathBuf,
    },
    /// The file has an unknown key or a value of the wrong kind; says on which line.
    #[error("{}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: toml::de::Error,
    },
    /// A value that the command line would not take either.
    #[error("{0}")]
    Value(String),
}

impl Settings {
    /// The settings of the command line `matches` (variables included) over those of the file, if any, over the defaults.
    ///
    /// # Errors
    /// [`ConfigError`] about the file.
    pub fn merge(matches: &ArgMatches, file: Option<&Path>) -> Result<Self, ConfigError> {
        let given = Self::from_arg_matches(matches).expect("clap has checked it");
        let Some(file) = file else {
            return Ok(given);
        };
        let mut merged = table(&Self::default());
        merged.extend(read(file)?);
        merged.extend(table(&given).into_iter().filter(|(key, _)| {
            let source = matches.value_source(key);
            source.is_some_and(|source| source != ValueSource::DefaultValue)
        }));
        let merged = merged.try_into::<Self>();
        let merged = merged.map_err(|error| ConfigError::File {
            path: file.to_owned(),
            error,
        })?;
        merged.check()?;
        Ok(merged)
    }

    /// What a file may say and the command line would not let through.
    fn check(&self) -> Result<(), ConfigError> {
        if let Some(rate) = self.torrent_upload_rate {
            let checked = upload_rate(&rate.to_string());
            checked.map_err(|why| ConfigError::Value(format!("torrent_upload_rate: {why}")))?;
        }
        Ok(())
    }
}

impl Default for Settings {
    /// The settings where nothing is said, whatever the environment has.
    fn default() -> Self {
        let bare = command().mut_args(|argument| argument.env(None::<&str>));
        let matches = bare.no_binary_name(true).get_matches_from([""; 0]);
        Self::from_arg_matches(&matches).expect("every option has a default or is optional")
    }
}

/// A command with all the options, and nothing else.
fn command() -> Command {
    Settings::augment_args(Command::new("node"))
}

/// The options that are set, by key.
fn table(settings: &Settings) -> Table {
    Table::try_from(settings).expect("settings are a table")
}

/// The options in a file, each known and of the right kind.
fn read(path: &Path) -> Result<Table, ConfigError> {
    let failed = |error| ConfigError::Read {
        path: path.to_owned(),
        error,
    };
    let refused = |error| ConfigError::File {
        path: path.to_owned(),
        error,
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > FILE_BYTES_MAX {
        let path = path.to_owned();
        return Err(ConfigError::Size { path });
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    toml::from_str::<Settings>(&text).map_err(refused)?;
    toml::from_str(&text).map_err(refused)
}

#[cfg(test)]
mod tests;

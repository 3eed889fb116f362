//! `lyceum node`: the node itself.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgMatches, Args};
use lyceum_protocol::ChainSpec;
use tokio::runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

use super::chain::{default_folder, read_spec};
use super::print;
use super::sync_progress::SyncProgress;
use super::wallet::{find_wallet, make_miner_wallet};
use crate::config::Settings;
use crate::driver::{NodeConfig, Opening, folder_chain, open_chain};
use crate::logging;
use crate::miner::MinerConfig;
use crate::wallet_file::{PassphraseSource, load_key};

/// How long tasks that are given up may take to let go of what they hold.
const SHUTDOWN_MAX: Duration = Duration::from_secs(1);
/// The exit status after a second Ctrl-C, as shells give it to a program that a signal ended.
const EXIT_INTERRUPTED: i32 = 130;
/// The wallet that a miner without one is given, in the data folder.
const MINER_KEY_FILE: &str = "miner.pem";

pub(crate) const EXAMPLES: &str = "Settings come from --config FILE, then from LYCEUM_* variables, then from flags: the later has the last word.

Examples:
  lyceum node                                         follow the chain dev
  lyceum node --chain public --mine --wallet alice    follow and extend the public chain
  lyceum node --bootnode /ip4/192.0.2.1/tcp/8651 --data-dir /var/lib/lyceum --log-format json
  lyceum node --print-config > lyceum.toml && lyceum node --config lyceum.toml

Two nodes on one machine:
  lyceum node --mine
  lyceum node --data-dir /tmp/second --http 127.0.0.1:8660 --listen /ip4/127.0.0.1/tcp/8661 \\
      --torrent-listen 127.0.0.1:8662 --bootnode /ip4/127.0.0.1/tcp/8651";

/// Run a node: join peers, follow the chain, serve the API
#[derive(Debug, Args)]
pub(crate) struct NodeCommand {
    /// Read settings from this TOML file
    #[arg(long, env = "LYCEUM_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the settings as they would be used, as a file, and do nothing
    #[arg(long)]
    print_config: bool,
    #[command(flatten)]
    settings: Settings,
}

impl NodeCommand {
    /// Runs the node; `matches` are this command's.
    pub(crate) fn run(self, matches: &ArgMatches) -> anyhow::Result<()> {
        let settings = Settings::merge(matches, self.config.as_deref())?;
        if self.print_config {
            return print(settings.to_string().as_bytes());
        }
        let is_terminal = std::io::stderr().is_terminal();
        let bar = logging::start(&settings.log_level, settings.log_format, is_terminal)?;
        let (data_dir, spec) = place(&settings)?;
        let miner = match settings.mine {
            true => Some(miner(&settings, &data_dir)?),
            false => None,
        };
        let config = NodeConfig::from_settings(&settings, spec, data_dir, miner);
        let runtime = runtime::Builder::new_multi_thread()
            .thread_name("lyceum")
            .enable_all()
            .build()
            .context("the async runtime can't start")?;
        let ended = runtime.block_on(run(config, bar));
        // What is left are reads that nobody waits for; the last of them to let go of the ledger closes it, which it can't once the process ends.
        runtime.shutdown_timeout(SHUTDOWN_MAX);
        ended
    }
}

async fn run(config: NodeConfig, bar: Option<indicatif::ProgressBar>) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let folder = config.data_dir.display().to_string();
    let opening = Opening::listen(config).await?;
    info!(http = %opening.http(), "API listening");
    let node = tokio::select! {
        node = opening.open(open_chain) => node?,
        () = signals.next() => {
            // Whatever opening the ledger has written, it has written whole.
            info!("stopped before the ledger was open");
            return Ok(());
        }
    };
    let (handle, at) = (node.handle(), node.addresses());
    let chain = &handle.spec.chain;
    info!(%chain, %folder, peer = %handle.peer_id, http = %at.http, "node started");
    let progress = tokio::spawn(SyncProgress::new(node.handle().clone(), bar).run());
    tokio::select! {
        () = signals.next() => info!("stopping; a second Ctrl-C exits at once"),
        // It could not go on; stopping says why.
        () = node.ended() => {}
    };
    progress.abort();
    tokio::spawn(async move {
        signals.next().await;
        // Without the clean-up of a usual exit, which would take the database from under threads that work on it.
        signal_hook::low_level::exit(EXIT_INTERRUPTED);
    });
    Ok(node.stop().await?)
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// The data folder, and the chain: the one that is asked for, else that of the folder, else dev.
fn place(settings: &Settings) -> anyhow::Result<(PathBuf, Arc<ChainSpec>)> {
    let asked = settings.chain.as_deref().map(read_spec).transpose()?;
    let folder = match (&settings.data_dir, &asked) {
        (Some(folder), _) => folder.clone(),
        (None, Some(spec)) => default_folder(spec.chain.as_str())?,
        (None, None) => default_folder(ChainSpec::dev().chain.as_str())?,
    };
    let spec = match asked {
        Some(spec) => spec,
        None => folder_chain(&folder)?.unwrap_or_else(ChainSpec::dev),
    };
    Ok((folder, Arc::new(spec)))
}

fn miner(settings: &Settings, folder: &Path) -> anyhow::Result<MinerConfig> {
    let key_file = match &settings.wallet {
        Some(wallet) => find_wallet(wallet, None)?.key,
        None => {
            let file = folder.join(MINER_KEY_FILE);
            make_miner_wallet(&file)?;
            file
        }
    };
    let passphrase = PassphraseSource::choose(settings.passphrase_file.clone())?;
    Ok(MinerConfig {
        key: load_key(&key_file, &passphrase)?,
        threads: settings.mine_threads,
        rate: settings.mine_rate,
    })
}

//! One node: its folder, its settings, its process.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Serialize;

use crate::client::{Client, Status};
use crate::local::{Local, MINE_RATE, write};
use crate::process::Process;
use crate::stop::Stop;

/// How long a node may take until its API answers.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How often a starting node is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// All nodes of a local network have one address, so that the node's own limit for one address would keep them apart.
const CONNECTIONS_PER_IP_MAX: u32 = 128;

/// Where a node lives.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its address.
    pub(crate) host: Ipv4Addr,
    /// Its ports.
    pub(crate) ports: Ports,
    /// What stands before its command: how to get into its network namespace.
    pub(crate) before: Vec<OsString>,
}

impl Place {
    /// On the loopback address.
    pub(crate) fn local(ports: Ports) -> Self {
        let (host, before) = (Ipv4Addr::LOCALHOST, Vec::new());
        Self {
            host,
            ports,
            before,
        }
    }

    /// The same at another address.
    pub(crate) fn at(self, host: Ipv4Addr) -> Self {
        Self { host, ..self }
    }

    /// A multiaddress by which other nodes find the one that lives here: TCP, with its peer id.
    pub(crate) fn multiaddress(&self, status: &Status) -> String {
        let (host, port) = (self.host, self.ports.p2p);
        format!("/ip4/{host}/tcp/{port}/p2p/{}", status.peer_id)
    }
}

/// The ports of a node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    /// The API's.
    pub(crate) http: u16,
    /// libp2p's, over TCP and QUIC.
    pub(crate) p2p: u16,
    /// BitTorrent's.
    pub(crate) torrent: u16,
}

/// The settings of a node, as `lyceum node --config` reads them.
#[derive(Debug, Serialize)]
struct Settings<'a> {
    chain: &'a Path,
    data_dir: PathBuf,
    http: String,
    listen: [String; 2],
    bootnode: &'a [String],
    torrent_listen: String,
    connections_per_ip_max: u32,
    mine: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    wallet: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mine_rate: Option<u64>,
}

/// A node of the network.
pub(crate) struct Node {
    /// What it is called here.
    pub(crate) name: String,
    /// Where its API listens.
    pub(crate) http: SocketAddr,
    /// Asks it.
    pub(crate) client: Client,
    process: Process,
    launch: Launch,
}

/// How a node's process is started.
struct Launch {
    lyceum: PathBuf,
    before: Vec<OsString>,
    config: PathBuf,
    log: PathBuf,
}

impl Launch {
    fn start(&self, name: &str) -> anyhow::Result<Process> {
        let arguments = ["node".into(), "--config".into(), self.config.clone().into()];
        Process::start(name, &self.before, &self.lyceum, &arguments, &self.log)
    }
}

impl Node {
    /// Writes the node's settings and starts it. `miner` is the number of the wallet that it mines for.
    ///
    /// # Errors
    /// Where a file can't be written, or the program can't be started.
    pub(crate) fn start(
        lyceum: &Path,
        local: &Local,
        name: &str,
        place: Place,
        miner: Option<usize>,
        bootnodes: &[String],
    ) -> anyhow::Result<Self> {
        let dir = local.dir.join(name);
        std::fs::create_dir_all(&dir)
            .with_context(|| format!("{}: cannot be made", dir.display()))?;
        let Place {
            host,
            ports,
            before,
        } = place;
        let settings = Settings {
            chain: &local.chain_file,
            data_dir: dir.join("data"),
            http: format!("{host}:{}", ports.http),
            listen: [
                format!("/ip4/{host}/tcp/{}", ports.p2p),
                format!("/ip4/{host}/udp/{}/quic-v1", ports.p2p),
            ],
            bootnode: bootnodes,
            torrent_listen: format!("{host}:{}", ports.torrent),
            connections_per_ip_max: CONNECTIONS_PER_IP_MAX,
            mine: miner.is_some(),
            wallet: miner.map(|at| local.miners[at].key_file.as_path()),
            mine_rate: miner.map(|_| MINE_RATE),
        };
        let config = dir.join("lyceum.toml");
        let text = toml::to_string(&settings).context("settings are TOML")?;
        let head = "# A node of a local network that netsim made. To run it: lyceum node --config";
        write(&config, &format!("{head} {}\n{text}", config.display()))?;
        let launch = Launch {
            lyceum: lyceum.to_owned(),
            before,
            config,
            log: dir.join("log"),
        };
        let http = SocketAddr::from((host, ports.http));
        Ok(Self {
            name: name.to_owned(),
            process: launch.start(name)?,
            client: Client::new(http),
            launch,
            http,
        })
    }

    /// Ends the process at once, as a power failure does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts a node that was killed, with what is on its disk.
    ///
    /// # Errors
    /// Where the program can't be started.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.process = self.launch.start(&self.name)?;
        Ok(())
    }

    /// The file with what it logs.
    pub(crate) fn log(&self) -> &Path {
        &self.launch.log
    }

    /// Waits until the API answers.
    ///
    /// # Errors
    /// The process has ended, or takes too long, or the user has asked to stop.
    pub(crate) fn wait_until_up(&mut self, stop: &Stop) -> anyhow::Result<Status> {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            self.process.check_alive()?;
            let error = match self.client.status() {
                Ok(status) => return Ok(status),
                Err(error) => error,
            };
            anyhow::ensure!(!stop.is_set(), "asked to stop");
            if Instant::now() >= deadline {
                let log = self.log();
                return Err(error).with_context(|| {
                    format!("{} does not answer; see {}", self.name, log.display())
                });
            }
            std::thread::sleep(ASK_EVERY);
        }
    }

    /// The process.
    pub(crate) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Stops nodes in good order: all are asked, then waited for.
///
/// # Errors
/// Each that did not stop as it should.
pub(crate) fn stop_all(nodes: &mut [Node]) -> Vec<anyhow::Error> {
    for node in &*nodes {
        node.process.ask_to_stop();
    }
    let waits = nodes.iter_mut().map(|node| node.process.wait());
    waits.filter_map(Result::err).collect()
}

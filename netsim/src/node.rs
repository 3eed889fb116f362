//! One node: its folder, its settings, its process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::local::{Local, MINE_RATE, write};
use crate::process::Process;
use crate::stop::Stop;
use crate::watch::View;

/// How long a node may take until its API answers.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How often a starting node is asked.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// Where a node keeps its bans, in its data folder.
const BANS_FILE: &str = "bans.json";
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

    /// A multiaddress by which other nodes find the one that lives here: TCP, with its peer id.
    pub(crate) fn multiaddress(&self, peer_id: &str) -> String {
        let (host, port) = (self.host, self.ports.p2p);
        format!("/ip4/{host}/tcp/{port}/p2p/{peer_id}")
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
    /// Has it not been killed, or been started again?
    pub(crate) is_up: bool,
    place: Place,
    /// Once it has answered.
    peer_id: Option<String>,
    data_dir: PathBuf,
    process: Process,
    launch: Launch,
}

/// A node's `bans.json`.
#[derive(Debug, Deserialize)]
struct Bans {
    peers: BTreeMap<String, Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    reason: String,
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
        let (host, ports, data_dir) = (place.host, place.ports, dir.join("data"));
        let settings = Settings {
            chain: &local.chain_file,
            data_dir: data_dir.clone(),
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
            before: place.before.clone(),
            config,
            log: dir.join("log"),
        };
        let http = SocketAddr::from((host, ports.http));
        Ok(Self {
            name: name.to_owned(),
            process: launch.start(name)?,
            client: Client::new(http),
            is_up: true,
            place,
            peer_id: None,
            data_dir,
            launch,
            http,
        })
    }

    /// Ends the process at once, as a power failure does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
        self.is_up = false;
    }

    /// Starts a node that was killed, with what is on its disk.
    ///
    /// # Errors
    /// Where the program can't be started.
    pub(crate) fn restart(&mut self) -> anyhow::Result<()> {
        self.process = self.launch.start(&self.name)?;
        self.is_up = true;
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
    pub(crate) fn wait_until_up(&mut self, stop: &Stop) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            self.process.check_alive()?;
            let error = match self.client.status() {
                Ok(status) => {
                    self.peer_id = Some(status.peer_id);
                    return Ok(());
                }
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

    /// Its name among libp2p's, once it has answered.
    pub(crate) fn peer_id(&self) -> Option<&str> {
        self.peer_id.as_deref()
    }

    /// Takes its peer id from its answer, if it gave one.
    pub(crate) fn know(&mut self, view: &View) {
        if let Some(status) = &view.status {
            self.peer_id = Some(status.peer_id.clone());
        }
    }

    /// Where other nodes find it, once it has answered.
    pub(crate) fn multiaddress(&self) -> Option<String> {
        let peer_id = self.peer_id()?;
        Some(self.place.multiaddress(peer_id))
    }

    /// The peers that it has banned, with the reasons.
    ///
    /// # Errors
    /// Where its file can't be read.
    pub(crate) fn bans(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let path = self.data_dir.join(BANS_FILE);
        if !path.exists() {
            return Ok(BTreeMap::new()); // it is written with the first ban
        }
        let bans = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let bans: Bans =
            serde_json::from_slice(&bans).with_context(|| path.display().to_string())?;
        let peers = bans.peers.into_iter();
        Ok(peers.map(|(peer, ban)| (peer, ban.reason)).collect())
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
    let up = nodes.iter_mut().filter(|node| node.is_up);
    let waits = up.map(|node| node.process.wait());
    waits.filter_map(Result::err).collect()
}

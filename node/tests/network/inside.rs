//! Nodes within this process.

use std::collections::BTreeMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::Arc;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use lyceum_node::driver::{Node, NodeConfig};
use lyceum_node::handle::Standing;
use lyceum_node::miner::MinerConfig;
use lyceum_node::network::BANS_FILE;
use lyceum_protocol::{ChainSpec, SecretKey};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::child::eventually;

/// A node, with the folder that it lives in.
pub(crate) struct Inside {
    pub(crate) node: Node,
    folder: TempDir,
    pub(crate) spec: Arc<ChainSpec>,
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A miner with a key of its own, held to a rate.
pub(crate) fn miner(key: u8, rate: u64) -> Option<MinerConfig> {
    Some(MinerConfig {
        key: SecretKey::from_seed(&[key; 32]),
        threads: NonZeroUsize::MIN,
        rate: NonZeroU64::new(rate),
    })
}

impl Inside {
    pub(crate) fn start(
        runtime: &Runtime,
        spec: &Arc<ChainSpec>,
        bootnodes: Vec<Multiaddr>,
        miner: Option<MinerConfig>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(runtime, spec, folder, bootnodes, |config| {
            config.miner = miner;
        })
    }

    /// Starts a node; `change` has the last word on its set-up.
    pub(crate) fn start_with(
        runtime: &Runtime,
        spec: &Arc<ChainSpec>,
        bootnodes: Vec<Multiaddr>,
        change: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_in(runtime, spec, folder, bootnodes, change)
    }

    fn start_in(
        runtime: &Runtime,
        spec: &Arc<ChainSpec>,
        folder: TempDir,
        bootnodes: Vec<Multiaddr>,
        change: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        let data = folder.path().join("data");
        let mut config = NodeConfig::local(Arc::clone(spec), data, bootnodes);
        change(&mut config);
        let node = runtime.block_on(Node::start(config)).unwrap();
        let spec = Arc::clone(spec);
        Self { node, folder, spec }
    }

    /// Stops the node, and starts it anew with other peers to start from.
    pub(crate) fn restart(
        self,
        runtime: &Runtime,
        bootnodes: Vec<Multiaddr>,
        miner: Option<MinerConfig>,
    ) -> Self {
        self.restart_with(runtime, bootnodes, |config| config.miner = miner)
    }

    /// The same; `change` has the last word on its set-up.
    pub(crate) fn restart_with(
        self,
        runtime: &Runtime,
        bootnodes: Vec<Multiaddr>,
        change: impl FnOnce(&mut NodeConfig),
    ) -> Self {
        runtime.block_on(self.node.stop()).unwrap();
        Self::start_in(runtime, &self.spec, self.folder, bootnodes, change)
    }

    pub(crate) fn stop(self, runtime: &Runtime) {
        runtime.block_on(self.node.stop()).unwrap();
    }

    /// Where others reach it.
    pub(crate) fn address(&self) -> Multiaddr {
        let network = self.node.handle().network.clone();
        let peer = self.node.addresses().peer_id;
        eventually("it listens", || {
            let address = network.borrow().listen.first()?.clone();
            let named = address.iter().any(|part| matches!(part, Protocol::P2p(_)));
            Some(if named {
                address
            } else {
                address.with(Protocol::P2p(peer))
            })
        })
    }

    pub(crate) fn standing(&self) -> Standing {
        self.node.handle().standing.borrow().clone()
    }

    pub(crate) fn height(&self) -> u64 {
        self.standing().height.get()
    }

    /// The value of a metric, where it is served.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.node.addresses().http);
        let text = ureq::get(url)
            .call()
            .unwrap()
            .body_mut()
            .read_to_string()
            .unwrap();
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        lines.next().map(|value| value.trim().parse().unwrap())
    }

    /// Waits until a counter has come so far.
    pub(crate) fn wait_for_metric(&self, name: &str, least: f64) {
        eventually(name, || (self.metric(name) >= Some(least)).then_some(()));
    }

    pub(crate) fn imported(&self, source: &str) -> f64 {
        let name = format!("lyceum_blocks_imported_total{{source=\"{source}\"}}");
        self.metric(&name).unwrap_or(0.0)
    }

    /// The peers that it has banned, with the reasons, as its file says.
    pub(crate) fn bans(&self) -> BTreeMap<String, String> {
        let path = self.folder.path().join("data").join(BANS_FILE);
        let Ok(text) = std::fs::read(path) else {
            return BTreeMap::new(); // it is written with the first ban
        };
        let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let peers = file["peers"].as_object().unwrap().iter();
        let reason = |ban: &serde_json::Value| ban["reason"].as_str().unwrap().to_owned();
        peers
            .map(|(peer, ban)| (peer.clone(), reason(ban)))
            .collect()
    }
}

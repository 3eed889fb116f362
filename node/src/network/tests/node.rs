//! A network under test.

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use lyceum_protocol::{BlockHash, ChainSpec};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use crate::network::{
    Limits, Network, NetworkCommand, NetworkConfig, NetworkEvent, NetworkView, Timing,
    load_or_create_identity, start,
};

/// After this, a test has failed.
const DEADLINE: Duration = Duration::from_secs(20);

pub(super) const TCP: &str = "/ip4/127.0.0.1/tcp/0";
pub(super) const QUIC: &str = "/ip4/127.0.0.1/udp/0/quic-v1";

/// A network, its folder, its metrics, and what it told.
pub(super) struct Node {
    pub(super) network: Network,
    pub(super) folder: TempDir,
    registry: Registry,
    told: VecDeque<NetworkEvent>,
}

/// A network's set-up on the development chain, without anything that leaves the machine.
pub(super) fn config(folder: &Path) -> NetworkConfig {
    let identity = load_or_create_identity(folder).unwrap();
    let genesis = BlockHash::of(b"genesis");
    let mut config = NetworkConfig::new(&ChainSpec::dev(), genesis, identity, folder);
    config.listen = vec![TCP.parse().unwrap()];
    config.timing = Timing::local();
    config.limits = Limits {
        memory_share: 1.0,
        ..Limits::default()
    };
    config
}

impl Node {
    /// Starts one; `change` has the last word on its set-up.
    pub(super) async fn start(change: impl FnOnce(&mut NetworkConfig)) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), change).await
    }

    pub(super) async fn start_in(folder: TempDir, change: impl FnOnce(&mut NetworkConfig)) -> Self {
        let mut config = config(folder.path());
        change(&mut config);
        let (mut registry, listeners) = (Registry::default(), config.listen.len());
        let network = start(config, &mut registry).unwrap();
        let told = VecDeque::new();
        let mut node = Self {
            network,
            folder,
            registry,
            told,
        };
        node.view(|view| view.listen.len() >= listeners).await;
        node
    }

    /// Stops it; its folder stays.
    pub(super) async fn stop(self) -> TempDir {
        self.network.shutdown().await;
        self.folder
    }

    pub(super) fn id(&self) -> PeerId {
        self.network.peer_id
    }

    /// Where it listens, with its id.
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        let listen = self.network.view.borrow().listen.clone();
        listen
            .into_iter()
            .map(|address| address.with_p2p(self.id()).unwrap())
            .collect()
    }

    pub(super) async fn command(&self, command: NetworkCommand) {
        assert!(self.network.commands.send(command).await);
    }

    /// Awaits an event, or takes it from those that have come already; the others stay.
    pub(super) async fn until<T>(
        &mut self,
        what: &str,
        pick: impl Fn(&NetworkEvent) -> Option<T>,
    ) -> T {
        if let Some(index) = self.told.iter().position(|event| pick(event).is_some()) {
            return pick(&self.told.remove(index).unwrap()).unwrap();
        }
        loop {
            let Ok(event) = timeout(DEADLINE, self.network.events.recv()).await else {
                panic!("{what} did not come; these did: {:#?}", self.told);
            };
            let event = event.expect("the network runs");
            match pick(&event) {
                Some(picked) => return picked,
                None => self.told.push_back(event),
            }
        }
    }

    /// Awaits the next event that fits, by value.
    pub(super) async fn take(
        &mut self,
        what: &str,
        fits: impl Fn(&NetworkEvent) -> bool,
    ) -> NetworkEvent {
        if let Some(index) = self.told.iter().position(&fits) {
            return self.told.remove(index).unwrap();
        }
        loop {
            let Ok(event) = timeout(DEADLINE, self.network.events.recv()).await else {
                panic!("{what} did not come; these did: {:#?}", self.told);
            };
            let event = event.expect("the network runs");
            match fits(&event) {
                true => return event,
                false => self.told.push_back(event),
            }
        }
    }

    pub(super) async fn connected(&mut self, to: PeerId) {
        self.until("the connection", |event| match event {
            NetworkEvent::Connected { peer, .. } if *peer == to => Some(()),
            _ => None,
        })
        .await;
    }

    pub(super) async fn disconnected(&mut self, from: PeerId) {
        self.until("the disconnection", |event| match event {
            NetworkEvent::Disconnected { peer } if *peer == from => Some(()),
            _ => None,
        })
        .await;
    }

    pub(super) async fn misbehaved(&mut self, who: PeerId) -> &'static str {
        self.until("the fault", |event| match event {
            NetworkEvent::Misbehaved { peer, reason } if *peer == who => Some(*reason),
            _ => None,
        })
        .await
    }

    /// Was there ever such an event?
    pub(super) fn was_told(&mut self, is: impl Fn(&NetworkEvent) -> bool) -> bool {
        while let Ok(event) = self.network.events.try_recv() {
            self.told.push_back(event);
        }
        self.told.iter().any(is)
    }

    /// Awaits a state of the view.
    pub(super) async fn view(&mut self, is: impl Fn(&NetworkView) -> bool) -> NetworkView {
        let waited = timeout(DEADLINE, self.network.view.wait_for(|view| is(view))).await;
        waited
            .expect("the view comes")
            .expect("the network runs")
            .clone()
    }

    /// The sum of a metric's values, over all labels; `name` may hold the first of them.
    pub(super) fn metric(&self, name: &str) -> f64 {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        let lines = text.lines().filter(|line| line.starts_with(name));
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum()
    }

    /// Awaits a metric's value above another.
    pub(super) async fn metric_above(&self, name: &str, floor: f64) {
        let watch = async {
            while self.metric(name) <= floor {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let mut text = String::new();
        if timeout(DEADLINE, watch).await.is_err() {
            encode(&mut text, &self.registry).unwrap();
            panic!("{name} stays at {}:\n{text}", self.metric(name));
        }
    }
}

//! How a node is set up.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use libp2p::Multiaddr;
use lyceum_protocol::ChainSpec;
use lyceum_storage::Options;

use crate::api::ApiConfig;
use crate::config::Settings;
use crate::core::MempoolLimits;
use crate::miner::MinerConfig;
use crate::network::{Discovery, Limits, Mainline, Timing};
use crate::torrent::TorrentConfig;

/// The folder, in the data folder, for segments that are being pulled.
const DOWNLOADS_FOLDER: &str = "downloads";

/// How a node is set up.
pub struct NodeConfig {
    /// The chain.
    pub spec: Arc<ChainSpec>,
    /// Where the ledger, the identity and the bans are kept.
    pub data_dir: PathBuf,
    /// How the ledger's store behaves.
    pub store: Options,
    /// The mempool's bounds.
    pub mempool: MempoolLimits,
    /// How to mine; `None` for not at all.
    pub miner: Option<MinerConfig>,
    /// Where to listen for peers.
    pub listen: Vec<Multiaddr>,
    /// Addresses at which peers reach this node, as far as they are known.
    pub external: Vec<Multiaddr>,
    /// Peers to start from, beside the chain's.
    pub bootnodes: Vec<Multiaddr>,
    /// How peers are found.
    pub discovery: Discovery,
    /// Bounds on connections.
    pub limits: Limits,
    /// Intervals and deadlines of the network.
    pub timing: Timing,
    /// The BitTorrent side; `None` for none.
    pub torrents: Option<TorrentConfig>,
    /// Where the API listens.
    pub http: SocketAddr,
    /// How the API behaves.
    pub api: ApiConfig,
}

impl NodeConfig {
    /// A node that listens on loopback alone, on ports that the system chooses, looks for nobody but `bootnodes`, and does not mine: for tests
    /// and networks within one machine.
    pub fn local(spec: Arc<ChainSpec>, data_dir: PathBuf, bootnodes: Vec<Multiaddr>) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let listen = "/ip4/127.0.0.1/tcp/0".parse();
        let downloads = data_dir.join(DOWNLOADS_FOLDER);
        let torrents = TorrentConfig::new(spec.chain.clone(), downloads, loopback);
        Self {
            store: Options::default(),
            mempool: MempoolLimits::default(),
            miner: None,
            listen: vec![listen.expect("a multiaddress")],
            external: Vec::new(),
            bootnodes,
            discovery: Discovery::default(),
            limits: Limits::default(),
            timing: Timing::local(),
            torrents: Some(torrents),
            http: loopback,
            api: ApiConfig::default(),
            spec,
            data_dir,
        }
    }

    /// What settings come to, for a chain and a data folder.
    pub fn from_settings(
        settings: &Settings,
        spec: Arc<ChainSpec>,
        data_dir: PathBuf,
        miner: Option<MinerConfig>,
    ) -> Self {
        let mib = |mib: std::num::NonZeroUsize| mib.get().saturating_mul(1 << 20);
        let store = Options {
            cache_bytes: mib(settings.cache_mib),
            tree_cache_bytes: mib(settings.tree_cache_mib),
            record_cache_bytes: mib(settings.record_cache_mib),
            write_buffer_bytes: mib(settings.write_buffer_mib),
            batch_bytes: mib(settings.batch_mib),
            reorg_depth_max: settings.reorg_depth.get(),
            ..Options::default()
        };
        let mempool = MempoolLimits {
            transactions: settings.mempool_transactions.get(),
            bytes: mib(settings.mempool_mib),
            sender_seqs: settings.mempool_per_sender.get(),
        };
        let rendezvous = settings.rendezvous.unwrap_or(spec.rendezvous);
        Self {
            store,
            mempool,
            miner,
            listen: settings.listen.clone(),
            external: settings.external.clone(),
            bootnodes: settings.bootnode.clone(),
            discovery: Discovery {
                mdns: settings.mdns,
                upnp: settings.upnp,
                autonat: settings.nat,
                autonat_private: false,
                relay_client: settings.nat,
                relay_server: settings.relay,
                mainline: rendezvous.then(Mainline::default),
                kad_client: false,
            },
            limits: limits(settings),
            timing: Timing::default(),
            torrents: torrents(settings, &spec, &data_dir),
            http: settings.http,
            api: ApiConfig {
                cors: settings.cors.clone(),
                ..ApiConfig::default()
            },
            spec,
            data_dir,
        }
    }
}

/// Two thirds of all connections are for those who dial us, so that nobody takes the places of those whom we choose.
fn limits(settings: &Settings) -> Limits {
    let all = settings.connections_max.get();
    let inbound = (all - all / 3).max(1);
    Limits {
        established: all,
        inbound,
        outbound: (all - inbound).max(1),
        per_ip: settings.connections_per_ip_max.get(),
        ..Limits::default()
    }
}

fn torrents(
    settings: &Settings,
    spec: &ChainSpec,
    data_dir: &std::path::Path,
) -> Option<TorrentConfig> {
    let downloads = data_dir.join(DOWNLOADS_FOLDER);
    let chain = spec.chain.clone();
    settings.torrents.then(|| TorrentConfig {
        live_max: settings.torrents_live_max.get(),
        upload_bps: settings.torrent_upload_rate.map(|rate| rate.get()),
        download_bps: settings.torrent_download_rate.map(|rate| rate.get()),
        trackers: match settings.trackers {
            true => spec.trackers.clone(),
            false => Vec::new(),
        },
        dht: settings.dht,
        ..TorrentConfig::new(chain, downloads, settings.torrent_listen)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn segments_are_announced_elsewhere_only_where_a_flag_says_so() {
        let mut fields = (*ChainSpec::dev()).clone();
        fields.trackers = vec!["http://192.0.2.1/announce".to_owned()];
        let spec = ChainSpec::new(fields).unwrap();
        let announced = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            let config = torrents(&settings, &spec, std::path::Path::new("x"))?;
            Some((config.trackers.len(), config.dht))
        };
        assert_eq!(announced(|_| {}), Some((0, false)));
        assert_eq!(announced(|flags| flags.trackers = true), Some((1, false)));
        assert_eq!(announced(|flags| flags.dht = true), Some((0, true)));
        assert_eq!(announced(|flags| flags.torrents = false), None);
    }
}

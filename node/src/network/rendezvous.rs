//! Nodes meet on BitTorrent's Mainline DHT, under an infohash that stands for the chain.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use futures::StreamExt as _;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use lyceum_protocol::BlockHash;
use mainline::async_dht::AsyncDht;
use mainline::{Dht, Id};
use sha1::{Digest as _, Sha1};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::config::{Mainline, NetworkConfig, TARGET_PEERS, Timing};
use super::{NetworkView, address};

/// Addresses taken from one search: anybody may put any address under our infohash.
const FOUND_MAX: usize = 32;
/// Found addresses that wait to be dialled.
pub(super) const FOUND_QUEUE_LEN: usize = 64;
/// A search ends after this.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(30);
/// A private DHT answers within this.
const LOCAL_REQUEST_TIMEOUT: Duration = Duration::from_millis(200);

/// Where a chain's nodes meet: SHA-1("lyceum" ‖ genesis hash).
pub(super) fn infohash(genesis: &BlockHash) -> Id {
    let mut hash = Sha1::new();
    hash.update(b"lyceum");
    hash.update(genesis.as_bytes());
    let hash: [u8; 20] = hash.finalize().into();
    Id::from_bytes(hash).expect("SHA-1 has 20 bytes")
}

/// Announces this node, and looks for others while there are too few.
pub(super) struct Rendezvous {
    infohash: Id,
    timing: Timing,
    view: watch::Receiver<NetworkView>,
    found: mpsc::Sender<Multiaddr>,
}

impl Rendezvous {
    pub(super) fn new(
        config: &NetworkConfig,
        view: watch::Receiver<NetworkView>,
        found: mpsc::Sender<Multiaddr>,
    ) -> Self {
        let (infohash, timing) = (infohash(&config.genesis), config.timing.clone());
        Self {
            infohash,
            timing,
            view,
            found,
        }
    }

    pub(super) async fn run(self, mainline: Mainline, stop: CancellationToken) {
        // It starts a thread and waits for it.
        let dht = match tokio::task::spawn_blocking(move || join(&mainline)).await {
            Ok(Ok(dht)) => dht.as_async(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "no rendezvous on the Mainline DHT");
                return;
            }
            Err(_) => return,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.meet(&dht) => {}
        }
    }

    async fn meet(&self, dht: &AsyncDht) {
        let mut announce = Instant::now();
        loop {
            let port = self.view.borrow().listen.iter().find_map(address::tcp_port);
            if let Some(port) = port.filter(|_| announce <= Instant::now()) {
                match dht.announce_peer(self.infohash, Some(port)).await {
                    Ok(_) => announce = Instant::now() + self.timing.announce,
                    Err(error) => tracing::debug!(%error, "not announced on the Mainline DHT"),
                }
            }
            if self.view.borrow().peers.len() < TARGET_PEERS {
                let _ = timeout(SEARCH_TIMEOUT, self.search(dht)).await;
            }
            sleep_until(Instant::now() + self.timing.seek).await;
        }
    }

    async fn search(&self, dht: &AsyncDht) {
        let (mut answers, mut left) = (dht.get_peers(self.infohash), FOUND_MAX);
        while let Some(peers) = answers.next().await {
            for peer in peers.into_iter().take(left) {
                left -= 1;
                // A full queue is no loss: the next search comes soon.
                let _ = self.found.try_send(multiaddr(peer));
            }
            if left == 0 {
                return;
            }
        }
    }
}

fn join(mainline: &Mainline) -> std::io::Result<Dht> {
    let mut builder = Dht::builder();
    if let Some(bootstrap) = &mainline.bootstrap {
        builder.bootstrap(bootstrap);
    }
    if mainline.is_local {
        builder
            .bind_address(Ipv4Addr::LOCALHOST)
            .request_timeout(LOCAL_REQUEST_TIMEOUT);
    }
    builder.build()
}

fn multiaddr(peer: SocketAddrV4) -> Multiaddr {
    Multiaddr::from(*peer.ip()).with(Protocol::Tcp(peer.port()))
}

//! A BitTorrent peer that has wrong bytes for every segment that it is told of.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use lyceum_protocol::Metainfo;
use tokio::net::TcpListener;

use crate::fake::{Fake, serve_all};

/// What it serves, and whom.
#[derive(Clone)]
pub(crate) struct Garbage {
    /// Where it listens.
    pub(crate) at: SocketAddr,
    lengths: Arc<Mutex<BTreeMap<[u8; 20], usize>>>,
    served: Arc<Mutex<BTreeSet<IpAddr>>>,
}

impl Garbage {
    pub(crate) async fn start(at: SocketAddr) -> Self {
        let lengths = Arc::new(Mutex::new(BTreeMap::new()));
        let served = Arc::new(Mutex::new(BTreeSet::new()));
        let (held, told) = (Arc::clone(&lengths), Arc::clone(&served));
        let find = move |hash: &[u8; 20], from: SocketAddr| {
            let length = held.lock().unwrap().get(hash).copied()?;
            told.lock().unwrap().insert(from.ip());
            Some(Fake {
                content: vec![b'x'; length],
                chunks: usize::MAX,
            })
        };
        let listener = TcpListener::bind(at).await.unwrap();
        let at = listener.local_addr().unwrap();
        serve_all(listener, find);
        Self {
            at,
            lengths,
            served,
        }
    }

    /// Serves this torrent from now on.
    pub(crate) fn hold(&self, metainfo: &Metainfo) {
        let length = metainfo.length() as usize;
        let hash = *metainfo.info_hash().as_bytes();
        self.lengths.lock().unwrap().insert(hash, length);
    }

    /// Who has come for them.
    pub(crate) fn served(&self) -> BTreeSet<IpAddr> {
        self.served.lock().unwrap().clone()
    }
}

//! A node that is starting: its API is there from the first second, the rest once its ledger is open.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use lyceum_protocol::ChainSpec;
use lyceum_storage::Options;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{info, warn};

use super::start::{Rest, start_rest};
use super::{Addresses, CLOSE_MAX, Node, NodeConfig, OpenError, StartError};
use crate::api::{self, ApiServer, Doing};
use crate::core::Chain;
use crate::metrics::Metrics;

/// Opens the ledger of a chain in a data folder: [`open_chain`](super::open_chain), or what a test puts in its place.
pub trait OpenLedger:
    FnOnce(&Path, &ChainSpec, &Options) -> Result<Chain, OpenError> + Send + 'static
{
}

impl<F> OpenLedger for F where
    F: FnOnce(&Path, &ChainSpec, &Options) -> Result<Chain, OpenError> + Send + 'static
{
}

/// A node whose API listens, and whose ledger is not open yet. Dropped, it stops.
pub struct Opening {
    config: NodeConfig,
    metrics: Arc<Metrics>,
    doing: watch::Sender<&'static str>,
    api: ApiServer,
    close_api: DropGuard,
}

impl Opening {
    /// Listens where the API is to be: it says that the node is alive, that it is not ready, and what there is to measure.
    ///
    /// # Errors
    /// [`StartError::Api`]; nothing goes on running then.
    pub async fn listen(config: NodeConfig) -> Result<Self, StartError> {
        let metrics = Arc::new(Metrics::new());
        let (doing, what) = watch::channel("opening the ledger");
        let progress = config.store.progress.clone();
        let seen = Doing { what, progress };
        let close = CancellationToken::new();
        let (served, shared) = (config.api.clone(), Arc::clone(&metrics));
        let listen = api::listen(
            config.http,
            &config.spec,
            shared,
            served,
            seen,
            close.clone(),
        );
        let api = listen.await?;
        Ok(Self {
            config,
            metrics,
            doing,
            api,
            close_api: close.drop_guard(),
        })
    }

    /// Where the API is.
    pub fn http(&self) -> SocketAddr {
        self.api.address
    }

    /// Opens the ledger, which may take long after a crash, and starts the rest.
    ///
    /// # Errors
    /// [`StartError`]; nothing goes on running then.
    pub async fn open(self, open: impl OpenLedger) -> Result<Node, StartError> {
        let Self {
            config,
            metrics,
            doing,
            api,
            close_api,
        } = self;
        let started = async {
            let chain = open_ledger(&config, open).await?;
            doing.send_replace("starting the network, the torrents and the core");
            start_rest(config, chain, &metrics).await
        };
        let rest = match started.await {
            Ok(rest) => rest,
            Err(error) => {
                drop(close_api);
                // It ends with the answers under way; the error does not wait for slow ones.
                let _ = tokio::time::timeout(CLOSE_MAX, api.task).await;
                return Err(error);
            }
        };
        Ok(join(rest, api, close_api.disarm()))
    }
}

fn join(rest: Rest, api: ApiServer, close_api: CancellationToken) -> Node {
    api.open(rest.handle.clone());
    let (torrent, torrents) = rest.torrents.unzip();
    let addresses = Addresses {
        http: api.address,
        torrent,
        peer_id: rest.network.peer_id,
    };
    Node {
        handle: rest.handle,
        addresses,
        network: Some(rest.network),
        torrents,
        api: Some((api, close_api)),
        core: Some(rest.core),
        stop: rest.stop,
    }
}

/// Opens the ledger on a blocking thread, and says what was found.
async fn open_ledger(config: &NodeConfig, open: impl OpenLedger) -> Result<Chain, StartError> {
    let (folder, spec) = (config.data_dir.clone(), Arc::clone(&config.spec));
    let options = config.store.clone();
    let opened = tokio::task::spawn_blocking(move || open(&folder, &spec, &options));
    let chain = opened.await.map_err(|error| StartError::System {
        what: "the ledger is not opened",
        why: error.to_string(),
    })??;
    let report = chain.store().report();
    if let Some(cut) = &report.log_cut {
        warn!(
            cut,
            "the end of the database's log was damaged, the tip is an earlier one"
        );
    }
    for segment in &report.damaged_segments {
        let reason = &segment.reason;
        warn!(index = %segment.index, reason, "a segment is damaged, and is fetched again");
    }
    let tip = chain.tip()?;
    info!(chain = %config.spec.chain, height = %tip.height, hash = %tip.hash, "ledger opened");
    Ok(chain)
}

//! A ledger that no node has open, served to this process alone by the API.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use super::chain::Place;
use crate::api::{self, ApiConfig, ApiServer, RateLimit};
use crate::core::Chain;
use crate::driver::resting_handle;
use crate::metrics::Metrics;
use crate::network::load_or_create_identity;

/// An open ledger, and the API over it on a port of loopback, for as long as this lives.
pub(crate) struct Local {
    server: ApiServer,
    _runtime: Runtime,
    _chain: Chain,
}

impl Local {
    pub(crate) fn open(place: &Place) -> anyhow::Result<Self> {
        let (chain, folder) = place.open()?;
        let peer_id = load_or_create_identity(&folder)?.public().to_peer_id();
        let handle = resting_handle(&chain, peer_id)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .context("the async runtime can't start")?;
        let server = runtime.block_on(api::serve(
            (Ipv4Addr::LOCALHOST, 0).into(),
            handle,
            Arc::new(Metrics::new()),
            ApiConfig {
                rate: RateLimit {
                    per_second: u32::MAX,
                    burst: u32::MAX,
                },
                ..ApiConfig::default()
            },
            CancellationToken::new(),
        ))?;
        Ok(Self {
            server,
            _runtime: runtime,
            _chain: chain,
        })
    }

    /// Where the API is.
    pub(crate) fn address(&self) -> String {
        self.server.address.to_string()
    }
}

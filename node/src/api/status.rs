//! Where the node stands: status, liveness, readiness, metrics, peers.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lyceum_protocol::Height;
use serde::Serialize;
use utoipa::ToSchema;

use super::context::{Api, Door};
use super::paging::{Page, Paging};
use super::problem::{Problem, Refusals};
use crate::core::Phase;
use crate::handle::Standing;
use crate::metrics::{Exposition, unix_millis};

/// A node this many blocks behind still counts as synced: blocks are on their way.
const READY_LAG_BLOCKS_MAX: u64 = 2;
/// Blocks are exponentially apart: one waits 30 intervals once in 10^13 blocks, so such a tip means that we hear nothing.
const READY_TIP_INTERVALS_MAX: u64 = 30;
/// On chains of fast blocks, clocks and the network count for more.
const READY_TIP_AGE_MS_MIN: u64 = 120_000;

/// Where the node stands.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    chain: String,
    genesis: String,
    height: u64,
    tip: String,
    state_root: String,
    /// The tip's own time, in Unix milliseconds.
    tip_timestamp: u64,
    /// Hashes expected to make the main chain, in decimal.
    work: String,
    /// Connected peers.
    peers: usize,
    peer_id: String,
    /// Multiaddresses.
    listen: Vec<String>,
    sync: Sync,
    mempool: Mempool,
    torrents: Torrents,
    mining: bool,
    /// Changes of the tip that took blocks off the main chain, since the start.
    reorganisations: u64,
    limits: Limits,
    version: &'static str,
}

/// How far the sync is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sync {
    /// `waiting`, `boundaries`, `segments`, `blocks` or `following`.
    #[schema(example = "following")]
    phase: &'static str,
    /// The best height that a peer claims with more work than ours; ours where there is none.
    target_height: u64,
    lag_blocks: u64,
    segments_missing: u64,
    segments_active: u64,
    blocks_per_second: f64,
    /// Null where it can't be told.
    eta_seconds: Option<u64>,
}

/// The pending transactions.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Mempool {
    transactions: usize,
    bytes: usize,
    senders: usize,
}

/// The BitTorrent side.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Torrents {
    listen: Option<String>,
    /// Segments that can be seeded.
    registered: usize,
    /// Torrents seeded or pulled right now.
    live: usize,
    downloaded_bytes: u64,
    uploaded_bytes: u64,
    fetches: Vec<Fetch>,
}

/// A segment that is being pulled.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fetch {
    segment: u64,
    got_bytes: u64,
    length: u64,
}

/// What the chain asks of a transaction.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Limits {
    max_tx_bytes: u32,
    block_gas: u64,
    min_gas_price: u64,
    block_interval_ms: u32,
    segment_blocks: u32,
    /// Everyone may do everything.
    open: bool,
}

impl Sync {
    fn of(standing: &Standing) -> Self {
        let lag = standing
            .target_height
            .get()
            .saturating_sub(standing.height.get());
        let rate = standing.blocks_per_second;
        let rate = if rate.is_finite() { rate.max(0.0) } else { 0.0 };
        Self {
            phase: standing.phase.name(),
            target_height: standing.target_height.get(),
            lag_blocks: lag,
            segments_missing: standing.segments_missing,
            segments_active: standing.segments_active,
            blocks_per_second: rate,
            eta_seconds: match lag {
                0 => Some(0),
                _ if rate > 0.0 => Some((lag as f64 / rate).ceil() as u64),
                _ => None,
            },
        }
    }
}

#[utoipa::path(get, path = "/api/v1/status", tag = "node", responses((status = 200, body = Status), Refusals))]
pub(super) async fn status(api: Api) -> Result<Json<Status>, Problem> {
    let genesis = api.read(|view| Ok(view.hash_at(Height::ZERO)?)).await?;
    let node = &api.node;
    let standing = node.standing.borrow().clone();
    let network = node.network.borrow().clone();
    let torrents = node.torrents.borrow().clone();
    let spec = &node.spec;
    let fetches = torrents.fetches.iter().map(|fetch| Fetch {
        segment: fetch.index.get(),
        got_bytes: fetch.got,
        length: fetch.length,
    });
    Ok(Json(Status {
        chain: spec.chain.to_string(),
        genesis: genesis.map(|hash| hash.to_string()).unwrap_or_default(),
        height: standing.height.get(),
        tip: standing.tip.to_string(),
        state_root: standing.state_root.to_string(),
        tip_timestamp: standing.tip_timestamp.get(),
        work: standing.work.to_string(),
        peers: standing.peers,
        peer_id: node.peer_id.to_string(),
        listen: network.listen.iter().map(ToString::to_string).collect(),
        sync: Sync::of(&standing),
        mempool: Mempool {
            transactions: standing.mempool.transactions,
            bytes: standing.mempool.bytes,
            senders: standing.mempool.senders,
        },
        torrents: Torrents {
            listen: torrents.listen.map(|address| address.to_string()),
            registered: torrents.registered,
            live: torrents.live,
            downloaded_bytes: torrents.downloaded_bytes,
            uploaded_bytes: torrents.uploaded_bytes,
            fetches: fetches.collect(),
        },
        mining: standing.is_mining,
        reorganisations: standing.reorganisations,
        limits: Limits {
            max_tx_bytes: spec.max_tx_bytes,
            block_gas: spec.block_gas.get(),
            min_gas_price: spec.min_gas_price,
            block_interval_ms: spec.block_interval_ms,
            segment_blocks: spec.segment_blocks,
            open: spec.open,
        },
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// The process runs.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    ok: bool,
}

#[utoipa::path(get, path = "/healthz", tag = "operation", responses((status = 200, body = Health), Refusals))]
pub(super) async fn healthz(State(door): State<Door>) -> Result<Json<Health>, Problem> {
    if door.node().is_some_and(|node| node.commands.is_closed()) {
        return Err(Problem::busy("stopping", "the node is stopping"));
    }
    Ok(Json(Health { ok: true }))
}

/// Is the node synced?
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Readiness {
    ready: bool,
    /// Why not.
    reasons: Vec<Unready>,
    /// Null until the ledger is open.
    sync: Option<Sync>,
    /// Null until the ledger is open.
    peers: Option<usize>,
    /// Null until the ledger is open.
    height: Option<u64>,
    /// Time since the tip was made, by its own timestamp, in milliseconds; null until the ledger is open.
    tip_age_ms: Option<u64>,
}

/// One reason not to be ready.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Unready {
    /// `opening`, `no_peers`, `syncing`, `behind` or `tip_old`.
    #[schema(example = "no_peers")]
    reason: &'static str,
    detail: String,
}

#[utoipa::path(get, path = "/readyz", tag = "operation", responses(
    (status = 200, body = Readiness, description = "Synced"),
    (status = 503, body = Readiness, description = "Not synced, with the reasons"),
    Refusals
))]
pub(super) async fn readyz(State(door): State<Door>) -> Response {
    let readiness = match door.node() {
        None => opening(door.doing()),
        Some(node) => {
            let standing = node.standing.borrow().clone();
            readiness(&standing, node.spec.block_interval_ms, unix_millis())
        }
    };
    let status = match readiness.ready {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(readiness)).into_response()
}

/// Not ready, for the ledger is not open yet.
fn opening(detail: String) -> Readiness {
    let reason = "opening";
    Readiness {
        ready: false,
        reasons: vec![Unready { reason, detail }],
        sync: None,
        peers: None,
        height: None,
        tip_age_ms: None,
    }
}

fn readiness(standing: &Standing, block_interval_ms: u32, now_ms: u64) -> Readiness {
    let sync = Sync::of(standing);
    let tip_age_ms = now_ms.saturating_sub(standing.tip_timestamp.get());
    let mut reasons = Vec::new();
    let mut add = |reason, detail| reasons.push(Unready { reason, detail });
    // Whoever mines alone is the network.
    let is_alone = standing.peers == 0 && standing.is_mining;
    if standing.peers == 0 && !is_alone {
        add("no_peers", "no peer is connected".to_owned());
    }
    if standing.phase != Phase::Following && !is_alone {
        add("syncing", format!("the sync is in phase {}", sync.phase));
    }
    if sync.lag_blocks > READY_LAG_BLOCKS_MAX {
        let (lag, target) = (sync.lag_blocks, sync.target_height);
        add("behind", format!("{lag} blocks behind height {target}"));
    }
    let age_max = u64::from(block_interval_ms).saturating_mul(READY_TIP_INTERVALS_MAX);
    let age_max = age_max.max(READY_TIP_AGE_MS_MIN);
    if tip_age_ms > age_max {
        let detail = format!("the tip is {tip_age_ms} ms old, want at most {age_max}");
        add("tip_old", detail);
    }
    Readiness {
        ready: reasons.is_empty(),
        reasons,
        sync: Some(sync),
        peers: Some(standing.peers),
        height: Some(standing.height.get()),
        tip_age_ms: Some(tip_age_ms),
    }
}

#[utoipa::path(get, path = "/metrics", tag = "operation", responses(
    (status = 200, body = String, content_type = "text/plain", description = "Prometheus text format; OpenMetrics where `Accept` asks for it"),
    Refusals
))]
pub(super) async fn metrics(
    State(door): State<Door>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let accept = headers.get(header::ACCEPT);
    let accept = accept.and_then(|accept| accept.to_str().ok());
    let exposition = Exposition::negotiate(accept.unwrap_or_default());
    let (metrics, node) = (door.metrics.clone(), door.node().cloned());
    let text = door.block(move || Ok(metrics.expose(node.as_deref(), exposition)));
    let kind = [(header::CONTENT_TYPE, exposition.content_type())];
    Ok((kind, text.await?).into_response())
}

/// A connected peer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Peer {
    peer_id: String,
    /// A multiaddress.
    address: String,
    /// `outbound` where we dialled, else `inbound`.
    #[schema(example = "outbound")]
    direction: &'static str,
    /// Its software, as it says itself.
    agent: String,
    /// The last round trip, in milliseconds.
    ping_ms: Option<f64>,
}

#[utoipa::path(get, path = "/api/v1/peers", tag = "node", params(Paging), responses((status = 200, body = Page<Peer>), Refusals))]
pub(super) async fn peers(
    api: Api,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<Peer>>, Problem> {
    let limit = paging.limit()?;
    let mut peers = api.node.network.borrow().peers.clone();
    peers.sort_by_cached_key(|peer| peer.peer.to_string());
    let peers = peers.into_iter().map(|peer| Peer {
        peer_id: peer.peer.to_string(),
        address: peer.address.to_string(),
        direction: match peer.is_outbound {
            true => "outbound",
            false => "inbound",
        },
        agent: peer.agent,
        ping_ms: peer.ping.map(|ping| ping.as_secs_f64() * 1e3),
    });
    let after = paging.after.unwrap_or_default();
    let peers = peers.filter(|peer| peer.peer_id > after).take(limit + 1);
    let page = Page::cut(peers.collect(), limit, |peer| peer.peer_id.clone());
    Ok(Json(page))
}

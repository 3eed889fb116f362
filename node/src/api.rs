//! The HTTP API, the metrics and the page for people.
//!
//! It reads the ledger beside the core, asks the core what only it knows, and decides nothing. Every answer is bounded, and so is what one client may ask.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lyceum_protocol::ChainSpec;
use lyceum_storage::OpenProgress;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower_http::cors::{AllowOrigin, Any, CorsLayer};
use tower_http::timeout::TimeoutLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::handle::NodeHandle;
use crate::metrics::Metrics;

mod blocks;
mod context;
mod events;
mod limit;
mod listener;
mod paging;
mod problem;
mod records;
mod segments;
mod status;
mod transactions;
mod web;

pub use context::Doing;
use context::{Api, Door};
use limit::Limiter;
pub use limit::RateLimit;
use listener::{BoundedListener, Client};
use problem::{Problem, Refusals};

/// How long a request may take until its answer starts, its body's arrival included.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(30);

/// How the API is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiConfig {
    /// The origins whose pages may read from the API: `https://example.org`, or `*` for all. None by default.
    pub cors: Vec<String>,
    /// What one client may ask. The liveness, readiness and metrics paths are free.
    pub rate: RateLimit,
}

/// Why the API can't be served.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The address is not ours, or in use.
    #[error("can't listen on {address}: {source}; choose another address with --http")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Not an origin.
    #[error("{0:?} is no origin: want https://HOST or *")]
    Origin(String),
}

/// An API that is being served.
pub struct ApiServer {
    /// Where.
    pub address: SocketAddr,
    /// Ends after the shutdown, when the last answer is sent.
    pub task: JoinHandle<()>,
    door: Door,
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut server = f.debug_struct("ApiServer");
        server
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl ApiServer {
    /// The node is there: from now on everything is served.
    pub fn open(&self, node: NodeHandle) {
        let height = node.standing.borrow().height;
        self.door.metrics.count_executed_from(height);
        self.door.open(node);
    }
}

/// As [`listen`], for a node that is there.
///
/// # Errors
/// [`ApiError`]; nothing is served then.
pub async fn serve(
    address: SocketAddr,
    node: NodeHandle,
    metrics: Arc<Metrics>,
    config: ApiConfig,
    shutdown: CancellationToken,
) -> Result<ApiServer, ApiError> {
    let doing = Doing {
        what: watch::channel("starting").1,
        progress: OpenProgress::default(),
    };
    let spec = Arc::clone(&node.spec);
    let server = listen(address, &spec, metrics, config, doing, shutdown).await?;
    server.open(node);
    Ok(server)
}

/// Listens on `address`, and serves until `shutdown`; then the requests at work are answered, and event streams end.
///
/// Until the node is there ([`ApiServer::open`]), liveness, readiness and metrics are served, and `doing` says what is being done; all else is
/// refused, with the advice to come back.
///
/// # Errors
/// [`ApiError`]; nothing is served then.
pub async fn listen(
    address: SocketAddr,
    spec: &ChainSpec,
    metrics: Arc<Metrics>,
    config: ApiConfig,
    doing: Doing,
    shutdown: CancellationToken,
) -> Result<ApiServer, ApiError> {
    let limiter = Limiter::new(config.rate, Instant::now());
    let door = Door::new(metrics, limiter, doing, shutdown.clone());
    let router = router(door.clone(), spec, &config)?;
    let bind = |source| ApiError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    let service = router.into_make_service_with_connect_info::<Client>();
    let server = axum::serve(BoundedListener::new(listener), service)
        .with_graceful_shutdown(shutdown.cancelled_owned());
    let task = tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the API has ended");
        }
    });
    Ok(ApiServer {
        address,
        task,
        door,
    })
}

/// The API's description, generated from the code that serves it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lyceum node",
        description = "A public ledger of learning: blocks, transactions, state, segments. Refusals are RFC 9457 problem details, whose `reason` is a short name for programs."
    ),
    components(schemas(Problem)),
    tags(
        (name = "node", description = "Where the node stands"),
        (name = "ledger", description = "Blocks and transactions"),
        (name = "state", description = "What the contracts keep"),
        (name = "segments", description = "The chain as torrents"),
        (name = "operation", description = "For those who run it")
    )
)]
struct Description;

/// The described routes, and the document that lists them.
fn described() -> (Router<Door>, utoipa::openapi::OpenApi) {
    let router = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(status::status))
        .routes(routes!(blocks::blocks))
        .routes(routes!(blocks::block))
        .routes(routes!(transactions::transaction))
        .routes(routes!(transactions::proof))
        .routes(routes!(transactions::submit))
        .routes(routes!(transactions::mempool))
        .routes(routes!(records::account))
        .routes(routes!(records::contracts))
        .routes(routes!(records::contract))
        .routes(routes!(records::records))
        .routes(routes!(records::record))
        .routes(routes!(segments::segments))
        .routes(routes!(segments::magnet))
        .routes(routes!(status::peers))
        .routes(routes!(events::events))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(status::metrics))
        .routes(routes!(document))
        .routes(routes!(web::page));
    let (router, mut document) = router.split_for_parts();
    document.merge(segments::SegmentPaths::openapi());
    let router = router.route("/api/v1/segments/{k}", get(segments::segment_or_torrent));
    (router, document)
}

/// The OpenAPI document, as it is served.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let (_, document) = described();
    document.to_json().expect("a document of texts and numbers")
});

#[utoipa::path(get, path = "/openapi.json", tag = "operation", responses((status = 200, body = Object, description = "This document"), Refusals))]
async fn document(_api: Api) -> impl IntoResponse {
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, DOCUMENT.as_str())
}

fn router(door: Door, spec: &ChainSpec, config: &ApiConfig) -> Result<Router, ApiError> {
    let cors = cors(&config.cors)?;
    let body_max = spec.max_tx_bytes as usize + transactions::TOKEN_SPACE_MAX;
    let (router, _) = described();
    let router = router
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            REQUEST_TIME_MAX,
        ))
        .layer(DefaultBodyLimit::max(body_max))
        .layer(middleware::from_fn(problem::describe))
        .layer(middleware::from_fn_with_state(door.clone(), admit));
    let router = match cors {
        Some(cors) => router.layer(cors),
        None => router,
    };
    Ok(router.with_state(door))
}

/// Counts a request, and refuses it where its client asks too often.
async fn admit(
    State(door): State<Door>,
    ConnectInfo(Client(client)): ConnectInfo<Client>,
    request: Request,
    next: Next,
) -> Response {
    let start = Instant::now();
    let is_free = ["/healthz", "/readyz", "/metrics"].contains(&request.uri().path());
    let allowed = match is_free {
        true => Ok(()),
        false => door.limiter.take(client, start),
    };
    let mut response = match allowed {
        Ok(()) => next.run(request).await,
        Err(wait) => {
            let wait = wait.as_secs_f64();
            let detail = format!("too many requests: wait {wait:.3} s");
            Problem::too_many("rate_limit", detail).into_response()
        }
    };
    let nosniff = HeaderValue::from_static("nosniff");
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let took = start.elapsed();
    door.metrics.answered(response.status().as_u16(), took);
    response
}

fn cors(origins: &[String]) -> Result<Option<CorsLayer>, ApiError> {
    if origins.is_empty() {
        return Ok(None);
    }
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::CONTENT_TYPE,
            HeaderName::from_static("last-event-id"),
        ])
        .expose_headers([header::LOCATION, header::RETRY_AFTER]);
    if origins.iter().any(|origin| origin == "*") {
        return Ok(Some(layer.allow_origin(Any)));
    }
    let parse = |origin: &String| -> Result<HeaderValue, ApiError> {
        let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
            ["http", "https"].contains(&scheme) && !host.is_empty() && !host.contains('/')
        });
        let value = HeaderValue::from_str(origin).ok().filter(|_| is_origin);
        value.ok_or_else(|| ApiError::Origin(origin.clone()))
    };
    let origins = origins.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    Ok(Some(layer.allow_origin(AllowOrigin::list(origins))))
}

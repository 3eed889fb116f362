//! What handlers are given.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use lyceum_storage::{LedgerView, OpenProgress};
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::limit::Limiter;
use super::problem::Problem;
use crate::handle::{NodeCommand, NodeHandle};
use crate::metrics::Metrics;

/// Reads of the ledger at once, each on a blocking thread: more would only wait for the disk.
const READS_MAX: usize = 16;
/// How long a request waits for its turn to read, and for the core to answer.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// Listeners to events at once.
const EVENT_STREAMS_MAX: usize = 256;

/// What is being done until the node is there.
#[derive(Debug, Clone)]
pub struct Doing {
    /// In words.
    pub what: watch::Receiver<&'static str>,
    /// How far the ledger is opened.
    pub progress: OpenProgress,
}

/// What is there from the first second on; the node comes when its ledger is open.
#[derive(Clone)]
pub(super) struct Door(Arc<Inner>);

pub(super) struct Inner {
    pub(super) metrics: Arc<Metrics>,
    pub(super) limiter: Limiter,
    pub(super) event_streams: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
    doing: Doing,
    since: Instant,
    node: OnceLock<Arc<NodeHandle>>,
    reads: Arc<Semaphore>,
}

impl std::ops::Deref for Door {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Door {
    pub(super) fn new(
        metrics: Arc<Metrics>,
        limiter: Limiter,
        doing: Doing,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            metrics,
            limiter,
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            shutdown,
            doing,
            since: Instant::now(),
            node: OnceLock::new(),
            reads: Arc::new(Semaphore::new(READS_MAX)),
        }))
    }

    /// From now on all is served.
    pub(super) fn open(&self, node: NodeHandle) {
        // A second node would be a fault of ours: the first one stays.
        let _ = self.node.set(Arc::new(node));
    }

    /// The node, once it is there.
    pub(super) fn node(&self) -> Option<&Arc<NodeHandle>> {
        self.node.get()
    }

    /// What is being done before the node is there, and for how long.
    pub(super) fn doing(&self) -> String {
        let (doing, seconds) = (*self.doing.what.borrow(), self.since.elapsed().as_secs());
        let far = match self.doing.progress.segments() {
            (checked, all) if checked < all => format!(", {checked} of {all} segments checked"),
            _ => String::new(),
        };
        format!("{doing}{far}; the program runs for {seconds} s")
    }

    /// Runs `work` on a blocking thread, when it is its turn.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(WAIT_MAX, self.reads.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::busy("busy", "too many reads at once"));
        };
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        });
        let done = work.await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a read of the ledger panicked");
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            Err(Problem::new(status, "internal", "see the log"))
        })
    }
}

/// What handlers are given that need the node; before it is there, they refuse.
#[derive(Clone)]
pub(super) struct Api {
    door: Door,
    pub(super) node: Arc<NodeHandle>,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.door
    }
}

impl FromRequestParts<Door> for Api {
    type Rejection = Problem;

    async fn from_request_parts(_: &mut Parts, door: &Door) -> Result<Self, Problem> {
        let Some(node) = door.node() else {
            return Err(Problem::busy("opening", door.doing()));
        };
        let (door, node) = (door.clone(), Arc::clone(node));
        Ok(Self { door, node })
    }
}

impl Api {
    /// Reads one consistent state of the ledger, on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LedgerView<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let node = Arc::clone(&self.node);
        self.door.block(move || work(&node.reader.read())).await
    }

    /// Asks the core for what waits for a block; `nothing` where there is no core, as over a ledger at rest.
    pub(super) async fn ask_pending<T>(
        &self,
        nothing: T,
        command: impl FnOnce(oneshot::Sender<T>) -> NodeCommand,
    ) -> Result<T, Problem> {
        match self.node.commands.is_closed() {
            true => Ok(nothing),
            false => self.ask(command).await,
        }
    }

    /// Asks the core.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> NodeCommand,
    ) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        let sent = self.node.commands.try_send(command(reply));
        sent.map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                self.metrics.channel_dropped("api_commands");
                Problem::busy("busy", "the node has too many questions to answer")
            }
            mpsc::error::TrySendError::Closed(_) => stopping(),
        })?;
        match tokio::time::timeout(WAIT_MAX, answer).await {
            Ok(answer) => answer.map_err(|_| stopping()),
            Err(_) => Err(Problem::busy("busy", "the node is too busy to answer")),
        }
    }
}

fn stopping() -> Problem {
    Problem::busy("stopping", "the node is stopping")
}

/// JSON that the node has written before: records, receipts, claims.
pub(super) fn raw(json: String) -> Result<Box<RawValue>, Problem> {
    RawValue::from_string(json).map_err(|error| {
        tracing::error!(%error, "the ledger holds something else than JSON");
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "storage", "the ledger holds something malformed")
    })
}

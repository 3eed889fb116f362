use std::sync::Arc;
use std::time::Duration;

use lyceum_storage::LedgerView;
use serde_json::value::RawValue;
use tokio::sync::{Semaphore, mpsc, oneshot};
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

/// What every handler is given.
#[derive(Clone)]
pub(super) struct Api(Arc<Inner>);

pub(super) struct Inner {
    pub(super) node: NodeHandle,
    pub(super) metrics: Arc<Metrics>,
    pub(super) limiter: Limiter,
    pub(super) event_streams: Arc<Semaphore>,
    pub(super) shutdown: CancellationToken,
    reads: Arc<Semaphore>,
}

impl std::ops::Deref for Api {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Api {
    pub(super) fn new(
        node: NodeHandle,
        metrics: Arc<Metrics>,
        limiter: Limiter,
        shutdown: CancellationToken,
    ) -> Self {
        Self(Arc::new(Inner {
            node,
            metrics,
            limiter,
            event_streams: Arc::new(Semaphore::new(EVENT_STREAMS_MAX)),
            shutdown,
            reads: Arc::new(Semaphore::new(READS_MAX)),
        }))
    }

    /// Runs `work` on a blocking thread, when it is its turn.
    pub(super) async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&NodeHandle) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(WAIT_MAX, self.reads.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::busy("busy", "too many reads at once"));
        };
        let node = self.node.clone();
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work(&node)
        });
        let done = work.await;
        done.unwrap_or_else(|error| {
            tracing::error!(%error, "a read of the ledger panicked");
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            Err(Problem::new(status, "internal", "see the log"))
        })
    }

    /// Reads one consistent state of the ledger, on a blocking thread.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&LedgerView<'_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        self.block(|node| work(&node.reader.read())).await
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

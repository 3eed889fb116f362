//! What the node counts and measures, for Prometheus: one registry, libp2p's own metrics in it. METRICS.md lists them.
//!
//! Counters and histograms are told as things happen; gauges are looked up from the [`NodeHandle`] at each scrape. No label takes a value
//! that a peer or a user chooses: reasons are short names of this program.
//!
//! Before the ledger is open, what would be told of it would be wrong: until then the registry holds the program, its process and its HTTP
//! answers alone.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use lyceum_protocol::Height;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::core::Notice;
use crate::handle::NodeHandle;

mod exposition;
mod families;
mod refresh;

pub use exposition::Exposition;
use families::{BlockSource, Channel, Families, Program, Reason, Status};
pub(crate) use refresh::unix_millis;

/// The prefix of every metric of ours.
const PREFIX: &str = "lyceum";

/// The node's metrics. Share it by an `Arc`; nothing in it waits for long.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    program: Program,
    /// Registered with their first use.
    families: OnceLock<Families>,
    /// The last block whose receipts are counted.
    executed: Mutex<refresh::Counted>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A registry with the program's own metrics in it; those of the ledger and the network come with their first use.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let program = Program::register(registry.sub_registry_with_prefix(PREFIX));
        Self {
            registry: Mutex::new(registry),
            program,
            families: OnceLock::new(),
            executed: Mutex::default(),
        }
    }

    /// Lets others add theirs: libp2p puts its own under `libp2p_`.
    pub fn register<T>(&self, add: impl FnOnce(&mut Registry) -> T) -> T {
        add(&mut self.registry())
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn families(&self) -> &Families {
        let register = || Families::register(self.registry().sub_registry_with_prefix(PREFIX));
        self.families.get_or_init(register)
    }

    /// Counts what the core says has happened.
    pub fn observe(&self, notice: &Notice) {
        let f = self.families();
        match notice {
            Notice::Tip {
                transactions,
                disconnected,
                ..
            } => {
                f.transactions.included.inc_by(*transactions as u64);
                if *disconnected > 0 {
                    f.chain.reorganisations.inc();
                    f.chain.reorganisation_depth.observe(*disconnected as f64);
                }
            }
            Notice::Imported { source, blocks } => {
                let imported = f.chain.imported.get_or_create(&BlockSource::from(*source));
                imported.inc_by(*blocks as u64);
            }
            Notice::BlockRejected { reason, .. } => count(&f.chain.rejected, reason),
            Notice::TransactionRejected { reason } => count(&f.transactions.rejected, reason),
            Notice::Pending(_) => {
                f.transactions.pending.inc();
            }
            Notice::Dropped { cause, .. } => count(&f.transactions.dropped, cause.reason()),
            Notice::Sealed { .. } => {
                f.segments.seals.inc();
            }
            Notice::Unsealed(_) => {
                f.segments.unseals.inc();
            }
            Notice::FetchFailed { reason, .. } => count(&f.segments.fetch_failures, reason),
            Notice::FellBack { reason, .. } => count(&f.segments.fallbacks, reason),
            Notice::Stalled { .. } => {
                f.network.stalls.inc();
            }
            // Counted as imported; gauges are looked up at each scrape.
            Notice::Mined(_) | Notice::Phase(_) | Notice::Peers(_) => {}
        }
    }

    /// A block took so long to be checked and executed.
    pub fn block_validated(&self, took: Duration) {
        self.families().chain.validation.observe(took.as_secs_f64());
    }

    /// A block came by gossip, so long after its own time.
    pub fn block_propagated(&self, age: Duration) {
        self.families().chain.propagation.observe(age.as_secs_f64());
    }

    /// The contracts of blocks above this height are counted, at each scrape: those at or below it ran before the start.
    pub(crate) fn count_executed_from(&self, height: Height) {
        let counted = refresh::Counted::from(height);
        *self.executed.lock().unwrap_or_else(PoisonError::into_inner) = counted;
    }

    /// The miner has tried so many nonces more.
    pub fn mining_attempts(&self, attempts: u64) {
        self.families().machine.mining_attempts.inc_by(attempts);
    }

    /// A peer was banned; `reason` is one of the program's own short names.
    pub fn banned(&self, reason: &'static str) {
        count(&self.families().network.bans, reason);
    }

    /// A message was dropped, for a channel was full; `channel` is one of the program's own names.
    pub fn channel_dropped(&self, channel: &'static str) {
        let label = Channel { channel };
        self.families()
            .network
            .channel_dropped
            .get_or_create(&label)
            .inc();
    }

    /// The API has answered.
    pub(crate) fn answered(&self, status: u16, took: Duration) {
        let label = Status {
            status: match status {
                100..200 => "1xx",
                200..300 => "2xx",
                300..400 => "3xx",
                400..500 => "4xx",
                _ => "5xx",
            },
        };
        self.program.http.requests.get_or_create(&label).inc();
        self.program.http.duration.observe(took.as_secs_f64());
    }

    /// Someone listens to events, until the guard is dropped.
    pub(crate) fn listening(&self) -> Listening {
        let gauge = self.program.http.event_streams.clone();
        gauge.inc();
        Listening(gauge)
    }

    /// Looks the gauges up, and writes everything as text; without a node, what there is before its ledger is open. It reads the ledger's
    /// database and `/proc`: for a blocking thread.
    pub fn expose(&self, node: Option<&NodeHandle>, exposition: Exposition) -> String {
        refresh::process(&self.program.process);
        if let Some(node) = node {
            refresh::refresh(self.families(), node, &self.executed);
        }
        exposition.encode(&self.registry())
    }
}

fn count(family: &Family<Reason, Counter>, reason: &'static str) {
    family.get_or_create(&Reason { reason }).inc();
}

/// While it lives, one listener is counted.
#[derive(Debug)]
pub(crate) struct Listening(Gauge);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.dec();
    }
}

//! Every metric of ours, with its name, its help and its labels.

mod label;

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

pub(super) use label::{
    BlockSource, Build, Channel, Direction, Kind, PHASES, Reason, SOURCES, Status, SyncPhase,
};

/// A gauge of fractions.
pub(super) type FloatGauge = Gauge<f64, AtomicU64>;
/// A counter of fractions.
pub(super) type FloatCounter = Counter<f64, AtomicU64>;

/// What there is to tell as soon as the program runs.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) http: Http,
    pub(super) process: Process,
}

/// What there is to tell once the ledger is open.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) chain: Chain,
    pub(super) transactions: Transactions,
    pub(super) network: Network,
    pub(super) segments: Segments,
    pub(super) machine: Machine,
}

#[derive(Debug)]
pub(super) struct Chain {
    pub(super) height: Gauge,
    pub(super) target_height: Gauge,
    pub(super) work: FloatGauge,
    pub(super) tip_age: FloatGauge,
    pub(super) tip_timestamp: FloatGauge,
    pub(super) imported: Family<BlockSource, Counter>,
    pub(super) rejected: Family<Reason, Counter>,
    pub(super) reorganisations: Counter,
    pub(super) reorganisation_depth: Histogram,
    pub(super) validation: Histogram,
    pub(super) propagation: Histogram,
}

#[derive(Debug)]
pub(super) struct Transactions {
    pub(super) pending: Counter,
    pub(super) included: Counter,
    pub(super) rejected: Family<Reason, Counter>,
    pub(super) dropped: Family<Reason, Counter>,
    pub(super) mempool: Gauge,
    pub(super) mempool_bytes: Gauge,
    pub(super) mempool_senders: Gauge,
}

#[derive(Debug)]
pub(super) struct Network {
    pub(super) peers: Family<Direction, Gauge>,
    pub(super) bans: Family<Reason, Counter>,
    pub(super) bans_active: Family<Kind, Gauge>,
    pub(super) channel_dropped: Family<Channel, Counter>,
    pub(super) phase: Family<SyncPhase, Gauge>,
    pub(super) stalls: Counter,
}

#[derive(Debug)]
pub(super) struct Segments {
    pub(super) torrent: Family<Direction, Counter>,
    pub(super) swarms: Gauge,
    pub(super) registered: Gauge,
    pub(super) sealed: Gauge,
    pub(super) seals: Counter,
    pub(super) unseals: Counter,
    pub(super) missing: Gauge,
    pub(super) active: Gauge,
    pub(super) fetch_failures: Family<Reason, Counter>,
    pub(super) fallbacks: Family<Reason, Counter>,
}

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) instructions: Counter,
    pub(super) gas: Counter,
    pub(super) mining_active: Gauge,
    pub(super) mining_attempts: Counter,
    pub(super) database: Family<Kind, Gauge>,
}

#[derive(Debug)]
pub(super) struct Http {
    pub(super) requests: Family<Status, Counter>,
    pub(super) duration: Histogram,
    pub(super) event_streams: Gauge,
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) cpu: FloatCounter,
    pub(super) resident: Gauge,
    pub(super) virtual_memory: Gauge,
    pub(super) open_fds: Gauge,
    pub(super) max_fds: Gauge,
    pub(super) threads: Gauge,
    pub(super) start_time: FloatGauge,
}

/// Half a millisecond to 16 s, doubling.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.0005, 2.0, 16))
}

fn add<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// As [`add`]; the unit ends the metric's name.
fn add_unit<M: Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    unit: Unit,
    help: &str,
    metric: M,
) -> M {
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

impl Program {
    /// Registers all, under the registry's prefix.
    pub(super) fn register(registry: &mut Registry) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let build = Info::new(Build { version });
        registry.register("build", "The program that runs", build);
        Self {
            http: Http::register(registry),
            process: Process::register(registry),
        }
    }
}

impl Families {
    /// Registers all, under the registry's prefix.
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            chain: Chain::register(registry),
            transactions: Transactions::register(registry),
            network: Network::register(registry),
            segments: Segments::register(registry),
            machine: Machine::register(registry),
        }
    }
}

impl Chain {
    #[rustfmt::skip]
    fn register(to: &mut Registry) -> Self {
        let families = Self {
            height: add(to, "chain_height", "Height of the tip", Gauge::default()),
            target_height: add(to, "chain_target_height", "Best height that a peer claims with more work than ours; ours where there is none", Gauge::default()),
            work: add(to, "chain_work", "Work of the main chain: hashes expected to make it", FloatGauge::default()),
            tip_age: add_unit(to, "chain_tip_age", Unit::Seconds, "Time since the tip was made, by its own timestamp", FloatGauge::default()),
            tip_timestamp: add_unit(to, "chain_tip_timestamp", Unit::Seconds, "The tip's own timestamp, since 1970", FloatGauge::default()),
            imported: add(to, "blocks_imported", "Blocks taken, by how they came", Family::default()),
            rejected: add(to, "blocks_rejected", "Blocks refused, by the rule they broke", Family::default()),
            reorganisations: add(to, "reorganisations", "Changes of the tip that took blocks off the main chain", Counter::default()),
            reorganisation_depth: add(to, "reorganisation_depth_blocks", "Blocks taken off the main chain by a reorganisation", Histogram::new(exponential_buckets(1.0, 2.0, 9))),
            validation: add_unit(to, "block_validation", Unit::Seconds, "Time to check and execute a block", seconds()),
            propagation: add_unit(to, "block_propagation", Unit::Seconds, "Age of a block, by its own timestamp, when gossip brought it", seconds()),
        };
        for source in SOURCES {
            let _at_zero = families.imported.get_or_create(&BlockSource::from(source));
        }
        families
    }
}

impl Transactions {
    #[rustfmt::skip]
    fn register(to: &mut Registry) -> Self {
        Self {
            pending: add(to, "transactions_pending", "Transactions that the mempool has taken", Counter::default()),
            included: add(to, "transactions_included", "Transactions of blocks put on the main chain", Counter::default()),
            rejected: add(to, "transactions_rejected", "Transactions refused, by the rule they broke", Family::default()),
            dropped: add(to, "transactions_dropped", "Transactions no longer pending and not in the chain, by cause", Family::default()),
            mempool: add(to, "mempool_transactions", "Pending transactions", Gauge::default()),
            mempool_bytes: add_unit(to, "mempool", Unit::Bytes, "Tokens of the pending transactions", Gauge::default()),
            mempool_senders: add(to, "mempool_senders", "Different senders of pending transactions", Gauge::default()),
        }
    }
}

impl Network {
    #[rustfmt::skip]
    fn register(to: &mut Registry) -> Self {
        let families = Self {
            peers: add(to, "peers", "Connected peers of our chain, by who dialled", Family::default()),
            bans: add(to, "bans", "Bans pronounced, by reason", Family::default()),
            bans_active: add(to, "bans_active", "Bans in force", Family::default()),
            channel_dropped: add(to, "channel_dropped", "Messages between the node's parts dropped for a full channel", Family::default()),
            phase: add(to, "sync_phase", "1 for the phase that the sync is in, 0 for the others", Family::default()),
            stalls: add(to, "sync_stalls", "Syncs without progress that went on with other peers", Counter::default()),
        };
        for phase in PHASES {
            let _at_zero = families.phase.get_or_create(&SyncPhase::from(phase));
        }
        families
    }
}

impl Segments {
    #[rustfmt::skip]
    fn register(to: &mut Registry) -> Self {
        Self {
            torrent: add_unit(to, "torrent", Unit::Bytes, "Bytes of segments over BitTorrent", Family::default()),
            swarms: add(to, "torrent_swarms", "Torrents that are live: seeded or being pulled", Gauge::default()),
            registered: add(to, "torrent_segments_registered", "Segments that can be seeded when somebody asks", Gauge::default()),
            sealed: add(to, "segments_sealed", "Sealed segments in the ledger", Gauge::default()),
            seals: add(to, "segment_seals", "Segments sealed since the start", Counter::default()),
            unseals: add(to, "segment_unseals", "Segments that a reorganisation unsealed", Counter::default()),
            missing: add(to, "sync_segments_missing", "Segments that the sync lacks", Gauge::default()),
            active: add(to, "sync_segments_active", "Segments that are being pulled", Gauge::default()),
            fetch_failures: add(to, "segment_fetch_failures", "Pulls of a segment that failed, by reason", Family::default()),
            fallbacks: add(to, "segment_fallbacks", "Segments whose rest was pulled block by block instead, by reason", Family::default()),
        }
    }
}

impl Machine {
    #[rustfmt::skip]
    fn register(to: &mut Registry) -> Self {
        Self {
            instructions: add(to, "vm_instructions", "Cryptoleq instructions of connected blocks", Counter::default()),
            gas: add(to, "vm_gas", "Gas used by connected blocks", Counter::default()),
            mining_active: add(to, "mining_active", "1 while a miner is at work", Gauge::default()),
            mining_attempts: add(to, "mining_attempts", "Nonces tried by the miner", Counter::default()),
            database: add_unit(to, "database", Unit::Bytes, "What the database takes up: on disk and in memory", Family::default()),
        }
    }
}

impl Http {
    #[rustfmt::skip]
    fn register(to: &mut Registry) -> Self {
        Self {
            requests: add(to, "http_requests", "Answers of the HTTP API, by class of status", Family::default()),
            duration: add_unit(to, "http_request_duration", Unit::Seconds, "Time until the HTTP API answers", seconds()),
            event_streams: add(to, "http_event_streams", "Listeners to server-sent events", Gauge::default()),
        }
    }
}

impl Process {
    #[rustfmt::skip]
    fn register(to: &mut Registry) -> Self {
        Self {
            cpu: add_unit(to, "process_cpu", Unit::Seconds, "Processor time, user and system", FloatCounter::default()),
            resident: add_unit(to, "process_resident_memory", Unit::Bytes, "Memory in RAM", Gauge::default()),
            virtual_memory: add_unit(to, "process_virtual_memory", Unit::Bytes, "Memory mapped", Gauge::default()),
            open_fds: add(to, "process_open_fds", "File descriptors in use", Gauge::default()),
            max_fds: add(to, "process_max_fds", "File descriptors allowed", Gauge::default()),
            threads: add(to, "process_threads", "Threads", Gauge::default()),
            start_time: add_unit(to, "process_start_time", Unit::Seconds, "When the process started, since 1970", FloatGauge::default()),
        }
    }
}

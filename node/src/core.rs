//! Decisions: what a node makes of what it learns. Nothing under `core/` awaits, reads a clock or opens a socket.

mod chain;
mod event;
mod execute;
mod handouts;
mod mempool;
mod peers;
pub mod schedule;
mod state_world;
mod step;
mod sync;
pub mod wire;

pub use chain::{
    Chain, ChainError, CheckedRun, ImportRun, Imported, LineRuns, LinesError, ORPHAN_BYTES_MAX,
    ORPHANS_MAX, PART_BYTES, PartError, RUN_BYTES, RUN_LINES, RUNS_BYTES_MAX, RunChecker,
    SegmentPart, Template, TipChange,
};
pub use event::{Action, Event, Notice, Phase, Source, SubmitRefusal};
pub use execute::{BlockSite, ExecuteError, execute_block};
pub use mempool::{
    Accepted, BYTES_MAX, DropCause, Dropped, Mempool, MempoolError, MempoolLimits, MempoolStats,
    Price, REPLACEMENT_BUMP_PERCENT, SENDER_SEQS_MAX, TRANSACTIONS_MAX,
};
pub use peers::{BAN_DURATION, BAN_POINTS, Offence};
pub use state_world::StateWorld;
pub use step::{Core, CoreConfig};

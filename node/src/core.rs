//! Decisions: what a node makes of what it learns. Nothing under `core/` awaits, reads a clock or opens a socket.

mod chain;
mod execute;
mod state_world;

pub use chain::{
    Chain, ChainError, ImportRun, Imported, ORPHAN_BYTES_MAX, ORPHANS_MAX, Template, TipChange,
};
pub use execute::{BlockSite, ExecuteError, execute_block};
pub use state_world::StateWorld;

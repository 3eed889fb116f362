//! The ledger on disk: atomic blocks, the state tree, segment files.
//!
//! A [`Store`] keeps what the chain logic has checked and executed: block lines, the records that they leave behind, receipts, and the
//! indexes to find them by. A [`Batch`] puts blocks on the tip, or takes them back, and commits them all by one atomic write; the state's
//! root is known before. Reads see one consistent state each ([`LedgerView`]), while blocks come in. Two engines are behind it: RocksDB,
//! and maps in memory for tests and simulations, with the same roots.
//!
//! The crate checks no block's rules, runs no contract, chooses no fork and opens no connection.
//!
//! ```
//! use lyceum_protocol::{BlockLine, ChainSpec};
//! use lyceum_storage::{ConnectBlock, Durability, Options, StateChanges, Store, state_root_of, verify_proof};
//!
//! let spec = ChainSpec::dev();
//! let path = "credits/account/did:key:z6Mk";
//! let record = r#"{"balance":50,"seq":0}"#;
//! let changes = StateChanges::from([(path.to_owned(), Some(record.to_owned()))]);
//! let genesis = spec.genesis(state_root_of(&changes));
//!
//! let mut store = Store::in_memory(&spec, genesis.hash(), &Options::default());
//! let mut batch = store.begin();
//! let root = batch.connect(ConnectBlock {
//!     header: &genesis,
//!     line: BlockLine::new(genesis.token()),
//!     ids: &[],
//!     changes,
//!     receipts: &[],
//! })?;
//! assert_eq!(root, genesis.claims().state_root);
//! batch.commit(Durability::Synced)?;
//!
//! let proven = store.read().prove(path)?;
//! assert_eq!(proven.record.as_deref(), Some(record));
//! verify_proof(root, path, Some(record), &proven.proof)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod cache;
mod connector;
mod engine;
mod error;
mod failpoint;
mod family;
mod hasher;
mod overlay;
mod pipeline;
mod schema;
mod segment;
mod store;
#[cfg(test)]
mod tests;
mod tree;
mod view;

pub use batch::Batch;
pub use connector::{ConnectBlock, Connector, TreeChanges};
pub use engine::{Durability, EngineSizes};
pub use error::StoreError;
#[cfg(any(test, feature = "failpoints"))]
pub use failpoint::{FAILPOINT_VARIABLE, FAILPOINTS};
pub use hasher::SeededState;
pub use pipeline::{Back, Filled, Front};
pub use schema::{BlockEntry, Tip, TxLocation};
pub use segment::{DamagedSegment, SegmentEntry};
pub use store::{OpenProgress, OpenReport, Options, Reader, Store};
pub use tree::{ProofError, ProofLeaf, TreeProof, verify_proof};
pub use view::{LedgerView, StateChanges, StateProof, state_root_of};

//! The Lyceum node, and the `lyceum` program.
//!
//! [`core`] decides: which blocks are accepted, which chain is the best, what the state is, which transactions wait. [`wallet_file`]
//! keeps keys and identity cards, [`hs256`] reads the blocks of an older kind of chain. The program keeps a ledger on disk, copies and checks it,
//! keeps wallets, runs and lists contracts and programs of the Cryptoleq machine. There is no network yet.

pub mod api;
mod cli;
pub mod core;
pub mod handle;
pub mod hs256;
pub mod metrics;
pub mod network;
pub mod torrent;
pub mod wallet_file;

pub use cli::main;

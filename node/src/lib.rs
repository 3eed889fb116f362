//! The Lyceum node, and the `lyceum` program.
//!
//! [`core`] decides: which blocks are accepted, which chain is the best, what the state is, which transactions wait. [`network`],
//! [`torrent`] and [`api`] speak with the world, [`miner`] mines, [`driver`] joins them all: `lyceum node` is a [`driver::Node`], set up by
//! [`config`]. [`wallet_file`] keeps keys and identity cards, [`hs256`] reads the blocks of an older kind of chain. The program also copies and
//! checks ledgers, keeps wallets, and runs and lists contracts and programs of the Cryptoleq machine.

pub mod api;
mod cli;
mod clock;
pub mod config;
pub mod core;
pub mod driver;
pub mod handle;
pub mod hs256;
mod logging;
pub mod metrics;
pub mod miner;
pub mod network;
pub mod torrent;
pub mod wallet_file;

pub use cli::main;

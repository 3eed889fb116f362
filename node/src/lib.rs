//! The Lyceum node, and the `lyceum` program.
//!
//! [`core`] decides: which blocks are accepted, which chain is the best, what the state is. The program keeps a ledger on disk, copies and
//! checks it, runs and lists contracts and programs of the Cryptoleq machine. There is no network yet.

mod cli;
pub mod core;

pub use cli::main;

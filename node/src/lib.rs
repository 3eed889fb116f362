//! The Lyceum node, and the `lyceum` program.
//!
//! So far the program has the commands that need no node: it runs, assembles and lists programs of the Cryptoleq machine, and keeps
//! wallets. The library has the mempool, and reads chains of HS256 blocks.

mod cli;
pub mod core;
pub mod hs256;
pub mod wallet_file;

pub use cli::main;

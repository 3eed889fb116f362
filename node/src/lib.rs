//! The Lyceum node, and the `lyceum` program.
//!
//! So far the program has the commands that need no node: it runs, assembles and lists programs of the Cryptoleq machine.

mod cli;
pub mod core;
pub mod hs256;

pub use cli::main;

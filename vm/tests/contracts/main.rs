//! Contracts, from their text to the world after a call.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::too_many_lines, reason = "tables of cases are long")]

mod ballot;
mod builtins;
mod calls;
mod chain;
mod direct;
mod hostile;
mod library;
mod listing;
mod native;
mod operators;
mod proposals;
mod random;
mod refusals;

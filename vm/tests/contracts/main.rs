//! Contracts, from their text to the world after a call.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod ballot;
mod builtins;
mod chain;
mod direct;
mod library;
mod listing;
mod operators;
mod proposals;
mod random;

//! Contracts, from their text to the world after a call.

mod ballot;
mod builtins;
mod chain;
mod library;
mod listing;
mod operators;
mod proposals;

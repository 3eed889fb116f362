//! Contracts, from their text to the world after a call.

mod builtins;
mod chain;
mod library;
mod operators;
mod proposals;

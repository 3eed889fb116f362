//! Contracts, from their text to the world after a call.

mod chain;
mod library;
mod operators;

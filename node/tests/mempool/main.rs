//! The mempool against a naive model, and its rules one by one.

#![allow(clippy::unwrap_used)] // all of it is test code

mod events;
mod model;
mod rules;
mod world;

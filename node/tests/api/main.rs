//! The HTTP API over a chain in memory: every route, every kind of refusal, bounds, events, metrics, the page.

#![allow(clippy::unwrap_used)] // all of it is test code

mod ci;
mod events;
#[path = "../chain/forge.rs"]
#[allow(dead_code)] // shared with the chain's tests
mod forge;
mod ledger;
mod metrics;
mod outside;
mod page;
mod refusals;
mod state;
mod status;
mod world;

//! The BitTorrent side among its own kind, against libtorrent, and against peers that lie, stall and flood.

#![allow(clippy::unwrap_used)]

mod discovery;
mod engine;
mod fake;
mod faults;
mod libtorrent;
mod node;
mod seeding;
mod tracker;
mod traps;

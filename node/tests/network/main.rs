//! Real nodes: `lyceum node` as its users run it, and several nodes of one chain on loopback.

#![allow(clippy::unwrap_used)] // all of it is test code

mod alone;
mod child;
#[path = "../api/ci.rs"]
mod ci;
#[path = "../torrent/fake.rs"]
#[allow(dead_code)]
mod fake;
#[path = "../chain/forge.rs"]
#[allow(dead_code)]
mod forge;
mod inside;
mod liar;
mod liars;
mod opening;
mod outside;
mod places;
mod progress;
mod several;
mod signals;
mod space;
mod spec;
mod wrong_bytes;

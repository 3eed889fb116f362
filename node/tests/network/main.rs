//! Real nodes: `lyceum node` as its users run it, and several nodes of one chain on loopback.

#![allow(clippy::unwrap_used)] // all of it is test code

mod alone;
mod child;
#[path = "../torrent/fake.rs"]
#[allow(dead_code)]
mod fake;
#[path = "../chain/forge.rs"]
#[allow(dead_code)]
mod forge;
mod inside;
mod liar;
mod liars;
mod several;
mod spec;
mod wrong_bytes;

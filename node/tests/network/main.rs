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
#[allow(dead_code)]
mod garbage;
mod inside;
#[allow(dead_code)]
mod liar;
mod liars;
#[allow(dead_code)]
mod lies;
mod readme;
mod several;
mod spec;
mod wrong_bytes;

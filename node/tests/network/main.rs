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
#[allow(dead_code)]
mod garbage;
mod inside;
#[allow(dead_code)]
mod liar;
mod liars;
#[allow(dead_code)]
mod lies;
mod opening;
mod outside;
mod places;
mod progress;
mod readme;
mod several;
mod signals;
mod space;
mod spec;
mod wrong_bytes;

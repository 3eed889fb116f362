//! Networks on loopback, all in one process. Nothing here measures time: whatever must happen is awaited, with a deadline so that a
//! failure ends.

mod bans;
mod exchange;
mod gossip;
mod meet;
mod node;
mod reach;
mod stranger;

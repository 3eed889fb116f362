//! Stands in for the crate `web-time` in the simulator. That one gives the standard library's clocks; here an instant is one of tokio's, so
//! that it is of virtual time where tokio's clock is paused.

pub use std::time::{Duration, SystemTime, SystemTimeError, UNIX_EPOCH};
pub use tokio::time::Instant;

//! Ctrl-C and its like.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The exit status of a program that a second Ctrl-C ends: 128 and the signal's number, as in a shell.
const INTERRUPTED: i32 = 130;
/// How often a sleeper looks whether it is to stop.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Says whether the user has asked to stop.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops at the first SIGINT, SIGTERM or SIGHUP; a second one ends the program at once, and its children with it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub(crate) fn on_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal finds the flag still down.
            flag::register_conditional_shutdown(signal, INTERRUPTED, stop.0.clone())?;
            flag::register(signal, stop.0.clone())?;
        }
        Ok(stop)
    }

    /// Asks to stop.
    pub(crate) fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Has anybody asked to stop?
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps until `time`, or until asked to stop.
    pub(crate) fn sleep_until(&self, time: Instant) {
        while !self.is_set() {
            let left = time.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

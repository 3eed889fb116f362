//! Stands in for the crate `futures-timer` in the simulator. That one has a thread and a clock of its own; here a delay is one of tokio's,
//! so that it passes in virtual time where tokio's clock is paused.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// As good as for ever: a deadline that is later than an [`Instant`] can tell is this far away instead.
const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);

/// A future that is done after a while.
#[derive(Debug)]
pub struct Delay(Pin<Box<Sleep>>);

impl Delay {
    /// Done after so long from now.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(after: Duration) -> Self {
        Self(Box::pin(sleep(after)))
    }

    /// Done after so long from now instead.
    pub fn reset(&mut self, after: Duration) {
        let now = Instant::now();
        let due = now.checked_add(after).unwrap_or(now + FAR);
        self.0.as_mut().reset(due);
    }
}

impl Future for Delay {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}

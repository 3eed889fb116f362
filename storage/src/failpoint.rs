//! Places where a test ends the process, to see what a power cut leaves behind.

/// Every place, in the order in which a block meets them.
#[cfg(any(test, feature = "failpoints"))]
pub const FAILPOINTS: [&str; 17] = [
    "open:marked",
    "commit:before",
    "commit:after",
    "segment:created",
    "segment:half_written",
    "segment:written",
    "segment:synced",
    "segment:renamed",
    "seal:before_commit",
    "seal:after_commit",
    "adopt:synced",
    "adopt:renamed",
    "adopt:before_commit",
    "adopt:after_commit",
    "abandon:before_commit",
    "unseal:before_remove",
    "close:flushed",
];

/// The environment variable that names a place and says at which visit the process ends there: `commit:before=3`.
#[cfg(any(test, feature = "failpoints"))]
pub const FAILPOINT_VARIABLE: &str = "LYCEUM_FAILPOINT";

/// Ends the process here, if the environment asks for it: at once, without any clean-up, as `kill -9` would.
#[cfg(any(test, feature = "failpoints"))]
pub(crate) fn reach(place: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static WANTED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static VISITS: AtomicU64 = AtomicU64::new(0);

    debug_assert!(FAILPOINTS.contains(&place), "{place} is not listed");
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var(FAILPOINT_VARIABLE).ok()?;
        let (name, visit) = text.split_once('=')?;
        Some((name.to_owned(), visit.parse().ok()?))
    });
    if let Some((name, visit)) = wanted
        && name == place
        && VISITS.fetch_add(1, Ordering::SeqCst) + 1 == *visit
    {
        std::process::abort();
    }
}

#[cfg(not(any(test, feature = "failpoints")))]
pub(crate) fn reach(_: &str) {}

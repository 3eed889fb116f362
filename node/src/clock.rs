//! The machine's clock.

use std::time::{SystemTime, UNIX_EPOCH};

use lyceum_protocol::Timestamp;

/// Now. A clock that stands before 1970 gives 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    Timestamp::new(millis).unwrap_or(Timestamp::MAX)
}

//! The program's allocator. Execution makes many small values: with the system's an import takes a tenth longer. RocksDB's memory comes from it, too.

use std::ffi::{c_int, c_long};

use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay`, by its place in `mimalloc.h` of version 2.
const PURGE_DELAY: c_int = 15;
/// What it is unless it is set. No option beside it has the same.
const PURGE_DELAY_MS_DEFAULT: c_long = 10;
/// How long freed memory waits to be used again, in milliseconds, before the system has it back. Each page that comes anew from the system costs a fault of
/// some 3 µs: at an import of 100 000 transactions there were 110 000 of them with the default, and 68 000 with these, for 25 MiB more.
pub(crate) const PURGE_DELAY_MS: c_long = 50;

// SAFETY: as `mimalloc.h` declares them. They write and read one number of a table, and an option that there is not is passed over.
#[expect(
    unsafe_code,
    reason = "mimalloc's options are set by functions of C's, which its binding has not"
)]
unsafe extern "C" {
    safe fn mi_option_set(option: c_int, value: c_long);
    safe fn mi_option_get(option: c_int) -> c_long;
}

/// Sets the allocator up, where nobody did by its own variable (`MIMALLOC_PURGE_DELAY`). Another version of it, with another option at that place, is
/// left alone.
pub(crate) fn set_up() {
    if purge_delay() == PURGE_DELAY_MS_DEFAULT {
        mi_option_set(PURGE_DELAY, PURGE_DELAY_MS);
    }
}

pub(crate) fn purge_delay() -> c_long {
    mi_option_get(PURGE_DELAY)
}

//! What the node decides, apart from how it does it: nothing here waits, reads a clock or touches a disk.

mod mempool;

pub use mempool::{
    Accepted, BYTES_MAX, DropCause, Dropped, Mempool, MempoolError, MempoolLimits, MempoolStats,
    Price, REPLACEMENT_BUMP_PERCENT, SENDER_SEQS_MAX, TRANSACTIONS_MAX,
};

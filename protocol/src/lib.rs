//! The rules of the Lyceum ledger.

mod address;
mod hash;
pub mod json;
mod units;

pub use address::{Address, AddressError};
pub use hash::{BlockHash, Hash, HexError, InfoHash, StateRoot, TxId, TxRoot, kind};
pub use units::{
    Amount, Credits, Gas, Height, INTEGER_MAX, SegmentIndex, Seq, Timestamp, UnitError,
};

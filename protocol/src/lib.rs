//! The rules of the Lyceum ledger.

mod address;
mod claims;
mod hash;
pub mod json;
mod merkle;
mod token;
mod units;
mod work;

pub use address::{Address, AddressError};
pub use hash::{BlockHash, Hash, HexError, InfoHash, StateRoot, TxId, TxRoot, kind};
pub use merkle::{InclusionProof, tx_root};
pub use ruint::aliases::U256;
pub use token::{Part, Token, TokenError};
pub use units::{
    Amount, Credits, Gas, Height, INTEGER_MAX, SegmentIndex, Seq, Timestamp, UnitError,
};
pub use work::{Asert, Bits, BitsError, Target, Work};

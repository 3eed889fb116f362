//! The rules of the Lyceum ledger.
//!
//! What a token, a wallet, a transaction, a block, a segment and a chain file are, how each is read and written, and the rules that decide
//! whether a block is valid. Every block and every transaction is a JWT; whatever comes from outside is read strictly, and refused with a
//! named error.
//!
//! The crate does no I/O, reads no clock and draws no randomness: the caller passes the time and the entropy. It does not execute
//! contracts, and it keeps nothing.
//!
//! ```
//! use lyceum_protocol::{ChainSpec, Credits, Gas, SecretKey, Seq, Address, TxBody, TxClaims, check_transaction};
//!
//! let spec = ChainSpec::dev();
//! let key = SecretKey::from_seed(&[7; 32]); // in earnest: 32 random bytes
//! let claims = TxClaims {
//!     sender: Address::from_bytes(key.public()),
//!     seq: Seq::ZERO,
//!     gas: Gas::new(100_000)?,
//!     fee: Credits::ZERO,
//!     body: TxBody::parse(r#"{"actions":[{"action":"delete_course","id":"C1"}]}"#)?,
//! };
//! let transaction = claims.sign(&key, &spec)?;
//! let checked = check_transaction(transaction.token(), &spec)?;
//! assert_eq!(checked.id(), transaction.id());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod block;
mod chain_spec;
mod claims;
mod contracts;
mod forks;
mod hash;
pub mod json;
mod merkle;
mod mining;
mod rules;
mod segment;
mod signature;
mod token;
mod transaction;
mod units;
mod wallet;
mod work;

pub use address::{Address, AddressError};
pub use block::{Block, BlockClaims, BlockLine, Header, HeaderError, LINE_SEPARATOR};
pub use chain_spec::{
    BLOCK_BYTES_LIMIT, CHAIN_FILE_BYTES_MAX, CHAIN_LIST_LEN_MAX, ChainFields, ChainName,
    ChainNameError, ChainSpec, ChainSpecError, GenesisContract,
};
pub use contracts::BUILTIN_CONTRACTS;
pub use forks::{
    HeaderTree, Insertion, LOCATOR_LEN_MAX, ReorgPath, SIDE_HEADERS_MAX, TreeError, TreeHeader,
};
pub use hash::{BlockHash, Hash, HexError, InfoHash, StateRoot, TxId, TxRoot, kind};
pub use merkle::{InclusionProof, tx_root};
pub use mining::{Mined, Miner, SealedBlock};
pub use ruint::aliases::U256;
pub use rules::{
    BlockError, Checked, FUTURE_MS_MAX, MEDIAN_TIME_BLOCKS, ParentContext, UnlinkedBlock, Verdict,
    check_account, check_block, check_link, check_segment, check_state_root, check_time,
    check_transaction, check_tx_root, check_unlinked, check_work, decode_block, median_time,
};
pub use segment::{
    Metainfo, MetainfoBuilder, PIECE_BYTES, SegmentError, SegmentErrorKind, SegmentLine,
    SegmentReader, segment_file_name, segment_heights,
};
pub use signature::{
    BATCH_LEN_MIN, BatchSeed, KEY_BYTES, KNOWN_KEYS_MAX, KnownKeys, PublicKey, SIGNATURE_BYTES,
    SecretKey, SignatureError, SignedMessage, TORSION_SUMS, verify_batch, verify_batch_with,
    verify_strict,
};
pub use token::{Part, Token, TokenError};
pub use transaction::{ACTIONS_MAX, Transaction, TxBody, TxClaims, TxError};
pub use units::{
    Amount, Credits, Gas, Height, INTEGER_MAX, Nonce, SegmentIndex, Seq, Timestamp, UnitError, unit,
};
pub use wallet::{USER_ID_BYTES_MAX, UserId, UserIdError, WALLET_BYTES_MAX, Wallet, WalletError};
pub use work::{Asert, Bits, BitsError, Target, Work};

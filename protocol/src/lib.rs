//! protocol

mod signature;

pub use signature::{
    BATCH_LEN_MIN, BatchSeed, KEY_BYTES, PublicKey, SIGNATURE_BYTES, SecretKey, SignatureError,
    SignedMessage, TORSION_SUMS, verify_batch, verify_strict,
};

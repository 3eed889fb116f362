mod fast;
mod plain;

use sha2::{Digest as _, Sha256};

use crate::block::{BlockClaims, HeaderError};
use crate::chain_spec::ChainSpec;
use crate::hash::BlockHash;
use crate::signature::{SIGNATURE_BYTES, SecretKey};
use crate::token::{SIGNATURE_TEXT_BYTES, encode_signature, seal};
use crate::work::Target;

use fast::Start;
use plain::Nonces;

/// A search for a signature that makes one block's hash meet its target.
///
/// The hash covers the signature, so every attempt signs. [`Miner::plain`] signs a new `nonce` claim each time;
/// [`Miner::fast`] signs the same claims with another Ed25519 nonce each time, many times faster.
///
/// # Why a miner is spent by success
///
/// Fast attempts use the secret nonces `r`, `r + 1`, `r + 2`, … Two signatures of one start, `s = r + i + k a` and
/// `s' = r + j + k' a`, give away the secret key `a`, for all else is public. One of them alone is an ordinary
/// signature with a uniformly random nonce, and choosing it by its hash tells nothing that is not public. So at most one may ever leave
/// this module: [`Miner::mine`] takes the miner by value, gives back either a block or the miner, and a miner can't be copied:
///
/// ```compile_fail,E0382
/// # fn twice(miner: lyceum_protocol::Miner) {
/// miner.mine(1_000);
/// miner.mine(1_000); // error: use of moved value
/// # }
/// ```
/// ```compile_fail,E0599
/// # fn copy(miner: lyceum_protocol::Miner) {
/// miner.clone(); // error: no method named `clone`
/// # }
/// ```
///
/// A start is derived from the caller's entropy and from the secret key and all that is signed (target included): should the caller's entropy
/// ever repeat, another block still gets an unrelated start, and the same block the same signature.
///
/// Secrets are wiped from memory on drop.
pub struct Miner {
    target: Target,
    attempts: u64,
    method: Method,
}

enum Method {
    Plain(Box<Nonces>),
    Fast(Box<Start>),
}

/// What [`Miner::mine`] comes to.
#[derive(Debug)]
#[must_use]
pub enum Mined {
    /// A block that meets its target. Its miner is spent.
    Sealed(SealedBlock),
    /// Not yet; the miner goes on where it stopped.
    Unfinished(Miner),
}

/// A block token whose hash meets the target of its own `bits`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SealedBlock {
    /// The token, ASCII.
    pub token: String,
    /// Its SHA-256.
    pub hash: BlockHash,
    /// How many signatures it took, this one included, since the miner was made.
    pub attempts: u64,
}

impl Miner {
    /// Mines by varying the `nonce` claim, from that of `claims` on.
    ///
    /// # Errors
    /// [`HeaderError::Miner`] where the key is not the miner's.
    pub fn plain(
        claims: &BlockClaims,
        key: &SecretKey,
        spec: &ChainSpec,
    ) -> Result<Self, HeaderError> {
        let nonces = Nonces::new(claims, key, spec);
        Self::new(claims, key, Method::Plain(Box::new(nonces)))
    }

    /// Mines by varying the Ed25519 nonce; the claims stay as they are. `entropy` is 32 fresh random bytes.
    ///
    /// # Errors
    /// [`HeaderError::Miner`] where the key is not the miner's.
    pub fn fast(
        claims: &BlockClaims,
        key: &SecretKey,
        spec: &ChainSpec,
        entropy: &[u8; 32],
    ) -> Result<Self, HeaderError> {
        let input = claims.signing_input(spec.chain.as_str());
        let start = Start::new(input, key, entropy);
        Self::new(claims, key, Method::Fast(Box::new(start)))
    }

    fn new(claims: &BlockClaims, key: &SecretKey, method: Method) -> Result<Self, HeaderError> {
        if key.public() != *claims.miner.as_bytes() {
            return Err(HeaderError::Miner);
        }
        Ok(Self {
            target: claims.bits.target(),
            attempts: 0,
            method,
        })
    }

    /// How many signatures were tried so far.
    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    /// Makes at most `attempts` attempts, and stops at the first block that meets the target.
    ///
    /// Keep them few (some tens of milliseconds' worth): the caller looks up from its work only between two calls.
    pub fn mine(mut self, attempts: u64) -> Mined {
        let (made, found) = match &mut self.method {
            Method::Plain(nonces) => nonces.search(attempts, self.target),
            Method::Fast(start) => start.search(attempts, self.target),
        };
        self.attempts += made;
        match found {
            None => Mined::Unfinished(self),
            Some(found) => Mined::Sealed(SealedBlock {
                token: seal(found.input, &found.signature),
                hash: found.hash,
                attempts: self.attempts,
            }),
        }
    }
}

impl std::fmt::Debug for Miner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut debug = f.debug_struct("Miner");
        debug
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

/// The one signature of a search that is let out.
struct Found {
    input: String,
    signature: [u8; SIGNATURE_BYTES],
    hash: BlockHash,
}

/// The hash of the token of which `prefix` has absorbed the signing input and the second dot.
fn token_hash(
    prefix: &Sha256,
    signature: &[u8; SIGNATURE_BYTES],
    text: &mut [u8; SIGNATURE_TEXT_BYTES],
) -> BlockHash {
    encode_signature(signature, text);
    BlockHash::from_bytes(prefix.clone().chain_update(text).finalize().into())
}

/// SHA-256 of what stands before the signature.
fn hash_prefix(input: &str) -> Sha256 {
    Sha256::new().chain_update(input).chain_update(".")
}

#[cfg(test)]
mod tests;

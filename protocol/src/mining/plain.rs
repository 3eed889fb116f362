//! The plain way: another `nonce` claim, an ordinary RFC 8032 signature, a hash.

use super::{Found, hash_prefix, token_hash};
use crate::block::BlockClaims;
use crate::chain_spec::ChainSpec;
use crate::signature::SecretKey;
use crate::token::{SIGNATURE_TEXT_BYTES, signing_input};
use crate::units::Nonce;
use crate::work::Target;

/// The claims up to the nonce's digits, and the next nonce.
pub(super) struct Nonces {
    key: SecretKey,
    before: String,
    pub(super) next: Nonce,
}

impl Nonces {
    pub(super) fn new(claims: &BlockClaims, key: &SecretKey, spec: &ChainSpec) -> Self {
        let json = claims.to_json(spec.chain.as_str());
        let digits = claims.nonce.to_string().len();
        Self {
            key: SecretKey::from_seed(&key.expose_seed()),
            before: json[..json.len() - 1 - digits].to_owned(),
            next: claims.nonce,
        }
    }

    /// Attempts made and, if the last of them met the target, its signature.
    pub(super) fn search(&mut self, attempts: u64, target: Target) -> (u64, Option<Found>) {
        let mut text = [0; SIGNATURE_TEXT_BYTES];
        for made in 1..=attempts {
            let input = signing_input(&format!("{}{}}}", self.before, self.next));
            // 2^53 attempts take a core millennia; starting over at 0 only keeps this total.
            self.next = Nonce::new(self.next.get() + 1).unwrap_or(Nonce::ZERO);
            let signature = self.key.sign(input.as_bytes());
            let hash = token_hash(&hash_prefix(&input), &signature, &mut text);
            if target.is_met_by(hash) {
                let found = Found {
                    input,
                    signature,
                    hash,
                };
                return (made, Some(found));
            }
        }
        (attempts, None)
    }
}

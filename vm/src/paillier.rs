//! Paillier keys, for tools and tests: consensus never holds a private key.

use dashu_int::UBig;
use dashu_int::ops::Gcd;

use crate::inverse::inverse;
use crate::{Modulus, ModulusError, Residue};

/// The public key N, with the generator 1 + N.
#[derive(Clone, Debug)]
pub struct PaillierPublic {
    modulus: Modulus,
}

/// The primes p and q of N = pq.
///
/// Whoever holds it reads every ciphertext; its operations take a time that depends on it.
#[derive(Clone)]
pub struct PaillierPrivate {
    public: PaillierPublic,
    lambda: UBig,
    lambda_inverse: UBig,
}

/// Why a key or a number is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaillierError {
    /// N is no modulus.
    #[error(transparent)]
    Modulus(#[from] ModulusError),
    /// λ has no inverse modulo N.
    #[error("p and q are no primes of a Paillier key")]
    Primes,
    /// The message is not below N.
    #[error("the message is not below N")]
    Message,
    /// r shares a factor with N.
    #[error("r is not coprime to N")]
    Random,
    /// The ciphertext is no unit modulo N².
    #[error(transparent)]
    Unit(#[from] crate::UnitError),
}

impl PaillierPublic {
    /// The key of a modulus.
    pub fn new(modulus: Modulus) -> Self {
        Self { modulus }
    }

    /// N.
    pub fn modulus(&self) -> &Modulus {
        &self.modulus
    }

    /// Encrypts m < N with r coprime to N: (1 + mN) · r^N mod N². The caller draws r, uniformly, anew for each message.
    ///
    /// # Errors
    /// [`PaillierError::Message`] and [`PaillierError::Random`].
    pub fn encrypt(&self, m: &UBig, r: &UBig) -> Result<Residue, PaillierError> {
        let n = self.modulus.n();
        if m >= n {
            return Err(PaillierError::Message);
        }
        if r.is_zero() || r.gcd(n) != UBig::ONE {
            return Err(PaillierError::Random);
        }
        let mask = self.modulus.ring().power(r, n);
        Ok(Residue::new(
            self.modulus.residue_of_t(m).get() * mask % self.modulus.n_squared(),
        ))
    }
}

impl PaillierPrivate {
    /// The key of two primes, which are taken on trust.
    ///
    /// # Errors
    /// [`PaillierError::Modulus`], and [`PaillierError::Primes`] where λ = lcm(p − 1, q − 1) has no inverse modulo N.
    pub fn new(p: &UBig, q: &UBig) -> Result<Self, PaillierError> {
        let modulus = Modulus::new(p * q)?;
        if *p <= UBig::ONE || *q <= UBig::ONE || p == q {
            return Err(PaillierError::Primes);
        }
        let (p1, q1) = (p - UBig::ONE, q - UBig::ONE);
        let lambda = &p1 * &q1 / p1.gcd(&q1);
        let lambda_inverse = inverse(&lambda, modulus.n()).ok_or(PaillierError::Primes)?;
        Ok(Self {
            public: PaillierPublic { modulus },
            lambda,
            lambda_inverse,
        })
    }

    /// The public key.
    pub fn public(&self) -> &PaillierPublic {
        &self.public
    }

    /// Decrypts to m < N: ((x^λ mod N²) − 1) / N · λ⁻¹ mod N.
    ///
    /// # Errors
    /// [`PaillierError::Unit`].
    pub fn decrypt(&self, residue: &Residue) -> Result<UBig, PaillierError> {
        let modulus = &self.public.modulus;
        modulus.check(residue)?;
        let power = modulus.ring().power(residue.get(), &self.lambda);
        Ok((power - UBig::ONE) / modulus.n() * &self.lambda_inverse % modulus.n())
    }
}

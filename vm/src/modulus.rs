//! The modulus N of the domain `paillier`: what its residues mean.

use std::sync::{Arc, OnceLock};

use dashu_int::ops::{BitTest, DivRem, Gcd};
use dashu_int::{IBig, UBig};

use crate::ring::Ring;
use crate::{Cell, Residue};

/// An odd N ≥ 3 and what follows from it; cheap to clone.
#[derive(Clone, Debug)]
pub struct Modulus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    n: UBig,
    n_squared: UBig,
    bits: usize,
    sign_bit: usize,
    ring: OnceLock<Ring>,
}

/// Why a number is no modulus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModulusError {
    /// Not a decimal number without leading zeros.
    #[error("the modulus is no decimal number")]
    Decimal,
    /// Montgomery arithmetic and Paillier both want an odd N of at least 3.
    #[error("the modulus must be odd and at least 3")]
    Even,
    /// Longer than [`MODULUS_BITS_MAX`].
    #[error("the modulus has {got} bits, want {MODULUS_BITS_MAX} at most")]
    Long {
        /// Its size in bits.
        got: usize,
    },
}

/// Tools take any odd N up to here; beyond, one multiplication takes longer than a step should.
pub const MODULUS_BITS_MAX: usize = 1 << 16;

/// Why a residue is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// x = 0 or x ≥ N².
    #[error("the residue is zero or not below N²")]
    Range,
    /// x shares a factor with N.
    #[error("the residue shares a factor with N")]
    Unit,
}

impl Modulus {
    /// Takes an odd N ≥ 3.
    ///
    /// # Errors
    /// [`ModulusError::Even`] and [`ModulusError::Long`].
    pub fn new(n: UBig) -> Result<Self, ModulusError> {
        let bits = n.bit_len();
        if !n.bit(0) || bits < 2 {
            return Err(ModulusError::Even);
        }
        if bits > MODULUS_BITS_MAX {
            return Err(ModulusError::Long { got: bits });
        }
        let sign_bit = (&n - UBig::ONE).bit_len() - 1;
        let n_squared = n.sqr();
        Ok(Self(Arc::new(Inner {
            n,
            n_squared,
            bits,
            sign_bit,
            ring: OnceLock::new(),
        })))
    }

    /// Reads a decimal N.
    ///
    /// # Errors
    /// [`ModulusError`].
    pub fn from_decimal(text: &str) -> Result<Self, ModulusError> {
        let digits =
            text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && !text.starts_with('0');
        // log2(10) > 3.3: a longer text cannot fit, and is not worth a slow conversion.
        if !digits {
            return Err(ModulusError::Decimal);
        }
        if text.len() * 3 > MODULUS_BITS_MAX {
            return Err(ModulusError::Long {
                got: text.len() * 3,
            });
        }
        Self::new(UBig::from_str_radix(text, 10).map_err(|_| ModulusError::Decimal)?)
    }

    /// N.
    pub fn n(&self) -> &UBig {
        &self.0.n
    }

    /// N².
    pub fn n_squared(&self) -> &UBig {
        &self.0.n_squared
    }

    /// The size of N in bits.
    pub fn bits(&self) -> usize {
        self.0.bits
    }

    /// Whether every signed 64-bit integer reads back from its residue as itself: contracts want it.
    pub fn holds_i64(&self) -> bool {
        let sign = UBig::ONE << self.0.sign_bit;
        let low = UBig::ONE << 63;
        sign >= low && *self.n() >= sign + low
    }

    /// Checks 1 ≤ x < N² and gcd(x, N) = 1 (one gcd).
    ///
    /// # Errors
    /// [`UnitError`].
    pub fn check(&self, residue: &Residue) -> Result<(), UnitError> {
        self.check_range(residue)?;
        if (residue.get() % self.n()).gcd(self.n()) != UBig::ONE {
            return Err(UnitError::Unit);
        }
        Ok(())
    }

    /// Checks many residues with one gcd; on failure names the first bad one.
    ///
    /// # Errors
    /// The index of the first residue refused, and why.
    pub fn check_all<'a>(
        &self,
        residues: impl Iterator<Item = &'a Residue> + Clone,
    ) -> Result<(), (usize, UnitError)> {
        let mut product = UBig::ONE;
        for (index, residue) in residues.clone().enumerate() {
            self.check_range(residue).map_err(|error| (index, error))?;
            product = product * (residue.get() % self.n()) % self.n();
        }
        if product.gcd(self.n()) == UBig::ONE {
            return Ok(());
        }
        for (index, residue) in residues.enumerate() {
            self.check(residue).map_err(|error| (index, error))?;
        }
        Ok(())
    }

    fn check_range(&self, residue: &Residue) -> Result<(), UnitError> {
        let x = residue.get();
        if x.is_zero() || x >= self.n_squared() {
            Err(UnitError::Range)
        } else {
            Ok(())
        }
    }

    /// The residue 1 + `value`·N of an open integer, reduced modulo N².
    pub fn residue_of(&self, value: i64) -> Residue {
        self.residue_of_t(&self.t_of(&IBig::from(value)))
    }

    /// The residue of `cell`, open or not.
    pub fn residue_of_cell(&self, cell: &Cell) -> Residue {
        match cell {
            Cell::Open(value) => self.residue_of(*value),
            Cell::Enc(residue) => residue.clone(),
        }
    }

    /// Arithmetic modulo N², prepared on first use.
    pub(crate) fn ring(&self) -> &Ring {
        self.0
            .ring
            .get_or_init(|| Ring::new(&self.0.n, &self.0.n_squared))
    }

    /// t = `value` mod N.
    pub(crate) fn t_of(&self, value: &IBig) -> UBig {
        let (sign, magnitude) = value.clone().into_parts();
        let t = magnitude % self.n();
        if sign == dashu_int::Sign::Negative && !t.is_zero() {
            self.n() - t
        } else {
            t
        }
    }

    /// x = 1 + tN.
    pub(crate) fn residue_of_t(&self, t: &UBig) -> Residue {
        Residue::new(t * self.n() + UBig::ONE)
    }

    /// Splits x into (t, s), x = 1 + tN + s.
    pub(crate) fn parts(&self, residue: &Residue) -> (UBig, UBig) {
        (residue.get() - UBig::ONE).div_rem(self.n())
    }

    /// Whether the sign bit of `t` is set.
    pub(crate) fn is_negative(&self, t: &UBig) -> bool {
        t.bit(self.0.sign_bit)
    }

    /// The signed value of `t` if it fits 64 bits.
    pub(crate) fn value_of_t(&self, t: &UBig) -> Option<i64> {
        if self.is_negative(t) {
            i64::try_from(-IBig::from(self.n() - t)).ok()
        } else {
            i64::try_from(t).ok()
        }
    }
}

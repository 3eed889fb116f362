//! Arithmetic modulo N²: Montgomery products by `crypto-bigint`, inversions modulo N lifted to N².

use std::sync::Arc;

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use dashu_int::UBig;

use crate::Modulus;
use crate::inverse::inverse;

/// A unit in Montgomery form, shared: most steps only move units about. `None` is 1.
pub(crate) type Unit = Option<Arc<BoxedMontyForm>>;

/// The unit num / den modulo N²; an inverse is a swap.
#[derive(Clone, Debug)]
pub(crate) struct Ratio {
    pub(crate) num: Unit,
    pub(crate) den: Unit,
}

/// The ring of integers modulo N².
#[derive(Debug)]
pub(crate) struct Ring {
    params: BoxedMontyParams,
    n: UBig,
    bits: u32,
}

impl Ring {
    /// Precomputes for N², which is odd and at least 9.
    pub(crate) fn new(n: &UBig, n_squared: &UBig) -> Self {
        let bytes = n_squared.to_le_bytes();
        let bits = u32::try_from(bytes.len().next_multiple_of(8) * 8)
            .expect("a modulus is far below 2^32 bits");
        let modulus = BoxedUint::from_le_slice(&bytes, bits)
            .expect("the precision was taken from the length");
        let modulus = Odd::new(modulus)
            .into_option()
            .expect("the square of an odd number is odd");
        Self {
            params: BoxedMontyParams::new_vartime(modulus),
            n: n.clone(),
            bits,
        }
    }

    /// `base`, which is below N², to the power of `exponent`.
    ///
    /// (Not by `dashu-int` 0.6.2: the products of its reduced numbers are wrong for some sizes, and panic for others.)
    pub(crate) fn power(&self, base: &UBig, exponent: &UBig) -> UBig {
        let bytes = exponent.to_le_bytes();
        let bits = u32::try_from(bytes.len().next_multiple_of(8) * 8)
            .expect("an exponent is far below 2^32 bits");
        let exponent = BoxedUint::from_le_slice(&bytes, bits.max(64))
            .expect("the precision was taken from the length");
        Self::integer(&self.unit(base).map(|form| Arc::new(form.pow(&exponent))))
    }

    /// Brings a canonical x into Montgomery form.
    pub(crate) fn unit(&self, x: &UBig) -> Unit {
        let bytes = x.to_le_bytes();
        let integer = BoxedUint::from_le_slice(&bytes, self.bits).expect("x is below N²");
        Some(Arc::new(BoxedMontyForm::new(integer, &self.params)))
    }

    /// The product of two units; nothing is multiplied where one of them is 1.
    pub(crate) fn product(a: &Unit, b: &Unit) -> Unit {
        match (a, b) {
            (None, unit) | (unit, None) => unit.clone(),
            (Some(a), Some(b)) => Some(Arc::new(a.as_ref() * b.as_ref())),
        }
    }

    /// The canonical integer of a unit.
    fn integer(unit: &Unit) -> UBig {
        match unit {
            None => UBig::ONE,
            Some(form) => UBig::from_le_bytes(&form.retrieve().to_le_bytes()),
        }
    }

    /// The Montgomery representative of a unit, good for comparisons modulo N.
    fn representative(&self, unit: &Unit) -> UBig {
        let bytes = match unit {
            None => BoxedMontyForm::one(&self.params)
                .as_montgomery()
                .to_le_bytes(),
            Some(form) => form.as_montgomery().to_le_bytes(),
        };
        UBig::from_le_bytes(&bytes)
    }

    /// Whether num / den is 1 modulo N, that is, an open cell; no inversion.
    pub(crate) fn is_open(&self, ratio: &Ratio, modulus: &Modulus) -> bool {
        let (num, den) = (
            self.representative(&ratio.num),
            self.representative(&ratio.den),
        );
        num % modulus.n() == den % modulus.n()
    }

    /// The canonical x of each ratio, with one inversion for all.
    ///
    /// Products of the denominators up to each ratio, one inverse of the last, then back down.
    pub(crate) fn canonical(&self, ratios: &[&Ratio]) -> Vec<UBig> {
        let mut prefixes = Vec::with_capacity(ratios.len());
        let mut product: Unit = None;
        for ratio in ratios {
            prefixes.push(product.clone());
            product = Self::product(&product, &ratio.den);
        }
        let mut inverse = self.inverse(&product);
        let mut integers = vec![UBig::ZERO; ratios.len()];
        for (index, ratio) in ratios.iter().enumerate().rev() {
            if ratio.den.is_none() {
                integers[index] = Self::integer(&ratio.num);
                continue;
            }
            let own_inverse = Self::product(&inverse, &prefixes[index]);
            integers[index] = Self::integer(&Self::product(&ratio.num, &own_inverse));
            inverse = Self::product(&inverse, &ratio.den);
        }
        integers
    }

    /// The inverse of a unit, never trusted unseen: `dashu-int` 0.6.2 gives a wrong one now and then (for 1 + 3N of the
    /// example `ballot`'s N, say), and one product tells. `crypto-bigint` is slower, and has no such case known.
    /// With y the inverse modulo N, y(2 − xy) is the inverse modulo N²: half the size, and two products.
    fn inverse(&self, unit: &Unit) -> Unit {
        let x = unit.as_ref()?;
        let y = inverse(&(Self::integer(unit) % &self.n), &self.n)
            .expect("every cell is a unit, checked on input");
        let y = self.unit(&y)?;
        let one = BoxedMontyForm::one(&self.params);
        let correction = &(&one + &one) - &(x.as_ref() * y.as_ref());
        Some(Arc::new(y.as_ref() * &correction))
    }
}

impl Ratio {
    /// The ratio x / 1.
    pub(crate) fn whole(num: Unit) -> Self {
        Self { num, den: None }
    }

    /// `self` ⊖ `other`: the quotient, at most two products.
    pub(crate) fn minus(&self, other: &Self) -> Self {
        Self {
            num: Ring::product(&self.num, &other.den),
            den: Ring::product(&self.den, &other.num),
        }
    }
}

//! The text of a residue: `T`, or `T.S`, where x = 1 + TN + S.

use dashu_int::UBig;

use crate::modulus::MODULUS_BITS_MAX;
use crate::{Cell, Modulus, Residue, program};

/// Digits that a number in a file may have: twice the longest modulus, for x itself.
const DIGITS_MAX: usize = 2 * MODULUS_BITS_MAX * 3 / 10;

/// A decimal number: digits only, no leading zero.
pub(crate) fn decimal(text: &str) -> Option<UBig> {
    let plain =
        text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() && text.len() <= DIGITS_MAX;
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    UBig::from_str_radix(text, 10).ok()
}

/// Reads `T` or `T.S` with T and S below N; x = N², which is 0, is none.
pub(crate) fn parse_ts(text: &str, modulus: &Modulus) -> Option<Residue> {
    let (t, s) = match text.split_once('.') {
        Some((t, s)) => (decimal(t)?, decimal(s)?),
        None => (decimal(text)?, UBig::ZERO),
    };
    residue_of_ts(&t, &s, modulus)
}

/// x = 1 + tN + s for t and s below N.
pub(crate) fn residue_of_ts(t: &UBig, s: &UBig, modulus: &Modulus) -> Option<Residue> {
    if t >= modulus.n() || s >= modulus.n() {
        return None;
    }
    let x = modulus.residue_of_t(t).get() + s;
    (x < *modulus.n_squared()).then(|| Residue::new(x))
}

/// The text of a cell: `T`, or `T.S` where S is not 0.
pub(crate) fn ts(cell: &Cell, modulus: &Modulus) -> String {
    let (t, s) = program::parts(cell, modulus);
    if s.is_zero() {
        t.to_string()
    } else {
        format!("{t}.{s}")
    }
}

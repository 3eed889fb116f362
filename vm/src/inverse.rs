//! Inverses modulo an odd number: fast, and checked.
//!
//! `dashu-int` 0.6.2 inverts ten times faster than `crypto-bigint`, but its extended gcd is wrong for some rare numbers, which somebody
//! could search for. So each inverse is checked by a product. Where it is wrong, the number is tried again times a few constants,
//! and in the end `crypto-bigint` inverts it. Every way leads to the same integer; only the time differs.

use crypto_bigint::{BoxedUint, Odd};
use dashu_int::UBig;
use dashu_int::fast_div::ConstDivisor;

/// Factors of the attempts, odd constants without structure (digits of π); the first attempt is the number itself.
const FACTORS: [u64; 4] = [
    1,
    0x2436_A888_85A3_08D3,
    0x1319_8A2E_0370_7345,
    0xA409_3822_299F_31D1,
];

/// The inverse of `x` modulo an odd `n` ≥ 3, if there is one.
pub(crate) fn inverse(x: &UBig, n: &UBig) -> Option<UBig> {
    let ring = ConstDivisor::new(n.clone());
    let attempt = |factor: u64| {
        let factor = UBig::from(factor);
        let scaled = x * &factor % n;
        let inverse = ring.reduce(scaled.clone()).inv()?.residue();
        (inverse.clone() * scaled % n == UBig::ONE).then(|| inverse * factor % n)
    };
    FACTORS
        .into_iter()
        .find_map(attempt)
        .or_else(|| slow_inverse(x, n))
}

fn slow_inverse(x: &UBig, n: &UBig) -> Option<UBig> {
    let bytes = n.to_le_bytes();
    let bits = u32::try_from(bytes.len().next_multiple_of(8) * 8).ok()?;
    let modulus = Odd::new(BoxedUint::from_le_slice(&bytes, bits).ok()?).into_option()?;
    let x = BoxedUint::from_le_slice(&(x % n).to_le_bytes(), bits).ok()?;
    let inverse = x.invert_odd_mod_vartime(&modulus).into_option()?;
    Some(UBig::from_le_bytes(&inverse.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use dashu_int::UBig;

    use super::{inverse, slow_inverse};

    /// Schoolbook Euclid, to know which numbers have an inverse.
    fn coprime(x: &UBig, n: &UBig) -> bool {
        let (mut a, mut b) = (x.clone(), n.clone());
        while !b.is_zero() {
            (a, b) = (b.clone(), a % b);
        }
        a == UBig::ONE
    }

    #[test]
    fn inverses_are_right_or_none() {
        let moduli = [
            UBig::from(15_u8),
            UBig::from(u64::MAX),
            (UBig::ONE << 130) + UBig::from(3_u8),
            ((UBig::ONE << 130) + UBig::from(3_u8)).sqr(),
            ((UBig::ONE << 521) - UBig::ONE).sqr(),
            (UBig::ONE << 2048) - UBig::ONE,
        ];
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        for n in &moduli {
            for round in 0..600_usize {
                state = state.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1);
                // Short numbers and neighbours of multiples make the long quotients that go wrong.
                let x = match round % 3 {
                    0 => UBig::from(state >> (round % 64)),
                    1 => UBig::from(state).pow(round % 9) % n,
                    _ => n - UBig::from(state).pow(round % 5) % n,
                };
                let got = inverse(&x, n);
                assert_eq!(got.is_some(), coprime(&x, n), "{x} modulo {n}");
                if let Some(y) = &got {
                    assert_eq!(x * y % n, UBig::ONE);
                }
            }
        }
    }

    /// A number that the fast way inverts wrongly: 1 + vN modulo N².
    #[test]
    fn a_wrong_inverse_is_noticed() {
        let n = (UBig::ONE << 130) + UBig::from(3_u8);
        let n_squared = n.sqr();
        for v in [
            UBig::from(8_018_168_267_506_041_363_u64),
            &n - UBig::from(8_018_168_267_506_041_363_u64),
        ] {
            let x = UBig::ONE + v * &n;
            let y = inverse(&x, &n_squared).unwrap();
            assert_eq!(&x * &y % &n_squared, UBig::ONE);
            assert_eq!(slow_inverse(&x, &n_squared), Some(y));
        }
    }
}

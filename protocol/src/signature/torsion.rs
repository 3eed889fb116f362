//! Are all points of a list free of torsion? One probabilistic answer for many points.
//!
//! The curve group is `Z/L × Z/8`. A point is *torsion-free* if its `Z/8` part is zero, and showing that for
//! one point costs a multiplication by `L`, as much as verifying a signature. So test sums of random subsets:
//!
//! - If every point is torsion-free, so is every subset sum: honest points always pass.
//! - If point `i` is not, fix all bits but the one that puts `i` in a sum: of its two values at most one
//!   makes the sum torsion-free. Sums are independent, so all pass with probability at most `2^-sums`,
//!   whatever the points, as long as whoever chose them does not know the bits.

use curve25519_dalek::{EdwardsPoint, Scalar, traits::Identity as _};

/// Points whose subset sums are tabulated together (the "four Russians" method): a chunk costs
/// `2^4 - 5` additions for its table and then one addition per sum, instead of two on average.
const CHUNK_LEN: usize = 4;

/// How many subsets of a chunk one word picks.
const SUMS_PER_WORD: usize = 64 / CHUNK_LEN;

/// Tests `sums` random subset sums of `points`; `draw` gives uniform secret words.
///
/// `true` if all points are torsion-free; otherwise `false`, but `true` with probability at most `2^-sums`.
pub(super) fn all_torsion_free(
    points: &[EdwardsPoint],
    sums: usize,
    mut draw: impl FnMut() -> u64,
) -> bool {
    let mut totals = vec![EdwardsPoint::identity(); sums];
    for chunk in points.chunks(CHUNK_LEN) {
        let table = subset_sums(chunk);
        for group in totals.chunks_mut(SUMS_PER_WORD) {
            let mut bits = draw();
            for total in group {
                // A short last chunk ignores the bits of the points it lacks.
                let subset = bits as usize & ((1 << chunk.len()) - 1);
                if subset != 0 {
                    *total += table[subset];
                }
                bits >>= CHUNK_LEN;
            }
        }
    }
    totals.iter().all(is_torsion_free)
}

/// All subset sums of at most [`CHUNK_LEN`] points; bit `i` of the index says whether point `i` is in.
fn subset_sums(chunk: &[EdwardsPoint]) -> [EdwardsPoint; 1 << CHUNK_LEN] {
    let mut table = [EdwardsPoint::identity(); 1 << CHUNK_LEN];
    for (i, point) in chunk.iter().enumerate() {
        let bit = 1 << i;
        table[bit] = *point;
        for subset in 1..bit {
            table[bit | subset] = table[subset] + point;
        }
    }
    table
}

/// `[L]P = 0`, in variable time: `L - 1` is the largest scalar there is, so `[L-1]P + P`.
fn is_torsion_free(point: &EdwardsPoint) -> bool {
    let product =
        EdwardsPoint::vartime_double_scalar_mul_basepoint(&-Scalar::ONE, point, &Scalar::ZERO);
    product + point == EdwardsPoint::identity()
}

#[cfg(test)]
mod tests {
    use super::*;
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    fn honest(n: u64) -> Vec<EdwardsPoint> {
        let points = (1..=n).map(|i| ED25519_BASEPOINT_POINT * Scalar::from(i * i + 7));
        points.collect()
    }

    /// SplitMix64: enough for a test of probabilities.
    fn words(mut state: u64) -> impl FnMut() -> u64 {
        move || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    #[test]
    fn single_points() {
        for torsion in &EIGHT_TORSION {
            let point = ED25519_BASEPOINT_POINT + torsion;
            assert_eq!(is_torsion_free(&point), point.is_torsion_free());
            assert_eq!(
                is_torsion_free(torsion),
                *torsion == EdwardsPoint::identity()
            );
        }
    }

    #[test]
    fn subset_tables_hold_the_sums() {
        let points = honest(4);
        let table = subset_sums(&points);
        for (subset, sum) in table.iter().enumerate() {
            let want: EdwardsPoint = (0..4)
                .filter(|i| subset >> i & 1 == 1)
                .map(|i| points[i])
                .sum();
            assert_eq!(*sum, want);
        }
    }

    #[test]
    fn honest_points_always_pass() {
        for n in [0, 1, 3, 4, 5, 9] {
            assert!(all_torsion_free(&honest(n), 5, words(n)), "{n}");
        }
    }

    /// Every position in a chunk, every torsion point, alone and cancelling in pairs, is seen by 40 sums.
    #[test]
    fn torsion_never_hides() {
        for torsion in &EIGHT_TORSION[1..] {
            for i in 0..9 {
                let mut points = honest(9);
                points[i] += torsion;
                assert!(!all_torsion_free(&points, 40, words(i as u64)));
                points[(i + 5) % 9] -= torsion;
                assert!(!all_torsion_free(&points, 40, words(i as u64)));
            }
        }
    }

    /// One sum misses a point of order two half of the time: the bound is met with equality, not beaten.
    #[test]
    fn one_sum_misses_half() {
        let mut points = honest(2);
        points[1] += EIGHT_TORSION[4];
        let missed = (0..400).filter(|&seed| all_torsion_free(&points, 1, words(seed)));
        let missed = missed.count();
        assert!((120..280).contains(&missed), "{missed}");
    }
}

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

/// A batch's sums are made in groups of so many at the most: for the 5000 points of an import's batch, nine or ten take no fewer additions.
const GROUP_SUMS_MAX: usize = 8;

/// Tests `sums` random subset sums of `points`; `draw` gives uniform secret words, of which bit `j` says whether a point is in sum `j`.
///
/// `true` if all points are torsion-free; otherwise `false`, but `true` with probability at most `2^-sums`.
///
/// The sums are made as multiscalar multiplications are (Pippenger's method): in a group of `w` sums each point is added to one of `2^w` buckets,
/// by its bits, and the buckets are summed up at the end. So a point costs one addition for each group, not for every other sum.
pub(super) fn all_torsion_free(
    points: &[EdwardsPoint],
    sums: usize,
    mut draw: impl FnMut() -> u64,
) -> bool {
    debug_assert!(sums <= 64, "a bit of the word for each");
    let group_sums = group_sums(points.len(), sums);
    let bits = |group: usize| group_sums.min(sums - group * group_sums);
    let groups = (0..sums.div_ceil(group_sums)).map(bits);
    let mut groups: Vec<_> = groups
        .map(|bits| vec![EdwardsPoint::identity(); 1 << bits])
        .collect();
    for point in points {
        let mut word = draw();
        for buckets in &mut groups {
            let bucket = word as usize & (buckets.len() - 1);
            if bucket != 0 {
                buckets[bucket] += point;
            }
            word >>= group_sums;
        }
    }
    let mut totals = groups.into_iter().flat_map(subset_sums);
    totals.all(|total| is_torsion_free(&total))
}

/// How many of the sums are made together: those that take the fewest additions.
fn group_sums(points: usize, sums: usize) -> usize {
    let additions = |group: &usize| sums.div_ceil(*group) * (points + (2 << *group));
    (1..=GROUP_SUMS_MAX).min_by_key(additions).unwrap_or(1)
}

/// For each bit of their numbers, the highest first, the sum of the buckets that have it.
fn subset_sums(mut buckets: Vec<EdwardsPoint>) -> Vec<EdwardsPoint> {
    let mut sums = Vec::new();
    while buckets.len() > 1 {
        let with = buckets.split_off(buckets.len() / 2);
        sums.push(with.iter().sum());
        // From here on that bit makes no difference.
        for (bucket, with) in buckets.iter_mut().zip(&with) {
            *bucket += with;
        }
    }
    sums
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
    fn buckets_come_to_the_sums_of_their_bits() {
        for bits in 0..4 {
            let buckets = honest(1 << bits);
            let want: Vec<EdwardsPoint> = (0..bits)
                .rev()
                .map(|bit| {
                    let with = (0..buckets.len()).filter(|bucket| bucket >> bit & 1 == 1);
                    with.map(|bucket| buckets[bucket]).sum()
                })
                .collect();
            assert_eq!(subset_sums(buckets), want);
        }
    }

    #[test]
    fn larger_batches_have_larger_groups() {
        let groups = [1, 80, 256, 1_000, 5_000, 1 << 20].map(|points| group_sums(points, 40));
        assert_eq!(groups, [2, 4, 5, 7, 8, 8]);
        assert_eq!(group_sums(0, 0), 1);
    }

    #[test]
    fn honest_points_always_pass() {
        for n in [0, 1, 3, 9, 40] {
            for sums in [0, 1, 5, 40, 64] {
                assert!(all_torsion_free(&honest(n), sums, words(n)), "{n}");
            }
        }
    }

    /// Every torsion point, wherever it stands, alone and cancelling in pairs, is seen by 40 sums.
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

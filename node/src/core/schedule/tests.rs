#![allow(clippy::unwrap_used)]

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

fn segment(index: u64) -> SegmentIndex {
    SegmentIndex::new(index).unwrap()
}

fn wanted(range: std::ops::Range<u64>) -> Vec<SegmentIndex> {
    range.map(segment).collect()
}

fn held<const N: usize>(peers: [(u8, HeldSegments); N]) -> BTreeMap<u8, HeldSegments> {
    BTreeMap::from(peers)
}

fn nobody() -> BTreeSet<(SegmentIndex, u8)> {
    BTreeSet::new()
}

fn active<const N: usize>(pulls: [(u64, u8); N]) -> BTreeMap<SegmentIndex, Vec<u8>> {
    let pulls = pulls.map(|(index, from)| (segment(index), vec![from]));
    BTreeMap::from(pulls)
}

fn rng(sim_seed: u64) -> StdRng {
    StdRng::seed_from_u64(sim_seed)
}

fn all() -> HeldSegments {
    HeldSegments::new(100, [])
}

#[test]
fn held_segments_are_those_of_the_status() {
    let mut some = HeldSegments::new(4, [1, 9]);
    let listed =
        |some: &HeldSegments| -> Vec<u64> { (0..12).filter(|i| some.holds(segment(*i))).collect() };
    assert_eq!(listed(&some), [0, 2, 3]);
    some.remove(segment(0));
    some.remove(segment(11));
    assert_eq!((listed(&some), some.end()), (vec![2, 3], 4));
}

#[test]
fn the_rarest_comes_first_from_the_only_holder() {
    let holders = held([
        (1, all()),
        (2, HeldSegments::new(10, [3])),
        (3, HeldSegments::new(10, [3, 4])),
    ]);
    for sim_seed in 0..20 {
        let next = next_fetch(
            wanted(0..10),
            &holders,
            &nobody(),
            &active([]),
            2,
            &mut rng(sim_seed),
        );
        let (index, holders) = (segment(3), vec![1]);
        assert_eq!(next, Some(NextFetch { index, holders }));
    }
}

#[test]
fn ties_are_random_and_the_same_seed_gives_the_same() {
    let holders = held([(1, all())]);
    let choose = |sim_seed| {
        let mut rng = rng(sim_seed);
        next_fetch(wanted(0..64), &holders, &nobody(), &active([]), 2, &mut rng)
            .unwrap()
            .index
    };
    let chosen: BTreeSet<_> = (0..64).map(choose).collect();
    assert!(chosen.len() > 20, "{chosen:?}");
    assert_eq!(choose(7), choose(7));
}

#[test]
fn an_origin_is_last_where_others_hold_it() {
    let holders = held([(1, all()), (2, HeldSegments::new(1, []))]);
    let mut rng = rng(1);
    let next = next_fetch(wanted(0..1), &holders, &nobody(), &active([]), 2, &mut rng).unwrap();
    // Both hold all that is wanted: either may serve it.
    assert_eq!(next.holders.len(), 2);
    let next = next_fetch(
        wanted(0..2),
        &holders,
        &nobody(),
        &active([(1, 1)]),
        2,
        &mut rng,
    )
    .unwrap();
    assert_eq!((next.index, next.holders.len()), (segment(0), 2));
    let next = next_fetch(
        [0, 5].map(segment),
        &holders,
        &nobody(),
        &active([(7, 1)]),
        2,
        &mut rng,
    )
    .unwrap();
    assert_eq!(
        (next.index, next.holders),
        (segment(0), vec![2]),
        "the origin has its share of the pulls"
    );
}

#[test]
fn who_is_busy_is_asked_for_other_segments_alone() {
    let holders = held([(1, all()), (2, HeldSegments::new(1, []))]);
    let next = |wanted: Vec<SegmentIndex>, busy: &[(u64, u8)]| {
        let busy = busy.iter().map(|(index, peer)| (segment(*index), *peer));
        let (busy, active) = (busy.collect(), active([]));
        let next = next_fetch(wanted, &holders, &busy, &active, 2, &mut rng(1));
        next.map(|next| (next.index.get(), next.holders))
    };
    // Both would do for segment 0, and the fellow joiner goes first.
    assert_eq!(
        next([0, 5].map(segment).into(), &[(5, 1)]),
        Some((0, vec![2]))
    );
    let busy = [(0, 2), (5, 1)];
    assert_eq!(next([0, 5].map(segment).into(), &busy), Some((0, vec![1])));
    let busy = [(0, 1), (0, 2)];
    assert_eq!(next([0, 5].map(segment).into(), &busy), Some((5, vec![1])));
    assert_eq!(next([0].map(segment).into(), &busy), None);
}

#[test]
fn joiners_leave_an_origin_alone_that_has_their_share_of_the_pulls() {
    let joined = held([(1, all()), (2, HeldSegments::default())]);
    let alone = held([(1, all())]);
    let busy = active([(0, 1)]);
    assert_eq!(
        next_fetch(wanted(1..9), &joined, &nobody(), &busy, 2, &mut rng(1)),
        None
    );
    assert!(next_fetch(wanted(1..9), &alone, &nobody(), &busy, 2, &mut rng(1)).is_some());
    assert!(next_fetch(wanted(1..9), &joined, &nobody(), &busy, 4, &mut rng(1)).is_some());
    let crowd = (2..14).map(|peer| (peer, HeldSegments::default()));
    let crowd: BTreeMap<_, _> = std::iter::once((1, all())).chain(crowd).collect();
    assert_eq!(
        next_fetch(wanted(1..9), &crowd, &nobody(), &busy, 12, &mut rng(1)),
        None
    );
}

#[test]
fn nothing_starts_without_a_slot_a_holder_or_a_want() {
    let holders = held([(1, all())]);
    let full = active([(0, 1), (1, 1)]);
    let next = |wanted: Vec<SegmentIndex>, holders: &_, active: &_| {
        next_fetch(wanted, holders, &nobody(), active, 2, &mut rng(1))
    };
    assert_eq!(next(wanted(2..9), &holders, &full), None);
    assert_eq!(next(wanted(0..9), &held([]), &active([])), None);
    assert_eq!(next(wanted(200..209), &holders, &active([])), None);
    assert_eq!(next(vec![], &holders, &active([])), None);
}

#[test]
fn what_lies_past_the_window_waits_and_what_runs_is_not_started_again() {
    let holders = held([(1, HeldSegments::new(1 << 20, 0..64))]);
    assert_eq!(
        next_fetch(
            wanted(0..1_000),
            &holders,
            &nobody(),
            &active([]),
            2,
            &mut rng(1)
        ),
        None
    );
    let holders = held([(1, all())]);
    assert_eq!(
        next_fetch(
            wanted(0..1),
            &holders,
            &nobody(),
            &active([(0, 1)]),
            2,
            &mut rng(1)
        ),
        None
    );
}

#[test]
fn the_least_loaded_holders_serve_and_no_more_than_the_bound() {
    let holders: BTreeMap<u8, _> = (0..9).map(|peer| (peer, all())).collect();
    let busy = active([(50, 0), (51, 1), (52, 2), (53, 3), (54, 4), (55, 5)]);
    let next = next_fetch(wanted(0..9), &holders, &nobody(), &busy, 12, &mut rng(3)).unwrap();
    assert_eq!(next.holders.len(), HOLDERS_MAX);
    let free: BTreeSet<u8> = next.holders.into_iter().collect();
    assert_eq!(free, BTreeSet::from([6, 7, 8]));
}

/// Joiners that pull by this policy from one origin, a segment a round for each pull; what each holds is known to all after the round.
#[test]
fn four_joiners_load_the_origin_little_more_than_once() {
    const SEGMENTS: u64 = 40;
    const ORIGIN: usize = 4;
    for sim_seed in 0..20 {
        let mut rng = rng(sim_seed);
        let mut missing = vec![BTreeSet::from_iter(0..SEGMENTS); ORIGIN];
        missing.push(BTreeSet::new());
        let mut from_origin = 0;
        let mut rounds = 0;
        while missing.iter().any(|missing| !missing.is_empty()) {
            let before = missing.clone();
            let held = before.iter().cloned();
            let held = held.map(|missing| HeldSegments::new(SEGMENTS, missing));
            let held: Vec<_> = held.collect();
            for me in 0..ORIGIN {
                let others = held.iter().cloned().enumerate();
                let others = others.filter(|(peer, _)| *peer != me).collect();
                let (nobody, mut active) = (BTreeSet::new(), BTreeMap::new());
                loop {
                    let lacked = before[me].iter().copied().map(segment);
                    let next = next_fetch(lacked, &others, &nobody, &active, 2, &mut rng);
                    let Some(next) = next else {
                        break;
                    };
                    from_origin += u64::from(next.holders[0] == ORIGIN);
                    missing[me].remove(&next.index.get());
                    active.insert(next.index, next.holders);
                }
            }
            rounds += 1;
            assert!(rounds < 4 * SEGMENTS, "it comes to an end");
        }
        assert!(
            from_origin * 10 <= SEGMENTS * 16,
            "{from_origin} of {SEGMENTS}, seed {sim_seed}"
        );
    }
}

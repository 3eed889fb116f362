//! Which steps become one operation: the idioms that Cryptoleq code is made of.

use crate::decode::{Op, STEPS_MAX, Static};

/// The longest operation that the first steps of a run make, and its number of steps.
///
/// All steps of a run fall through but the last, or the last but one where the last is its other way.
pub(crate) fn fuse(run: &[Static]) -> Option<(Op, usize)> {
    if let Some(idiom) = idiom(run) {
        return Some(idiom);
    }
    // Plain steps up to the next idiom.
    let plain = (0..run.len())
        .find(|&at| at > 0 && idiom(&run[at..]).is_some())
        .unwrap_or(run.len());
    let falling = run[..plain]
        .iter()
        .take_while(|step| step.falls && step.a.is_some())
        .count()
        .min(STEPS_MAX - 2);
    let count = u32::try_from(falling).ok()?;
    if falling > 0
        && let Some(branch) = branch(&run[falling..])
    {
        let op = match branch {
            Branch::Else => Op::SubsElse { count },
            Branch::Twice => Op::SubsTwice { count },
        };
        return Some((op, falling + 2));
    }
    if falling > 2 {
        return Some((Op::Subs { count }, falling));
    }
    short(run, plain)
}

/// One step, two, or a branch with what follows it; the first `plain` of the run are no idiom's.
fn short(run: &[Static], plain: usize) -> Option<(Op, usize)> {
    let (s0, s1) = (*run.first()?, run[..plain].get(1).copied());
    let a = s0.a?;
    let pair = s1.filter(|_| s0.falls).and_then(|s1| pair(s0, s1));
    Some(match (pair, s1) {
        (Some(pair), _) => (pair, 2),
        (None, Some(s1)) if !s0.falls && !s1.clears() && s1.b != s0.b => {
            let (b, next) = (s0.b, s0.next);
            match run.get(1..3).and_then(branch) {
                Some(Branch::Else) => (Op::SubJumpThenElse { a, b, next }, 3),
                _ => (Op::SubJump { a, b, next }, 1),
            }
        }
        (None, Some(s1)) if !s0.falls && !s1.clears() => {
            let (b, c, to) = (s0.b, s1.a?, [s0.next, s1.next]);
            (Op::SubJumpTwice { a, c, b, to }, 2)
        }
        (None, Some(s1)) if !s0.falls => {
            let (b, z, to) = (s0.b, s1.b, [s0.next, s1.next]);
            (Op::SubJumpElse { a, b, z, to }, 2)
        }
        (None, _) if s0.clears() => (
            Op::Clear {
                x: s0.b,
                next: s0.next,
            },
            1,
        ),
        (None, _) if s0.falls => (Op::Sub { a, b: s0.b }, 1),
        (None, _) => (
            Op::SubJump {
                a,
                b: s0.b,
                next: s0.next,
            },
            1,
        ),
    })
}

/// How a branch and its other way end a longer operation.
enum Branch {
    Else,
    Twice,
}

/// Whether a run starts with a branch and its other way.
fn branch(run: &[Static]) -> Option<Branch> {
    let [s0, s1] = *run else { return None };
    if s0.falls || s0.clears() || s0.a.is_none() {
        return None;
    }
    Some(if s1.clears() {
        Branch::Else
    } else {
        Branch::Twice
    })
}

/// Two steps, the first of which falls through.
fn pair(s0: Static, s1: Static) -> Option<Op> {
    let (a, b, c, d, next) = (s0.a?, s0.b, s1.a?, s1.b, s1.next);
    match (s0.clears(), s1.clears()) {
        (true, true) => Some(Op::ClearClear { x: b, y: d, next }),
        (true, false) if s1.falls => Some(Op::ClearSub { x: b, a: c, b: d }),
        (false, true) => Some(Op::SubClear { a, b, x: d, next }),
        (false, false) if s1.falls => Some(Op::SubSub { a, b, c, d }),
        _ => None,
    }
}

/// The operations that mean more than their steps one by one.
fn idiom(run: &[Static]) -> Option<(Op, usize)> {
    if let [s0, ref rest @ ..] = *run
        && s0.clears()
        && s0.falls
        && let Some((a, b, z, next)) = added(rest)
        && b == s0.b
        && a != Some(b)
    {
        return Some(a.map_or((Op::MoveFrom { b, z, next }, 4), |a| {
            longer_move(&run[3..], [a, b, z], next)
        }));
    }
    if let Some((Some(a), b, z, _)) = added(run)
        && let Some(branch) = branch(&run[3..])
    {
        let op = match branch {
            Branch::Else => Op::AddElse { a, b, z },
            Branch::Twice => Op::AddTwice { a, b, z },
        };
        return Some((op, 5));
    }
    if let Some((Some(a), b, z, _)) = added(run)
        && let Some(jump) = run.get(3).filter(|jump| jump.clears() && jump.b == z)
    {
        return Some((
            Op::AddJump {
                a,
                b,
                z,
                next: jump.next,
            },
            4,
        ));
    }
    if let Some((a, b, z, next)) = added(run) {
        if let Some(s3) = run.get(3).filter(|s3| s3.a == Some(z) && s3.b == b) {
            let next = s3.next;
            return Some((
                a.map_or(Op::AddTestFrom { b, z, next }, |a| Op::AddTest {
                    a,
                    b,
                    z,
                    next,
                }),
                4,
            ));
        }
        return Some((
            a.map_or(Op::AddFrom { b, z, next }, |a| Op::Add { a, b, z, next }),
            3,
        ));
    }
    match *run {
        [s0, s1, ..] if s0.clears() && s0.falls && s1.falls && s1.a.is_none() => {
            Some((Op::ClearSubFrom { x: s0.b, b: s1.b }, 2))
        }
        _ => exact(run).or_else(|| sets(run)),
    }
}

/// A `Move` with what may follow it, from its last step on.
fn longer_move(run: &[Static], [a, b, z]: [u32; 3], next: u32) -> (Op, usize) {
    if !run[0].falls {
        return (Op::Move { a, b, z, next }, 4);
    }
    if let Some(Branch::Else) = run.get(1..3).and_then(branch) {
        return (Op::MoveElse { a, b, z }, 6);
    }
    match *run {
        [_, clear, ref rest @ ..] if clear.clears() && clear.falls => match added(rest) {
            Some((Some(c), d, y, _)) if d == clear.b && c != d && y == z && rest[2].falls => {
                (Op::MoveMove { a, b, c, d, z }, 8)
            }
            _ => match set(clear, rest.first()) {
                Some((x, c)) => (Op::MoveSet { a, b, z, x, c }, 6),
                None => (Op::Move { a, b, z, next }, 4),
            },
        },
        _ => (Op::Move { a, b, z, next }, 4),
    }
}

/// Up to two operands subtracted from the cell that is kept at −1, and its result taken: how values beyond a negation are moved.
fn exact(run: &[Static]) -> Option<(Op, usize)> {
    if let Some((t, k, o)) = taken(run) {
        return Some((Op::Take { t, k, o }, 5));
    }
    let (s0, s1) = (*run.first()?, *run.get(1)?);
    let operand = |step: Static, o: u32| step.a.filter(|&a| step.falls && step.b == o && a != o);
    if let Some((t, k, o)) = taken(&run[1..]) {
        let a = operand(s0, o)?;
        return Some(match run.get(6..8).and_then(branch) {
            Some(Branch::Else) => (Op::SubTakeElse { a, t, k, o }, 8),
            _ => (Op::SubTake { a, t, k, o }, 6),
        });
    }
    let (t, k, o) = taken(&run[2..])?;
    let (a, b) = (operand(s0, o)?, operand(s1, o)?);
    Some((Op::SubSubTake { a, b, t, k, o }, 7))
}

/// t, k and o of a `Take`.
fn taken(run: &[Static]) -> Option<(u32, u32, u32)> {
    let [s0, s1, s2, s3, s4, ..] = *run else {
        return None;
    };
    let (t, k, o) = (s0.b, s1.a?, s3.b);
    let steps = [(t, t), (k, t), (o, t), (o, o), (k, o)];
    let matches = [s0, s1, s2, s3, s4]
        .iter()
        .zip(steps)
        .all(|(step, (a, b))| step.falls && step.a == Some(a) && step.b == b);
    (matches && t != k && t != o && k != o).then_some((t, k, o))
}

/// Two cells set to negatives of others.
fn sets(run: &[Static]) -> Option<(Op, usize)> {
    let [s0, s1, s2, s3, ..] = *run else {
        return None;
    };
    let ((x, a), (y, b)) = (set(s0, Some(&s1))?, set(s2, Some(&s3))?);
    Some((Op::SetSet { x, a, y, b }, 4))
}

/// a, b, z and next of `a z >`, `z b >`, `z z next`.
fn added(run: &[Static]) -> Option<(Option<u32>, u32, u32, u32)> {
    let [s0, s1, s2, ..] = *run else { return None };
    let z = s2.b;
    let matches = s0.falls && s1.falls && s2.clears() && s0.b == z && s1.a == Some(z);
    (matches && s1.b != z).then_some((s0.a, s1.b, z, s2.next))
}

/// x and a of `x x >`, `a x >`.
fn set(clear: Static, sub: Option<&Static>) -> Option<(u32, u32)> {
    let sub = sub.filter(|sub| sub.falls && sub.b == clear.b)?;
    let a = sub.a.filter(|&a| a != clear.b)?;
    (clear.falls && clear.clears()).then_some((clear.b, a))
}

//! Which steps become one operation: the idioms that Cryptoleq code is made of.

use crate::decode::{Op, Static};

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
        .count();
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
    let (s0, s1) = (*run.first()?, run[..plain].get(1).copied());
    let a = s0.a?;
    let pair = s1.filter(|_| s0.falls).and_then(|s1| pair(s0, s1));
    Some(match (pair, s1) {
        (Some(pair), _) => (pair, 2),
        (None, Some(s1)) if !s0.falls && !s1.clears() => {
            let (b, next, other) = (s0.b, s0.next, s1.next);
            (
                Op::SubJumpTwice {
                    a,
                    c: s1.a?,
                    b,
                    next,
                    other,
                },
                2,
            )
        }
        (None, Some(s1)) if !s0.falls => (
            Op::SubJumpElse {
                a,
                b: s0.b,
                next: s0.next,
                z: s1.b,
                other: s1.next,
            },
            2,
        ),
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
        let op = a.map_or(Op::MoveFrom { b, z, next }, |a| Op::Move { a, b, z, next });
        return Some((op, 4));
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
        _ => None,
    }
}

/// a, b, z and next of `a z >`, `z b >`, `z z next`.
fn added(run: &[Static]) -> Option<(Option<u32>, u32, u32, u32)> {
    let [s0, s1, s2, ..] = *run else { return None };
    let z = s2.b;
    let matches = s0.falls && s1.falls && s2.clears() && s0.b == z && s1.a == Some(z);
    (matches && s1.b != z).then_some((s0.a, s1.b, z, s2.next))
}

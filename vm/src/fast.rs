//! The fast loop: runs decoded operations as long as nothing unusual happens.
//!
//! It leaves a step to the slow path, untouched, whenever the step might halt, fault, grow memory, write covered code or meet a cell
//! that is no small integer; and an operation whenever the budget is shorter than its steps. So both paths agree on every
//! count and every halt.

use crate::decode::{self, Decoded, NEXT_HALT, Op};
use crate::loops;

/// Steps of the longest operation that does not look at the budget itself.
const STEPS_MAX: u64 = decode::STEPS_MAX as u64;

/// In the domain `paillier`, the memory word of a cell that is no small open integer.
pub(crate) const SPECIAL: i64 = i64::MIN;

/// Why the fast loop returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The step at `pc` is the slow path's.
    Slow,
    /// The operation at `pc` has to be decoded first.
    Decode,
    /// A step continued at −1.
    Halt,
}

/// Where the fast loop stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor {
    /// The address of the next step.
    pub(crate) pc: usize,
    /// Steps that may still be made.
    pub(crate) budget: u64,
}

/// Runs operations from `cursor` on. `SPECIALS`: memory words equal to [`SPECIAL`] are not integers.
///
/// `memory` is at least as long as the decoded code.
pub(crate) fn run<const SPECIALS: bool>(
    memory: &mut [i64],
    decoded: &Decoded,
    cursor: &mut Cursor,
) -> Exit {
    let ops = decoded.ops();
    let Cursor { mut pc, mut budget } = *cursor;
    let exit = loop {
        let Some(op) = ops.get(pc) else {
            break outside(pc);
        };
        // One check for all operations: the last few steps of a budget are the slow path's.
        if budget < STEPS_MAX {
            break Exit::Slow;
        }
        let Some((steps, next)) = apply::<SPECIALS>(op, memory, decoded, pc, budget) else {
            break if *op == Op::Undecoded {
                Exit::Decode
            } else {
                Exit::Slow
            };
        };
        budget -= steps;
        pc = next;
    };
    *cursor = Cursor { pc, budget };
    exit
}

/// Applies the operation at `pc`: the steps made and where to go on; `None` leaves it, untouched.
#[inline(always)]
fn apply<const SPECIALS: bool>(
    op: &Op,
    memory: &mut [i64],
    decoded: &Decoded,
    pc: usize,
    budget: u64,
) -> Option<(u64, usize)> {
    match *op {
        Op::Undecoded | Op::Slow => None,
        Op::Step => step::<SPECIALS>(memory, decoded, pc).map(|next| (1, next)),
        Op::Clear { x, next } => store(memory, x, 0).map(|()| (1, next as usize)),
        Op::Sub { a, b } => sub::<SPECIALS>(memory, a, b).map(|_| (1, pc + 3)),
        Op::SubJump { a, b, next } => sub::<SPECIALS>(memory, a, b)
            .map(|result| (1, if result <= 0 { next as usize } else { pc + 3 })),
        Op::SubJumpElse { a, b, z, to } => sub_else::<SPECIALS>(memory, [a, b, z], to),
        Op::SubJumpTwice { a, c, b, to } => sub_twice::<SPECIALS>(memory, [a, c, b], pc, to),
        Op::ClearClear { x, y, next } => clear_clear(memory, x, y).map(|()| (2, next as usize)),
        Op::ClearSub { x, a, b } => clear_sub::<SPECIALS>(memory, x, a, b).map(|()| (2, pc + 6)),
        Op::SubClear { a, b, x, next } => sub::<SPECIALS>(memory, a, b)
            .and_then(|_| store(memory, x, 0))
            .map(|()| (2, next as usize)),
        Op::SubSub { a, b, c, d } => {
            sub_sub::<SPECIALS>(memory, [a, b, c, d]).map(|()| (2, pc + 6))
        }
        Op::Subs { count } => subs::<SPECIALS>(memory, pc, count),
        Op::Add { a, b, z, next } => add::<SPECIALS>(memory, a, b, z).map(|_| (3, next as usize)),
        Op::AddJump { a, b, z, next } => {
            add::<SPECIALS>(memory, a, b, z).map(|_| (4, next as usize))
        }
        Op::AddElse { a, b, z } => add::<SPECIALS>(memory, a, b, z)
            .map(|_| then((3, pc + 9), branch_else::<SPECIALS>(memory, pc + 9))),
        Op::AddTwice { a, b, z } => add::<SPECIALS>(memory, a, b, z)
            .map(|_| then((3, pc + 9), branch_twice::<SPECIALS>(memory, pc + 9))),
        Op::SubsElse { count } => subs_then::<SPECIALS>(memory, pc, count, branch_else::<SPECIALS>),
        Op::SubsTwice { count } => {
            subs_then::<SPECIALS>(memory, pc, count, branch_twice::<SPECIALS>)
        }
        Op::AddTest { a, b, z, next } => add::<SPECIALS>(memory, a, b, z)
            .map(|sum| (4, if sum <= 0 { next as usize } else { pc + 12 })),
        Op::AddTestFrom { b, z, next } => {
            let sum = add::<SPECIALS>(memory, operand(memory, pc)?, b, z)?;
            Some((4, if sum <= 0 { next as usize } else { pc + 12 }))
        }
        Op::Move { a, b, z, next } => {
            copy::<SPECIALS>(memory, a, b, z).map(|()| (4, next as usize))
        }
        Op::ClearSubFrom { x, b } => operand(memory, pc + 3)
            .and_then(|a| clear_sub::<SPECIALS>(memory, x, a, b))
            .map(|()| (2, pc + 6)),
        Op::AddFrom { b, z, next } => operand(memory, pc)
            .and_then(|a| add::<SPECIALS>(memory, a, b, z))
            .map(|_| (3, next as usize)),
        Op::MoveFrom { b, z, next } => operand(memory, pc + 3)
            .filter(|&a| a != b)
            .and_then(|a| copy::<SPECIALS>(memory, a, b, z))
            .map(|()| (4, next as usize)),
        Op::SetSet { x, a, y, b } => {
            set_set::<SPECIALS>(memory, [x, a, y, b]).map(|()| (4, pc + 12))
        }
        Op::Take { t, k, o } => take::<SPECIALS>(memory, [], [t, k, o], pc),
        Op::SubTake { a, t, k, o } => take::<SPECIALS>(memory, [a], [t, k, o], pc),
        Op::SubSubTake { a, b, t, k, o } => take::<SPECIALS>(memory, [a, b], [t, k, o], pc),
        Op::MoveElse { a, b, z } => copy::<SPECIALS>(memory, a, b, z)
            .map(|()| then((4, pc + 12), branch_else::<SPECIALS>(memory, pc + 12))),
        Op::MoveSet { a, b, z, x, c } => move_set::<SPECIALS>(memory, [a, b, z, x, c], pc),
        Op::MoveMove { a, b, c, d, z } => move_move::<SPECIALS>(memory, [a, b, c, d, z], pc),
        Op::SubTakeElse { a, t, k, o } => take::<SPECIALS>(memory, [a], [t, k, o], pc)
            .map(|made| then(made, branch_else::<SPECIALS>(memory, made.1))),
        Op::MoveEqual { a, b, z, pair } => copy::<SPECIALS>(memory, a, b, z)
            .map(|()| then((4, pc + 12), equal::<SPECIALS>(memory, pc + 12, pair))),
        Op::SubTakeEqual { a, t, k, o, pair } => take::<SPECIALS>(memory, [a], [t, k, o], pc)
            .map(|made| then(made, equal::<SPECIALS>(memory, made.1, pair))),
        Op::SubJumpThenElse { a, b, next } => sub::<SPECIALS>(memory, a, b)
            .map(|result| else_at::<SPECIALS>(memory, result, next, pc + 3)),
        Op::Multiply => loops::multiply::<SPECIALS>(memory, pc, budget),
        Op::Divide => loops::divide::<SPECIALS>(memory, pc, budget),
    }
}

/// Where there is no operation.
fn outside(pc: usize) -> Exit {
    if pc == NEXT_HALT as usize {
        Exit::Halt
    } else {
        Exit::Slow
    }
}

/// An operand that is read at run time.
#[inline(always)]
fn operand(memory: &[i64], at: usize) -> Option<u32> {
    u32::try_from(*memory.get(at)?).ok()
}

/// Makes steps whose operands are in memory, as many as go; the next operation deals with the one that did not.
#[inline(always)]
fn subs<const SPECIALS: bool>(memory: &mut [i64], pc: usize, count: u32) -> Option<(u64, usize)> {
    let mut done = 0;
    while done < count as usize {
        let at = pc + 3 * done;
        let Some(&[a, b]) = memory.get(at..at + 2).and_then(<[i64]>::first_chunk) else {
            break;
        };
        // Baked operands are addresses, and fit.
        if sub::<SPECIALS>(memory, a as u32, b as u32).is_none() {
            break;
        }
        done += 1;
    }
    (done > 0).then_some((done as u64, pc + 3 * done))
}

/// [`subs`], and a branch where all of them went.
#[inline(always)]
fn subs_then<const SPECIALS: bool>(
    memory: &mut [i64],
    pc: usize,
    count: u32,
    branch: impl FnOnce(&mut [i64], usize) -> Option<(u64, usize)>,
) -> Option<(u64, usize)> {
    let (steps, at) = subs::<SPECIALS>(memory, pc, count)?;
    let more = if steps == u64::from(count) {
        branch(memory, at)
    } else {
        None
    };
    Some(then((steps, at), more))
}

/// What was made, and what follows it; where that is not to be made, the next operation deals with it.
#[inline(always)]
fn then(made: (u64, usize), more: Option<(u64, usize)>) -> (u64, usize) {
    more.map_or(made, |(steps, next)| (made.0 + steps, next))
}

/// The `SubJumpElse` at `at`, its operands in memory. (−1 as C is [`NEXT_HALT`] when cut to 32 bits; baked cells fit otherwise.)
#[inline(always)]
fn branch_else<const SPECIALS: bool>(memory: &mut [i64], at: usize) -> Option<(u64, usize)> {
    let &[a, b, next, z, _, other] = memory.get(at..at + 6)?.first_chunk()?;
    let operands = [a, b, z].map(|cell| cell as u32);
    sub_else::<SPECIALS>(memory, operands, [next as u32, other as u32])
}

/// The `SubJumpElse` at `at`, and where it goes on behind itself, the step or the `SubJumpElse` there.
#[inline(always)]
fn equal<const SPECIALS: bool>(memory: &mut [i64], at: usize, pair: bool) -> Option<(u64, usize)> {
    let made = branch_else::<SPECIALS>(memory, at)?;
    let second = at + 6;
    if made.1 != second {
        return Some(made);
    }
    if pair {
        return Some(then(made, branch_else::<SPECIALS>(memory, second)));
    }
    let &[a, b, next] = memory.get(second..second + 3)?.first_chunk()?;
    let more = sub::<SPECIALS>(memory, a as u32, b as u32).map(|result| {
        let next = if result <= 0 {
            next as u32 as usize
        } else {
            second + 3
        };
        (1, next)
    });
    Some(then(made, more))
}

/// The `SubJumpTwice` at `at`, its operands in memory.
#[inline(always)]
fn branch_twice<const SPECIALS: bool>(memory: &mut [i64], at: usize) -> Option<(u64, usize)> {
    let &[a, b, next, c, _, other] = memory.get(at..at + 6)?.first_chunk()?;
    sub_twice::<SPECIALS>(
        memory,
        [a, c, b].map(|cell| cell as u32),
        at,
        [next as u32, other as u32],
    )
}

/// A step that branches to `next`, or clears and goes on at `other`.
#[inline(always)]
fn sub_else<const SPECIALS: bool>(
    memory: &mut [i64],
    [a, b, z]: [u32; 3],
    [next, other]: [u32; 2],
) -> Option<(u64, usize)> {
    if sub::<SPECIALS>(memory, a, b)? <= 0 {
        return Some((1, next as usize));
    }
    store(memory, z, 0)?;
    Some((2, other as usize))
}

/// The small integer at `address`; `None` for a special cell.
#[inline(always)]
pub(crate) fn load<const SPECIALS: bool>(memory: &[i64], address: u32) -> Option<i64> {
    let value = *memory.get(address as usize)?;
    if SPECIALS && value == SPECIAL {
        None
    } else {
        Some(value)
    }
}

#[inline(always)]
pub(crate) fn store(memory: &mut [i64], address: u32, value: i64) -> Option<()> {
    *memory.get_mut(address as usize)? = value;
    Some(())
}

/// `b − a` where that is a small integer.
#[inline(always)]
fn difference<const SPECIALS: bool>(b: i64, a: i64) -> Option<i64> {
    let result = b.checked_sub(a)?;
    if SPECIALS && result == SPECIAL {
        None
    } else {
        Some(result)
    }
}

#[inline(always)]
fn sub<const SPECIALS: bool>(memory: &mut [i64], a: u32, b: u32) -> Option<i64> {
    let x = load::<SPECIALS>(memory, a)?;
    let y = memory.get_mut(b as usize)?;
    if SPECIALS && *y == SPECIAL {
        return None;
    }
    let result = difference::<SPECIALS>(*y, x)?;
    *y = result;
    Some(result)
}

#[inline(always)]
fn clear_clear(memory: &mut [i64], x: u32, y: u32) -> Option<()> {
    store(memory, x, 0)?;
    store(memory, y, 0)
}

#[inline(always)]
fn clear_sub<const SPECIALS: bool>(memory: &mut [i64], x: u32, a: u32, b: u32) -> Option<()> {
    // Where the second step is the slow path's, it makes the first once more: x is 0 either way.
    store(memory, x, 0)?;
    sub::<SPECIALS>(memory, a, b).map(|_| ())
}

#[inline(always)]
fn sub_sub<const SPECIALS: bool>(memory: &mut [i64], [a, b, c, d]: [u32; 4]) -> Option<()> {
    let old = *memory.get(b as usize)?;
    sub::<SPECIALS>(memory, a, b)?;
    if sub::<SPECIALS>(memory, c, d).is_none() {
        store(memory, b, old)?;
        return None;
    }
    Some(())
}

#[inline(always)]
fn add<const SPECIALS: bool>(memory: &mut [i64], a: u32, b: u32, z: u32) -> Option<i64> {
    let negated =
        difference::<SPECIALS>(load::<SPECIALS>(memory, z)?, load::<SPECIALS>(memory, a)?)?;
    let sum = difference::<SPECIALS>(load::<SPECIALS>(memory, b)?, negated)?;
    store(memory, b, sum)?;
    store(memory, z, 0)?;
    Some(sum)
}

#[inline(always)]
fn copy<const SPECIALS: bool>(memory: &mut [i64], a: u32, b: u32, z: u32) -> Option<()> {
    let negated =
        difference::<SPECIALS>(load::<SPECIALS>(memory, z)?, load::<SPECIALS>(memory, a)?)?;
    store(memory, b, difference::<SPECIALS>(0, negated)?)?;
    store(memory, z, 0)
}

/// `value` less the integer at `a`.
#[inline(always)]
fn left<const SPECIALS: bool>(memory: &[i64], value: i64, a: u32) -> Option<i64> {
    difference::<SPECIALS>(value, load::<SPECIALS>(memory, a)?)
}

/// A `Take`, the operands of `before` subtracted from o first.
#[inline(always)]
fn take<const SPECIALS: bool>(
    memory: &mut [i64],
    before: impl IntoIterator<Item = u32>,
    [t, k, o]: [u32; 3],
    pc: usize,
) -> Option<(u64, usize)> {
    let mut sum = load::<SPECIALS>(memory, o)?;
    let mut steps = 5;
    for a in before {
        sum = left::<SPECIALS>(memory, sum, a)?;
        steps += 1;
    }
    let negated = left::<SPECIALS>(memory, 0, k)?;
    store(memory, t, difference::<SPECIALS>(negated, sum)?)?;
    store(memory, o, negated)?;
    Some((steps as u64, pc + 3 * steps))
}

#[inline(always)]
fn move_move<const SPECIALS: bool>(
    memory: &mut [i64],
    [a, b, c, d, z]: [u32; 5],
    pc: usize,
) -> Option<(u64, usize)> {
    copy::<SPECIALS>(memory, a, b, z)?;
    let second = copy::<SPECIALS>(memory, c, d, z).map(|()| (4, pc + 24));
    Some(then((4, pc + 12), second))
}

#[inline(always)]
fn move_set<const SPECIALS: bool>(
    memory: &mut [i64],
    [a, b, z, x, c]: [u32; 5],
    pc: usize,
) -> Option<(u64, usize)> {
    copy::<SPECIALS>(memory, a, b, z)?;
    let set = left::<SPECIALS>(memory, 0, c)
        .and_then(|value| store(memory, x, value))
        .map(|()| (2, pc + 18));
    Some(then((4, pc + 12), set))
}

/// A step with `result` that branches to `next`, or goes on with the `SubJumpElse` at `at`.
#[inline(always)]
fn else_at<const SPECIALS: bool>(
    memory: &mut [i64],
    result: i64,
    next: u32,
    at: usize,
) -> (u64, usize) {
    if result <= 0 {
        return (1, next as usize);
    }
    then((1, at), branch_else::<SPECIALS>(memory, at))
}

#[inline(always)]
fn set_set<const SPECIALS: bool>(memory: &mut [i64], [x, a, y, b]: [u32; 4]) -> Option<()> {
    // Where the last step is the slow path's, it makes the first two once more: x is the same again, for a is neither x nor written.
    store(memory, x, left::<SPECIALS>(memory, 0, a)?)?;
    store(memory, y, left::<SPECIALS>(memory, 0, b)?)
}

/// Two steps on one cell, each of which may branch.
#[inline(always)]
fn sub_twice<const SPECIALS: bool>(
    memory: &mut [i64],
    [a, c, b]: [u32; 3],
    pc: usize,
    [next, other]: [u32; 2],
) -> Option<(u64, usize)> {
    let first = difference::<SPECIALS>(load::<SPECIALS>(memory, b)?, load::<SPECIALS>(memory, a)?)?;
    if first <= 0 {
        return store(memory, b, first).map(|()| (1, next as usize));
    }
    let second = difference::<SPECIALS>(first, load::<SPECIALS>(memory, c)?)?;
    store(memory, b, second)?;
    Some((2, if second <= 0 { other as usize } else { pc + 6 }))
}

/// One step whose cells are read here and now; `None` leaves it to the slow path.
#[inline(always)]
fn step<const SPECIALS: bool>(memory: &mut [i64], decoded: &Decoded, pc: usize) -> Option<usize> {
    let &[a, b, c] = memory.get(pc..pc + 3)?.first_chunk::<3>()?;
    let (a, b) = (u32::try_from(a).ok()?, u32::try_from(b).ok()?);
    let x = load::<SPECIALS>(memory, a)?;
    let result = difference::<SPECIALS>(load::<SPECIALS>(memory, b)?, x)?;
    if decoded.is_covered(b as usize) {
        return None;
    }
    let next = if result <= 0 {
        let c = if b as usize == pc + 2 { result } else { c };
        match c {
            -1 => NEXT_HALT as usize,
            _ => u32::try_from(c).ok().filter(|&c| c != NEXT_HALT)? as usize,
        }
    } else {
        pc + 3
    };
    store(memory, b, result)?;
    Some(next)
}

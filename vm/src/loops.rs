//! Whole loops as one operation: those over the bits of an operand in the translator's multiplication and division.
//!
//! They make most of the steps of a contract that calculates. An operation runs as many rounds as go, its cells in registers, and takes
//! what a bit decides without branching; a round that would halt, fault or meet a special cell it leaves whole to the next
//! operations. It does not know what the loop is for: it makes the steps below, for any values of its cells.

use crate::decode::{Op, Static};
use crate::fast::{SPECIAL, load, store};

/// A step by the names of its cells, and the step that it continues at.
type Step = (u8, u8, usize);

/// Steps of the longest loop.
pub(crate) const STEPS_MAX: usize = 14;

/// u ← 2u + k, r − m or as it was, u − d where it was not, r ← 2r, n ← n − o.
const MULTIPLY: [Step; 12] = [
    (b's', b's', 1),
    (b'k', b's', 2),
    (b'u', b's', 3),
    (b's', b'u', 4),
    (b'm', b'r', 6),
    (b't', b'r', 7),
    (b'd', b'u', 7),
    (b'r', b'z', 8),
    (b'z', b'r', 9),
    (b'z', b'z', 10),
    (b'o', b'n', 12),
    (b'z', b'z', 0),
];

/// q ← 2q, r − m or as it was, q − o where it was not, r ← 2r, q − d or as it was, r − o where it was not, n ← n − o.
const DIVIDE: [Step; 14] = [
    (b'q', b'z', 1),
    (b'z', b'q', 2),
    (b'z', b'z', 3),
    (b'm', b'r', 5),
    (b't', b'r', 6),
    (b'o', b'q', 6),
    (b'r', b'z', 7),
    (b'z', b'r', 8),
    (b'z', b'z', 9),
    (b'd', b'q', 11),
    (b'p', b'q', 12),
    (b'o', b'r', 12),
    (b'o', b'n', 14),
    (b'z', b'z', 0),
];

/// The loop whose steps start at `pc`, and how many they are; `step` gives the static step at an address.
pub(crate) fn find(pc: usize, step: impl Fn(usize) -> Option<Static>) -> Option<(Op, usize)> {
    if matches(&MULTIPLY, pc, &step) {
        Some((Op::Multiply, MULTIPLY.len()))
    } else if matches(&DIVIDE, pc, &step) {
        Some((Op::Divide, DIVIDE.len()))
    } else {
        None
    }
}

/// Whether the steps from `pc` on are those of `pattern`: every name one cell, and a cell that is written has one name and is no code.
fn matches(pattern: &[Step], pc: usize, step: impl Fn(usize) -> Option<Static>) -> bool {
    let end = pc + 3 * pattern.len();
    let mut cells: Vec<(u8, u32)> = Vec::new();
    for (index, &(a, b, next)) in pattern.iter().enumerate() {
        let Some(found) = step(pc + 3 * index) else {
            return false;
        };
        let Some(first) = found.a else { return false };
        if found.next as usize != pc + 3 * next || (pc..end).contains(&(found.b as usize)) {
            return false;
        }
        for named in [(a, first), (b, found.b)] {
            if cells.iter().any(|cell| cell.0 == named.0 && *cell != named) {
                return false;
            }
            cells.push(named);
        }
    }
    let written = |name: u8| pattern.iter().any(|step| step.1 == name);
    cells.iter().all(|x| {
        let shared = |y: &(u8, u32)| y.1 == x.1 && y.0 != x.0;
        !written(x.0) || !cells.iter().any(shared)
    })
}

/// Subtractions of which only the last question matters: whether all of them, so far, gave small integers.
struct Round<const SPECIALS: bool> {
    failed: bool,
}

impl<const SPECIALS: bool> Round<SPECIALS> {
    #[inline(always)]
    fn sub(&mut self, b: i64, a: i64) -> i64 {
        self.sub_if(true, b, a)
    }

    /// `b − a` where `made`, else `b`.
    #[inline(always)]
    fn sub_if(&mut self, made: bool, b: i64, a: i64) -> i64 {
        let (result, overflow) = b.overflowing_sub(a);
        self.failed |= made & (overflow | (SPECIALS & (result == SPECIAL)));
        if made { result } else { b }
    }

    /// `x z >`, `z x >`, `z z next`: the new x.
    #[inline(always)]
    fn double(&mut self, x: i64, z: i64) -> i64 {
        let negated = self.sub(z, x);
        self.sub(x, negated)
    }

    /// `m x taken`, `t x after`, with `taken` one step further than this and `after` behind it: the new x, whether the step at `taken`
    /// is made, and the steps made with it.
    #[inline(always)]
    fn take(&mut self, x: i64, m: i64, t: i64) -> (i64, bool, u64) {
        let first = self.sub(x, m);
        let low = first <= 0;
        let second = self.sub_if(!low, first, t);
        let high = !low & (second > 0);
        (second, low | high, 2 + u64::from(high))
    }
}

/// Runs rounds of the multiplication at `pc`: the steps made and where to go on; `None` leaves it, untouched.
pub(crate) fn multiply<const SPECIALS: bool>(
    memory: &mut [i64],
    pc: usize,
    budget: u64,
) -> Option<(u64, usize)> {
    let end = pc + 3 * MULTIPLY.len();
    let code: &[i64; 3 * MULTIPLY.len()] = memory.get(pc..end)?.first_chunk()?;
    // Baked operands are addresses, and fit.
    let cell = |at: usize| code[at] as u32;
    let [s, u, r, z, n] = [cell(0), cell(6), cell(13), cell(22), cell(31)];
    let read = |at: usize| load::<SPECIALS>(memory, cell(at));
    let (k, m, t, d, o) = (read(3)?, read(12)?, read(15)?, read(18)?, read(30)?);
    let (mut u_now, mut r_now, mut z_now, mut n_now) = (read(6)?, read(13)?, read(22)?, read(31)?);
    let (mut s_now, mut steps, mut next) = (0, 0, pc);
    while next == pc && budget - steps >= MULTIPLY.len() as u64 {
        let mut round = Round::<SPECIALS> { failed: false };
        let negated = round.sub(0, k);
        let scratch = round.sub(negated, u_now);
        let doubled = round.sub(u_now, scratch);
        let (rest, taken, made) = round.take(r_now, m, t);
        let sum = round.sub_if(taken, doubled, d);
        let rest = round.double(rest, z_now);
        let count = round.sub(n_now, o);
        if round.failed {
            break;
        }
        (s_now, u_now, r_now, z_now, n_now) = (scratch, sum, rest, 0, count);
        steps += 4 + made + 3 + if count <= 0 { 1 } else { 2 };
        next = if count <= 0 { end } else { pc };
    }
    if steps == 0 {
        return None;
    }
    for (cell, value) in [(s, s_now), (u, u_now), (r, r_now), (z, z_now), (n, n_now)] {
        store(memory, cell, value)?;
    }
    Some((steps, next))
}

/// Runs rounds of the division at `pc`, as [`multiply`].
pub(crate) fn divide<const SPECIALS: bool>(
    memory: &mut [i64],
    pc: usize,
    budget: u64,
) -> Option<(u64, usize)> {
    let end = pc + 3 * DIVIDE.len();
    let code: &[i64; 3 * DIVIDE.len()] = memory.get(pc..end)?.first_chunk()?;
    let cell = |at: usize| code[at] as u32;
    let [q, z, r, n] = [cell(0), cell(1), cell(10), cell(37)];
    let read = |at: usize| load::<SPECIALS>(memory, cell(at));
    let (m, t, o, d, p) = (read(9)?, read(12)?, read(15)?, read(27)?, read(30)?);
    let (mut q_now, mut z_now, mut r_now, mut n_now) = (read(0)?, read(1)?, read(10)?, read(37)?);
    let (mut steps, mut next) = (0, pc);
    while next == pc && budget - steps >= DIVIDE.len() as u64 {
        let mut round = Round::<SPECIALS> { failed: false };
        let remainder = round.double(q_now, z_now);
        let (rest, taken, made) = round.take(r_now, m, t);
        let remainder = round.sub_if(taken, remainder, o);
        let rest = round.double(rest, 0);
        let (remainder, fits, more) = round.take(remainder, d, p);
        let rest = round.sub_if(fits, rest, o);
        let count = round.sub(n_now, o);
        if round.failed {
            break;
        }
        (q_now, z_now, r_now, n_now) = (remainder, 0, rest, count);
        steps += 3 + made + 3 + more + if count <= 0 { 1 } else { 2 };
        next = if count <= 0 { end } else { pc };
    }
    if steps == 0 {
        return None;
    }
    for (cell, value) in [(q, q_now), (z, z_now), (r, r_now), (n, n_now)] {
        store(memory, cell, value)?;
    }
    Some((steps, next))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::CompiledContract;

    /// Where the translator writes its routines differently, the loops must follow.
    #[test]
    fn translated_products_and_quotients_run_as_loops() {
        let definition = json!({"contract": "c", "actions": {"a": {"params": {"x": "int", "y": "int"}, "do": [
            {"let": {"z": {"/": [{"*": [{"var": "x"}, {"var": "y"}]}, {"var": "y"}]}}}]}}});
        let contract = CompiledContract::compile(&definition).unwrap();
        let (_, action) = contract.actions().next().unwrap();
        for op in [Op::Multiply, Op::Divide] {
            assert!(action.code().decoded().ops().contains(&op), "{op:?}");
        }
    }
}

//! Decoded code: straight runs of steps as one operation each.
//!
//! An operation bakes the cells of its steps into operands. That stays right because of two marks per cell:
//! *covered* (some operation bakes it) and *volatile* (something writes it: never bake it). A static write target is volatile from the
//! start, so static writes need no check at run time; a write to an address found at run time looks at the mark, and one that hits a
//! covered cell drops the operations over it. A cell becomes volatile once, so the work is bounded by the size of the code.

use crate::fuse::fuse;
use crate::loops;

/// Steps of the longest operation that is no loop.
pub(crate) const STEPS_MAX: usize = 10;

/// Steps looked at for one operation: an idiom that starts among its first ones is seen whole.
const WINDOW: usize = 16;

/// Cells of the longest operation; a write to a cell can concern operations that start this far before it.
const SPAN_MAX: usize = 3 * loops::STEPS_MAX;
const _: () = assert!(loops::STEPS_MAX >= STEPS_MAX);

const COVERED: u8 = 1;
const VOLATILE: u8 = 2;

/// A step's `next` that means −1: the run halts there.
pub(crate) const NEXT_HALT: u32 = u32::MAX;

/// One operation; the comments give its steps, `>` meaning "C is the next address".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Not looked at yet.
    Undecoded,
    /// One step, by the slow path always: input, output, ports, addresses outside memory.
    Slow,
    /// One step whose three cells are read at run time, because something writes one of them.
    Step,
    /// `x x next`
    Clear { x: u32, next: u32 },
    /// `a b >`
    Sub { a: u32, b: u32 },
    /// `a b next`
    SubJump { a: u32, b: u32, next: u32 },
    /// `a b next`, `z z other`: the second step only where the first falls through; `to` is next and other.
    SubJumpElse {
        a: u32,
        b: u32,
        z: u32,
        to: [u32; 2],
    },
    /// `a b next`, `c b other`: two tests of a cell, the second only where the first falls through; c is not b, `to` as before.
    SubJumpTwice {
        a: u32,
        c: u32,
        b: u32,
        to: [u32; 2],
    },
    /// `x x >`, `y y next`
    ClearClear { x: u32, y: u32, next: u32 },
    /// `x x >`, `a b >`
    ClearSub { x: u32, a: u32, b: u32 },
    /// `a b >`, `x x next`
    SubClear { a: u32, b: u32, x: u32, next: u32 },
    /// `a b >`, `c d >`
    SubSub { a: u32, b: u32, c: u32, d: u32 },
    /// `a b >` for each of some steps; the operands are in memory.
    Subs { count: u32 },
    /// `a z >`, `z b >`, `z z next`; z is not b
    Add { a: u32, b: u32, z: u32, next: u32 },
    /// `a z >`, `z b >`, `z z >`, `z b next`: a sum and a test of it; z is not b
    AddTest { a: u32, b: u32, z: u32, next: u32 },
    /// `b b >`, `a z >`, `z b >`, `z z next`; b is neither a nor z
    Move { a: u32, b: u32, z: u32, next: u32 },
    /// `Add`, then `z z next`, which only goes elsewhere
    AddJump { a: u32, b: u32, z: u32, next: u32 },
    /// `Add`, then a `SubJumpElse` whose operands are in memory
    AddElse { a: u32, b: u32, z: u32 },
    /// `Add`, then a `SubJumpTwice` whose operands are in memory
    AddTwice { a: u32, b: u32, z: u32 },
    /// `Subs`, then a `SubJumpElse`, all operands in memory
    SubsElse { count: u32 },
    /// `Subs`, then a `SubJumpTwice`, all operands in memory
    SubsTwice { count: u32 },
    /// `x x >`, `[a] b >`, the second step's A read at run time
    ClearSubFrom { x: u32, b: u32 },
    /// As `Add`, its first step's A read at run time
    AddFrom { b: u32, z: u32, next: u32 },
    /// As `AddTest`, its first step's A read at run time
    AddTestFrom { b: u32, z: u32, next: u32 },
    /// As `Move`, its second step's A read at run time
    MoveFrom { b: u32, z: u32, next: u32 },
    /// `x x >`, `a x >`, `y y >`, `b y >`; a is not x, b is not y
    SetSet { x: u32, a: u32, y: u32, b: u32 },
    /// `t t >`, `k t >`, `o t >`, `o o >`, `k o >`; the three are different
    Take { t: u32, k: u32, o: u32 },
    /// `a o >`, then a `Take`; a is not o
    SubTake { a: u32, t: u32, k: u32, o: u32 },
    /// `a o >`, `b o >`, then a `Take`; neither is o
    SubSubTake {
        a: u32,
        b: u32,
        t: u32,
        k: u32,
        o: u32,
    },
    /// `Move`, then a `SubJumpElse` whose operands are in memory
    MoveElse { a: u32, b: u32, z: u32 },
    /// Two of `Move`, with the same z
    MoveMove {
        a: u32,
        b: u32,
        c: u32,
        d: u32,
        z: u32,
    },
    /// `Move`, then `x x >`, `c x >`; c is not x
    MoveSet {
        a: u32,
        b: u32,
        z: u32,
        x: u32,
        c: u32,
    },
    /// `SubTake`, then a `SubJumpElse` whose operands are in memory
    SubTakeElse { a: u32, t: u32, k: u32, o: u32 },
    /// `MoveElse` whose branch goes on behind it, where the cell is tested again, with an other way if `pair`: a test of equality
    MoveEqual { a: u32, b: u32, z: u32, pair: bool },
    /// `SubTakeElse` with the same
    SubTakeEqual {
        a: u32,
        t: u32,
        k: u32,
        o: u32,
        pair: bool,
    },
    /// `a b next`, then a `SubJumpElse` of another cell whose operands are in memory
    SubJumpThenElse { a: u32, b: u32, next: u32 },
    /// A loop of [`loops`], its operands in memory
    Multiply,
    /// Another
    Divide,
}

/// A step that can be baked, wholly or but for its A.
#[derive(Clone, Copy)]
pub(crate) struct Static {
    /// `None`: something writes the cell of A, so it is read at run time.
    pub(crate) a: Option<u32>,
    pub(crate) b: u32,
    pub(crate) next: u32,
    /// Whether `next` is the address after the step.
    pub(crate) falls: bool,
}

impl Static {
    pub(crate) fn clears(self) -> bool {
        self.a == Some(self.b)
    }
}

/// The operations of a memory image, one for each address that a step may start at.
#[derive(Clone, Debug)]
pub(crate) struct Decoded {
    ops: Vec<Op>,
    marks: Vec<u8>,
}

impl Decoded {
    /// Decodes what can be reached from `entry` without running anything.
    pub(crate) fn new(memory: &[i64], entry: i64) -> Self {
        let mut decoded = Self {
            ops: vec![Op::Undecoded; memory.len()],
            marks: vec![0; memory.len()],
        };
        let mut work = Vec::from_iter(usize::try_from(entry));
        while let Some(pc) = work.pop() {
            if decoded.ops.get(pc) != Some(&Op::Undecoded) {
                continue;
            }
            let dropped = decoded.decode(memory, pc);
            work.extend(dropped);
            decoded.successors(memory, pc, &mut work);
        }
        decoded
    }

    /// Decodes nothing, ever: each step reads its cells at run time.
    pub(crate) fn unfused(cells: usize) -> Self {
        let mut ops = vec![Op::Step; cells];
        ops.iter_mut().rev().take(2).for_each(|op| *op = Op::Slow);
        Self {
            ops,
            marks: vec![VOLATILE; cells],
        }
    }

    pub(crate) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Whether no operation can start at `pc`.
    pub(crate) fn is_slow(&self, pc: i64) -> bool {
        let op = usize::try_from(pc).ok().and_then(|pc| self.ops.get(pc));
        matches!(op, None | Some(Op::Slow))
    }

    /// Whether a write to `address` must go through [`Decoded::written`].
    pub(crate) fn is_covered(&self, address: usize) -> bool {
        self.marks
            .get(address)
            .is_some_and(|mark| mark & COVERED != 0)
    }

    /// Marks a cell as written from now on and drops the operations over it.
    pub(crate) fn written(&mut self, address: usize) {
        self.volatile(address, &mut Vec::new());
    }

    fn volatile(&mut self, address: usize, dropped: &mut Vec<usize>) {
        if address >= self.marks.len() {
            return;
        }
        if self.marks[address] & COVERED != 0 {
            for start in address.saturating_sub(SPAN_MAX - 1)..=address {
                if !matches!(self.ops[start], Op::Undecoded) {
                    self.ops[start] = Op::Undecoded;
                    dropped.push(start);
                }
            }
        }
        self.marks[address] = VOLATILE;
    }

    /// Decodes the operation at `pc` and returns the starts of the operations that had to be dropped for it.
    pub(crate) fn decode(&mut self, memory: &[i64], pc: usize) -> Vec<usize> {
        let mut dropped = Vec::new();
        if pc + 3 > self.ops.len() {
            self.ops[pc] = Op::Slow;
            return dropped;
        }
        let found = loops::find(pc, |at| self.static_step(memory, at));
        let (op, steps) = found
            .or_else(|| fuse(&self.static_run(memory, pc)))
            .map(|(op, steps)| self.equal(memory, pc, op, steps))
            .unwrap_or_else(|| (self.unbaked(memory, pc), 0));
        for step in 0..steps {
            // A baked target is an address.
            self.volatile(memory[pc + 3 * step + 1] as usize, &mut dropped);
        }
        for mark in &mut self.marks[pc..pc + 3 * steps] {
            if *mark & VOLATILE == 0 {
                *mark |= COVERED;
            }
        }
        self.ops[pc] = op;
        dropped
    }

    /// `op` with the second test of its cell, if it is a first one and that lies behind it.
    fn equal(&self, memory: &[i64], pc: usize, op: Op, steps: usize) -> (Op, usize) {
        if !matches!(op, Op::MoveElse { .. } | Op::SubTakeElse { .. }) {
            return (op, steps);
        }
        let at = pc + 3 * steps;
        let (first, second) = (
            self.static_step(memory, at - 6),
            self.static_step(memory, at),
        );
        let (Some(first), Some(second)) = (first, second) else {
            return (op, steps);
        };
        let other = self.static_step(memory, at + 3).filter(|s| s.clears());
        let (pair, more) = (other.is_some(), 1 + usize::from(other.is_some()));
        let end = at + 3 * more;
        let code = |b: i64| usize::try_from(b).is_ok_and(|b| (pc..end).contains(&b));
        let writes_code = (0..steps + more).any(|step| code(memory[pc + 3 * step + 1]));
        let tests = first.next as usize == at
            && second.b == first.b
            && second.a.is_some_and(|a| a != second.b)
            && !second.falls;
        if !tests || writes_code {
            return (op, steps);
        }
        let op = match op {
            Op::MoveElse { a, b, z } => Op::MoveEqual { a, b, z, pair },
            Op::SubTakeElse { a, t, k, o } => Op::SubTakeEqual { a, t, k, o, pair },
            op => op,
        };
        (op, steps + more)
    }

    /// How to run a step that cannot be baked; right whatever its cells become.
    fn unbaked(&self, memory: &[i64], pc: usize) -> Op {
        let inside = |cell: usize| {
            self.marks[cell] & VOLATILE != 0
                || usize::try_from(memory[cell]).is_ok_and(|address| address < self.ops.len())
        };
        if inside(pc) && inside(pc + 1) {
            Op::Step
        } else {
            Op::Slow
        }
    }

    /// The longest run of steps from `pc` on that could become one operation.
    fn static_run(&self, memory: &[i64], pc: usize) -> Vec<Static> {
        let mut run: Vec<Static> = Vec::with_capacity(WINDOW);
        let mut at = pc;
        while run.len() < WINDOW {
            let Some(step) = self.static_step(memory, at) else {
                break;
            };
            // A step that writes into the run's own code cannot be baked with it.
            let end = at + 3;
            let inside = |target: u32| (pc..end).contains(&(target as usize));
            if inside(step.b) || run.iter().any(|earlier| inside(earlier.b)) {
                break;
            }
            // After a branch there may be its other way, a jump or a second test of its cell; nothing else.
            let after_branch = run.last().is_some_and(|last| !last.falls);
            let second_test =
                |last: Static| last.b == step.b && step.a.is_some_and(|c| c != step.b);
            // Nor are two branches in a row one, but at the very start, with the other way of the second.
            let in_a_row = run.len() == 1 && !step.falls && !step.clears() && step.a.is_some();
            let second = after_branch && run.last().copied().is_some_and(second_test);
            if after_branch && !step.clears() && !second && !in_a_row {
                break;
            }
            run.push(step);
            if (after_branch && (step.clears() || second)) || (!step.falls && step.clears()) {
                break;
            }
            at = end;
        }
        run
    }

    fn static_step(&self, memory: &[i64], pc: usize) -> Option<Static> {
        let cells = memory.get(pc..pc + 3)?;
        let volatile = |offset: usize| {
            self.marks
                .get(pc + offset)
                .is_none_or(|mark| mark & VOLATILE != 0)
        };
        if volatile(1) || volatile(2) {
            return None;
        }
        let address = |cell: i64| {
            u32::try_from(cell)
                .ok()
                .filter(|&a| (a as usize) < self.ops.len())
        };
        let a = if volatile(0) {
            None
        } else {
            Some(address(cells[0])?)
        };
        let b = address(cells[1])?;
        let next = match cells[2] {
            -1 => NEXT_HALT,
            c => u32::try_from(c).ok().filter(|&c| c != NEXT_HALT)?,
        };
        Some(Static {
            a,
            b,
            next,
            falls: next as usize == pc + 3,
        })
    }

    /// Where the step at `pc` is likely to go on. A jump, input, output or port never falls through: what lies behind it may be data,
    /// and data taken for code would make every write to it a write to code.
    fn step_targets(&self, memory: &[i64], pc: usize) -> impl Iterator<Item = usize> {
        let known = |offset: usize| {
            let mark = self.marks.get(pc + offset)?;
            (mark & VOLATILE == 0).then_some(memory[pc + offset])
        };
        let (a, b) = (known(0), known(1));
        let port = [a, b].into_iter().flatten().any(|cell| cell < 0);
        let falls = !port && (a.is_none() || a != b);
        let target = memory.get(pc + 2).and_then(|&c| usize::try_from(c).ok());
        falls.then_some(pc + 3).into_iter().chain(target)
    }

    fn successors(&self, memory: &[i64], pc: usize, work: &mut Vec<usize>) {
        let jump = |next: u32| {
            if next == NEXT_HALT {
                None
            } else {
                Some(next as usize)
            }
        };
        match self.ops[pc] {
            Op::Undecoded => {}
            Op::Slow | Op::Step => work.extend(self.step_targets(memory, pc)),
            Op::Sub { .. } => work.push(pc + 3),
            Op::SubSub { .. } | Op::ClearSub { .. } | Op::ClearSubFrom { .. } => work.push(pc + 6),
            Op::SetSet { .. } => work.push(pc + 12),
            Op::Take { .. } => work.push(pc + 15),
            Op::MoveSet { .. } => work.push(pc + 18),
            Op::MoveMove { .. } => work.push(pc + 24),
            Op::MoveElse { .. } => work.extend(branch_targets(memory, pc + 12)),
            Op::MoveEqual { .. } => work.extend(equal_targets(memory, pc + 12)),
            Op::SubTakeEqual { .. } => work.extend(equal_targets(memory, pc + 18)),
            Op::SubTakeElse { .. } => work.extend(branch_targets(memory, pc + 18)),
            Op::SubJumpThenElse { next, .. } => {
                work.extend(branch_targets(memory, pc + 3).into_iter().chain(jump(next)));
            }
            Op::SubTake { .. } => work.push(pc + 18),
            Op::SubSubTake { .. } => work.push(pc + 21),
            // And its own steps, for a round that goes a step at a time.
            Op::Multiply => work.extend((1..=12).map(|step| pc + 3 * step)),
            Op::Divide => work.extend((1..=14).map(|step| pc + 3 * step)),
            Op::Subs { count } => work.push(pc + 3 * count as usize),
            Op::SubJumpElse { to, .. } => work.extend(to.into_iter().filter_map(jump)),
            Op::SubJump { next, .. } => work.extend([pc + 3].into_iter().chain(jump(next))),
            Op::AddElse { .. } | Op::AddTwice { .. } => work.extend(branch_targets(memory, pc + 9)),
            Op::SubsElse { count } | Op::SubsTwice { count } => {
                work.extend(branch_targets(memory, pc + 3 * count as usize));
            }
            Op::SubJumpTwice { to, .. } => {
                work.extend(to.into_iter().filter_map(jump).chain([pc + 6]));
            }
            Op::AddTest { next, .. } | Op::AddTestFrom { next, .. } => {
                work.extend([pc + 12].into_iter().chain(jump(next)));
            }
            Op::Clear { next, .. }
            | Op::ClearClear { next, .. }
            | Op::SubClear { next, .. }
            | Op::Add { next, .. }
            | Op::Move { next, .. }
            | Op::AddJump { next, .. }
            | Op::AddFrom { next, .. }
            | Op::MoveFrom { next, .. } => work.extend(jump(next)),
        }
    }
}

/// Where the branch at `at` may go, and its other way, and after both.
fn branch_targets(memory: &[i64], at: usize) -> Vec<usize> {
    let targets = [at + 2, at + 5]
        .into_iter()
        .filter_map(|c| usize::try_from(*memory.get(c)?).ok());
    targets.chain([at + 6]).collect()
}

/// The same for two tests in a row, whether or not the second has an other way.
fn equal_targets(memory: &[i64], at: usize) -> impl Iterator<Item = usize> {
    let first = branch_targets(memory, at).into_iter();
    first.chain(branch_targets(memory, at + 6)).chain([at + 9])
}

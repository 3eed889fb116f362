//! Decoded code: straight runs of steps as one operation each.
//!
//! An operation bakes the cells of its steps into operands. That stays right because of two marks per cell:
//! *covered* (some operation bakes it) and *volatile* (something writes it: never bake it). A static write target is volatile from the
//! start, so static writes need no check at run time; a write to an address found at run time looks at the mark, and one that hits a
//! covered cell drops the operations over it. A cell becomes volatile once, so the work is bounded by the size of the code.

use crate::fuse::fuse;

/// Steps of the longest operation.
pub(crate) const STEPS_MAX: usize = 8;

/// Cells of the longest operation; a write to a cell can concern operations that start this far before it.
const SPAN_MAX: usize = 3 * STEPS_MAX;

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
    /// `a b next`, `z z other`: the second step only where the first falls through.
    SubJumpElse {
        a: u32,
        b: u32,
        next: u32,
        z: u32,
        other: u32,
    },
    /// `a b next`, `c b other`: two tests of a cell, the second only where the first falls through; c is not b.
    SubJumpTwice {
        a: u32,
        c: u32,
        b: u32,
        next: u32,
        other: u32,
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
        let run = self.static_run(memory, pc);
        let (op, steps) = match fuse(&run) {
            Some(fused) => fused,
            None => (self.unbaked(memory, pc), 0),
        };
        for step in &run[..steps] {
            self.volatile(step.b as usize, &mut dropped);
        }
        for mark in &mut self.marks[pc..pc + 3 * steps] {
            if *mark & VOLATILE == 0 {
                *mark |= COVERED;
            }
        }
        self.ops[pc] = op;
        dropped
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
        let mut run: Vec<Static> = Vec::with_capacity(STEPS_MAX);
        let mut at = pc;
        while run.len() < STEPS_MAX {
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
            if after_branch && !step.clears() && !run.last().copied().is_some_and(second_test) {
                break;
            }
            run.push(step);
            if after_branch || (!step.falls && step.clears()) {
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
            Op::Slow | Op::Step => {
                work.push(pc + 3);
                work.extend(memory.get(pc + 2).and_then(|&c| usize::try_from(c).ok()));
            }
            Op::Sub { .. } => work.push(pc + 3),
            Op::SubSub { .. } | Op::ClearSub { .. } | Op::ClearSubFrom { .. } => work.push(pc + 6),
            Op::Subs { count } => work.push(pc + 3 * count as usize),
            Op::SubJumpElse { next, other, .. } => {
                work.extend(jump(next).into_iter().chain(jump(other)))
            }
            Op::SubJump { next, .. } => work.extend([pc + 3].into_iter().chain(jump(next))),
            Op::AddElse { .. } | Op::AddTwice { .. } => work.extend(branch_targets(memory, pc + 9)),
            Op::SubsElse { count } | Op::SubsTwice { count } => {
                work.extend(branch_targets(memory, pc + 3 * count as usize));
            }
            Op::SubJumpTwice { next, other, .. } => {
                work.extend([pc + 6].into_iter().chain(jump(next)).chain(jump(other)));
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

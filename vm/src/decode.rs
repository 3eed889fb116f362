//! Decoded code: straight runs of steps as one operation each.
//!
//! An operation bakes the cells of its steps into operands. That stays right because of two marks per cell:
//! *covered* (some operation bakes it) and *volatile* (something writes it: never bake it). A static write target is volatile from the
//! start, so static writes need no check at run time; a write to an address found at run time looks at the mark, and one that hits a
//! covered cell drops the operations over it. A cell becomes volatile once, so the work is bounded by the size of the code.

/// Cells of the longest operation; a write to a cell can concern operations that start this far before it.
const SPAN_MAX: usize = 12;

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
    /// `x x >`, `y y next`
    ClearClear { x: u32, y: u32, next: u32 },
    /// `x x >`, `a b >`
    ClearSub { x: u32, a: u32, b: u32 },
    /// `a b >`, `x x next`
    SubClear { a: u32, b: u32, x: u32, next: u32 },
    /// `a b >`, `c d >`
    SubSub { a: u32, b: u32, c: u32, d: u32 },
    /// `a z >`, `z b >`, `z z next`; a, b and z differ
    Add { a: u32, b: u32, z: u32, next: u32 },
    /// `b b >`, `a z >`, `z b >`, `z z next`; a, b and z differ
    Move { a: u32, b: u32, z: u32, next: u32 },
}

/// The three cells of a step that can be baked; a and b are addresses of code or data present at decoding.
#[derive(Clone, Copy)]
struct Static {
    a: u32,
    b: u32,
    next: u32,
    /// Whether `next` is the address after the step.
    falls: bool,
}

impl Static {
    fn clears(self) -> bool {
        self.a == self.b
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
        let cells = [pc, pc + 1, pc + 2];
        if cells.iter().any(|&cell| self.marks[cell] & VOLATILE != 0) {
            self.ops[pc] = Op::Step;
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
            *mark |= COVERED;
        }
        self.ops[pc] = op;
        dropped
    }

    /// How to run a step that cannot be baked; right whatever its cells become.
    fn unbaked(&self, memory: &[i64], pc: usize) -> Op {
        let inside =
            |cell: i64| usize::try_from(cell).is_ok_and(|address| address < self.ops.len());
        if inside(memory[pc]) && inside(memory[pc + 1]) {
            Op::Step
        } else {
            Op::Slow
        }
    }

    /// The longest run of steps from `pc` on that could become one operation.
    fn static_run(&self, memory: &[i64], pc: usize) -> Vec<Static> {
        let mut run: Vec<Static> = Vec::with_capacity(SPAN_MAX / 3);
        let mut at = pc;
        while run.len() < SPAN_MAX / 3 {
            let Some(step) = self.static_step(memory, at) else {
                break;
            };
            // A step that writes into the run's own code cannot be baked with it.
            let end = at + 3;
            let inside = |target: u32| (pc..end).contains(&(target as usize));
            if inside(step.b) || run.iter().any(|earlier| inside(earlier.b)) {
                break;
            }
            run.push(step);
            if !step.falls {
                break;
            }
            at = end;
        }
        run
    }

    fn static_step(&self, memory: &[i64], pc: usize) -> Option<Static> {
        let cells = memory.get(pc..pc + 3)?;
        if self
            .marks
            .get(pc..pc + 3)?
            .iter()
            .any(|mark| mark & VOLATILE != 0)
        {
            return None;
        }
        let address = |cell: i64| {
            u32::try_from(cell)
                .ok()
                .filter(|&a| (a as usize) < self.ops.len())
        };
        let (a, b) = (address(cells[0])?, address(cells[1])?);
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
            Op::SubSub { .. } | Op::ClearSub { .. } => work.push(pc + 6),
            Op::SubJump { next, .. } => {
                work.push(pc + 3);
                work.extend(jump(next));
            }
            Op::Clear { next, .. }
            | Op::ClearClear { next, .. }
            | Op::SubClear { next, .. }
            | Op::Add { next, .. }
            | Op::Move { next, .. } => work.extend(jump(next)),
        }
    }
}

/// The longest operation that the first steps of a run make, and its number of steps.
///
/// All steps but the last of a run fall through to the next.
fn fuse(run: &[Static]) -> Option<(Op, usize)> {
    if let Some(idiom) = idiom(run) {
        return Some(idiom);
    }
    Some(match *run {
        // A pair must not take the first step of a longer idiom from it.
        [s0, ref rest @ ..] if idiom(rest).is_some() => single(s0),
        [s0, s1, ..] => match (s0.clears(), s1.clears()) {
            (true, true) => (
                Op::ClearClear {
                    x: s0.b,
                    y: s1.b,
                    next: s1.next,
                },
                2,
            ),
            (true, false) if s1.falls => (
                Op::ClearSub {
                    x: s0.b,
                    a: s1.a,
                    b: s1.b,
                },
                2,
            ),
            (false, true) => (
                Op::SubClear {
                    a: s0.a,
                    b: s0.b,
                    x: s1.b,
                    next: s1.next,
                },
                2,
            ),
            (false, false) if s1.falls => (
                Op::SubSub {
                    a: s0.a,
                    b: s0.b,
                    c: s1.a,
                    d: s1.b,
                },
                2,
            ),
            _ => single(s0),
        },
        [s0] => single(s0),
        [] => return None,
    })
}

/// The idioms of three and four steps.
fn idiom(run: &[Static]) -> Option<(Op, usize)> {
    let differ = |a: u32, b: u32, z: u32| a != b && b != z && a != z;
    let added = |s0: Static, s1: Static, s2: Static| {
        (s2.clears() && s0.b == s2.b && s1.a == s2.b && differ(s0.a, s1.b, s2.b))
            .then_some((s0.a, s1.b, s2.b, s2.next))
    };
    if let [s0, s1, s2, s3, ..] = *run
        && s0.clears()
        && let Some((a, b, z, next)) = added(s1, s2, s3)
        && b == s0.b
    {
        return Some((Op::Move { a, b, z, next }, 4));
    }
    if let [s0, s1, s2, ..] = *run
        && let Some((a, b, z, next)) = added(s0, s1, s2)
    {
        return Some((Op::Add { a, b, z, next }, 3));
    }
    None
}

fn single(step: Static) -> (Op, usize) {
    let op = if step.clears() {
        Op::Clear {
            x: step.b,
            next: step.next,
        }
    } else if step.falls {
        Op::Sub {
            a: step.a,
            b: step.b,
        }
    } else {
        Op::SubJump {
            a: step.a,
            b: step.b,
            next: step.next,
        }
    };
    (op, 1)
}

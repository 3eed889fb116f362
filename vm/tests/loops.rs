//! The loops that run as one operation do what their steps do, for ways their cells can coincide, values at every edge and any budget.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use lyceum_vm::{Code, Halt, Limits, Machine, Modulus, NoPorts, OpenOverflow};

/// Cells 80 to 89.
const DATA: usize = 80;
const CELLS: usize = 90;

/// A loop as the translator has it: A, B and the step to go on at.
type Loop = &'static [(u8, u8, i64)];

const MULTIPLY: Loop = &[
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
const DIVIDE: Loop = &[
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

/// Their names, by their cells.
const NAMES: &[u8; 10] = b"skurmtdzon";
const NAMES_DIVIDE: &[u8; 10] = b"qzmrtodpn_";

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    fn value(&mut self, odd: bool) -> i64 {
        let edges = [i64::MIN, i64::MAX, i64::MIN + 1, 1 << 62, -(1 << 62)];
        if odd && self.below(4) == 0 {
            edges[self.below(edges.len())]
        } else {
            i64::try_from(self.below(9)).unwrap() - 4
        }
    }
}

/// Memory with the loop at 0, and behind it a step that halts.
fn program((steps, names): (Loop, &[u8; 10]), random: &mut Random, kind: usize) -> Vec<i64> {
    // Mostly as the translator has it; else two names share a cell, a cell is code, or a step writes code.
    let mut cells: Vec<i64> = (DATA..).take(names.len()).map(|c| c as i64).collect();
    if kind == 1 {
        let (x, y) = (random.below(cells.len()), random.below(cells.len()));
        cells[x] = cells[y];
    } else if kind == 2 {
        let x = random.below(cells.len());
        cells[x] = random.below(48) as i64;
    }
    let cell = |name: u8| cells[names.iter().position(|n| *n == name).unwrap()];
    let mut memory: Vec<i64> = steps
        .iter()
        .flat_map(|&(a, b, next)| [cell(a), cell(b), 3 * next])
        .collect();
    memory.extend([cell(b'z'), cell(b'z'), -1, cell(b'z'), cell(b'z'), -1]);
    memory.resize(CELLS, 0);
    for value in &mut memory[DATA..] {
        *value = random.value(kind == 3);
    }
    if kind != 3 {
        // As a walk over bits starts: a count, a threshold and its negative, an operand ≤ 0, constants.
        let width = random.below(8) as i64 + 1;
        let top = 1_i64 << (width - 1);
        let given = [
            (b'n', width),
            (b'o', 1),
            (b'k', 1),
            (b't', top),
            (b'm', -top),
            (b'r', -(random.below(256) as i64)),
            (b'd', -(random.below(40) as i64)),
            (b'p', random.below(40) as i64),
            (b'z', 0),
        ];
        for (name, value) in given {
            if let Some(at) = names.iter().position(|n| *n == name)
                && kind != 2
            {
                memory[cells[at] as usize] = value;
            }
        }
    }
    memory
}

#[test]
fn loops_do_what_their_steps_do() {
    let modulus = Modulus::from_decimal(&((1_u128 << 127) - 1).to_string()).unwrap();
    let mut random = Random(1);
    let (mut runs, mut halted, mut faulted) = (0, 0, 0);
    for round in 0..40_000 {
        let which = if round % 2 == 0 {
            (MULTIPLY, NAMES)
        } else {
            (DIVIDE, NAMES_DIVIDE)
        };
        let memory = program(which, &mut random, random_kind(round));
        let limits = Limits {
            steps: 500,
            gas: 1 + random.below(300) as u64,
        };
        let mut plain = Machine::open(&Code::unfused(memory.clone(), 0).unwrap(), CELLS);
        let expected = plain.run(&mut NoPorts, limits);
        let code = Code::new(memory.clone(), 0).unwrap();
        let mut fused = Machine::open(&code, CELLS);
        assert_eq!(fused.run(&mut NoPorts, limits), expected, "{memory:?}");
        assert_eq!(fused.cells(), plain.cells(), "{memory:?}");
        let mut paillier = Machine::paillier(&code, CELLS, &modulus, OpenOverflow::Fault);
        assert_eq!(paillier.run(&mut NoPorts, limits), expected, "{memory:?}");
        assert_eq!(paillier.cells(), plain.cells(), "{memory:?}");
        // And on from where the limit stopped it.
        let more = Limits {
            steps: 900,
            gas: 900,
        };
        assert_eq!(
            fused.run(&mut NoPorts, more),
            plain.run(&mut NoPorts, more),
            "{memory:?}"
        );
        assert_eq!(fused.cells(), plain.cells(), "{memory:?}");
        runs += 1;
        halted += usize::from(expected.halt == Halt::Halt);
        faulted += usize::from(matches!(expected.halt, Halt::Fault(_)));
    }
    assert!(
        halted * 4 > runs && faulted > 100,
        "{halted} of {runs} halted, {faulted} faulted"
    );
}

/// Half of the rounds as the translator has it.
fn random_kind(round: usize) -> usize {
    [0, 0, 1, 0, 2, 3][round / 2 % 6]
}

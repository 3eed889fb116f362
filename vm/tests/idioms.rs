//! Each idiom that the decoder fuses does what its steps do, for all ways its operands can coincide and for values at every edge.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use lyceum_vm::{Code, Halt, Limits, Machine, Modulus, NoPorts, OpenOverflow, Outcome};

/// Data cells 60 to 63; `JUMP` and `OTHER` are targets that count which way was taken.
const DATA: i64 = 60;
const JUMP: i64 = -100;
const OTHER: i64 = -200;
const NEXT: i64 = -300;
/// The step after the next one.
const BEHIND: i64 = -400;

const VALUES: [i64; 9] = [-2, -1, 0, 1, 2, 61, i64::MIN, i64::MAX, i64::MIN + 1];

/// The idioms that move values, and tests of what was moved.
fn moves([a, b, c, z]: [i64; 4]) -> Vec<Vec<[i64; 3]>> {
    let add = [[a, z, NEXT], [z, b, NEXT], [z, z, NEXT]];
    let more = [[c, z, NEXT], [z, a, NEXT], [z, z, NEXT]];
    let (move_b, move_a) = (
        [&[[b, b, NEXT]], &add[..]].concat(),
        [&[[a, a, NEXT]], &more[..]].concat(),
    );
    let take = [
        [b, b, NEXT],
        [c, b, NEXT],
        [z, b, NEXT],
        [z, z, NEXT],
        [c, z, NEXT],
    ];
    let sub_take = [&[[a, z, NEXT]], &take[..]].concat();
    vec![
        take.to_vec(),
        sub_take.clone(),
        [&sub_take[..], &[[c, b, JUMP], [z, z, OTHER]]].concat(),
        [&sub_take[..], &[[c, b, JUMP], [a, b, OTHER]]].concat(),
        [&[[b, z, NEXT]], &sub_take[..]].concat(),
        [&[[c, a, NEXT], [c, a, NEXT]], &sub_take[..]].concat(),
        vec![[b, b, NEXT], [a, b, NEXT], [c, c, NEXT], [z, c, NEXT]],
        [&move_b[..], &[[c, b, JUMP], [z, z, OTHER]]].concat(),
        [&move_b[..], &[[c, a, JUMP], [b, b, OTHER]]].concat(),
        [&move_b[..], &move_a[..]].concat(),
        [&move_b[..], &[[c, c, NEXT], [a, c, NEXT]]].concat(),
        [&move_b[..], &[[a, a, NEXT], [z, a, NEXT], [c, b, NEXT]]].concat(),
        [
            &move_b[..],
            &[[c, b, BEHIND], [z, z, OTHER]],
            &[[c, b, JUMP], [z, z, OTHER]],
        ]
        .concat(),
        [
            &move_b[..],
            &[[c, b, BEHIND], [z, z, OTHER]],
            &[[a, b, JUMP], [z, a, NEXT]],
        ]
        .concat(),
        [
            &sub_take[..],
            &[[c, b, BEHIND], [z, z, OTHER]],
            &[[c, b, OTHER], [a, a, JUMP]],
        ]
        .concat(),
        [
            &sub_take[..],
            &[[c, b, BEHIND], [z, z, OTHER]],
            &[[z, b, OTHER], [a, b, NEXT]],
        ]
        .concat(),
        vec![[a, b, JUMP], [c, z, OTHER], [a, a, NEXT]],
        vec![[a, b, OTHER], [z, c, NEXT], [b, b, JUMP]],
    ]
}

/// The idioms over cells a, b, c and z.
fn idioms([a, b, c, z]: [i64; 4]) -> Vec<Vec<[i64; 3]>> {
    let add = [[a, z, NEXT], [z, b, NEXT], [z, z, NEXT]];
    vec![
        vec![[a, b, NEXT]],
        vec![[a, b, JUMP]],
        vec![[a, b, JUMP], [z, z, OTHER]],
        vec![[a, b, JUMP], [c, b, OTHER]],
        vec![[a, b, NEXT], [c, z, NEXT]],
        vec![[a, b, NEXT], [c, c, NEXT]],
        vec![[c, c, NEXT], [a, b, NEXT]],
        vec![[c, c, NEXT], [b, b, JUMP]],
        vec![
            [a, b, NEXT],
            [b, c, NEXT],
            [c, z, NEXT],
            [a, z, NEXT],
            [z, b, NEXT],
        ],
        add.to_vec(),
        [&add[..], &[[z, z, JUMP]]].concat(),
        [&add[..], &[[c, b, JUMP], [z, z, OTHER]]].concat(),
        [&add[..], &[[c, b, JUMP], [a, b, OTHER]]].concat(),
        vec![[a, b, NEXT], [c, z, JUMP], [b, b, OTHER]],
        vec![[a, b, NEXT], [c, c, NEXT], [b, z, JUMP], [a, z, OTHER]],
        [&add[..2], &[[z, z, JUMP]]].concat(),
        [&add[..], &[[z, b, JUMP]]].concat(),
        [&[[b, b, NEXT]], &add[..]].concat(),
        [&[[b, b, NEXT], [c, c, NEXT]], &add[..], &[[z, c, JUMP]]].concat(),
    ]
}

/// An idiom run twice; before the second time, cell 63 is subtracted from the operand A of step `pointer`, if there is one.
fn program(idiom: &[[i64; 3]], values: [i64; 4], pointer: Option<usize>) -> Vec<i64> {
    let mut cells = Vec::new();
    let end = i64::try_from(3 * idiom.len()).unwrap();
    let [jump, other] = [end + 9, end + 12];
    for (index, &[a, b, c]) in idiom.iter().enumerate() {
        let next = i64::try_from(3 * index + 3).unwrap();
        let c = [
            (NEXT, next),
            (BEHIND, next + 3),
            (JUMP, jump),
            (OTHER, other),
        ]
        .into_iter()
        .find(|(from, _)| *from == c)
        .map_or(c, |(_, to)| to);
        cells.extend([a, b, c]);
    }
    // Counters 56, 57 and 58 tell which way was taken; 55 is the rounds left, 54 is 1.
    let back = end + 15;
    cells.extend([
        54,
        56,
        end + 3,
        59,
        59,
        back,
        0,
        0,
        0,
        54,
        57,
        back,
        54,
        58,
        back,
    ]);
    let operand = pointer.map_or(59, |step| i64::try_from(3 * step).unwrap());
    cells.extend([63, operand, back + 3, 54, 55, -1, 59, 59, 0]);
    assert!(cells.len() <= 54);
    cells.resize(60, 0);
    (cells[54], cells[55]) = (1, 2);
    cells.extend(values);
    cells
}

#[test]
fn fused_idioms_do_what_their_steps_do() {
    let modulus = Modulus::from_decimal(&((1_u128 << 127) - 1).to_string()).unwrap();
    let (mut runs, mut full) = (0, 0);
    let mut state = 1_usize;
    for alias in 0..256_i64 {
        let cells = [alias % 4, alias / 4 % 4, alias / 16 % 4, alias / 64].map(|cell| DATA + cell);
        let all = [moves(cells), idioms(cells)].concat();
        for (index, idiom) in all.iter().enumerate() {
            let pointers = (0..idiom.len()).map(Some).chain([None]);
            for pointer in pointers {
                for round in 0..24 {
                    let values = std::array::from_fn(|_| {
                        state = state
                            .wrapping_mul(6_364_136_223_846_793_005)
                            .wrapping_add(1_442_695_040_888_963_407);
                        // Mostly small ones, so that runs get far.
                        VALUES[(state >> 33) % if round % 3 == 0 { VALUES.len() } else { 5 }]
                    });
                    let memory = program(idiom, values, pointer);
                    let limits = Limits {
                        steps: 200,
                        gas: 60,
                    };
                    let mut plain = Machine::open(&Code::unfused(memory.clone(), 0).unwrap(), 64);
                    let expected: Outcome = plain.run(&mut NoPorts, limits);
                    let code = Code::new(memory, 0).unwrap();
                    let mut fused = Machine::open(&code, 64);
                    assert_eq!(
                        fused.run(&mut NoPorts, limits),
                        expected,
                        "idiom {index}, {cells:?}, {values:?}, {pointer:?}"
                    );
                    assert_eq!(
                        fused.cells(),
                        plain.cells(),
                        "idiom {index}, {cells:?}, {values:?}, {pointer:?}"
                    );
                    let mut paillier = Machine::paillier(&code, 64, &modulus, OpenOverflow::Fault);
                    assert_eq!(paillier.run(&mut NoPorts, limits), expected);
                    assert_eq!(paillier.cells(), plain.cells());
                    runs += 1;
                    full += usize::from(expected.halt == Halt::Halt);
                }
            }
        }
    }
    assert!(full * 3 > runs, "{full} of {runs} runs got to their halt");
}

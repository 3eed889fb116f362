//! The machine and the slow reference agree on generated programs, in all domains.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

mod reference;

use dashu_int::{IBig, UBig};
use lyceum_vm::{
    Cell, Code, Halt, Limits, Machine, Modulus, NoPorts, OpenOverflow, PaillierPublic, RunDomain,
    RunOptions, run_program,
};
use proptest::prelude::*;
use reference::{Domain, Ended};

const STEPS_MAX: u64 = 120;
const CELLS_MAX: usize = 64;

/// Operands that often hit something: small addresses, the next address, −1, and oddities.
fn operand(at: usize) -> impl Strategy<Value = i64> {
    let next = i64::try_from(at / 3 * 3 + 3).unwrap();
    prop_oneof![
        12 => 0..30_i64,
        6 => Just(next),
        2 => (0..10_i64).prop_map(|i| i * 3),
        1 => Just(-1),
        1 => -4..70_i64,
        1 => Just(i64::MAX),
        1 => Just(i64::MIN),
        1 => any::<i64>(),
    ]
}

fn memory() -> impl Strategy<Value = Vec<i64>> {
    (0..30_usize).prop_flat_map(|len| (0..len).map(operand).collect::<Vec<_>>())
}

/// Steps made of the idioms that compiled code and the decoder know, among a few data cells.
fn idioms() -> impl Strategy<Value = Vec<i64>> {
    let cell = || 60..68_i64;
    let block = prop_oneof![
        (cell(), cell(), cell()).prop_map(|(a, b, z)| vec![
            [b, b, 0],
            [a, z, 0],
            [z, b, 0],
            [z, z, 0]
        ]),
        (cell(), cell(), cell()).prop_map(|(a, b, z)| vec![[a, z, 0], [z, b, 0], [z, z, 0]]),
        (cell(), cell()).prop_map(|(a, b)| vec![[a, b, 0]]),
        (cell(), cell(), cell(), 0..20_i64).prop_map(|(a, b, z, c)| vec![
            [a, z, 0],
            [z, b, 0],
            [z, z, 0],
            [z, b, 1 + c * 3]
        ]),
        (cell(), cell(), cell(), 0..20_i64, 0..20_i64)
            .prop_map(|(a, b, c, to, other)| vec![[a, b, 1 + to * 3], [c, b, 1 + other * 3]]),
        (cell(), cell(), cell(), 0..20_i64, 0..20_i64)
            .prop_map(|(a, b, z, to, other)| vec![[a, b, 1 + to * 3], [z, z, 1 + other * 3]]),
        // A pointer moves: the A cell of some step changes by a little.
        (64..68_i64, 0..20_i64).prop_map(|(step, at)| vec![[step, at * 3, 0]]),
        (64..68_i64, 0..20_i64, 0..20_i64).prop_map(|(step, at, c)| vec![[
            step,
            at * 3,
            1 + c * 3
        ]]),
        cell().prop_map(|a| vec![[a, a, 0]]),
        (cell(), cell(), 0..20_i64).prop_map(|(a, b, c)| vec![[a, b, 1 + c * 3]]),
        (cell(), 0..20_i64).prop_map(|(z, c)| vec![[z, z, 1 + c * 3]]),
        (cell(), 0..60_i64).prop_map(|(a, b)| vec![[a, b, 0]]),
        (0..60_i64, cell()).prop_map(|(a, b)| vec![[a, b, 0]]),
        (cell(), cell()).prop_map(|(a, b)| vec![[a, b, -1 + 1 - 1]]),
        (0..68_i64, 0..68_i64).prop_map(|(a, b)| vec![[a, b, 0]]),
    ];
    let data = prop::collection::vec(
        prop_oneof![8 => -3..70_i64, 8 => -2..3_i64, 1 => any::<i64>(), 1 => Just(i64::MIN)],
        8,
    );
    (prop::collection::vec(block, 1..10), data).prop_map(|(blocks, data)| {
        let mut cells: Vec<i64> = Vec::new();
        for [a, b, c] in blocks.into_iter().flatten().take(20) {
            let next = i64::try_from(cells.len()).unwrap() + 3;
            // 0 stands for "the next step", n + 1 for the address n.
            let c = match c {
                0 => next,
                -1 => -1,
                jump => jump - 1,
            };
            cells.extend([a, b, c]);
        }
        cells.resize(60, 0);
        cells.extend(data);
        cells
    })
}

fn program(domain: Domain, memory: &[i64], entry: i64, input: &[i64]) -> reference::Program {
    let cell = |value: &i64| match &domain {
        Domain::Paillier(n) => IBig::from(
            Modulus::new(n.clone())
                .unwrap()
                .residue_of(*value)
                .get()
                .clone(),
        ),
        Domain::Open | Domain::Xor(_) => IBig::from(*value),
    };
    let (memory, input) = (
        memory.iter().map(cell).collect(),
        input.iter().map(cell).collect(),
    );
    reference::Program {
        domain,
        memory,
        entry,
        input,
        steps_max: STEPS_MAX,
        cells_max: CELLS_MAX + 16,
    }
}

/// The machine's run of the same program, from JSON to JSON.
fn machine(program: &reference::Program) -> (String, u64) {
    let cell = |cell: &IBig| match &program.domain {
        Domain::Paillier(n) => format!("\"{}\"", ts(cell, n)),
        Domain::Open | Domain::Xor(_) => cell.to_string(),
    };
    let list = |cells: &[IBig]| cells.iter().map(cell).collect::<Vec<_>>().join(",");
    let entry = program.entry;
    let text = format!(
        "{{\"memory\":[{}],\"entry\":{entry},\"input\":[{}]}}",
        list(&program.memory),
        list(&program.input)
    );
    let domain = match &program.domain {
        Domain::Open => RunDomain::Open,
        Domain::Xor(key) => RunDomain::Xor(*key),
        Domain::Paillier(n) => RunDomain::Paillier(Modulus::new(n.clone()).unwrap()),
    };
    let options = RunOptions {
        domain: Some(domain),
        steps: program.steps_max,
        cells_max: program.cells_max,
    };
    let plain = run_program(&text, &options, None).unwrap();
    let mut traced_steps = 0;
    let traced = run_program(
        &text,
        &options,
        Some(&mut |step| {
            assert_eq!(step.index, traced_steps);
            traced_steps += 1;
        }),
    );
    assert_eq!(plain, traced.unwrap());
    assert_eq!(plain.outcome.steps, traced_steps);
    (String::from_utf8(plain.text).unwrap(), plain.outcome.gas)
}

fn ts(x: &IBig, n: &UBig) -> String {
    let n = IBig::from(n.clone());
    let (t, s) = ((x - IBig::ONE) / &n, (x - IBig::ONE) % &n);
    if s == IBig::ZERO {
        t.to_string()
    } else {
        format!("{t}.{s}")
    }
}

fn expected(program: &reference::Program) -> (String, u64) {
    let Ended {
        halt,
        pc,
        steps,
        gas,
        memory,
        output,
    } = reference::run(program);
    let cell = |cell: &IBig| match &program.domain {
        Domain::Paillier(n) => format!("\"{}\"", ts(cell, n)),
        Domain::Open | Domain::Xor(_) => cell.to_string(),
    };
    let list = |cells: &[IBig]| cells.iter().map(cell).collect::<Vec<_>>().join(",");
    // The machine reports an address beyond 64 bits as the largest one.
    let pc = pc.min(IBig::from(i64::MAX));
    let (memory, output) = (list(&memory), list(&output));
    let text = format!(
        "{{\"halt\":\"{halt}\",\"pc\":{pc},\"steps\":{steps},\"memory\":[{memory}],\"output\":[{output}]}}\n"
    );
    (text, gas)
}

/// Moduli of all sizes: tiny, around 64 bits, with almost no negative numbers, and long.
fn modulus() -> impl Strategy<Value = UBig> {
    let two = |bits: usize| UBig::ONE << bits;
    prop_oneof![
        Just(UBig::from(15_u8)),
        Just(UBig::from(3_u8)),
        Just(UBig::from(77_u8)),
        Just(UBig::from(17_u8)),
        Just(UBig::from(143_u8)),
        Just(UBig::from(10_403_u32)),
        Just(UBig::from(4_294_967_295_u64)),
        Just(UBig::from(u64::MAX)),
        Just(two(64) + UBig::from(13_u8)),
        Just(two(65) + UBig::ONE),
        Just(two(66) - UBig::from(5_u8)),
        Just(two(128) - UBig::from(159_u8)),
        Just(two(130) + UBig::from(3_u8)),
        Just(two(521) - UBig::ONE),
    ]
}

/// Some cells become ciphertexts: units whose s is not 0, made from a seed.
fn encrypt(program: &mut reference::Program, n: &UBig, seeds: &[(usize, u64)]) {
    let public = PaillierPublic::new(Modulus::new(n.clone()).unwrap());
    for &(at, seed) in seeds {
        let (message, r) = (UBig::from(seed % 7) % n, UBig::from(seed) % n);
        let cells = if at % 5 == 0 {
            &mut program.input
        } else {
            &mut program.memory
        };
        if let (Ok(residue), false) = (public.encrypt(&message, &r), cells.is_empty()) {
            let at = at % cells.len();
            cells[at] = IBig::from(residue.get().clone());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1500) })]

    #[test]
    fn open_agrees(memory in memory(), entry in 0..12_i64, input in prop::collection::vec(any::<i64>(), 0..3)) {
        let program = program(Domain::Open, &memory, entry, &input);
        prop_assert_eq!(machine(&program), expected(&program));
    }

    #[test]
    fn open_idioms_agree(memory in idioms()) {
        let program = program(Domain::Open, &memory, 0, &[]);
        prop_assert_eq!(machine(&program), expected(&program));
    }

    #[test]
    fn xor_agrees(memory in memory(), entry in 0..12_i64, key in prop_oneof![Just(0_i64), 0..64_i64, any::<i64>()]) {
        let program = program(Domain::Xor(key), &memory, entry, &[]);
        prop_assert_eq!(machine(&program), expected(&program));
    }

    #[test]
    fn paillier_agrees(
        memory in prop_oneof![memory(), idioms()],
        n in modulus(),
        seeds in prop::collection::vec((any::<usize>(), any::<u64>()), 0..8),
        input in prop::collection::vec(any::<i64>(), 0..3),
    ) {
        let mut program = program(Domain::Paillier(n.clone()), &memory, 0, &input);
        encrypt(&mut program, &n, &seeds);
        prop_assert_eq!(machine(&program), expected(&program));
    }

    /// Ciphertexts in data cells alone, so that many steps work on them.
    #[test]
    fn paillier_data_agrees(
        memory in idioms(),
        n in modulus(),
        seeds in prop::collection::vec((0..8_usize, any::<u64>()), 1..6),
    ) {
        let mut program = program(Domain::Paillier(n.clone()), &memory, 0, &[]);
        let seeds: Vec<(usize, u64)> = seeds.iter().map(|&(at, seed)| ((60 + at) + 68 * usize::from((60 + at) % 5 == 0), seed)).collect();
        encrypt(&mut program, &n, &seeds);
        prop_assert_eq!(machine(&program), expected(&program));
    }

    /// Open values in `paillier`, under an N that holds them all, are `open`, overflow apart.
    #[test]
    fn paillier_of_open_values_is_open(memory in prop_oneof![memory(), idioms()], input in prop::collection::vec(any::<i64>(), 0..3)) {
        let modulus = Modulus::new((UBig::ONE << 127) - UBig::ONE).unwrap();
        let code = Code::new(memory, 0).unwrap();
        let mut open = Machine::open(&code, CELLS_MAX);
        let mut checked = Machine::paillier(&code, CELLS_MAX, &modulus, OpenOverflow::Fault);
        let mut wrapping = Machine::paillier(&code, CELLS_MAX, &modulus, OpenOverflow::Wrap);
        for machine in [&mut open, &mut checked, &mut wrapping] {
            machine.feed(input.iter().copied().map(Cell::Open));
        }
        let limits = Limits { steps: STEPS_MAX, gas: 150 };
        let outcome = open.run(&mut NoPorts, limits);
        prop_assert_eq!(checked.run(&mut NoPorts, limits), outcome);
        prop_assert_eq!(checked.cells(), open.cells());
        prop_assert_eq!(checked.output(), open.output());
        let wrapped = wrapping.run(&mut NoPorts, limits);
        if outcome.halt != Halt::Fault(lyceum_vm::Fault::Overflow) {
            prop_assert_eq!(wrapped, outcome);
            prop_assert_eq!(wrapping.cells(), open.cells());
        }
    }

    /// A program whose steps touch no code, without −1: `xor` with data masked runs as `open`.
    #[test]
    fn xor_is_open(
        steps in prop::collection::vec((30..44_i64, 30..44_i64, prop_oneof![3 => Just(None), 1 => (0..10_i64).prop_map(Some)]), 1..10),
        data in prop::collection::vec(-9..9_i64, 10),
        key in any::<i64>(),
    ) {
        let mut code: Vec<i64> = Vec::new();
        for (a, b, c) in steps {
            let next = i64::try_from(code.len()).unwrap() + 3;
            code.extend([a, b, c.map_or(next, |c| c * 3)]);
        }
        let ends = code.len();
        // The rest of the code region jumps out of memory.
        while code.len() < 30 {
            code.extend([40, 40, 1000]);
        }
        let masked: Vec<i64> = code.iter().copied().chain(data.iter().map(|value| value ^ key)).collect();
        code.extend(&data);
        prop_assume!(ends <= 30);
        let mut open = Machine::open(&Code::new(code, 0).unwrap(), CELLS_MAX);
        let mut xor = Machine::xor(&Code::new(masked, 0).unwrap(), CELLS_MAX, key);
        let limits = Limits::steps(STEPS_MAX);
        let outcome = open.run(&mut NoPorts, limits);
        let overflow = Halt::Fault(lyceum_vm::Fault::Overflow);
        prop_assert!([Halt::End, Halt::Steps, overflow].contains(&outcome.halt));
        prop_assert_eq!(xor.run(&mut NoPorts, limits), outcome);
        let unmask = |cells: Vec<Cell>| -> Vec<i64> {
            cells.iter().enumerate().map(|(at, cell)| cell.open().unwrap() ^ if at < 30 { 0 } else { key }).collect()
        };
        let open: Vec<i64> = open.cells().iter().map(|cell| cell.open().unwrap()).collect();
        prop_assert_eq!(unmask(xor.cells()), open);
    }

    /// Fused and plain runs agree on everything, wherever gas or steps run out, and resuming changes nothing.
    #[test]
    fn fusing_changes_nothing(memory in prop_oneof![memory(), idioms()], steps in 0..STEPS_MAX, gas in 0..200_u64) {
        let limits = Limits { steps, gas };
        let mut fused = Machine::open(&Code::new(memory.clone(), 0).unwrap(), CELLS_MAX);
        let mut plain = Machine::open(&Code::unfused(memory, 0).unwrap(), CELLS_MAX);
        prop_assert_eq!(fused.run(&mut NoPorts, limits), plain.run(&mut NoPorts, limits));
        prop_assert_eq!(fused.cells(), plain.cells());
        let more = Limits { steps: steps + 40, gas: gas + 60 };
        let mut traced = plain.clone();
        let outcome = fused.run(&mut NoPorts, more);
        prop_assert_eq!(traced.run_traced(&mut NoPorts, more, &mut |_| {}), outcome);
        prop_assert_eq!(plain.run(&mut NoPorts, more), outcome);
        prop_assert_eq!(fused.cells(), plain.cells());
        prop_assert_eq!(fused.output(), traced.output());
    }
}

#[test]
fn residues_are_refused_with_their_cell() {
    let options = RunOptions {
        domain: Some(RunDomain::Paillier(Modulus::from_decimal("15").unwrap())),
        ..RunOptions::default()
    };
    let error = |text: &str| run_program(text, &options, None).unwrap_err().to_string();
    // x = 1 + 0·15 + 2 = 3 divides 15; x = 1 + 14·15 + 14 = N².
    assert_eq!(
        error(r#"{"memory":[0,"1.1","0.2"]}"#),
        "memory[2]: the residue shares a factor with N"
    );
    assert_eq!(
        error(r#"{"memory":[0],"input":["0.1","0.5"]}"#),
        "input[1]: the residue shares a factor with N"
    );
    assert!(error(r#"{"memory":["14.14"]}"#).starts_with("memory[0]: got \"14.14\""));
    assert!(error(r#"{"memory":["15"]}"#).starts_with("memory[0]"));
}

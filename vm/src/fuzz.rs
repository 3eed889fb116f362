//! Entries for fuzzing: bytes in, a panic where the machine breaks a promise.

use dashu_int::UBig;

use crate::{
    Cell, Code, Limits, Machine, Modulus, NoPorts, Program, RunDomain, RunOptions, assemble,
    disassemble, load_program, run_program,
};

const STEPS: u64 = 2_000;
const CELLS_MAX: usize = 4_096;

/// Runs bytes as a program file in every domain: reading never panics, traced and fused runs agree, fused and plain code too.
#[doc(hidden)]
pub fn fuzz_program(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let modulus = |n: u64| RunDomain::Paillier(Modulus::new(UBig::from(n)).expect("odd"));
    let wide = RunDomain::Paillier(Modulus::new((UBig::ONE << 89) - UBig::ONE).expect("odd"));
    let domains = [
        RunDomain::Open,
        RunDomain::Xor(0x5A),
        modulus(15),
        modulus(1_000_003),
        wide,
    ];
    for domain in domains.into_iter().map(Some).chain([None]) {
        let options = RunOptions {
            domain,
            steps: STEPS,
            cells_max: CELLS_MAX,
        };
        let fused = run_program(text, &options, None);
        let traced = run_program(text, &options, Some(&mut |_| {}));
        assert_eq!(fused, traced, "a trace changes the run");
        if let Ok(output) = &fused {
            assert!(output.outcome.steps <= STEPS, "past the limit of steps");
        }
    }
    if let Ok(program) = Program::parse(text, &RunDomain::Open)
        && program.memory.len() <= CELLS_MAX
    {
        let words = program.memory.iter().filter_map(Cell::open).collect();
        let code = Code::unfused(words, program.entry).expect("short code");
        let mut plain = Machine::open(&code, CELLS_MAX);
        plain.feed(program.input.iter().cloned());
        let mut fused = load_program(&program, &RunDomain::Open, CELLS_MAX).expect("short code");
        let limits = Limits {
            steps: STEPS,
            gas: STEPS * 3 / 2,
        };
        assert_eq!(
            plain.run(&mut NoPorts, limits),
            fused.run(&mut NoPorts, limits),
            "fusing changes the run"
        );
        assert_eq!(plain.cells(), fused.cells(), "fusing changes memory");
    }
}

/// Assembles bytes; what assembles disassembles to a text that assembles to the same cells.
#[doc(hidden)]
pub fn fuzz_assembler(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(assembly) = assemble(text) else { return };
    let again = disassemble(&assembly.to_json()).expect("the assembler writes program files");
    assert_eq!(assemble(&again).as_ref(), Ok(&assembly), "{again}");
}

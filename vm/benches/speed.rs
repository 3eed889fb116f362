//! Ratios, each measured in one run: the machine against plain C, itself unfused, and bare modular multiplications.

#![expect(clippy::unwrap_used, reason = "a bench stops where it cannot go on")]

use std::hint::black_box;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, Odd};
use dashu_int::UBig;
use lyceum_vm::{
    Assembly, Cell, Code, Halt, Limits, Machine, Modulus, NoPorts, OpenOverflow, PaillierPublic,
    PortMemory, Program, RunDomain, assemble,
};

const ROUNDS: usize = 9;
const CELLS_MAX: usize = 1 << 16;

fn main() {
    let sort = sort_program(200);
    versus_c(&sort);
    unfused("bubble sort, self-modifying", &code_of(&sort));
    unfused(
        "compiled-like code",
        &code_of(&assemble(include_str!("compiled.asm")).unwrap()),
    );
    paillier_open(&code_of(&sort), "bubble sort");
    paillier_open(
        &code_of(&assemble(include_str!("compiled.asm")).unwrap()),
        "compiled-like code",
    );
    let modulus = Modulus::new(modulus()).unwrap();
    fibonacci(&modulus);
    load(&modulus);
    call();
}

/// The example with other numbers: a fixed mix that needs many swaps.
fn sort_program(len: i64) -> Assembly {
    let (code, _) = include_str!("../examples/sort.asm")
        .split_once("array:")
        .unwrap();
    let numbers: Vec<String> = (0..len)
        .map(|i| (i * 7919 % 1009 - 500).to_string())
        .collect();
    assemble(&format!("{code}array: .data {}\nend:\n", numbers.join(" "))).unwrap()
}

fn code_of(program: &Assembly) -> Code {
    Code::new(program.words().unwrap(), program.entry).unwrap()
}

/// The shortest of several runs, and the steps of one.
fn best(machine: &mut Machine, rounds: usize) -> (Duration, u64) {
    let mut best = Duration::MAX;
    let mut steps = 0;
    for _ in 0..rounds {
        machine.restart();
        let start = Instant::now();
        let outcome = machine.run(&mut NoPorts, Limits::gas(u64::MAX / 2));
        best = best.min(start.elapsed());
        assert_eq!(outcome.halt, Halt::Halt);
        steps = outcome.steps;
    }
    (best, steps)
}

fn rate((time, steps): (Duration, u64)) -> f64 {
    steps as f64 / time.as_secs_f64() / 1e6
}

fn versus_c(sort: &Assembly) {
    let binary = std::env::temp_dir().join(format!("subleq16-{}", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/subleq16.c");
    let built = Command::new("cc")
        .args(["-O3", "-o"])
        .arg(&binary)
        .arg(source)
        .status();
    if !built.is_ok_and(|status| status.success()) {
        println!("bubble sort vs C           skipped: no working cc");
        return;
    }
    let words = sort.words().unwrap();
    let text = format!(
        "{} {}",
        ROUNDS * 3,
        words
            .iter()
            .map(i64::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    );
    let mut machine = Machine::open(&code_of(sort), CELLS_MAX);
    let (mut c, mut ours) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let mut child = Command::new(&binary)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(text.as_bytes())
            .unwrap();
        let output = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        let (memory, counts) = output.trim_end().rsplit_once('\n').unwrap();
        let (steps, ns) = counts.split_once(' ').unwrap();
        c = c.min(ns.parse::<f64>().unwrap() / steps.parse::<f64>().unwrap());
        let (time, made) = best(&mut machine, ROUNDS * 3);
        ours = ours.min(time.as_secs_f64() * 1e9 / made as f64);
        assert_eq!(made.to_string(), steps);
        let cells: Vec<String> = machine
            .cells()
            .iter()
            .map(|cell| cell.open().unwrap().to_string())
            .collect();
        assert_eq!(cells.join(" "), memory.trim_end());
    }
    let _ = std::fs::remove_file(&binary);
    println!(
        "bubble sort vs C           {:5.2}x   ({:.0} M/s vs {:.0} M/s; want 1.3x)",
        c / ours,
        1e3 / ours,
        1e3 / c
    );
}

fn unfused(name: &str, code: &Code) {
    let plain = Code::unfused(code.cells().to_vec(), code.entry()).unwrap();
    let (mut fused, mut plain) = (
        Machine::open(code, CELLS_MAX),
        Machine::open(&plain, CELLS_MAX),
    );
    let (mut a, mut b) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        a = a.max(rate(best(&mut fused, 20)));
        b = b.max(rate(best(&mut plain, 20)));
    }
    println!(
        "fused vs unfused           {:5.2}x   ({a:.0} M/s vs {b:.0} M/s) {name}",
        a / b
    );
}

fn paillier_open(code: &Code, name: &str) {
    let modulus = Modulus::new(modulus()).unwrap();
    let mut open = Machine::open(code, CELLS_MAX);
    let mut paillier = Machine::paillier(code, CELLS_MAX, &modulus, OpenOverflow::Fault);
    let (mut a, mut b) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        a = a.max(rate(best(&mut open, 20)));
        b = b.max(rate(best(&mut paillier, 20)));
    }
    println!(
        "paillier on open vs open   {:5.2}x   ({b:.0} M/s vs {a:.0} M/s; want 0.5x) {name}",
        b / a
    );
}

/// An odd number of 2048 bits without pattern; what it is a product of does not matter here.
fn modulus() -> UBig {
    let mut n = UBig::ONE;
    for i in 0..64_u64 {
        n = (n << 32) + UBig::from((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32);
    }
    ((n | UBig::ONE) % (UBig::ONE << 2048)) | (UBig::ONE << 2047)
}

fn fibonacci(modulus: &Modulus) {
    let program = assemble(include_str!("../examples/fibonacci.asm")).unwrap();
    let words = program.words().unwrap();
    let (len, count) = (i64::try_from(words.len()).unwrap(), 400);
    let public = PaillierPublic::new(modulus.clone());
    let code = Code::new(words, 0).unwrap();
    let mut machine = Machine::paillier(&code, CELLS_MAX, modulus, OpenOverflow::Fault);
    let seeds = [1_u8, 2].map(|m| public.encrypt(&UBig::from(m), &UBig::from(2 * m)).unwrap());
    let (mut run, mut bare, mut steps) = (Duration::MAX, Duration::MAX, 0);
    let mut multiply = bare_products(modulus, count);
    for _ in 0..ROUNDS {
        machine.restart();
        machine.write(len - 3, Cell::Open(count)).unwrap();
        for (at, seed) in [(len - 2, &seeds[0]), (len - 1, &seeds[1])] {
            machine.write(at, Cell::Enc(seed.clone())).unwrap();
        }
        let start = Instant::now();
        let outcome = machine.run(&mut NoPorts, Limits::gas(u64::MAX / 2));
        run = run.min(start.elapsed());
        assert_eq!(outcome.halt, Halt::Halt);
        steps = outcome.steps;
        bare = bare.min(multiply());
    }
    let ratio = run.as_secs_f64() / bare.as_secs_f64();
    println!(
        "encrypted Fibonacci        {ratio:5.2}x   of its {count} products alone ({:.2} M steps/s, {:.2} us a product; want 1.25x)",
        steps as f64 / run.as_secs_f64() / 1e6,
        bare.as_secs_f64() * 1e6 / count as f64
    );
}

/// The same number of modular products, in place, and nothing else.
fn bare_products(modulus: &Modulus, count: i64) -> impl FnMut() -> Duration {
    let integer = |x: &UBig| {
        let bits = u32::try_from(modulus.n_squared().to_le_bytes().len() * 8).unwrap();
        BoxedUint::from_le_slice(&x.to_le_bytes(), bits).unwrap()
    };
    let params = BoxedMontyParams::new_vartime(
        Odd::new(integer(modulus.n_squared()))
            .into_option()
            .unwrap(),
    );
    let mut x = BoxedMontyForm::new(integer(&UBig::from(3_u8)), &params);
    let y = BoxedMontyForm::new(integer(&(modulus.n() + UBig::from(2_u8))), &params);
    move || {
        let start = Instant::now();
        for _ in 0..count {
            x *= &y;
        }
        black_box(&x);
        start.elapsed()
    }
}

fn load(modulus: &Modulus) {
    let public = PaillierPublic::new(modulus.clone());
    let mut cell = public
        .encrypt(&UBig::from(5_u8), &UBig::from(2_u8))
        .unwrap()
        .get()
        .clone();
    let step = cell.clone();
    let cells: Vec<String> = (0..1000)
        .map(|_| {
            cell = &cell * &step % modulus.n_squared();
            let (x, n) = (&cell - UBig::ONE, modulus.n());
            format!("\"{}.{}\"", &x / n, &x % n)
        })
        .collect();
    let text = format!("{{\"memory\":[{}]}}", cells.join(","));
    let domain = RunDomain::Paillier(modulus.clone());
    let (mut whole, mut check) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let program = Program::parse(&text, &domain).unwrap();
        whole = whole.min(start.elapsed());
        let residues: Vec<_> = program
            .memory
            .iter()
            .map(|cell| modulus.residue_of_cell(cell))
            .collect();
        let start = Instant::now();
        modulus.check_all(residues.iter()).unwrap();
        check = check.min(start.elapsed());
    }
    println!(
        "load 1000 encrypted cells  {:5.2} ms to parse and check, {:.2} ms of it the check",
        ms(whole),
        ms(check)
    );
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A call of prepared code: fresh memory, one data cell, a short run.
fn call() {
    let code = code_of(&assemble(include_str!("compiled.asm")).unwrap());
    let count = i64::try_from(code.cells().len()).unwrap() - 1;
    let mut steps = 0;
    let mut time = Duration::MAX;
    for _ in 0..2000 {
        let start = Instant::now();
        let mut machine = Machine::open(&code, CELLS_MAX);
        machine.write(count, Cell::Open(4)).unwrap();
        steps = machine.run(&mut NoPorts, Limits::gas(1_000_000)).steps;
        time = time.min(start.elapsed());
    }
    println!(
        "a call of prepared code    {:5.2} us for {steps} steps, memory and all",
        time.as_secs_f64() * 1e6
    );
}

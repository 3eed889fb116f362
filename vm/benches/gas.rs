//! Nanoseconds for each unit of gas, for each kind of charge of the machine: none may be under-priced by more than 2 times against the
//! dearest open step.

#![expect(clippy::unwrap_used, reason = "a bench stops where it cannot go on")]

use std::time::{Duration, Instant};

use dashu_int::UBig;
use lyceum_vm::{
    Cell, Code, Limits, Machine, Modulus, NoPorts, OpenOverflow, PaillierPublic, PortMemory,
    Residue, gas,
};

const ROUNDS: usize = 15;
/// What the specification takes one unit for, in nanoseconds.
const UNIT: f64 = 5.0;
const CELLS_MAX: usize = 1 << 16;

fn main() {
    println!("{:44} {:>12} {:>10}", "charge", "gas", "ns/gas");
    let mut dear = open_steps();
    dear = dear.max(growth());
    dear = dear.max(output());
    for bits in [2048, 3072, 4096] {
        let modulus = modulus(bits);
        dear = dear.max(ciphertext_step(&modulus));
        dear = dear.max(normalisation(&modulus));
    }
    println!(
        "dearest unit: {dear:.1} ns, {:.2} times the nominal {UNIT} ns (want 2 at most)",
        dear / UNIT
    );
}

fn shown(name: &str, time: Duration, gas: u64) -> f64 {
    let unit = time.as_secs_f64() * 1e9 / gas as f64;
    println!("{name:44} {gas:>12} {unit:>10.2}");
    unit
}

/// The shortest run of a machine that `prepare` makes ready, and its gas.
fn best(
    machine: &mut Machine,
    limits: Limits,
    mut prepare: impl FnMut(&mut Machine),
) -> (Duration, u64) {
    let mut best = Duration::MAX;
    let mut gas = 0;
    for _ in 0..ROUNDS {
        machine.restart();
        prepare(machine);
        let start = Instant::now();
        gas = machine.run(&mut NoPorts, limits).gas;
        best = best.min(start.elapsed());
    }
    (best, gas)
}

/// Open steps of all sorts, endless loops cut by gas; returns the dearest.
fn open_steps() -> f64 {
    let mut dearest = 0.0_f64;
    let mut elsewhere = vec![64, 70, 3, 65, 71, 6, 66, 72, 9, 67, 67, 70];
    elsewhere.resize(64, 0);
    // Copies "74 75 73" to 70, past the end, and jumps there: a loop in cells that memory grew by.
    elsewhere.extend([-73, -73, -70, 0]);
    let loops: [(&str, Vec<i64>); 7] = [
        (
            "open: a fused copy",
            vec![12, 12, 3, 13, 14, 6, 14, 12, 9, 14, 14, 0, 0, 5, 0],
        ),
        ("open: a step that branches", vec![4, 3, 0, 0, 0]),
        (
            "open: dependent steps",
            vec![12, 13, 3, 13, 12, 6, 12, 13, 9, 13, 12, 0, 0, 0],
        ),
        (
            "open: steps that write their own code",
            vec![12, 0, 3, 12, 3, 6, 12, 6, 9, 13, 13, 0, 0, 0],
        ),
        ("open: code in cells that memory grew by", elsewhere),
        ("open: an operand past the end", vec![900, 3, 0, 0]),
        (
            "open: operands past the end, in turn",
            vec![900, 9, 3, 900, 10, 6, 900, 11, 0, 0, 0, 0],
        ),
    ];
    for (name, cells) in loops {
        let mut machine = Machine::open(&Code::new(cells, 0).unwrap(), CELLS_MAX);
        let (time, gas) = best(&mut machine, Limits::gas(1_000_000), |_| {});
        dearest = dearest.max(shown(name, time, gas));
    }
    // The one integer that the domain paillier cannot hold in a memory word.
    let code = Code::new(vec![6, 7, 3, 8, 8, 0, 0, i64::MIN, 0], 0).unwrap();
    let mut machine = Machine::paillier(&code, CELLS_MAX, &modulus(2048), OpenOverflow::Fault);
    let (time, gas) = best(&mut machine, Limits::gas(1_000_000), |_| {});
    dearest.max(shown("open, in paillier: the smallest integer", time, gas))
}

fn growth() -> f64 {
    let top = i64::try_from(CELLS_MAX).unwrap() - 1;
    let mut machine = Machine::open(&Code::new(vec![3, top, -1, 0], 0).unwrap(), CELLS_MAX);
    let mut time = Duration::MAX;
    let mut gas = 0;
    for _ in 0..ROUNDS {
        // A fresh machine, so that no memory is at hand.
        machine = Machine::open(&Code::new(vec![3, top, -1, 0], 0).unwrap(), CELLS_MAX);
        let start = Instant::now();
        gas = machine.run(&mut NoPorts, Limits::gas(1_000_000)).gas;
        time = time.min(start.elapsed());
    }
    drop(machine);
    shown("memory grown", time, gas)
}

fn output() -> f64 {
    let mut machine = Machine::open(&Code::new(vec![0, -1, 0], 0).unwrap(), CELLS_MAX);
    let (time, gas) = best(&mut machine, Limits::gas(1_000_000), |_| {});
    shown("output", time, gas)
}

/// An odd number of so many bits without pattern.
fn modulus(bits: usize) -> Modulus {
    let mut n = UBig::ONE;
    for i in 0..bits as u64 / 32 {
        n = (n << 32) + UBig::from((i + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32);
    }
    let n = ((n | UBig::ONE) % (UBig::ONE << bits)) | (UBig::ONE << (bits - 1));
    Modulus::new(n).unwrap()
}

fn ciphertext(modulus: &Modulus, m: u8) -> Residue {
    PaillierPublic::new(modulus.clone())
        .encrypt(&UBig::from(m), &UBig::from(4_u8))
        .unwrap()
}

/// A loop of the dearest ciphertext steps: two ratios with denominators, or an open number to convert.
fn ciphertext_step(modulus: &Modulus) -> f64 {
    // a −= b and b −= a, both soon ratios.
    let code = Code::new(vec![9, 10, 3, 10, 9, 6, 8, 8, 0, 0, 0], 0).unwrap();
    let mut machine = Machine::paillier(&code, 64, modulus, OpenOverflow::Fault);
    let price = gas::ciphertext_step(modulus.bits() as u64);
    let limits = Limits::gas(100 * price);
    let load = |machine: &mut Machine| {
        machine.write(9, Cell::Enc(ciphertext(modulus, 3))).unwrap();
        machine
            .write(10, Cell::Enc(ciphertext(modulus, 5)))
            .unwrap();
    };
    let (time, gas) = best(&mut machine, limits, load);
    let ratios = shown(
        &format!("ciphertext - ciphertext, {} bits", modulus.bits()),
        time,
        gas,
    );
    // a −= 5, for an open 5.
    let code = Code::new(vec![7, 8, 3, 6, 6, 0, 0, 5, 0], 0).unwrap();
    let mut machine = Machine::paillier(&code, 64, modulus, OpenOverflow::Fault);
    let (time, gas) = best(&mut machine, limits, |machine| {
        machine.write(8, Cell::Enc(ciphertext(modulus, 3))).unwrap();
    });
    ratios.max(shown(
        &format!("ciphertext - open, {} bits", modulus.bits()),
        time,
        gas,
    ))
}

/// Reading one ciphertext that is a ratio, as a port would.
fn normalisation(modulus: &Modulus) -> f64 {
    let code = Code::new(vec![9, 10, 3, 10, 9, 6, 11, 11, -1, 0, 0, 0], 0).unwrap();
    let mut machine = Machine::paillier(&code, 64, modulus, OpenOverflow::Fault);
    machine.write(9, Cell::Enc(ciphertext(modulus, 3))).unwrap();
    machine
        .write(10, Cell::Enc(ciphertext(modulus, 5)))
        .unwrap();
    machine.run(&mut NoPorts, Limits::gas(u64::MAX / 2));
    let mut time = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        std::hint::black_box(machine.read(9).unwrap());
        time = time.min(start.elapsed());
    }
    shown(
        &format!("normalisation, {} bits", modulus.bits()),
        time,
        gas::normalisation(modulus.bits() as u64),
    )
}

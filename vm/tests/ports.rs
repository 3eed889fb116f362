//! Contract mode: ports, gas, open overflow in `paillier`, prepared code.

#![expect(clippy::unwrap_used, reason = "a test stops where it fails")]

use dashu_int::UBig;
use lyceum_vm::{
    Cell, Code, Fault, Halt, Limits, Machine, Modulus, NoPorts, OpenOverflow, Outcome,
    PaillierPrivate, PortCall, PortMemory, PortStop, Ports, gas,
};

/// Port −2 stores A's cell doubled by the host, −3 fails, −4 copies three cells; reads (A = −5) fill a cell.
#[derive(Default)]
struct Host {
    calls: Vec<PortCall>,
}

impl Ports for Host {
    fn call(
        &mut self,
        call: PortCall,
        memory: &mut dyn PortMemory,
        gas_left: u64,
    ) -> Result<u64, PortStop> {
        self.calls.push(call);
        match call {
            PortCall { a, b: -2 } => {
                let value = memory.read_open(a)?;
                memory.write(a, Cell::Open(2 * value))?;
                Ok(100)
            }
            PortCall { a, b: -3 } => Err(PortStop::Fail(u32::try_from(a).unwrap())),
            PortCall { a, b: -4 } => {
                if gas_left < 500 {
                    return Err(PortStop::Gas);
                }
                for (offset, cell) in (10_i64..).zip(memory.read_many(a, 3)?) {
                    memory.write(a + offset, cell)?;
                }
                Ok(500)
            }
            PortCall { a: -5, b } => memory
                .write(b, Cell::Open(b))
                .map(|()| 7)
                .map_err(PortStop::from),
            _ => Err(Fault::Address.into()),
        }
    }
}

fn run(cells: &[i64], gas: u64) -> (Machine, Outcome, Host) {
    let mut machine = Machine::open(&Code::new(cells.to_vec(), 0).unwrap(), 64);
    let mut host = Host::default();
    let outcome = machine.run(&mut host, Limits::gas(gas));
    (machine, outcome, host)
}

#[test]
fn ports_see_memory_and_charge() {
    let (machine, outcome, host) = run(&[6, -2, 3, -5, 9, -1, 21], 1000);
    // Two steps, the charges of both ports, and three new cells.
    assert_eq!(
        outcome,
        Outcome {
            halt: Halt::Halt,
            pc: -1,
            steps: 2,
            gas: 2 + 100 + 7 + 3
        }
    );
    assert_eq!(
        host.calls,
        [PortCall { a: 6, b: -2 }, PortCall { a: -5, b: 9 }]
    );
    assert_eq!(machine.cells()[6..], [42, 0, 0, 9].map(Cell::Open));
}

#[test]
fn a_port_may_fail_and_has_no_other_halt() {
    let (_, outcome, _) = run(&[77, -3, 3], 1000);
    assert_eq!(
        outcome,
        Outcome {
            halt: Halt::Fail(77),
            pc: 0,
            steps: 0,
            gas: 0
        }
    );
    let (_, outcome, _) = run(&[77, -9, 3], 1000);
    assert_eq!(outcome.halt, Halt::Fault(Fault::Address));
    let (_, outcome, _) = run(&[64, -2, 3], 1000);
    assert_eq!(
        outcome.halt,
        Halt::Fault(Fault::Address),
        "past the limit of cells"
    );
    assert_eq!(Halt::Fail(77).to_string(), "fail:77");
}

#[test]
fn gas_covers_ports_wholly_or_not_at_all() {
    let (_, outcome, _) = run(&[3, -2, -1, 21], 101);
    assert_eq!((outcome.halt, outcome.gas), (Halt::Halt, 101));
    let (_, outcome, host) = run(&[3, -2, -1, 21], 100);
    assert_eq!(
        (outcome.halt, outcome.steps, outcome.gas, host.calls.len()),
        (Halt::Gas, 0, 0, 1)
    );
    let (_, outcome, _) = run(&[0, -4, -1, 21], 500);
    assert_eq!(outcome.halt, Halt::Gas, "the host itself refuses");
    let (_, outcome, host) = run(&[3, -2, -1, 21], 0);
    assert_eq!(
        (outcome.halt, host.calls.len()),
        (Halt::Gas, 0),
        "without gas no port is called"
    );
}

#[test]
fn a_port_that_writes_code_is_obeyed() {
    // A loop whose step at 3 is baked on the first round; then the port writes 12 over its A.
    let cells = [12, 13, 3, 13, 14, 6, -5, 3, 9, 0, 0, -1, 1, 5, 0];
    let (machine, outcome, _) = run(&cells, 1000);
    assert_eq!(
        (outcome.halt, machine.cells()[3].clone()),
        (Halt::Halt, Cell::Open(3))
    );
    let looped = [
        16, 17, 3, 18, 15, 6, -5, 3, 9, 19, 20, 12, 16, 16, 0, 0, 1, 9, 2, 1, 2,
    ];
    let unfused = Code::unfused(looped.to_vec(), 0).unwrap();
    let mut plain = Machine::open(&unfused, 64);
    let expected = plain.run(&mut Host::default(), Limits::gas(200));
    let (machine, outcome, _) = run(&looped, 200);
    assert_eq!(outcome, expected);
    assert_eq!(machine.cells(), plain.cells());
}

#[test]
fn growth_and_output_are_charged() {
    let (_, outcome, _) = run(&[3, 50, 3, 9], 10);
    assert_eq!(outcome.halt, Halt::Gas, "47 new cells cost more than 10");
    let (_, outcome, _) = run(&[3, 50, 9, 9], 100);
    assert_eq!((outcome.halt, outcome.gas), (Halt::Gas, 100));
    let (machine, outcome, _) = run(&[3, -1, -1, 9], 100);
    assert_eq!(
        (outcome.gas, machine.output()),
        (gas::OPEN_STEP + gas::CELL_OUTPUT, vec![Cell::Open(9)])
    );
}

fn key() -> PaillierPrivate {
    PaillierPrivate::new(
        &((UBig::ONE << 89) - UBig::ONE),
        &((UBig::ONE << 107) - UBig::ONE),
    )
    .unwrap()
}

#[test]
fn open_values_of_contracts_overflow_alike_in_both_domains() {
    let modulus = key().public().modulus().clone();
    assert!(modulus.holds_i64());
    let code = Code::new(vec![6, 7, 3, 6, 7, 6, 1, i64::MIN + 1], 0).unwrap();
    let mut open = Machine::open(&code, 64);
    let mut paillier = Machine::paillier(&code, 64, &modulus, OpenOverflow::Fault);
    let outcome = open.run(&mut NoPorts, Limits::gas(10));
    assert_eq!(
        outcome,
        Outcome {
            halt: Halt::Fault(Fault::Overflow),
            pc: 3,
            steps: 1,
            gas: 1
        }
    );
    assert_eq!(paillier.run(&mut NoPorts, Limits::gas(10)), outcome);
    assert_eq!(paillier.cells(), open.cells());
    assert_eq!(paillier.read(7), Ok(Cell::Open(i64::MIN)));
}

#[test]
fn ciphertexts_reach_ports_canonical_and_cost_by_class() {
    let key = key();
    let modulus = key.public().modulus();
    let encrypt = |m: u32, r: u32| {
        key.public()
            .encrypt(&UBig::from(m), &UBig::from(r))
            .unwrap()
    };
    // sum = 0 − (0 − a − b); then port −4 copies a, b and sum.
    let code = Code::new(
        vec![12, 15, 3, 13, 15, 6, 15, 14, 9, 12, -4, -1, 0, 0, 0, 0],
        0,
    )
    .unwrap();
    let mut machine = Machine::paillier(&code, 64, modulus, OpenOverflow::Fault);
    machine.write(12, Cell::Enc(encrypt(20, 7))).unwrap();
    machine.write(13, Cell::Enc(encrypt(22, 9))).unwrap();
    let outcome = machine.run(&mut Host::default(), Limits::gas(1_000_000));
    let bits = modulus.bits() as u64;
    assert_eq!((outcome.halt, outcome.steps), (Halt::Halt, 4));
    assert_eq!(
        outcome.gas,
        3 * gas::ciphertext_step(bits) + gas::OPEN_STEP + 500 + 9 * gas::CELL_GROWN
    );
    let Ok(Cell::Enc(sum)) = machine.read(24) else {
        panic!("a ciphertext")
    };
    assert_eq!(key.decrypt(&sum).unwrap(), UBig::from(42_u8));
    assert_eq!(modulus.check(&sum), Ok(()));
    // A ciphertext minus its own copy is open, but stays of the class ciphertext.
    let code = Code::new(vec![3, 4, -1, 0, 0], 0).unwrap();
    let mut machine = Machine::paillier(&code, 64, modulus, OpenOverflow::Fault);
    for address in [3, 4] {
        machine.write(address, Cell::Enc(encrypt(20, 7))).unwrap();
    }
    let outcome = machine.run(&mut NoPorts, Limits::gas(1_000_000));
    assert_eq!(
        (outcome.halt, outcome.gas),
        (
            Halt::Halt,
            gas::ciphertext_step(bits) + gas::normalisation(bits)
        )
    );
    assert_eq!(machine.read(4), Ok(Cell::Enc(modulus.residue_of(0))));
}

#[test]
fn prepared_code_starts_anew_each_time() {
    let code = Code::new(vec![9, 10, 3, 11, 9, 6, 0, 0, -1, 5, 30, 1], 0).unwrap();
    let mut machine = Machine::open(&code, 64);
    let mut first = None;
    for _ in 0..3 {
        machine.restart();
        machine.write(10, Cell::Open(7)).unwrap();
        let outcome = machine.run(&mut NoPorts, Limits::gas(100));
        assert_eq!(machine.read(10), Ok(Cell::Open(2)));
        assert_eq!(*first.get_or_insert(outcome), outcome);
    }
    assert_eq!(code.cells()[9], 5);
}

#[test]
fn a_contract_modulus_must_hold_64_bit_integers() {
    let holds = |n: UBig| Modulus::new(n).unwrap().holds_i64();
    assert!(!holds(UBig::from(15_u8)));
    assert!(!holds(UBig::from(u64::MAX)));
    assert!(
        !holds((UBig::ONE << 2047) + UBig::ONE),
        "almost no negative numbers"
    );
    assert!(!holds((UBig::ONE << 64) + (UBig::ONE << 63) - UBig::ONE));
    assert!(holds((UBig::ONE << 64) + (UBig::ONE << 63) + UBig::ONE));
    assert!(holds((UBig::ONE << 2048) - UBig::ONE));
}

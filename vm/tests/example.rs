//! The example of SPEC-VM.md section 7.

use lyceum_vm::{Cell, Code, Halt, Limits, Machine, Modulus, NoPorts, OpenOverflow};

const EXAMPLE: [i64; 16] = [12, 15, 3, 13, 15, 6, 15, 14, 9, 15, 15, -1, 20, 22, 0, 0];

#[test]
fn adds_two_cells() {
    let code = Code::new(EXAMPLE.to_vec(), 0).unwrap();
    let modulus = Modulus::from_decimal("1000003").unwrap();
    for mut machine in [
        Machine::open(&code, 1 << 20),
        Machine::paillier(&code, 1 << 20, &modulus, OpenOverflow::Wrap),
    ] {
        let outcome = machine.run(&mut NoPorts, Limits::steps(1000));
        assert_eq!(
            (outcome.halt, outcome.pc, outcome.steps, outcome.gas),
            (Halt::Halt, -1, 4, 4)
        );
        assert_eq!(machine.cells()[14..], [Cell::Open(42), Cell::Open(0)]);
    }
}

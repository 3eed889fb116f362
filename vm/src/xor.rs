//! The domain `xor`: the machine of the original design.
//!
//! A, B and C are raw and all three are read before the write; there is no −1; the cells they name are masked by a key.
//! An unwritten cell holds the masked 0, that is the key, so that it reads as 0 as in `open`.
//! Masking by one known-length key hides nothing from an adversary: two equal cells look equal, and one known value gives the key away.

use crate::machine::Machine;
use crate::step::{Made, Meter};
use crate::trace::TraceValue;
use crate::{Fault, Halt, gas};

/// Makes the step at `at`, which lies in memory.
///
/// # Errors
/// [`Fault::Address`] for a negative A or B, one past the limit of cells, and for a jump to a negative address;
/// [`Fault::Overflow`] where the unmasked difference does not fit.
pub(crate) fn step(
    machine: &mut Machine,
    key: i64,
    at: usize,
    meter: &mut Meter,
) -> Result<Made, Halt> {
    let [a, b, c] = [
        machine.memory[at],
        machine.memory[at + 1],
        machine.memory[at + 2],
    ];
    let cells_max = machine.cells_max;
    let data = |address: i64| {
        usize::try_from(address)
            .ok()
            .filter(|&address| address < cells_max)
            .ok_or(Fault::Address)
    };
    let (from, to) = (data(a)?, data(b)?);
    let unmasked = |address: usize| machine.memory.get(address).copied().unwrap_or(key) ^ key;
    let result = unmasked(to)
        .checked_sub(unmasked(from))
        .ok_or(Fault::Overflow)?;
    let after = i64::try_from(at + 3).map_err(|_| Fault::Address)?;
    let next = if result <= 0 { c } else { after };
    if next < 0 {
        return Err(Halt::Fault(Fault::Address));
    }
    let grown = (to + 1).saturating_sub(machine.memory.len());
    meter.charge(gas::CELL_GROWN * grown as u64)?;
    machine.set_word(to, result ^ key);
    machine.pc = next;
    Ok(Made {
        a,
        b,
        value: Some(TraceValue::Open(result ^ key)),
    })
}

//! The gas table: every charge of the machine and of contracts, in one place.
//!
//! One unit is one step on open cells, about 5 ns of the slowest such step. Each charge is proportional to its
//! measured cost; `cargo bench -p lyceum-vm --bench gas` prints nanoseconds per unit for each of them.
//!
//! # Classes
//! Gas never depends on what an engine happened to do lazily. It follows the *class* of a cell, and the class follows where
//! the cell's value came from, not what it is:
//! - a cell is of the class **ciphertext** if it was loaded or written by a port as a residue that is not open, or is the result of a step
//!   between two different addresses of which at least one held a ciphertext; a copy by input keeps its class;
//! - every other cell is **open**: loaded open, never written, or the result of a step on open cells or with A = B
//!   (which gives the open 0 whatever it held).
//!
//! A ciphertext whose x happens to be open (a ciphertext minus its own copy) keeps its class; the machine reads its value
//! where the specification asks for it, at the price of a normalisation.

// --- The machine ---

/// A step on cells of the class open, a step of input or output, and the base of every port step.
pub const OPEN_STEP: u64 = 1;

/// Each cell by which a write makes memory longer.
pub const CELL_GROWN: u64 = 1;

/// Each cell appended to the output.
pub const CELL_OUTPUT: u64 = 8;

/// The size of N, in bits, for which the ciphertext charges below were measured.
pub const MODULUS_BITS_REFERENCE: u64 = 2048;

/// A step with an operand of the class ciphertext (and A ≠ B), at [`MODULUS_BITS_REFERENCE`]: two modular multiplications at most.
pub const CIPHERTEXT_STEP_REFERENCE: u64 = 2_000;

/// Bringing one cell of the class ciphertext to its canonical x, at [`MODULUS_BITS_REFERENCE`]: one inversion at most.
pub const NORMALISATION_REFERENCE: u64 = 12_000;

/// The charge of a step with an operand of the class ciphertext under an N of `modulus_bits`.
pub const fn ciphertext_step(modulus_bits: u64) -> u64 {
    scaled(CIPHERTEXT_STEP_REFERENCE, modulus_bits)
}

/// The charge of one normalisation under an N of `modulus_bits`: a port that reads a ciphertext, a ciphertext used as an address,
/// a ciphertext result whose C is not the next address.
pub const fn normalisation(modulus_bits: u64) -> u64 {
    scaled(NORMALISATION_REFERENCE, modulus_bits)
}

/// Schoolbook costs grow with the square of the size; at least one unit.
const fn scaled(reference: u64, modulus_bits: u64) -> u64 {
    let ratio = reference
        .saturating_mul(modulus_bits)
        .saturating_mul(modulus_bits)
        / (MODULUS_BITS_REFERENCE * MODULUS_BITS_REFERENCE);
    if ratio == 0 { 1 } else { ratio }
}

// --- Contracts ---

/// Each call of a contract's action, before its parameters: finding the code, a machine, an empty cache of records.
pub const CALL: u64 = 400;

/// Every 16 cells of code and data, copied into the call's memory.
pub const CALL_CELLS_16: u64 = 1;

/// Each byte of a text or JSON value that a parameter or a loaded record brings in: read, checked, interned.
pub const VALUE_BYTE: u64 = 1;

/// Each value that a parameter or a record brings in or takes out, whatever its size.
pub const VALUE: u64 = 20;

/// Ports `load`, `store`, `delete` and `exists`: a path, a look-up; a first `load` or `exists` asks the state.
pub const PORT_RECORD: u64 = 300;

/// Asking the state for a record: a look-up on disk where it is in no cache.
pub const STATE_READ: u64 = 1_500;

/// Port `count`.
pub const PORT_COUNT: u64 = 2_000;

/// Port `emit`, and each event's place in the receipt.
pub const PORT_EMIT: u64 = 200;

/// Port `transfer` and the native action: two accounts read and written.
pub const TRANSFER: u64 = 8_000;

/// Each record changed by a call, once: its way into the state tree (hashes up to the root) and to disk.
pub const STATE_WRITE: u64 = 6_000;

/// Each byte of a stored record and its path.
pub const STORED_BYTE: u64 = 10;

/// Each byte of a deployed definition: parsing, checking, translating, and the translations of later starts.
pub const DEPLOYED_BYTE: u64 = 200;

/// Each cell of a deployed contract's code.
pub const DEPLOYED_CELL: u64 = 10;

/// The native action `register_wallet`: a strict signature check.
pub const WALLET_CHECK: u64 = 15_000;

/// Checking that a residue is a unit modulo an N of [`MODULUS_BITS_REFERENCE`] bits: reading its hex, its share of a gcd.
pub const RESIDUE_CHECK_REFERENCE: u64 = 8_000;

/// The charge of checking one residue under an N of `modulus_bits`.
pub const fn residue_check(modulus_bits: u64) -> u64 {
    scaled(RESIDUE_CHECK_REFERENCE, modulus_bits)
}

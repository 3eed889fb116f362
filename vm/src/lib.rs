//! vm

// The machine.
mod cell;
mod code;
mod decode;
mod fast;
pub mod gas;
mod halt;
mod machine;
mod modulus;
mod ports;
mod residues;
mod ring;
mod step;
mod trace;
mod xor;

pub use cell::{Cell, Residue, ResidueError};
pub use code::{CODE_CELLS_MAX, Code, CodeError};
pub use halt::{Fault, Halt};
pub use machine::{Limits, Machine, OpenOverflow, Outcome};
pub use modulus::{MODULUS_BITS_MAX, Modulus, ModulusError, UnitError};
pub use ports::{NoPorts, PortCall, PortMemory, PortStop, Ports};
pub use trace::{TraceStep, TraceValue};

// Contracts.
mod contract;

pub use contract::*;

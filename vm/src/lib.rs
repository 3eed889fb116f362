//! vm

// The machine.
mod cell;
pub mod gas;
mod halt;
mod modulus;
mod ports;

pub use cell::{Cell, Residue, ResidueError};
pub use halt::{Fault, Halt};
pub use modulus::{MODULUS_BITS_MAX, Modulus, ModulusError, UnitError};
pub use ports::{NoPorts, PortCall, PortMemory, PortStop, Ports};

// Contracts.

//! vm

// The machine.
mod asm;
mod cell;
mod code;
mod decode;
mod disasm;
mod fast;
mod fuzz;
pub mod gas;
mod halt;
mod machine;
mod modulus;
mod notation;
mod paillier;
mod plain;
mod ports;
mod program;
mod residues;
mod ring;
mod run;
mod sce;
mod step;
mod trace;
mod xor;

pub use asm::{AsmCell, AsmError, AsmProblem, Assembly, assemble};
pub use cell::{Cell, Residue, ResidueError};
pub use code::{CODE_CELLS_MAX, Code, CodeError};
pub use disasm::{DisasmError, disassemble};
pub use fuzz::{fuzz_assembler, fuzz_program};
pub use halt::{Fault, Halt};
pub use machine::{Limits, Machine, OpenOverflow, Outcome};
pub use modulus::{MODULUS_BITS_MAX, Modulus, ModulusError, UnitError};
pub use paillier::{PaillierError, PaillierPrivate, PaillierPublic};
pub use ports::{NoPorts, PortCall, PortMemory, PortStop, Ports};
pub use program::{Program, ProgramError, ProgramProblem, RunDomain};
pub use run::{
    RUN_CELLS_MAX, RUN_STEPS_DEFAULT, RunError, RunOptions, RunOutput, load_program, run_program,
};
pub use trace::{TraceStep, TraceValue};

// Contracts.
mod account;
mod call;
mod contract;
mod execute;
mod failure;
mod genesis;
mod host;
mod native;
pub mod offline;
mod values;
mod world;

pub use account::Account;
pub use call::Event;
pub use contract::*;
pub use execute::{CallContext, Executor, Receipt, TRANSLATIONS_MAX};
pub use failure::Failure;
pub use genesis::{GenesisError, builtin_definition, genesis};
pub use world::{Journal, MemoryWorld, World, WorldError, definition_path};

//! The Cryptoleq machine, and the contracts that run on it.
//!
//! A contract is a JSON document. [`CompiledContract`] checks it and translates each action into Cryptoleq code; an [`Executor`] runs a
//! transaction's actions over a [`World`], all or nothing. The machine ([`Machine`]) has three domains: open integers, masked ones, and
//! Paillier ciphertexts under a public key. `ASM.md` describes the assembler, `PORTS.md` how contract code reaches its host.
//!
//! The crate does no I/O, reads no clock and draws no randomness, and holds no private key but in the tools for tests: the same
//! transaction over the same world gives the same world, gas and receipt everywhere.
//!
//! ```
//! use lyceum_vm::offline::{self, Run};
//!
//! let counter = r#"{"contract":"counter","records":{"c":{"key":"id","fields":{"id":"text","n":"int"}}},"actions":{
//!     "up":{"params":{"id":"text"},"do":[
//!         {"let":{"c":{"get":["c",{"var":"id"}]}}},
//!         {"set":{"c.n":{"+":[{"var":"c.n"},1]}}}]}}}"#;
//! let run = Run {
//!     action: "up",
//!     params: r#"{"id":"a"}"#,
//!     world: r#"{"counter/c/a":{"id":"a","n":41}}"#,
//!     ..Run::default()
//! };
//! let result = offline::run(counter, &run)?;
//! assert_eq!(result["world"]["counter/c/a"]["n"], 42);
//! # Ok::<(), lyceum_vm::offline::OfflineError>(())
//! ```

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
mod fuzz_contract;
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
pub use fuzz_contract::{fuzz_contract, fuzz_params};
pub use genesis::{GenesisError, builtin_definition, genesis};
pub use world::{Journal, MemoryWorld, World, WorldError, definition_path};

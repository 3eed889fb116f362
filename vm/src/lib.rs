//! The Cryptoleq machine, and JSON contracts translated to its code.
//!
//! **The machine** has one instruction: cells A B C mean `mem[B] ← mem[B] ⊖ mem[A]`, and go on at C if the result is ≤ 0. Its cells are
//! signed 64-bit integers (`open`), masked integers (`xor`), or residues modulo N² of a Paillier key (`paillier`), in which open
//! integers and ciphertexts mix. [`Code`] is a program decoded once, [`Machine`] one run of it, [`run_program`] a whole program
//! file; [`assemble`] and [`disassemble`] know its text form (vm/ASM.md), and [`gas`] is the table of charges.
//!
//! **Contracts** are JSON documents of records and actions. Each action is checked and translated once into Cryptoleq code; a call
//! fills in data cells, runs the code under a limit of gas, and writes changed records back through the machine's ports (vm/PORTS.md).
//!
//! Everything is deterministic and total: the same bits on every platform, and every run halts, faults or uses up its limit. The crate
//! never does I/O, reads no clock, draws no randomness (encryption takes its random number as an argument), and consensus never holds a
//! private key. The `xor` domain hides nothing from an adversary. Encrypted arithmetic hides values, not which cells a program touches.
//!
//! How it is fast: straight runs of steps are decoded into one operation each and run by a loop that leaves whatever is unusual, one
//! step at a time, to a slow path that follows the specification word by word. A mark on each cell tells whether decoded
//! code covers it, so that self-modifying programs stay right. In `paillier`, integers run through the same loop, and ciphertexts are
//! ratios, whose inverse is a swap; one inversion brings all of them to canonical form at the end.
//!
//! ```
//! use lyceum_vm::{Cell, Code, Halt, Limits, Machine, NoPorts, PortMemory, assemble};
//!
//! let text = "
//!         a zero          ; zero = -a
//!         b zero          ; zero = -a - b
//!         zero sum
//!         zero zero -1    ; clear it and halt
//! a:      .data 20
//! b:      .data 22
//! zero:   .data 0
//! sum:    .data 0
//! ";
//! let program = assemble(text)?;
//! let words = program.words().expect("open integers alone");
//! let code = Code::new(words, program.entry)?;
//! let mut machine = Machine::open(&code, 1 << 16);
//! let outcome = machine.run(&mut NoPorts, Limits::gas(100));
//! assert_eq!((outcome.halt, outcome.steps, outcome.gas), (Halt::Halt, 4, 4));
//! assert_eq!(machine.read(15)?, Cell::Open(42));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A contract, called without a chain:
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

#![forbid(unsafe_code)]

// The machine.
mod asm;
mod cell;
mod code;
mod decode;
mod disasm;
mod fast;
mod fuse;
mod fuzz;
pub mod gas;
mod halt;
mod inverse;
mod loops;
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
mod given;
mod host;
mod native;
pub mod offline;
mod plain_record;
mod values;
mod world;

pub use account::Account;
pub use call::Event;
pub use contract::*;
pub use execute::{CallContext, Executor, Receipt, TRANSLATIONS_MAX};
pub use failure::Failure;
pub use fuzz_contract::{fuzz_contract, fuzz_params};
pub use genesis::{GenesisError, builtin_definition, genesis};
pub use world::{DEFINITIONS, Journal, MemoryWorld, World, WorldError, definition_path};

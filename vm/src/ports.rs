//! Ports: how contract code reaches its host.
//!
//! A step whose A or B is −2 or below is a port step. The machine hands A and B to the host as they stand; the host
//! may read and write cells, charges gas, and may stop the run. The machine then continues at C, always: a port
//! never branches, compares or computes for the program. By convention one operand is the port's number and the
//! other an address (of an argument block, or of the cell to fill) or an immediate; the host's table says which.

use crate::{Cell, Fault};

/// The operands of a port step, as they stand in memory; at least one is −2 or below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortCall {
    /// The first operand.
    pub a: i64,
    /// The second operand.
    pub b: i64,
}

/// Why a port ends the run; the step counts as undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortStop {
    /// The program failed on purpose, or a host rule refused it; the number is the host's own reason id.
    Fail(u32),
    /// The gas left does not cover the call.
    Gas,
    /// No such port, or an operand that is no address of this memory.
    Fault(Fault),
}

impl From<Fault> for PortStop {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The memory that a port may touch, every access checked.
pub trait PortMemory {
    /// Cells of memory now, written or not.
    fn len(&self) -> usize;

    /// Whether memory has no cell at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The cell at `address`; past the end it is the open 0.
    ///
    /// A cell of the class *ciphertext* (see [`crate::gas`]) is always [`Cell::Enc`], even where its x happens to be open;
    /// reading one costs an inversion, so read several by [`PortMemory::read_many`], and charge
    /// [`crate::gas::normalisation`] for each.
    ///
    /// # Errors
    /// [`Fault::Address`] for a negative address or one past the limit of cells.
    fn read(&self, address: i64) -> Result<Cell, Fault>;

    /// The cells from `address` on, `count` of them, with one inversion for all.
    ///
    /// # Errors
    /// As [`PortMemory::read`].
    fn read_many(&self, address: i64, count: usize) -> Result<Vec<Cell>, Fault>;

    /// The open integer at `address`.
    ///
    /// # Errors
    /// [`Fault::Address`] as [`PortMemory::read`], and for a cell of the class ciphertext.
    fn read_open(&self, address: i64) -> Result<i64, Fault> {
        self.read(address)?.open().ok_or(Fault::Address)
    }

    /// Writes `cell` at `address`, growing memory where needed. A residue must be a checked unit
    /// ([`crate::Modulus::check`]).
    ///
    /// # Errors
    /// [`Fault::Address`] as [`PortMemory::read`], and for a residue where the domain has none.
    fn write(&mut self, address: i64, cell: Cell) -> Result<(), Fault>;
}

/// The host of a contract's run.
pub trait Ports {
    /// Performs one port step and returns the gas to charge beyond the step's own unit.
    ///
    /// `gas_left` is what remains after the step's own unit. A host that would charge more returns
    /// [`PortStop::Gas`], best before it does any work; the machine checks again.
    ///
    /// # Errors
    /// The reason to end the run here. What the port wrote before stays in memory: a contract's caller drops the memory
    /// and the effects of a run that did not halt.
    fn call(
        &mut self,
        call: PortCall,
        memory: &mut dyn PortMemory,
        gas_left: u64,
    ) -> Result<u64, PortStop>;
}

/// The standard machine's host: no port below −1, so each of them faults.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPorts;

impl Ports for NoPorts {
    fn call(&mut self, _: PortCall, _: &mut dyn PortMemory, _: u64) -> Result<u64, PortStop> {
        Err(PortStop::Fault(Fault::Address))
    }
}

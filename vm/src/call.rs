//! One call of a contract's action: parameters in, the machine's run, changed records out.

use std::sync::Arc;

use serde_json::Value;

use crate::contract::{CALLER, CompiledAction, HEIGHT, OPEN, Param, TIMESTAMP};
use crate::failure::{Failure, Stop};
use crate::given::{Given, Members};
use crate::host::Host;
use crate::values::brief;
use crate::world::Journal;
use crate::{Cell, Fault, Halt, Limits, Machine, OpenOverflow, PortMemory, gas};

/// What a transaction has used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meter {
    pub(crate) limit: u64,
    pub(crate) gas: u64,
    pub(crate) steps: u64,
}

impl Meter {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            gas: 0,
            steps: 0,
        }
    }

    pub(crate) fn left(&self) -> u64 {
        self.limit - self.gas
    }

    /// Charges `gas`; where it is not there, all that is left.
    pub(crate) fn charge(&mut self, gas: u64) -> Result<(), Failure> {
        if gas > self.left() {
            self.gas = self.limit;
            return Err(Failure::OutOfGas);
        }
        self.gas += gas;
        Ok(())
    }
}

/// What every action of a transaction sees.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site<'a> {
    pub(crate) caller: &'a str,
    pub(crate) height: u64,
    pub(crate) timestamp: u64,
    pub(crate) open: bool,
}

/// Something that happened, as a contract told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The contract.
    pub contract: Arc<str>,
    /// The event's name.
    pub event: String,
    /// The object of its members, in canonical JSON.
    pub text: String,
}

impl Event {
    /// Its members.
    pub fn data(&self) -> Value {
        serde_json::from_str(&self.text).expect("it was written as JSON")
    }
}

/// Calls `action` with the members of `object` but those in `skip`. On success the journal holds the effects; on
/// failure it must be dropped.
pub(crate) fn call(
    action: &CompiledAction,
    journal: &mut Journal<'_>,
    site: Site<'_>,
    object: &Members<'_>,
    skip: &[&str],
    meter: &mut Meter,
) -> Result<Vec<Event>, Stop> {
    meter
        .charge(gas::CALL + gas::CALL_CELLS_16 * (action.code.cells().len() as u64).div_ceil(16))?;
    let mut host = Host::new(action, journal, site.caller);
    let cells = arguments(action, &mut host, site, object, skip)?;
    meter.charge(host.codec.gas)?;
    let cells_max = action.code.cells().len();
    let mut machine = match &action.modulus {
        None => Machine::open(&action.code, cells_max),
        Some(modulus) => Machine::paillier(&action.code, cells_max, modulus, OpenOverflow::Fault),
    };
    for ((_, address), cell) in action.locals.iter().zip(cells) {
        machine
            .write(*address, cell)
            .map_err(|fault| Failure::Machine(fault.to_string()))?;
    }
    let outcome = machine.run(&mut host, Limits::gas(meter.left()));
    meter.steps += outcome.steps;
    match outcome.halt {
        Halt::Halt => {}
        Halt::Gas => {
            meter.gas = meter.limit;
            return Err(Failure::OutOfGas.into());
        }
        halt => {
            meter.charge(outcome.gas)?;
            return Err(match (host.stop.take(), halt) {
                (Some(stop), _) => stop,
                (None, Halt::Fault(Fault::Overflow)) => Failure::Overflow.into(),
                (None, halt) => Failure::Machine(halt.to_string()).into(),
            });
        }
    }
    meter.charge(outcome.gas)?;
    let stored = host.write_back(meter.left());
    if let Err(Stop::Failure(Failure::OutOfGas)) = stored {
        meter.gas = meter.limit;
    }
    meter.charge(stored?)?;
    Ok(host.events)
}

/// The cells of all locals, parameters filled in, the others 0.
fn arguments(
    action: &CompiledAction,
    host: &mut Host<'_, '_>,
    site: Site<'_>,
    object: &Members<'_>,
    skip: &[&str],
) -> Result<Vec<Cell>, Failure> {
    let given = || object.iter().filter(|(name, _)| !skip.contains(name));
    if let Some((name, _)) =
        given().find(|(name, _)| !action.params.iter().any(|param| param.name == *name))
    {
        return Err(Failure::Param(format!("\"{name}\": unknown")));
    }
    let mut cells = vec![Cell::Open(0); action.locals.len()];
    cells[CALLER] = Cell::Open(host.codec.texts.handle(site.caller));
    cells[HEIGHT] = open(site.height);
    cells[TIMESTAMP] = open(site.timestamp);
    cells[OPEN] = Cell::Open(i64::from(site.open));
    for param in &action.params {
        let value = object
            .get(&param.name)
            .filter(|_| !skip.contains(&param.name.as_str()));
        let Some(value) = value else {
            return Err(Failure::Param(format!("\"{}\": missing", param.name)));
        };
        argument(action, host, param, value, &mut cells)?;
    }
    host.codec.check_units(&cells).map_err(Failure::Param)?;
    Ok(cells)
}

fn argument(
    action: &CompiledAction,
    host: &mut Host<'_, '_>,
    param: &Param,
    value: &Given<'_>,
    cells: &mut [Cell],
) -> Result<(), Failure> {
    let name = &param.name;
    let Some(layout) = param.layout else {
        let cell = host.codec.cell(action.locals[param.local].0, value);
        cells[param.local] =
            cell.map_err(|problem| Failure::Param(format!("\"{name}\": {problem}")))?;
        return Ok(());
    };
    let layout = &action.layouts[layout];
    let object = value.as_object().ok_or_else(|| {
        Failure::Param(format!(
            "\"{name}\": got {}, want an object of \"{}\"",
            brief(&value.to_value()),
            layout.name
        ))
    })?;
    let fields = host
        .codec
        .param_cells(layout, object)
        .map_err(|problem| Failure::Param(format!("\"{name}\"{problem}")))?;
    for (place, cell) in cells[param.local..].iter_mut().zip(fields) {
        *place = cell;
    }
    Ok(())
}

fn open(amount: u64) -> Cell {
    // Heights and times stay below 2^53 (SPEC.md section 1).
    Cell::Open(i64::try_from(amount).unwrap_or(i64::MAX))
}

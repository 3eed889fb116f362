//! The slow path: one step of any kind, exactly as the machine is defined.
//!
//! A step finds its operands, its charge, its result and where it continues before it writes anything, so that a fault
//! leaves nothing to undo.

use crate::machine::{Domain, Limits, Machine};
use crate::residues::Value;
use crate::trace::{TraceStep, TraceValue};
use crate::xor;
use crate::{Fault, Halt, PortCall, PortStop, Ports, gas};

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// What a completed step did.
pub(crate) struct Made {
    pub(crate) a: i64,
    pub(crate) b: i64,
    pub(crate) value: Option<TraceValue>,
}

impl Made {
    pub(crate) fn traced(self, index: u64, pc: i64, next: i64) -> TraceStep {
        TraceStep {
            index,
            pc,
            a: self.a,
            b: self.b,
            value: self.value,
            next,
        }
    }
}

/// The charges of one step.
pub(crate) struct Meter {
    left: u64,
    spent: u64,
}

impl Meter {
    pub(crate) fn charge(&mut self, gas: u64) -> Result<(), Halt> {
        self.left = self.left.checked_sub(gas).ok_or(Halt::Gas)?;
        self.spent += gas;
        Ok(())
    }
}

/// What a step is about to do.
enum Effect {
    /// `mem[B]` becomes the value; the branch hangs on it if `decides`.
    Write {
        address: usize,
        value: Value,
        decides: bool,
        from_input: bool,
    },
    /// The value is put out.
    Output { value: Value, from_input: bool },
    /// A port did it already.
    Port,
}

impl Machine {
    /// Makes one step, or says why not. After it `pc` is −1 where the run halts.
    pub(crate) fn step(&mut self, host: &mut dyn Ports, limits: Limits) -> Result<Made, Halt> {
        if self.pc == -1 {
            return Err(Halt::Halt);
        }
        let at = usize::try_from(self.pc).map_err(|_| Halt::End)?;
        if at.checked_add(3).is_none_or(|end| end > self.memory.len()) {
            return Err(Halt::End);
        }
        if self.steps >= limits.steps {
            return Err(Halt::Steps);
        }
        let mut meter = Meter {
            left: limits.gas.saturating_sub(self.gas),
            spent: 0,
        };
        meter.charge(gas::OPEN_STEP)?;
        let made = if let Domain::Xor(key) = self.domain {
            xor::step(self, key, at, &mut meter)?
        } else {
            let (a, b) = (
                self.address(at, &mut meter)?,
                self.address(at + 1, &mut meter)?,
            );
            let effect = self.effect(PortCall { a, b }, host, &mut meter)?;
            let next = self.next(at, &effect, &mut meter)?;
            self.commit(PortCall { a, b }, effect, next, &mut meter)?
        };
        self.steps += 1;
        self.gas += meter.spent;
        Ok(made)
    }

    /// [`Machine::step`] where it is a port step among open integers, as contracts make them all the time: the same without the values
    /// of a step. `None`: it is another step.
    pub(crate) fn step_port(
        &mut self,
        host: &mut dyn Ports,
        limits: Limits,
    ) -> Option<Result<(), Halt>> {
        let at = usize::try_from(self.pc).ok()?;
        let cells = self.memory.get(at..at.checked_add(3)?)?;
        let call = PortCall {
            a: cells[0],
            b: cells[1],
        };
        let open = matches!(self.domain, Domain::Open);
        if !open || (call.a > -2 && call.b > -2) || self.steps >= limits.steps {
            return None;
        }
        Some(self.open_port(at, call, host, limits))
    }

    fn open_port(
        &mut self,
        at: usize,
        call: PortCall,
        host: &mut dyn Ports,
        limits: Limits,
    ) -> Result<(), Halt> {
        let mut meter = Meter {
            left: limits.gas.saturating_sub(self.gas),
            spent: 0,
        };
        meter.charge(gas::OPEN_STEP)?;
        self.port(call, host, &mut meter)?;
        // The port may have written C.
        let next = self.memory[at + 2];
        if next < -1 {
            return Err(Halt::Fault(Fault::Address));
        }
        self.steps += 1;
        self.gas += meter.spent;
        self.pc = next;
        Ok(())
    }

    /// The cell at `at`, taken as an address.
    fn address(&mut self, at: usize, meter: &mut Meter) -> Result<i64, Halt> {
        let word = self.memory[at];
        let Domain::Paillier(residues) = &mut self.domain else {
            return Ok(word);
        };
        let value = residues.value(word, at);
        let opened = match &value {
            Value::Enc(ratio) => {
                meter.charge(gas::normalisation(residues.modulus().bits() as u64))?;
                residues.opened(ratio).ok_or(Fault::Address)?
            }
            _ => value,
        };
        Ok(residues.address(&opened).ok_or(Fault::Address)?)
    }

    /// A data address: a cell below the limit.
    fn data(&self, address: i64) -> Result<usize, Fault> {
        usize::try_from(address)
            .ok()
            .filter(|&address| address < self.cells_max)
            .ok_or(Fault::Address)
    }

    fn value(&mut self, address: usize) -> Value {
        let Some(&word) = self.memory.get(address) else {
            return Value::Small(0);
        };
        match &mut self.domain {
            Domain::Paillier(residues) => residues.value(word, address),
            Domain::Open | Domain::Xor(_) => Value::Small(word),
        }
    }

    fn effect(
        &mut self,
        call: PortCall,
        host: &mut dyn Ports,
        meter: &mut Meter,
    ) -> Result<Effect, Halt> {
        match (call.a, call.b) {
            (..=-2, _) | (_, ..=-2) => self.port(call, host, meter),
            (-1, -1) => {
                meter.charge(gas::CELL_OUTPUT)?;
                Ok(Effect::Output {
                    value: self.next_input()?,
                    from_input: true,
                })
            }
            (-1, b) => {
                let address = self.data(b)?;
                Ok(Effect::Write {
                    address,
                    value: self.next_input()?,
                    decides: false,
                    from_input: true,
                })
            }
            (a, -1) => {
                meter.charge(gas::CELL_OUTPUT)?;
                let address = self.data(a)?;
                Ok(Effect::Output {
                    value: self.value(address),
                    from_input: false,
                })
            }
            (a, b) => {
                let (a, b) = (self.data(a)?, self.data(b)?);
                let value = self.minus(b, a, meter)?;
                Ok(Effect::Write {
                    address: b,
                    value,
                    decides: true,
                    from_input: false,
                })
            }
        }
    }

    fn port(
        &mut self,
        call: PortCall,
        host: &mut dyn Ports,
        meter: &mut Meter,
    ) -> Result<Effect, Halt> {
        let cells = self.memory.len();
        let charge = host
            .call(call, self, meter.left)
            .map_err(|stop| match stop {
                PortStop::Fail(reason) => Halt::Fail(reason),
                PortStop::Gas => Halt::Gas,
                PortStop::Fault(fault) => Halt::Fault(fault),
            })?;
        meter.charge(charge)?;
        meter.charge(gas::CELL_GROWN * (self.memory.len() - cells) as u64)?;
        Ok(Effect::Port)
    }

    fn next_input(&mut self) -> Result<Value, Halt> {
        let cell = self.input.get(self.input_at).ok_or(Halt::Input)?;
        match (&self.domain, cell) {
            (Domain::Paillier(residues), cell) => Ok(residues.value_of_cell(cell)),
            (_, crate::Cell::Open(value)) => Ok(Value::Small(*value)),
            (_, crate::Cell::Enc(_)) => Err(Halt::Fault(Fault::Address)),
        }
    }

    /// `mem[b]` ⊖ `mem[a]`.
    fn minus(&mut self, b: usize, a: usize, meter: &mut Meter) -> Result<Value, Halt> {
        if a == b {
            return Ok(Value::Small(0));
        }
        let (y, x) = (self.value(b), self.value(a));
        match &self.domain {
            Domain::Paillier(residues) => {
                if matches!((&y, &x), (Value::Enc(_), _) | (_, Value::Enc(_))) {
                    meter.charge(
                        gas::ciphertext_step(residues.modulus().bits() as u64) - gas::OPEN_STEP,
                    )?;
                }
                Ok(residues.minus(y, x)?)
            }
            Domain::Open | Domain::Xor(_) => match (y, x) {
                (Value::Small(y), Value::Small(x)) => {
                    Ok(Value::Small(y.checked_sub(x).ok_or(Fault::Overflow)?))
                }
                _ => Err(Halt::Fault(Fault::Address)),
            },
        }
    }

    /// Where the step at `at` continues once `effect` is done.
    fn next(&mut self, at: usize, effect: &Effect, meter: &mut Meter) -> Result<i64, Halt> {
        let after = i64::try_from(at + 3).map_err(|_| Fault::Address)?;
        // C is read after the write, which may have hit it.
        let c = match effect {
            Effect::Write { address, value, .. } if *address == at + 2 => value.clone(),
            _ => self.value(at + 2),
        };
        let next = match effect {
            Effect::Write {
                value: Value::Enc(ratio),
                decides: true,
                ..
            } => {
                let c = self.opened(c, meter)?;
                if matches!(c, Some(Value::Small(c)) if c == after) {
                    return Ok(after);
                }
                // The branch hangs on the result, which must be open after all.
                let low = match self.opened(Value::Enc(ratio.clone()), meter)? {
                    Some(result) => self.is_low(&result),
                    None => return Err(Halt::Fault(Fault::Branch)),
                };
                if low { self.target(c)? } else { after }
            }
            Effect::Write {
                value,
                decides: true,
                ..
            } if !self.is_low(value) => after,
            _ => {
                let c = self.opened(c, meter)?;
                self.target(c)?
            }
        };
        if next < -1 {
            Err(Halt::Fault(Fault::Address))
        } else {
            Ok(next)
        }
    }

    /// `value` if it is open, the open value of a ciphertext that happens to have one, or `None`.
    fn opened(&self, value: Value, meter: &mut Meter) -> Result<Option<Value>, Halt> {
        match (&self.domain, value) {
            (Domain::Paillier(residues), Value::Enc(ratio)) => {
                meter.charge(gas::normalisation(residues.modulus().bits() as u64))?;
                Ok(residues.opened(&ratio))
            }
            (_, value) => Ok(Some(value)),
        }
    }

    fn is_low(&self, value: &Value) -> bool {
        match (&self.domain, value) {
            (_, Value::Small(word)) => *word <= 0,
            (Domain::Paillier(residues), Value::Big(t)) => residues.is_low(t),
            _ => false,
        }
    }

    fn target(&self, c: Option<Value>) -> Result<i64, Fault> {
        match (&self.domain, c) {
            (_, Some(Value::Small(c))) => Ok(c),
            (Domain::Paillier(residues), Some(c)) => residues.address(&c).ok_or(Fault::Address),
            _ => Err(Fault::Address),
        }
    }

    fn commit(
        &mut self,
        call: PortCall,
        effect: Effect,
        next: i64,
        meter: &mut Meter,
    ) -> Result<Made, Halt> {
        let value = match &effect {
            Effect::Write { value, .. } | Effect::Output { value, .. } => {
                Some(TraceValue::from(value))
            }
            Effect::Port => None,
        };
        match effect {
            Effect::Write {
                address,
                value,
                from_input,
                ..
            } => {
                let grown = (address + 1).saturating_sub(self.memory.len());
                meter.charge(gas::CELL_GROWN * grown as u64)?;
                self.input_at += usize::from(from_input);
                let word = match (&mut self.domain, value) {
                    (Domain::Paillier(residues), value) => residues.keep(address, value),
                    (_, Value::Small(word)) => word,
                    (_, _) => return Err(Halt::Fault(Fault::Address)),
                };
                self.set_word(address, word);
            }
            Effect::Output { value, from_input } => {
                self.input_at += usize::from(from_input);
                self.output.push(value);
            }
            Effect::Port => {}
        }
        self.pc = next;
        Ok(Made {
            a: call.a,
            b: call.b,
            value,
        })
    }
}

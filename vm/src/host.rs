//! The host of one call: its ports, and the one copy of each record that the call sees.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::account::move_credits;
use crate::contract::{CompiledAction, FAIL_DIVISION, KEY_BYTES_MAX, KEY_PARTS_MAX, Kind, port};
use crate::failure::{Failure, Stop};
use crate::values::Codec;
use crate::world::{Journal, World};
use crate::{Cell, Event, Fault, PortCall, PortMemory, PortStop, Ports, WorldError, gas};

/// A record's type and the cells of its key, integers or handles; parts that it does not have are 0.
type RecordId = (usize, [i64; KEY_PARTS_MAX]);

/// Room for most paths.
const PATH_BYTES_USUAL: usize = 96;

/// How many records' texts are kept that a call asked the existence of: a call may ask for thousands.
const TEXTS_KEPT_MAX: usize = 16;

/// A record as the call left it so far.
#[derive(Debug)]
struct Record {
    path: String,
    /// Whether the state had it before the call; asked when it matters.
    existed: Option<bool>,
    content: Content,
    dirty: bool,
}

#[derive(Debug, Clone)]
enum Content {
    /// In the state, not loaded.
    Unread,
    /// In the state, its text at hand.
    Text(String),
    Present(Vec<Cell>),
    Absent,
}

pub(crate) struct Host<'a, 'w> {
    action: &'a CompiledAction,
    pub(crate) codec: Codec<'a>,
    journal: &'a mut Journal<'w>,
    caller: &'a str,
    records: BTreeMap<RecordId, Record>,
    texts_kept: usize,
    pub(crate) events: Vec<Event>,
    /// Why a port stopped the run.
    pub(crate) stop: Option<Stop>,
}

impl<'a, 'w> Host<'a, 'w> {
    pub(crate) fn new(
        action: &'a CompiledAction,
        journal: &'a mut Journal<'w>,
        caller: &'a str,
    ) -> Self {
        Self {
            action,
            codec: Codec::new(action),
            journal,
            caller,
            records: BTreeMap::new(),
            texts_kept: 0,
            events: Vec::new(),
            stop: None,
        }
    }

    /// Writes the changed records back and returns their gas. Call it once the run has halted.
    pub(crate) fn write_back(&mut self, gas_left: u64) -> Result<u64, Stop> {
        let mut gas = 0;
        let mut records = std::mem::take(&mut self.records);
        records.retain(|_, record| record.dirty);
        for ((layout, _), record) in &records {
            gas += gas::STATE_WRITE + gas::STORED_BYTE * self.stored_bytes(*layout, record);
        }
        if gas > gas_left {
            return Err(Failure::OutOfGas.into());
        }
        for ((layout, _), record) in records {
            match record.content {
                Content::Present(cells) => {
                    let fields = &self.action.layouts[layout].fields;
                    let text = self.codec.object(fields, &cells);
                    self.journal.put(record.path, text)?;
                }
                Content::Absent => self.journal.delete(&record.path)?,
                Content::Unread | Content::Text(_) => {}
            }
        }
        Ok(gas)
    }

    fn stored_bytes(&self, layout: usize, record: &Record) -> u64 {
        let Content::Present(cells) = &record.content else {
            return 0;
        };
        let fields = self.action.layouts[layout].fields.iter().zip(cells);
        let fields: u64 = fields
            .map(|((name, kind), cell)| name.len() as u64 + 4 + self.codec.bytes(*kind, cell))
            .sum();
        record.path.len() as u64 + fields
    }

    fn layout(&self, number: i64) -> Result<usize, PortStop> {
        let layout = usize::try_from(number)
            .ok()
            .filter(|layout| *layout < self.action.layouts.len());
        layout.ok_or(PortStop::Fault(Fault::Address))
    }

    /// Ends the run for `stop`; the number is not used.
    fn stopped(&mut self, stop: impl Into<Stop>) -> PortStop {
        self.stop = Some(stop.into());
        PortStop::Fail(0)
    }

    fn path(&self, (layout, key): RecordId) -> Result<String, Failure> {
        let layout = &self.action.layouts[layout];
        let mut path = String::with_capacity(PATH_BYTES_USUAL);
        path.push_str(&layout.prefix);
        // A comma parts the parts, so none may hold one where there are several.
        let several = layout.key.len() > 1;
        for (i, (part, kind)) in key.iter().zip(layout.key_kinds()).enumerate() {
            if i > 0 {
                path.push(',');
            }
            if kind == Kind::Int {
                write!(path, "{part}").expect("a string takes all");
                continue;
            }
            let text = self.codec.texts.text(*part);
            let foreign = |c: char| c == '/' || c.is_control() || (several && c == ',');
            if text.is_empty() || text.len() > KEY_BYTES_MAX || text.contains(foreign) {
                let record = format!("{}/{}", layout.contract, layout.name);
                return Err(Failure::Key {
                    record,
                    got: text.chars().take(60).collect(),
                });
            }
            path.push_str(text);
        }
        Ok(path)
    }

    /// The call's copy of a record, or an empty one that is known by its path only.
    fn entry(&mut self, id: RecordId) -> Result<&mut Record, PortStop> {
        if !self.records.contains_key(&id) {
            let path = self.path(id).map_err(|failure| self.stopped(failure))?;
            let record = Record {
                path,
                existed: None,
                content: Content::Unread,
                dirty: false,
            };
            self.records.insert(id, record);
        }
        Ok(self.records.get_mut(&id).expect("it was just put there"))
    }

    /// Whether there is such a record now; the state is asked at its first use. Adds to `gas`.
    fn present(&mut self, id: RecordId, gas: &mut u64) -> Result<bool, PortStop> {
        self.entry(id)?;
        let record = self.records.get_mut(&id).expect("it was just put there");
        if matches!(record.content, Content::Unread) && record.existed.is_none() {
            *gas += gas::STATE_READ;
            match self.journal.text(&record.path) {
                Ok(text) => {
                    record.existed = Some(text.is_some());
                    match text {
                        None => record.content = Content::Absent,
                        // Most will be asked for next.
                        Some(Cow::Owned(text)) if self.texts_kept < TEXTS_KEPT_MAX => {
                            self.texts_kept += 1;
                            record.content = Content::Text(text);
                        }
                        Some(_) => {}
                    }
                }
                Err(error) => return Err(self.stopped(error)),
            }
        }
        Ok(!matches!(record.content, Content::Absent))
    }

    fn load(&mut self, memory: &mut dyn PortMemory, block: i64) -> Result<u64, PortStop> {
        let layout = self.layout(memory.read_open(block)?)?;
        let mut id = (layout, [0; KEY_PARTS_MAX]);
        for (part, field) in id.1.iter_mut().zip(&self.action.layouts[layout].key) {
            *part = memory.read_open(block + 1 + offset(*field))?;
        }
        let mut gas = gas::PORT_RECORD;
        if matches!(self.entry(id)?.content, Content::Unread | Content::Text(_)) {
            self.read(id, &mut gas).map_err(|stop| self.stopped(stop))?;
        }
        let record = &self.records[&id];
        let Content::Present(cells) = &record.content else {
            let path = record.path.clone();
            return Err(self.stopped(Failure::Missing { path }));
        };
        for (address, cell) in (block + 1..).zip(cells) {
            memory.write(address, cell.clone())?;
        }
        Ok(gas)
    }

    /// Reads an unread record from the state. Adds to `gas`.
    fn read(&mut self, id: RecordId, gas: &mut u64) -> Result<(), Stop> {
        let record = self.records.get_mut(&id).expect("the caller made it");
        *gas += gas::STATE_READ;
        let text = match std::mem::replace(&mut record.content, Content::Absent) {
            Content::Text(text) => Some(Cow::Owned(text)),
            _ => self.journal.text(&record.path)?,
        };
        record.existed = Some(text.is_some());
        if let Some(text) = text {
            let layout = &self.action.layouts[id.0];
            let cells = self.codec.stored_cells(layout, &id.1, &text);
            let cells = cells.map_err(|error| WorldError(format!("{}: {error}", record.path)))?;
            *gas += self.codec.gas;
            let path = &record.path;
            record.content = Content::Present(cells.map_err(|problem| Failure::Record {
                path: path.clone(),
                problem,
            })?);
        }
        Ok(())
    }

    fn store(
        &mut self,
        memory: &mut dyn PortMemory,
        block: i64,
        gas_left: u64,
    ) -> Result<u64, PortStop> {
        let layout = self.layout(memory.read_open(block)?)?;
        let of = &self.action.layouts[layout];
        let mut gas = gas::PORT_RECORD + gas::VALUE * of.fields.len() as u64;
        gas += self.normalisations(of.fields.iter().map(|(_, kind)| *kind));
        if gas > gas_left {
            return Err(PortStop::Gas);
        }
        let cells = read_cells(memory, block + 1, of.fields.len())?;
        let mut id = (layout, [0; KEY_PARTS_MAX]);
        for (part, field) in id.1.iter_mut().zip(&of.key) {
            *part = cells[*field].open().ok_or(Fault::Address)?;
        }
        let record = self.entry(id)?;
        record.content = Content::Present(cells);
        record.dirty = true;
        Ok(gas)
    }

    /// What bringing the ciphertexts among values of those kinds to their canonical form costs at most.
    fn normalisations(&self, kinds: impl Iterator<Item = Kind>) -> u64 {
        let Some(modulus) = &self.action.modulus else {
            return 0;
        };
        gas::normalisation(modulus.bits() as u64)
            * kinds.filter(|kind| *kind == Kind::Cipher).count() as u64
    }

    /// Reads a block of a record type's number and a key; also the address behind it.
    fn key_block(
        &self,
        memory: &mut dyn PortMemory,
        block: i64,
    ) -> Result<(RecordId, i64), PortStop> {
        let layout = self.layout(memory.read_open(block)?)?;
        let mut id = (layout, [0; KEY_PARTS_MAX]);
        let mut at = block + 1;
        for part in &mut id.1[..self.action.layouts[layout].key.len()] {
            *part = memory.read_open(at)?;
            at += 1;
        }
        Ok((id, at))
    }

    fn delete(&mut self, memory: &mut dyn PortMemory, block: i64) -> Result<u64, PortStop> {
        let (id, _) = self.key_block(memory, block)?;
        let mut gas = gas::PORT_RECORD;
        let present = self.present(id, &mut gas)?;
        let record = self.entry(id)?;
        if !present {
            let path = record.path.clone();
            return Err(self.stopped(Failure::Missing { path }));
        }
        record.content = Content::Absent;
        record.dirty = true;
        Ok(gas)
    }

    fn exists(&mut self, memory: &mut dyn PortMemory, block: i64) -> Result<u64, PortStop> {
        let (id, end) = self.key_block(memory, block)?;
        let mut gas = gas::PORT_RECORD;
        let answer = self.present(id, &mut gas)?;
        memory.write(end, i64::from(answer).into())?;
        Ok(gas)
    }

    fn count(&mut self, memory: &mut dyn PortMemory, block: i64) -> Result<u64, PortStop> {
        let layout = self.layout(memory.read_open(block)?)?;
        let action = self.action;
        let prefix = &action.layouts[layout].prefix;
        let mut gas = gas::PORT_COUNT;
        let counted = self
            .count_records(layout, prefix, &mut gas)
            .map_err(|error| self.stopped(error))?;
        memory.write(
            block + 1,
            i64::try_from(counted).map_err(|_| Fault::Overflow)?.into(),
        )?;
        Ok(gas)
    }

    /// The records below, and what the call itself put and deleted.
    fn count_records(
        &mut self,
        layout: usize,
        prefix: &str,
        gas: &mut u64,
    ) -> Result<u64, WorldError> {
        let mut count = self.journal.count(prefix)?;
        for (_, record) in self
            .records
            .range_mut((layout, [i64::MIN; KEY_PARTS_MAX])..=(layout, [i64::MAX; KEY_PARTS_MAX]))
        {
            *gas += 1;
            if !record.dirty {
                continue;
            }
            let existed = match record.existed {
                Some(existed) => existed,
                None => {
                    *gas += gas::STATE_READ;
                    *record.existed.insert(self.journal.exists(&record.path)?)
                }
            };
            count =
                count + u64::from(!matches!(record.content, Content::Absent)) - u64::from(existed);
        }
        Ok(count)
    }

    fn emit(
        &mut self,
        memory: &mut dyn PortMemory,
        block: i64,
        gas_left: u64,
    ) -> Result<u64, PortStop> {
        let number = usize::try_from(memory.read_open(block)?).map_err(|_| Fault::Address)?;
        let event = self.action.events.get(number).ok_or(Fault::Address)?;
        let mut gas = gas::PORT_EMIT + gas::VALUE * event.fields.len() as u64;
        gas += self.normalisations(event.fields.iter().map(|(_, kind)| *kind));
        if gas > gas_left {
            return Err(PortStop::Gas);
        }
        let cells = read_cells(memory, block + 1, event.fields.len())?;
        for ((_, kind), cell) in event.fields.iter().zip(&cells) {
            gas += gas::VALUE_BYTE * self.codec.bytes(*kind, cell);
        }
        if gas > gas_left {
            return Err(PortStop::Gas);
        }
        self.events.push(Event {
            contract: self.action.contract.clone(),
            event: event.name.clone(),
            text: self.codec.object(&event.fields, &cells),
        });
        Ok(gas)
    }

    fn transfer(&mut self, memory: &mut dyn PortMemory, block: i64) -> Result<u64, PortStop> {
        let from = memory.read_open(block)?;
        let to = memory.read_open(block + 1)?;
        let amount = memory.read_open(block + 2)?;
        let own = format!("contract:{}", self.action.contract);
        let from = if from == 0 { self.caller } else { &own };
        let to = if to == 0 {
            &own
        } else {
            self.codec.texts.text(to)
        };
        if let Err(stop) = move_credits(self.journal, from, to, amount) {
            return Err(self.stopped(stop));
        }
        // What the call read of accounts is stale now.
        let layouts = &self.action.layouts;
        self.records
            .retain(|(layout, _), _| layouts[*layout].contract != "credits");
        Ok(gas::TRANSFER)
    }

    fn fail(&mut self, number: i64) -> PortStop {
        let reason = usize::try_from(number - 1)
            .ok()
            .and_then(|index| self.action.reasons.get(index));
        match reason {
            Some(reason) => self.stopped(Failure::Require(reason.clone())),
            None if number == FAIL_DIVISION => self.stopped(Failure::DivisionByZero),
            None => PortStop::Fault(Fault::Address),
        }
    }
}

/// Cells of a block; an empty one may end at the end of memory.
fn read_cells(memory: &dyn PortMemory, address: i64, count: usize) -> Result<Vec<Cell>, Fault> {
    match count {
        0 => Ok(Vec::new()),
        count => memory.read_many(address, count),
    }
}

fn offset(field: usize) -> i64 {
    i64::try_from(field).expect("fields are bounded")
}

impl Ports for Host<'_, '_> {
    fn call(
        &mut self,
        call: PortCall,
        memory: &mut dyn PortMemory,
        gas_left: u64,
    ) -> Result<u64, PortStop> {
        let PortCall {
            a: number,
            b: argument,
        } = call;
        let least = match number {
            port::LOAD | port::STORE | port::DELETE | port::EXISTS => gas::PORT_RECORD,
            port::COUNT => gas::PORT_COUNT,
            port::EMIT => gas::PORT_EMIT,
            port::TRANSFER => gas::TRANSFER,
            port::FAIL => 0,
            _ => return Err(PortStop::Fault(Fault::Address)),
        };
        if gas_left < least {
            return Err(PortStop::Gas);
        }
        match number {
            port::LOAD => self.load(memory, argument),
            port::STORE => self.store(memory, argument, gas_left),
            port::DELETE => self.delete(memory, argument),
            port::EXISTS => self.exists(memory, argument),
            port::COUNT => self.count(memory, argument),
            port::EMIT => self.emit(memory, argument, gas_left),
            port::TRANSFER => self.transfer(memory, argument),
            _ => Err(self.fail(argument)),
        }
    }
}

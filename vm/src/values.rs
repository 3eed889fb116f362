//! Between JSON values and cells: texts become handles, ciphertexts residues.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use lyceum_protocol::{Address, json};
use serde_json::Value;

use crate::contract::{CompiledAction, Kind, Layout, TEXT_BYTES_MAX};
use crate::given::{Given, Members};
use crate::plain_record::{Plain, PlainMembers};
use crate::{Cell, Modulus, Residue, gas};

/// Room for most texts of records and events.
const OBJECT_BYTES_USUAL: usize = 160;

/// So few texts are looked through one by one: most calls have no more, and a map costs more than it saves.
const SCANNED_TEXTS_MAX: usize = 16;

/// The literal texts of an action; the handle of the first is 1.
#[derive(Debug)]
pub(crate) struct Literals {
    texts: Vec<Arc<str>>,
    handles: HashMap<Arc<str>, i64>,
    /// A bit for each of their lengths, the last one for all beyond: nearly every text that is none of them has a length of its own.
    lengths: u64,
}

impl Literals {
    pub(crate) fn new<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let texts: Vec<Arc<str>> = texts.into_iter().map(Arc::from).collect();
        Self {
            handles: (1..)
                .zip(&texts)
                .map(|(handle, text)| (text.clone(), handle))
                .collect(),
            lengths: texts.iter().fold(0, |bits, text| bits | length_bit(text)),
            texts,
        }
    }

    fn handle(&self, text: &str) -> Option<i64> {
        if self.lengths & length_bit(text) == 0 {
            return None;
        }
        self.handles.get(text).copied()
    }
}

fn length_bit(text: &str) -> u64 {
    1 << text.len().min(63)
}

/// Texts by handle, and handles by text. Handles begin at 1, the action's literals come first; equal texts have equal
/// handles, and no text has two.
#[derive(Debug)]
pub(crate) struct Texts<'a> {
    literals: &'a Literals,
    texts: Vec<Arc<str>>,
    /// Where a text stands in `texts`; empty while they are few.
    places: HashMap<Arc<str>, usize>,
}

impl<'a> Texts<'a> {
    pub(crate) fn new(action: &'a CompiledAction) -> Self {
        Self {
            literals: &action.literals,
            texts: Vec::new(),
            places: HashMap::new(),
        }
    }

    pub(crate) fn handle(&mut self, text: &str) -> i64 {
        if let Some(handle) = self.literals.handle(text) {
            return handle;
        }
        let is_scanned = self.texts.len() <= SCANNED_TEXTS_MAX;
        let known = match is_scanned {
            true => self.texts.iter().position(|known| **known == *text),
            false => self.places.get(text).copied(),
        };
        if let Some(place) = known {
            return self.handle_of(place);
        }
        self.texts.push(text.into());
        let place = self.texts.len() - 1;
        if self.texts.len() > SCANNED_TEXTS_MAX {
            let first = if is_scanned { 0 } else { place };
            let new = self.texts.iter().enumerate().skip(first);
            self.places
                .extend(new.map(|(place, text)| (text.clone(), place)));
        }
        self.handle_of(place)
    }

    fn handle_of(&self, place: usize) -> i64 {
        i64::try_from(self.literals.texts.len() + place + 1).expect("texts fit in memory")
    }

    /// The text of a handle; `""` for a number that is none, which no checked code makes.
    pub(crate) fn text(&self, handle: i64) -> &str {
        let index = usize::try_from(handle - 1).unwrap_or(usize::MAX);
        let literals = &self.literals.texts;
        let texts = literals
            .get(index)
            .or_else(|| self.texts.get(index.wrapping_sub(literals.len())));
        texts.map_or("", |text| text)
    }
}

/// Reads and writes values of one action, adding up what that costs.
#[derive(Debug)]
pub(crate) struct Codec<'a> {
    pub(crate) texts: Texts<'a>,
    modulus: Option<&'a Modulus>,
    /// Gas of the values read since it was last taken.
    pub(crate) gas: u64,
}

impl<'a> Codec<'a> {
    pub(crate) fn new(action: &'a CompiledAction) -> Self {
        Self {
            texts: Texts::new(action),
            modulus: action.modulus.as_ref(),
            gas: 0,
        }
    }

    /// The cell of a value of that kind, or what was expected.
    pub(crate) fn cell(&mut self, kind: Kind, value: &Given<'_>) -> Result<Cell, String> {
        self.gas += gas::VALUE;
        let want = |want: &str| format!("got {}, want {want}", brief(&value.to_value()));
        Ok(Cell::Open(match (kind, value) {
            (Kind::Int, Given::Integer(value)) => *value,
            (Kind::Int, _) => return Err(want("int")),
            (Kind::Bool, Given::Bool(value)) => i64::from(*value),
            (Kind::Bool, _) => return Err(want("bool")),
            (Kind::Text, Given::Text(text)) => self.text(text)?,
            (Kind::Text, _) => return Err(want("text")),
            (Kind::Wallet, Given::Text(text)) if Address::from_str(text).is_ok() => {
                self.text(text)?
            }
            (Kind::Wallet, _) => return Err(want("wallet, did:key:z6Mk…")),
            (Kind::Json, value) => {
                let value = value.to_value();
                if !integers_only(&value) {
                    return Err(
                        "JSON with a number that is no 64-bit integer, want integers".to_owned(),
                    );
                }
                self.text(&json::canonical(&value))?
            }
            (Kind::Cipher, value) => return self.residue(value),
        }))
    }

    /// The cell of a record's field: there `""` stands for no wallet.
    fn field_cell(&mut self, kind: Kind, value: &Given<'_>) -> Result<Cell, String> {
        match value.as_text() {
            Some("") if kind == Kind::Wallet => self.cell(Kind::Text, value),
            _ => self.cell(kind, value),
        }
    }

    fn text(&mut self, text: &str) -> Result<i64, String> {
        self.gas += gas::VALUE_BYTE * text.len() as u64;
        if text.len() > TEXT_BYTES_MAX {
            return Err(format!(
                "got {} bytes, want at most {TEXT_BYTES_MAX}",
                text.len()
            ));
        }
        Ok(self.texts.handle(text))
    }

    /// A residue in range; [`Codec::check_units`] does the rest for several at once.
    fn residue(&mut self, value: &Given<'_>) -> Result<Cell, String> {
        let want = "a residue in lower-case hex without leading zeros";
        let modulus = self.modulus.ok_or("no key")?;
        let refused = || format!("got {}, want {want}", brief(&value.to_value()));
        let text = value.as_text().ok_or_else(refused)?;
        self.gas += gas::residue_check(modulus.bits() as u64);
        // Longer than N² in hex: not worth reading.
        if text.len() > modulus.bits() / 2 + 2 {
            return Err(format!(
                "got {} digits, want a residue below N²",
                text.len()
            ));
        }
        let residue = Residue::from_hex(text).map_err(|_| refused())?;
        Ok(Cell::Enc(residue))
    }

    /// Checks that the residues among `cells` are units below N², with one gcd.
    pub(crate) fn check_units(&self, cells: &[Cell]) -> Result<(), String> {
        let Some(modulus) = self.modulus else {
            return Ok(());
        };
        let residues = cells.iter().filter_map(|cell| match cell {
            Cell::Enc(residue) => Some(residue),
            Cell::Open(_) => None,
        });
        modulus
            .check_all(residues)
            .map_err(|(_, error)| format!("of type encrypted: {error}"))
    }

    /// What the cell's value counts in bytes of storage.
    pub(crate) fn bytes(&self, kind: Kind, cell: &Cell) -> u64 {
        match kind {
            Kind::Int | Kind::Bool => 8,
            Kind::Text | Kind::Wallet | Kind::Json => {
                self.texts.text(cell.open().unwrap_or_default()).len() as u64 + 2
            }
            // Hex digits of a residue modulo N².
            Kind::Cipher => self.modulus.map_or(0, |modulus| modulus.bits() as u64 / 2),
        }
    }

    /// The cells of a stored record by its text; `gas` is what reading it costs. The inner error says why it is no record of that layout.
    ///
    /// # Errors
    /// A text that is no JSON.
    pub(crate) fn stored_cells(
        &mut self,
        layout: &Layout,
        key: &[i64],
        text: &str,
    ) -> serde_json::Result<Result<Vec<Cell>, String>> {
        self.gas = 0;
        if let Some(members) = PlainMembers::of(text)
            && let Some(cells) = self.plain_cells(layout, key, &members)
        {
            return Ok(Ok(cells));
        }
        self.gas = 0;
        let record = serde_json::from_str(text)?;
        Ok(self.record_cells(layout, key, &record))
    }

    /// The cells of a record whose members are plain and all as they should be: what [`Codec::record_cells`] gives, without a tree.
    fn plain_cells(
        &mut self,
        layout: &Layout,
        key: &[i64],
        members: &PlainMembers<'_>,
    ) -> Option<Vec<Cell>> {
        if !layout.foreign && members.len() > layout.fields.len() {
            return None;
        }
        let mut cells = Vec::with_capacity(layout.fields.len());
        let mut found = 0;
        for (i, (name, kind)) in layout.fields.iter().enumerate() {
            let cell = match members.find(name) {
                Some(member) => {
                    found += 1;
                    self.plain_cell(*kind, member)?
                }
                None => Cell::Open(key[layout.key.iter().position(|field| *field == i)?]),
            };
            cells.push(cell);
        }
        let is_known = layout.foreign || found == members.len();
        let mut parts = layout.key.iter().zip(key);
        let is_keyed = parts.all(|(field, part)| cells[*field] == Cell::Open(*part));
        (is_known && is_keyed && self.check_units(&cells).is_ok()).then_some(cells)
    }

    fn plain_cell(&mut self, kind: Kind, member: Plain<'_>) -> Option<Cell> {
        match (kind, member) {
            (Kind::Int, Plain::Integer(value)) => {
                self.gas += gas::VALUE;
                Some(Cell::Open(value))
            }
            (Kind::Bool, Plain::Bool(value)) => {
                self.gas += gas::VALUE;
                Some(Cell::Open(value.into()))
            }
            (Kind::Text | Kind::Wallet, Plain::Text(text)) => {
                if kind == Kind::Wallet && !text.is_empty() {
                    Address::from_str(text).ok()?;
                }
                self.gas += gas::VALUE;
                self.text(text).ok().map(Cell::Open)
            }
            _ => None,
        }
    }

    /// The cells of a stored record. The path gives the key, so a foreign record need not store it.
    fn record_cells(
        &mut self,
        layout: &Layout,
        key: &[i64],
        record: &Given<'_>,
    ) -> Result<Vec<Cell>, String> {
        let object = record.as_object().ok_or("not an object")?;
        if !layout.foreign
            && let Some(extra) = object.foreign(layout.names())
        {
            return Err(format!("unknown field \"{extra}\""));
        }
        let mut cells = Vec::with_capacity(layout.fields.len());
        for (i, (name, kind)) in layout.fields.iter().enumerate() {
            let cell = match object.get(name) {
                Some(value) => self
                    .field_cell(*kind, value)
                    .map_err(|problem| format!("field \"{name}\": {problem}"))?,
                None => match layout.key.iter().position(|field| *field == i) {
                    Some(part) => Cell::Open(key[part]),
                    None => return Err(format!("field \"{name}\" is missing")),
                },
            };
            cells.push(cell);
        }
        self.check_units(&cells)?;
        if let Some((field, _)) = layout
            .key
            .iter()
            .zip(key)
            .find(|(field, part)| cells[**field] != Cell::Open(**part))
        {
            return Err(format!(
                "field \"{}\" is not the record's key",
                layout.fields[*field].0
            ));
        }
        Ok(cells)
    }

    /// The object of some cells, in canonical JSON: the fields of records and events are in the order of their names, which are ASCII.
    pub(crate) fn object(&self, fields: &[(String, Kind)], cells: &[Cell]) -> String {
        debug_assert!(fields.is_sorted_by(|(a, _), (b, _)| a < b));
        let mut out = String::with_capacity(OBJECT_BYTES_USUAL);
        out.push('{');
        for ((name, kind), cell) in fields.iter().zip(cells) {
            if out.len() > 1 {
                out.push(',');
            }
            // Names have nothing to escape.
            out.push('"');
            out.push_str(name);
            out.push_str("\":");
            self.write_value(*kind, cell, &mut out);
        }
        out.push('}');
        out
    }

    fn write_value(&self, kind: Kind, cell: &Cell, out: &mut String) {
        let open = cell.open().unwrap_or_default();
        match kind {
            Kind::Int => write!(out, "{open}").expect("a string takes all"),
            Kind::Bool => out.push_str(if open > 0 { "true" } else { "false" }),
            Kind::Text | Kind::Wallet => json::write_text(self.texts.text(open), out),
            // What a handle stands for is canonical.
            Kind::Json => out.push_str(match self.texts.text(open) {
                "" => "null",
                text => text,
            }),
            Kind::Cipher => match self.modulus {
                Some(modulus) => {
                    json::write_text(&modulus.residue_of_cell(cell).to_hex(), out);
                }
                None => out.push_str("null"),
            },
        }
    }

    /// The cells of a parameter that is a whole record; a field left out is its type's zero.
    pub(crate) fn param_cells(
        &mut self,
        layout: &Layout,
        object: &Members<'_>,
    ) -> Result<Vec<Cell>, String> {
        if let Some(extra) = object.foreign(layout.names()) {
            return Err(format!(".{extra}: unknown field of \"{}\"", layout.name));
        }
        // Both are in the order of their names, and each member is a field.
        let mut given = object.iter().peekable();
        let mut cells = Vec::with_capacity(layout.fields.len());
        for (i, (name, kind)) in layout.fields.iter().enumerate() {
            let value = given.next_if(|(member, _)| member == name);
            let cell = match (value.map(|(_, value)| value), kind) {
                (Some(value), _) => self
                    .field_cell(*kind, value)
                    .map_err(|problem| format!(".{name}: {problem}"))?,
                (None, _) if layout.key.contains(&i) => {
                    return Err(format!(".{name}: missing, a record's key has no default"));
                }
                (None, Kind::Int | Kind::Bool | Kind::Cipher) => Cell::Open(0),
                (None, Kind::Text | Kind::Wallet) => Cell::Open(self.texts.handle("")),
                (None, Kind::Json) => Cell::Open(self.texts.handle("null")),
            };
            cells.push(cell);
        }
        Ok(cells)
    }
}

/// A value for an error message, cut short.
pub(crate) fn brief(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("an array of {}", items.len()),
        Value::Object(members) => format!("an object of {}", members.len()),
        Value::String(text) if text.chars().count() > 60 => {
            format!("a text of {} bytes", text.len())
        }
        other => other.to_string(),
    }
}

fn integers_only(value: &Value) -> bool {
    match value {
        Value::Number(n) => n.is_i64(),
        Value::Array(items) => items.iter().all(integers_only),
        Value::Object(members) => members.values().all(integers_only),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_texts_have_equal_handles_however_many_there_are() {
        let literals = Literals::new(["a", "b"]);
        let mut texts = Texts {
            literals: &literals,
            texts: Vec::new(),
            places: HashMap::new(),
        };
        assert_eq!((texts.handle("b"), texts.text(2)), (2, "b"));
        for round in 0..2 {
            for i in 0..3 * SCANNED_TEXTS_MAX {
                let (text, want) = (format!("t{i}"), i as i64 + 3);
                assert_eq!(texts.handle(&text), want, "{round}");
                assert_eq!(texts.text(want), text);
            }
        }
        assert_eq!(texts.text(0), "");
    }
}

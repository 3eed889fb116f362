//! Code → text in the assembler's format (`ASM.md`).

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use serde_json::Value;

use super::compile::{checked, draft};
use super::draft::{Draft, Init, Instruction, Label, Next, Operand};
use super::error::DefinitionError;
use super::lower::port;

/// The code of all actions of a definition, a section for each.
///
/// A section begins with the line `# action NAME` and assembles by itself to the cells that a call starts from. Its labels begin with the
/// action's name, so that the whole text assembles too.
pub(crate) fn listing(definition: &Value) -> Result<String, DefinitionError> {
    let contract = checked(definition)?;
    let mut out = String::new();
    for action in &contract.actions {
        let (draft, _) = draft(&contract, action);
        let domain = if action.key.is_some() {
            "paillier"
        } else {
            "open"
        };
        let instructions = draft.instructions.len();
        let cells = instructions * 3 + draft.data.len();
        let _ = writeln!(
            out,
            "# action {}\n# {instructions} instructions, {cells} cells, domain {domain}",
            action.name
        );
        Listing::new(&action.name, &draft).write(&mut out);
        out.push('\n');
    }
    Ok(out)
}

struct Listing<'a> {
    prefix: &'a str,
    draft: &'a Draft,
    /// A name for each data cell.
    data: Vec<String>,
    /// Labels that something names, by the index of the instruction that they stand before.
    labels: BTreeMap<usize, String>,
}

impl<'a> Listing<'a> {
    fn new(prefix: &'a str, draft: &'a Draft) -> Self {
        let mut uses: HashMap<&str, usize> = HashMap::new();
        let data = draft.data.iter().map(|datum| {
            let count = uses.entry(&datum.name).or_default();
            *count += 1;
            match count {
                1 => format!("{prefix}.{}", datum.name),
                count => format!("{prefix}.{}..{count}", datum.name),
            }
        });
        let data = data.collect();
        let mut named = BTreeMap::new();
        let of_instructions = draft.instructions.iter().flat_map(|i| {
            let next = match i.c {
                Next::At(label) => Some(label),
                Next::Following | Next::Halt => None,
            };
            [continuation(i.a), continuation(i.b), next]
        });
        let of_data = draft.data.iter().map(|datum| match datum.init {
            Init::NegatedAddress(label) => Some(label),
            Init::Number(_) => None,
        });
        for label in of_instructions.chain(of_data).flatten() {
            named.insert(draft.index_of(label), String::new());
        }
        for (number, name) in named.values_mut().enumerate() {
            *name = format!("{prefix}..{number}");
        }
        Self {
            prefix,
            draft,
            data,
            labels: named,
        }
    }

    fn write(&self, out: &mut String) {
        let mut notes = self.draft.notes.iter().peekable();
        for (index, instruction) in self.draft.instructions.iter().enumerate() {
            while let Some((_, note)) = notes.next_if(|(at, _)| *at <= index) {
                let _ = writeln!(out, "# {}: {note}", self.prefix);
            }
            self.label(index, out);
            self.instruction(index, instruction, out);
        }
        self.label(self.draft.instructions.len(), out);
        for (datum, name) in self.draft.data.iter().zip(&self.data) {
            let value = match datum.init {
                Init::Number(value) => value.to_string(),
                Init::NegatedAddress(label) => format!("0-{}", self.label_name(label)),
            };
            let _ = writeln!(out, "{name}: .data {value}");
        }
    }

    fn label(&self, index: usize, out: &mut String) {
        if let Some(name) = self.labels.get(&index) {
            let _ = writeln!(out, "{name}:");
        }
    }

    fn instruction(&self, index: usize, instruction: &Instruction, out: &mut String) {
        let (a, b) = (self.operand(instruction.a), self.operand(instruction.b));
        let next = match instruction.c {
            Next::Following => None,
            // Falling through is shorter, and the same cell.
            Next::At(label) if self.draft.index_of(label) == index + 1 => None,
            Next::At(label) => Some(self.label_name(label).to_owned()),
            Next::Halt => Some("-1".to_owned()),
        };
        let step = match next {
            None if a == b => a,
            None => format!("{a} {b}"),
            Some(next) => format!("{a} {b} {next}"),
        };
        let _ = match instruction.a {
            Operand::Number(number) => writeln!(out, "    {step}    # {}", port_name(number)),
            Operand::Slot(_) | Operand::Continuation(_) => writeln!(out, "    {step}"),
        };
    }

    fn operand(&self, operand: Operand) -> String {
        match operand {
            Operand::Slot(slot) => self.data[slot.0].clone(),
            Operand::Number(number) => number.to_string(),
            Operand::Continuation(label) => format!("{}+2", self.label_name(label)),
        }
    }

    fn label_name(&self, label: Label) -> &str {
        &self.labels[&self.draft.index_of(label)]
    }
}

fn continuation(operand: Operand) -> Option<Label> {
    match operand {
        Operand::Continuation(label) => Some(label),
        Operand::Slot(_) | Operand::Number(_) => None,
    }
}

fn port_name(number: i64) -> &'static str {
    match number {
        port::LOAD => "load",
        port::STORE => "store",
        port::DELETE => "delete",
        port::EXISTS => "exists",
        port::COUNT => "count",
        port::EMIT => "emit",
        port::TRANSFER => "transfer",
        _ => "fail",
    }
}

//! Typed tree → Cryptoleq code: statements.
//!
//! # Windows
//! A name bound to a record sees it through a *window*: a cell with the record type's number, then a cell for each field.
//! The port `load` fills the window, the port `store` gives it back to the host, which keeps one copy of each record for the
//! call. Two names may stand for one record, so a window is *stale* once its record type may have changed through anything
//! else, and is loaded again before its next use; it is *dirty* between a `set` and the `store`. At most one window of a record
//! type is dirty, and a dirty window is never stale.

use super::arith::{Division, Product};
use super::draft::{Draft, Label, Slot, Value};
use super::tree::{Action, Contract, Expr, Kind, Layout, Stmt};

/// Numbers of the ports. PORTS.md describes them.
pub(crate) mod port {
    pub(crate) const LOAD: i64 = -2;
    pub(crate) const STORE: i64 = -3;
    pub(crate) const DELETE: i64 = -4;
    pub(crate) const EXISTS: i64 = -5;
    pub(crate) const COUNT: i64 = -6;
    pub(crate) const EMIT: i64 = -7;
    pub(crate) const TRANSFER: i64 = -8;
    pub(crate) const FAIL: i64 = -9;
}

/// The number that the port `fail` takes for a division by zero; a `require` takes its reason's place plus one.
pub(crate) const FAIL_DIVISION: i64 = 0;

/// An upper bound of every handle: texts of a call are bounded by its gas.
const HANDLE_MAX: i64 = 1 << 40;

/// Largest height, timestamp and count (SPEC.md section 1).
const COUNT_MAX: i64 = (1 << 53) - 1;

/// The code of an action and where a call finds its locals.
#[derive(Debug)]
pub(crate) struct Lowered {
    pub(crate) draft: Draft,
    pub(crate) locals: Vec<Slot>,
}

/// Translates one action.
pub(crate) fn action(contract: &Contract, action: &Action) -> Lowered {
    let mut lower = Lower::new(&contract.layouts, action);
    lower.block(&action.body);
    lower.flush_all();
    lower.code.halt();
    lower.finish()
}

/// What is known of each window at one point of the code.
#[derive(Debug, Clone)]
pub(super) struct State {
    fresh: Vec<bool>,
    dirty: Vec<bool>,
}

pub(super) struct Lower<'a> {
    layouts: &'a [Layout],
    action: &'a Action,
    pub(super) code: Draft,
    pub(super) locals: Vec<Slot>,
    /// The first cell of each window.
    windows: Vec<Slot>,
    pub(super) state: State,
    temps: Vec<Slot>,
    temps_used: usize,
    /// Where each reason of failure is raised, behind the action's code.
    failures: Vec<(i64, Label)>,
    /// The counters of the loops around, which are never negative.
    pub(super) counters: Vec<Slot>,
    product: Option<Product>,
    division: Option<Division>,
}

impl<'a> Lower<'a> {
    fn new(layouts: &'a [Layout], action: &'a Action) -> Self {
        let mut code = Draft::new();
        let locals: Vec<_> = action
            .locals
            .iter()
            .map(|local| code.slot(local.name.as_str(), 0))
            .collect();
        let windows = action
            .windows
            .iter()
            .map(|window| {
                block(
                    &mut code,
                    &window.name,
                    window.layout,
                    &layouts[window.layout],
                )
            })
            .collect();
        let state = State {
            fresh: vec![false; action.windows.len()],
            dirty: vec![false; action.windows.len()],
        };
        Self {
            layouts,
            action,
            code,
            locals,
            windows,
            state,
            temps: Vec::new(),
            temps_used: 0,
            failures: Vec::new(),
            counters: Vec::new(),
            product: None,
            division: None,
        }
    }

    /// Adds what the action's code jumps to, behind it.
    fn finish(mut self) -> Lowered {
        if let Some(product) = self.product {
            product.emit(&mut self.code);
        }
        if let Some(division) = self.division {
            let by_zero = self.failure(FAIL_DIVISION);
            division.emit(&mut self.code, by_zero);
        }
        for (number, label) in std::mem::take(&mut self.failures) {
            self.code.place(label);
            self.code.port_fail(port::FAIL, number);
        }
        self.code.thread();
        Lowered {
            draft: self.code,
            locals: self.locals,
        }
    }

    pub(super) fn product(&mut self) -> Product {
        *self
            .product
            .get_or_insert_with(|| Product::new(&mut self.code))
    }

    pub(super) fn division(&mut self) -> Division {
        *self
            .division
            .get_or_insert_with(|| Division::new(&mut self.code))
    }

    fn failure(&mut self, number: i64) -> Label {
        if let Some((_, label)) = self.failures.iter().find(|(known, _)| *known == number) {
            return *label;
        }
        let label = self.code.label();
        self.failures.push((number, label));
        label
    }

    /// A cell for an intermediate value, free again at the next statement.
    pub(super) fn temp(&mut self) -> Slot {
        if self.temps_used == self.temps.len() {
            let cell = self.code.slot(format!("temp_{}", self.temps_used), 0);
            self.temps.push(cell);
        }
        self.temps_used += 1;
        self.temps[self.temps_used - 1]
    }

    fn block(&mut self, statements: &[Stmt]) {
        for statement in statements {
            self.temps_used = 0;
            self.statement(statement);
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Require { cond, reason } => {
                self.code.note("require");
                let number = i64::try_from(*reason).expect("statements are bounded") + 1;
                let (ok, fail) = (self.code.label(), self.failure(number));
                self.condition(cond, ok, fail);
                self.code.place(ok);
            }
            Stmt::Assign { local, value } => {
                self.code
                    .note(format!("{} =", self.action.locals[*local].name));
                let cell = self.locals[*local];
                self.into(value, cell);
            }
            Stmt::Open { window, key } => {
                self.code
                    .note(format!("open {}", self.action.windows[*window].name));
                self.open(*window, key);
                self.state.fresh[*window] = true;
            }
            Stmt::SetField {
                window,
                field,
                value,
            } => self.set_field(*window, *field, value),
            Stmt::Put { layout, values } => {
                self.code
                    .note(format!("put {}", self.layouts[*layout].name));
                let block = block(&mut self.code, "put", *layout, &self.layouts[*layout]);
                for (field, value) in values.iter().enumerate() {
                    self.into(value, nth(block, 1 + field));
                }
                self.flush(*layout);
                self.code.port(port::STORE, block);
                self.invalidate(*layout, None);
            }
            Stmt::Delete { layout, key } => {
                self.code
                    .note(format!("delete {}", self.layouts[*layout].name));
                let (block, _) = self.key_block("delete", *layout, key);
                self.flush(*layout);
                self.code.port(port::DELETE, block);
                self.invalidate(*layout, None);
            }
            Stmt::If {
                cond,
                then,
                otherwise,
            } => self.branch(cond, then, otherwise),
            Stmt::Repeat {
                times,
                counter,
                body,
            } => self.repeat(times, *counter, body),
            Stmt::Emit { event, values } => self.emit(*event, values),
            Stmt::Transfer {
                from_contract,
                to,
                amount,
            } => self.transfer(*from_contract, to.as_ref(), amount),
        }
    }

    fn set_field(&mut self, window: usize, field: usize, value: &Expr) {
        let layout = self.action.windows[window].layout;
        let name = &self.action.windows[window].name;
        self.code
            .note(format!("{name}.{} =", self.layouts[layout].fields[field].0));
        let cell = self.field_cell(window, field);
        if self.state.fresh[window] {
            self.into(value, cell);
        } else {
            // Loading overwrites the window, so the value waits elsewhere.
            let waiting = self.temp();
            self.into(value, waiting);
            self.refresh(window);
            self.copy_as(value.kind, waiting, cell);
        }
        self.state.dirty[window] = true;
        self.invalidate(layout, Some(window));
    }

    fn emit(&mut self, event: usize, values: &[Expr]) {
        let name = &self.action.events[event].name;
        self.code.note(format!("emit {name}"));
        let block = number_cell(&mut self.code, "emit", event);
        let cells: Vec<_> = (0..values.len())
            .map(|i| self.code.slot(format!("emit_{i}"), 0))
            .collect();
        for (value, cell) in values.iter().zip(cells) {
            self.into(value, cell);
        }
        self.code.port(port::EMIT, block);
    }

    fn transfer(&mut self, from_contract: bool, to: Option<&Expr>, amount: &Expr) {
        self.code.note("transfer");
        let block = self.code.slot("transfer_from", i64::from(from_contract));
        let to_cell = self.code.slot("transfer_to", 0);
        let amount_cell = self.code.slot("transfer_amount", 0);
        if let Some(to) = to {
            self.into(to, to_cell);
        }
        self.into(amount, amount_cell);
        self.code.port(port::TRANSFER, block);
        for layout in 0..self.layouts.len() {
            if self.layouts[layout].contract == "credits" {
                self.invalidate(layout, None);
            }
        }
    }

    fn branch(&mut self, cond: &Expr, then: &[Stmt], otherwise: &[Stmt]) {
        self.code.note("if");
        let (yes, no, end) = (self.code.label(), self.code.label(), self.code.label());
        self.flush_all();
        self.condition(cond, yes, no);
        let before = self.state.clone();
        self.code.place(yes);
        self.block(then);
        self.flush_all();
        let after_then = std::mem::replace(&mut self.state, before);
        self.code.jump(end);
        self.code.place(no);
        self.block(otherwise);
        self.flush_all();
        self.meet(&after_then);
        self.code.place(end);
    }

    fn repeat(&mut self, times: &Expr, counter: usize, body: &[Stmt]) {
        self.code.note("repeat");
        let rest = self.code.slot("repeat_rest", 0);
        let counter = self.locals[counter];
        self.into(times, rest);
        self.code.clear(counter);
        self.flush_all();
        for layout in 0..self.layouts.len() {
            if changes(body, layout, self.layouts, self.action) {
                self.invalidate(layout, None);
            }
        }
        let at_head = self.state.clone();
        let (head, end) = (self.code.label(), self.code.label());
        self.code.branch(rest, end);
        self.code.place(head);
        self.counters.push(counter);
        self.block(body);
        self.counters.pop();
        self.flush_all();
        self.code.sub_constant(-1, counter);
        let one = self.code.constant(1);
        self.code.sub_branch(one, rest, end);
        self.code.jump(head);
        self.code.place(end);
        self.state = at_head;
    }

    pub(super) fn meet(&mut self, other: &State) {
        for (here, there) in self.state.fresh.iter_mut().zip(&other.fresh) {
            *here &= there;
        }
        for (here, there) in self.state.dirty.iter_mut().zip(&other.dirty) {
            *here |= there;
        }
    }

    /// Fills `window` with the record of that key.
    pub(super) fn open(&mut self, window: usize, key: &[Expr]) {
        let layout = self.action.windows[window].layout;
        for (part, field) in key.iter().zip(&self.layouts[layout].key) {
            let cell = self.field_cell(window, *field);
            self.into(part, cell);
        }
        self.flush(layout);
        self.code.port(port::LOAD, self.windows[window]);
    }

    /// A block of the record type's number and a key, and the cell behind it, for the port's answer.
    pub(super) fn key_block(&mut self, name: &str, layout: usize, key: &[Expr]) -> (Slot, Slot) {
        let block = number_cell(&mut self.code, name, layout);
        let cells: Vec<_> = key
            .iter()
            .map(|_| self.code.slot(format!("{name}_key"), 0))
            .collect();
        let answer = self.code.slot(format!("{name}_answer"), 0);
        for (part, cell) in key.iter().zip(cells) {
            self.into(part, cell);
        }
        (block, answer)
    }

    pub(super) fn field_cell(&self, window: usize, field: usize) -> Slot {
        nth(self.windows[window], 1 + field)
    }

    /// Loads `window` again if its record may have changed.
    pub(super) fn refresh(&mut self, window: usize) {
        if !self.state.fresh[window] {
            self.flush(self.action.windows[window].layout);
            self.code.port(port::LOAD, self.windows[window]);
            self.state.fresh[window] = true;
        }
    }

    /// Stores what is dirty of one record type.
    fn flush(&mut self, layout: usize) {
        for (window, cell) in self.windows.iter().enumerate() {
            if self.state.dirty[window] && self.action.windows[window].layout == layout {
                self.code.port(port::STORE, *cell);
                self.state.dirty[window] = false;
            }
        }
    }

    fn flush_all(&mut self) {
        for layout in 0..self.layouts.len() {
            self.flush(layout);
        }
    }

    fn invalidate(&mut self, layout: usize, except: Option<usize>) {
        for (window, fresh) in self.state.fresh.iter_mut().enumerate() {
            if self.action.windows[window].layout == layout && Some(window) != except {
                *fresh = false;
            }
        }
    }

    /// A cell with what its kind says of its range.
    pub(super) fn value_of(&self, kind: Kind, cell: Slot) -> Value {
        let (low, high) = match kind {
            Kind::Int => (i64::MIN, i64::MAX),
            Kind::Bool => (0, 1),
            Kind::Text | Kind::Wallet | Kind::Json => (0, HANDLE_MAX),
            // Not a range: a ciphertext has a negation, and that is what the range is asked for.
            Kind::Cipher => (-i64::MAX, i64::MAX),
        };
        Value { cell, low, high }
    }

    pub(super) fn count_value(&self, cell: Slot) -> Value {
        Value {
            cell,
            low: 0,
            high: COUNT_MAX,
        }
    }

    pub(super) fn copy_as(&mut self, kind: Kind, from: Slot, to: Slot) {
        let value = self.value_of(kind, from);
        self.code.copy(value, to);
    }
}

/// Reserves a window: the record type's number and a cell for each field.
fn block(code: &mut Draft, name: &str, layout: usize, of: &Layout) -> Slot {
    let block = number_cell(code, name, layout);
    for (field, _) in &of.fields {
        code.slot(format!("{name}.{field}"), 0);
    }
    block
}

fn number_cell(code: &mut Draft, name: &str, number: usize) -> Slot {
    code.slot(name, i64::try_from(number).expect("tables are bounded"))
}

fn nth(block: Slot, offset: usize) -> Slot {
    Slot(block.0 + offset)
}

/// Whether `body` may change a record of that type.
fn changes(body: &[Stmt], layout: usize, layouts: &[Layout], action: &Action) -> bool {
    body.iter().any(|statement| match statement {
        Stmt::SetField { window, .. } => action.windows[*window].layout == layout,
        Stmt::Put { layout: of, .. } | Stmt::Delete { layout: of, .. } => *of == layout,
        Stmt::Transfer { .. } => layouts[layout].contract == "credits",
        Stmt::If {
            then, otherwise, ..
        } => changes(then, layout, layouts, action) || changes(otherwise, layout, layouts, action),
        Stmt::Repeat { body, .. } => changes(body, layout, layouts, action),
        _ => false,
    })
}

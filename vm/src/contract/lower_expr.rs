//! Typed tree → Cryptoleq code: expressions.
//!
//! Conditions become jumps. A value is read where it lies, or computed into a given cell, which is written only
//! after everything that the expression reads has been read.

use super::arith::Routine;
use super::compare::{Test, compare};
use super::draft::{Label, Slot, Value};
use super::lower::{Lower, port};
use super::tree::{self, Compare, Expr, Kind, Node};

/// A product by a literal of at most this many bits is unrolled: shorter than the routine's call, and faster.
const UNROLLED_BITS_MAX: u32 = 16;

fn is_short(k: i64) -> bool {
    k.unsigned_abs() < 1 << UNROLLED_BITS_MAX
}

impl Lower<'_> {
    /// Emits `expr` as a jump to `yes` or to `no`.
    pub(super) fn condition(&mut self, expr: &Expr, yes: Label, no: Label) {
        match &expr.node {
            Node::Const(value) => self.code.jump(if *value > 0 { yes } else { no }),
            Node::Not(operand) => self.condition(operand, no, yes),
            Node::And(operands) => self.chain(operands, yes, no, true),
            Node::Or(operands) => self.chain(operands, yes, no, false),
            Node::Compare(compare, a, b) => {
                let (a, b) = (self.value(a), self.value(b));
                match compare {
                    Compare::Eq => self.compare(Test::Eq, a, b, yes, no),
                    Compare::Le => self.compare(Test::Le, a, b, yes, no),
                    Compare::Ge => self.compare(Test::Le, b, a, yes, no),
                    Compare::Lt => self.compare(Test::Le, b, a, no, yes),
                    Compare::Gt => self.compare(Test::Le, a, b, no, yes),
                }
            }
            Node::Between(compare, a, b, c) => {
                self.between(*compare == Compare::Lt, [a, b, c], yes, no);
            }
            _ => {
                let value = self.value(expr);
                self.code.branch(value.cell, no);
                self.code.jump(yes);
            }
        }
    }

    fn compare(&mut self, test: Test, a: Value, b: Value, yes: Label, no: Label) {
        // A literal on the right leaves less to emit.
        let (a, b) = if test == Test::Eq && a.constant().is_some() {
            (b, a)
        } else {
            (a, b)
        };
        let scratch = self.temp();
        compare(&mut self.code, test, a, b, scratch, yes, no);
    }

    /// All three are evaluated, as JsonLogic has it, before any is compared.
    fn between(&mut self, strict: bool, [a, b, c]: [&Expr; 3], yes: Label, no: Label) {
        let (a, b, c) = (self.value(a), self.value(b), self.value(c));
        let more = self.code.label();
        if strict {
            self.compare(Test::Le, b, a, no, more);
            self.code.place(more);
            self.compare(Test::Le, c, b, no, yes);
        } else {
            self.compare(Test::Le, a, b, more, no);
            self.code.place(more);
            self.compare(Test::Le, b, c, yes, no);
        }
    }

    /// `and` where `all`, else `or`. What only some operands load is not relied on afterwards.
    fn chain(&mut self, operands: &[Expr], yes: Label, no: Label, all: bool) {
        let mut after_first = None;
        for (i, operand) in operands.iter().enumerate() {
            if i == operands.len() - 1 {
                self.condition(operand, yes, no);
            } else {
                let next = self.code.label();
                let (on_yes, on_no) = if all { (next, no) } else { (yes, next) };
                self.condition(operand, on_yes, on_no);
                self.code.place(next);
            }
            after_first.get_or_insert_with(|| self.state.clone());
        }
        if let Some(state) = after_first {
            self.state = state;
        }
    }

    /// The value of `expr` where it lies, or in a cell of its own.
    pub(super) fn value(&mut self, expr: &Expr) -> Value {
        match &expr.node {
            Node::Const(value) => self.code.constant_value(*value),
            Node::Local(local) => {
                let cell = self.locals[*local];
                match *local {
                    tree::HEIGHT | tree::TIMESTAMP => self.count_value(cell),
                    _ if self.counters.contains(&cell) => Value {
                        low: 0,
                        ..Value::any(cell)
                    },
                    _ => self.value_of(expr.kind, cell),
                }
            }
            Node::Field { window, field } => {
                self.refresh(*window);
                self.value_of(expr.kind, self.field_cell(*window, *field))
            }
            Node::Get { window, key, field } => {
                self.open(*window, key);
                self.value_of(expr.kind, self.field_cell(*window, *field))
            }
            Node::Exists { layout, key } => {
                let (block, answer) = self.key_block("exists", *layout, key);
                self.code.port(port::EXISTS, block);
                self.value_of(Kind::Bool, answer)
            }
            Node::Count { layout } => {
                let number = i64::try_from(*layout).expect("records are bounded");
                let block = self.code.slot("count", number);
                let answer = self.code.slot("count_answer", 0);
                self.code.port(port::COUNT, block);
                self.count_value(answer)
            }
            _ => {
                let cell = self.temp();
                self.into(expr, cell);
                self.value_of(expr.kind, cell)
            }
        }
    }

    /// Computes `expr` into `to`.
    pub(super) fn into(&mut self, expr: &Expr, to: Slot) {
        match &expr.node {
            Node::Const(value) => self.code.set(to, *value),
            Node::Local(_)
            | Node::Field { .. }
            | Node::Get { .. }
            | Node::Exists { .. }
            | Node::Count { .. } => {
                let value = self.value(expr);
                self.code.copy(value, to);
            }
            Node::Not(_) | Node::And(_) | Node::Or(_) | Node::Compare(..) | Node::Between(..) => {
                self.bool_into(expr, to)
            }
            Node::If(branches, otherwise) => self.choice_into(branches, otherwise, to),
            Node::Add(operands) => self.sum_into(operands, to),
            Node::Sub(a, b) => self.difference_into(a, b, to),
            Node::Neg(operand) => {
                let value = self.value(operand);
                self.code.negate(value.cell, to);
            }
            Node::Mul(operands) => self.product_into(operands, to),
            Node::Div(a, b) => self.division_into(a, b, false, to),
            Node::Rem(a, b) => self.division_into(a, b, true, to),
            Node::Min(operands) => self.extreme_into(operands, true, to),
            Node::Max(operands) => self.extreme_into(operands, false, to),
        }
    }

    fn bool_into(&mut self, expr: &Expr, to: Slot) {
        let (yes, no, end) = (self.code.label(), self.code.label(), self.code.label());
        self.condition(expr, yes, no);
        self.code.place(yes);
        self.code.set(to, 1);
        self.code.jump(end);
        self.code.place(no);
        self.code.set(to, 0);
        self.code.place(end);
    }

    fn choice_into(&mut self, branches: &[(Expr, Expr)], otherwise: &Expr, to: Slot) {
        let end = self.code.label();
        let mut after_first = None;
        for (cond, value) in branches {
            let (yes, no) = (self.code.label(), self.code.label());
            self.condition(cond, yes, no);
            let state = self.state.clone();
            after_first.get_or_insert_with(|| state.clone());
            self.code.place(yes);
            self.into(value, to);
            self.code.jump(end);
            self.code.place(no);
            self.state = state;
        }
        self.into(otherwise, to);
        self.code.place(end);
        if let Some(state) = after_first {
            self.state = state;
        }
    }

    /// From left to right, exact at each step: `ones` is −1 − sum, which fits exactly where the sum does.
    fn sum_into(&mut self, operands: &[Expr], to: Slot) {
        let values: Vec<_> = operands.iter().map(|operand| self.value(operand)).collect();
        match values.as_slice() {
            [value] => self.code.copy(*value, to),
            // In place, where the other operand's negation fits.
            [a, b] if a.cell == to && b.cell != to && b.low > i64::MIN => self.code.add(*b, to),
            _ => {
                let ones = self.code.ones;
                for value in values {
                    self.code.sub(value.cell, ones);
                }
                self.code.take_ones(to);
            }
        }
    }

    fn difference_into(&mut self, a: &Expr, b: &Expr, to: Slot) {
        let (a, b) = (self.value(a), self.value(b));
        if b.cell == to && a.cell != to {
            let between = self.temp();
            self.code.copy(a, between);
            self.code.sub(b.cell, between);
            let difference = Value {
                cell: between,
                low: i64::MIN,
                high: i64::MAX,
            };
            self.code.copy(difference, to);
        } else {
            self.code.copy(a, to);
            self.code.sub(b.cell, to);
        }
    }

    /// From left to right, after all factors were evaluated.
    fn product_into(&mut self, operands: &[Expr], to: Slot) {
        // A ciphertext comes first, so that every other factor is a literal.
        let cipher = operands
            .iter()
            .position(|operand| operand.kind == Kind::Cipher);
        let mut values: Vec<_> = operands.iter().map(|operand| self.value(operand)).collect();
        values.swap(0, cipher.unwrap_or(0));
        let mut product = values[0];
        for value in &values[1..] {
            let result = self.temp();
            match (value.constant(), product.constant()) {
                (Some(k), _) if cipher.is_some() || is_short(k) => self.scale(product, k, result),
                (None, Some(k)) if is_short(k) => self.scale(*value, k, result),
                _ => self.multiply(product, *value, result),
            }
            product = match cipher {
                Some(_) => self.value_of(Kind::Cipher, result),
                None => Value::any(result),
            };
        }
        self.code.copy(product, to);
    }

    fn multiply(&mut self, left: Value, right: Value, to: Slot) {
        let product = self.product();
        self.call(product.routine, left, right);
        self.code.copy(Value::any(product.product), to);
    }

    fn call(&mut self, routine: Routine, left: Value, right: Value) {
        self.code.copy(left, routine.left);
        self.code.copy(right, routine.right);
        self.code.call(routine.entry, routine.exit);
    }

    /// `to ← k · x` by doubling and adding over the bits of k; every intermediate value is a part of the product, so it
    /// overflows only where the product does.
    fn scale(&mut self, x: Value, k: i64, to: Slot) {
        match k {
            0 => return self.code.clear(to),
            1 => return self.code.copy(x, to),
            _ => {}
        }
        // Subtracting it adds x (or −x where k is negative).
        let minus = self.temp();
        if k > 0 {
            self.code.negate(x.cell, minus);
        } else {
            self.code.copy(x, minus);
        }
        self.code.negate(minus, to);
        let magnitude = k.unsigned_abs();
        let zero = self.code.zero;
        for bit in (0..magnitude.ilog2()).rev() {
            self.code.sub(to, zero);
            self.code.sub(zero, to);
            self.code.clear(zero);
            if magnitude >> bit & 1 == 1 {
                self.code.sub(minus, to);
            }
        }
    }

    fn division_into(&mut self, a: &Expr, b: &Expr, remainder: bool, to: Slot) {
        let (a, b) = (self.value(a), self.value(b));
        let division = self.division();
        self.call(division.routine, a, b);
        let (magnitude, sign) = match remainder {
            true => (division.remainder, division.remainder_sign),
            false => (division.quotient(), division.quotient_sign),
        };
        let (negative, end) = (self.code.label(), self.code.label());
        self.code.branch(sign, negative);
        self.code.negate(magnitude, to);
        self.code.jump(end);
        self.code.place(negative);
        self.code.copy(Value::any(magnitude), to);
        self.code.place(end);
    }

    fn extreme_into(&mut self, operands: &[Expr], least: bool, to: Slot) {
        let best = self.temp();
        let first = self.value(&operands[0]);
        self.code.copy(first, best);
        let mut range = (first.low, first.high);
        for operand in &operands[1..] {
            let value = self.value(operand);
            let scratch = self.temp();
            let (keep, take) = (self.code.label(), self.code.label());
            let so_far = Value {
                cell: best,
                low: range.0,
                high: range.1,
            };
            let (a, b) = if least {
                (so_far, value)
            } else {
                (value, so_far)
            };
            compare(&mut self.code, Test::Le, a, b, scratch, keep, take);
            self.code.place(take);
            self.code.copy(value, best);
            self.code.place(keep);
            range = (range.0.min(value.low), range.1.max(value.high));
        }
        self.code.copy(
            Value {
                cell: best,
                low: range.0,
                high: range.1,
            },
            to,
        );
    }
}

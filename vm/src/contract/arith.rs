//! Multiplication and division as shared routines of Cryptoleq code, exact over all of i64.
//!
//! Magnitudes are kept negative (−|x|), where i64::MIN has room. Both routines walk over the bits of one operand from the
//! top by a fixed threshold: subtract 2^(n−1) if it is in, double, n times. n is 7, 15, 31 or 63, whichever the operand
//! needs, so that small numbers are cheap.

use super::draft::{Draft, Label, Slot, Value};

/// The widths that the routines tell apart, in bits.
const WIDTHS: [u32; 4] = [63, 31, 15, 7];

/// A routine in the code, its operands and results.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Routine {
    pub(crate) entry: Label,
    pub(crate) exit: Label,
    /// The operands: factors, or dividend and divisor.
    pub(crate) left: Slot,
    pub(crate) right: Slot,
}

/// The division routine. It leaves negative magnitudes, and signs that are ≤ 0 where the result is negative.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Division {
    pub(crate) routine: Routine,
    walk: Walk,
    pub(crate) quotient_sign: Slot,
    pub(crate) remainder: Slot,
    pub(crate) remainder_sign: Slot,
}

/// The product routine and the cell that it leaves the product in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Product {
    pub(crate) routine: Routine,
    pub(crate) product: Slot,
}

impl Routine {
    fn new(code: &mut Draft, name: &str) -> Self {
        Self {
            entry: code.label(),
            exit: code.label(),
            left: code.slot(format!("{name}_left"), 0),
            right: code.slot(format!("{name}_right"), 0),
        }
    }
}

/// The cells that walk over the bits of one operand.
#[derive(Debug, Clone, Copy)]
struct Walk {
    /// −|operand|, what is left of it.
    rest: Slot,
    /// 2^(n−1) and its negative.
    top: Slot,
    minus_top: Slot,
    /// Bits to go.
    count: Slot,
}

impl Walk {
    fn new(code: &mut Draft, name: &str) -> Self {
        Self {
            rest: code.slot(format!("{name}_rest"), 0),
            top: code.slot(format!("{name}_top"), 0),
            minus_top: code.slot(format!("{name}_minus_top"), 0),
            count: code.slot(format!("{name}_count"), 0),
        }
    }

    /// Chooses n for `rest`, which is above −2^63 unless the 63 bits suit, and continues at `ready`.
    /// Before the widest walk, `wide` may add code of its own.
    fn start(&self, code: &mut Draft, ready: Label, wide: impl FnOnce(&mut Draft)) {
        let exits: Vec<_> = WIDTHS.iter().map(|_| code.label()).collect();
        // From wide to narrow: 2^31 or more needs 63 bits, 2^15 or more 31, 2^7 or more 15.
        for (i, width) in WIDTHS.iter().enumerate().skip(1) {
            let limit = code.constant(1 << width);
            let minus_limit = code.constant(-(1 << width));
            let (large, small) = (code.label(), code.label());
            code.sub_branch(minus_limit, self.rest, large);
            // Below the limit, so undone to something ≤ 0: this always branches.
            code.sub_branch(limit, self.rest, small);
            code.place(large);
            code.sub(limit, self.rest);
            code.jump(exits[i - 1]);
            code.place(small);
        }
        code.jump(exits[WIDTHS.len() - 1]);
        let mut wide = Some(wide);
        for (width, exit) in WIDTHS.iter().zip(exits) {
            code.place(exit);
            if let Some(wide) = wide.take() {
                wide(code);
            }
            code.set(self.top, 1 << (width - 1));
            code.set(self.minus_top, -(1 << (width - 1)));
            code.set(self.count, i64::from(*width));
            code.jump(ready);
        }
    }

    /// Takes the top bit off `rest`; `one` emits what to do where it is set.
    fn bit(&self, code: &mut Draft, one: impl FnOnce(&mut Draft)) {
        let (set, clear) = (code.label(), code.label());
        code.sub_branch(self.minus_top, self.rest, set);
        // Restored to what was ≤ 0: this always branches.
        code.sub_branch(self.top, self.rest, clear);
        code.place(set);
        one(code);
        code.place(clear);
    }

    /// Counts down; continues at `again` unless it was the last bit.
    fn step(&self, code: &mut Draft, again: Label) {
        let (one, done) = (code.constant(1), code.label());
        code.sub_branch(one, self.count, done);
        code.jump(again);
        code.place(done);
    }
}

/// `cell ← 2 · cell`, for a double that fits.
fn double(code: &mut Draft, cell: Slot) {
    let zero = code.zero;
    code.sub(cell, zero);
    code.sub(zero, cell);
    code.clear(zero);
}

/// `magnitude ← −|value|`, `sign ←` 1 for a positive value, −1 otherwise.
fn split_sign(code: &mut Draft, value: Slot, magnitude: Slot, sign: Slot) {
    let (negative, done) = (code.label(), code.label());
    code.branch(value, negative);
    code.set(sign, 1);
    code.negate(value, magnitude);
    code.jump(done);
    code.place(negative);
    code.set(sign, -1);
    code.copy(Value::any(value), magnitude);
    code.place(done);
}

impl Product {
    /// Reserves the cells; [`Product::emit`] writes the code.
    pub(crate) fn new(code: &mut Draft) -> Self {
        Self {
            routine: Routine::new(code, "mul"),
            product: code.slot("mul_product", 0),
        }
    }

    /// product ← left × right, or a fault `overflow`.
    pub(crate) fn emit(&self, code: &mut Draft) {
        let Self { routine, product } = *self;
        let walk = Walk::new(code, "mul");
        let addend = code.slot("mul_addend", 0); // −|left|
        let (sign, left_sign) = (code.slot("mul_sign", 0), code.slot("mul_left_sign", 0));
        // |product so far| − 1, which has room for 2^63.
        let sum = code.slot("mul_sum", 0);
        let scratch = code.slot("mul_scratch", 0);

        code.note("routine: multiply");
        code.place(routine.entry);
        split_sign(code, routine.left, addend, left_sign);
        multiply_signs(code, routine.right, walk.rest, left_sign, sign);
        code.set(sum, -1);
        let (ready, again) = (code.label(), code.label());
        walk.start(code, ready, |code| {
            // The 64th bit, of i64::MIN alone: rest + i64::MAX + 1 ≤ 0.
            let (maybe, yes, no) = (code.label(), code.label(), code.label());
            code.copy(Value::any(walk.rest), scratch);
            let (minus_max, minus_one) = (code.constant(-i64::MAX), code.constant(-1));
            code.sub_branch(minus_max, scratch, maybe);
            code.jump(no);
            code.place(maybe);
            code.sub_branch(minus_one, scratch, yes);
            code.jump(no);
            code.place(yes);
            code.clear(walk.rest);
            code.sub(addend, sum);
            code.place(no);
        });
        code.place(ready);
        code.place(again);
        // sum ← 2 sum + 1: the magnitude doubles.
        code.set(scratch, -1);
        code.sub(sum, scratch);
        code.sub(scratch, sum);
        walk.bit(code, |code| code.sub(addend, sum));
        double(code, walk.rest);
        walk.step(code, again);
        let negative = code.label();
        code.branch(sign, negative);
        code.sub_constant(-1, sum);
        code.copy(
            Value {
                cell: sum,
                low: 0,
                high: i64::MAX,
            },
            product,
        );
        code.jump(routine.exit);
        code.place(negative);
        code.set(product, -1);
        code.sub(sum, product);
        code.leave(routine.exit);
    }
}

impl Division {
    /// Reserves the cells; [`Division::emit`] writes the code.
    pub(crate) fn new(code: &mut Draft) -> Self {
        Self {
            routine: Routine::new(code, "div"),
            walk: Walk::new(code, "div"),
            remainder: code.slot("div_remainder", 0),
            remainder_sign: code.slot("div_left_sign", 0),
            quotient_sign: code.slot("div_sign", 0),
        }
    }

    /// The cell of −|quotient|.
    pub(crate) fn quotient(&self) -> Slot {
        self.walk.rest
    }

    /// Quotient and remainder of left / right; continues at `by_zero` for a divisor of 0.
    pub(crate) fn emit(&self, code: &mut Draft, by_zero: Label) {
        let Self {
            routine,
            walk,
            remainder,
            ..
        } = *self;
        let divisor = code.slot("div_divisor", 0); // −|right|
        let divisor_positive = code.slot("div_divisor_positive", 0);
        let scratch = code.slot("div_scratch", 0);
        let (minus_one, one) = (code.constant(-1), code.constant(1));

        code.note("routine: divide");
        code.place(routine.entry);
        split_sign(code, routine.left, walk.rest, self.remainder_sign);
        multiply_signs(
            code,
            routine.right,
            divisor,
            self.remainder_sign,
            self.quotient_sign,
        );
        // Of a value ≤ 0, −1 − value is ≤ 0 for −1 and 0 only, and one more is ≤ 0 for 0 only.
        let (nearly, nonzero) = (code.label(), code.label());
        code.set(scratch, -1);
        code.sub_branch(divisor, scratch, nearly);
        code.jump(nonzero);
        code.place(nearly);
        code.sub_branch(minus_one, scratch, by_zero);
        code.place(nonzero);
        code.clear(remainder);
        let (nearly, some) = (code.label(), code.label());
        code.set(scratch, -1);
        code.sub_branch(walk.rest, scratch, nearly);
        code.jump(some);
        code.place(nearly);
        code.sub_branch(minus_one, scratch, routine.exit); // 0 / x: rest and remainder are 0.
        code.place(some);

        let small = code.label();
        self.large_divisor(code, divisor, scratch, small);

        code.place(small);
        code.negate(divisor, divisor_positive);
        // |dividend| − 1 has 63 bits, and the remainder gets the 1 back at the end.
        code.sub(minus_one, walk.rest);
        let (ready, again) = (code.label(), code.label());
        walk.start(code, ready, |_| {});
        code.place(ready);
        code.place(again);
        double(code, remainder);
        walk.bit(code, |code| code.sub(one, remainder));
        // The quotient's bits come in below, where the dividend's went out.
        double(code, walk.rest);
        let take = |code: &mut Draft| {
            let (fits, undone) = (code.label(), code.label());
            code.sub_branch(divisor, remainder, fits);
            code.sub_branch(divisor_positive, remainder, undone); // Restored: this always branches.
            code.place(fits);
            code.sub(one, walk.rest);
            code.place(undone);
        };
        take(code);
        walk.step(code, again);
        code.sub(one, remainder);
        take(code);
        code.leave(routine.exit);
    }

    /// A divisor above 2^62 is in the dividend once or not at all; any other continues at `small`.
    fn large_divisor(&self, code: &mut Draft, divisor: Slot, scratch: Slot, small: Label) {
        let Self {
            routine,
            walk,
            remainder,
            ..
        } = *self;
        let (large, none) = (code.label(), code.label());
        let (bound, minus_bound) = (code.constant((1 << 62) + 1), code.constant(-(1 << 62) - 1));
        code.sub_branch(minus_bound, divisor, large);
        code.sub_branch(bound, divisor, small); // Restored: this always branches.
        code.place(large);
        code.sub(bound, divisor);
        code.copy(Value::any(walk.rest), remainder);
        let once = code.label();
        code.copy(Value::any(walk.rest), scratch);
        code.sub_branch(divisor, scratch, once);
        code.jump(none);
        code.place(once);
        code.copy(Value::any(scratch), remainder);
        code.set(walk.rest, -1);
        code.jump(routine.exit);
        code.place(none);
        code.clear(walk.rest);
        code.jump(routine.exit);
    }
}

/// `magnitude ← −|value|`, `sign ← left_sign` times the sign of `value`.
fn multiply_signs(code: &mut Draft, value: Slot, magnitude: Slot, left_sign: Slot, sign: Slot) {
    let (negative, done) = (code.label(), code.label());
    code.branch(value, negative);
    code.copy(
        Value {
            cell: left_sign,
            low: -1,
            high: 1,
        },
        sign,
    );
    code.negate(value, magnitude);
    code.jump(done);
    code.place(negative);
    code.negate(left_sign, sign);
    code.copy(Value::any(value), magnitude);
    code.place(done);
}

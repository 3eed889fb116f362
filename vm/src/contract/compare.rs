//! Comparisons that hold over all of i64, where a plain subtraction would overflow.
//!
//! The operands' ranges decide what is emitted: where the difference fits, it is one subtraction; else the
//! ranges are split by sign until it does.

use super::draft::{Draft, Label, Slot, Value};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    /// a ≤ b
    Le,
    /// a = b
    Eq,
}

/// Emits a test of `a` against `b` that continues at `yes` or at `no`. `scratch` is overwritten.
pub(crate) fn compare(
    code: &mut Draft,
    test: Test,
    a: Value,
    b: Value,
    scratch: Slot,
    yes: Label,
    no: Label,
) {
    let comparison = Comparison {
        test,
        scratch,
        yes,
        no,
    };
    comparison.split(code, a, b);
}

#[derive(Clone, Copy)]
struct Comparison {
    test: Test,
    scratch: Slot,
    yes: Label,
    no: Label,
}

impl Comparison {
    fn split(&self, code: &mut Draft, a: Value, b: Value) {
        // Decided by the ranges alone?
        if a.low > b.high || (self.test == Test::Eq && a.high < b.low) {
            return code.jump(self.no);
        }
        if self.test == Test::Le && a.high <= b.low {
            return code.jump(self.yes);
        }
        if let Some(0) = b.constant()
            && self.test == Test::Le
        {
            code.branch(a.cell, self.yes);
            return code.jump(self.no);
        }
        let most = i128::from(a.high) - i128::from(b.low);
        let least = i128::from(a.low) - i128::from(b.high);
        if most <= i128::from(i64::MAX) && least >= i128::from(i64::MIN) {
            return self.difference(code, a, b);
        }
        // The other way round b − a + 1 must fit too.
        if -most >= i128::from(i64::MIN) && 1 - least <= i128::from(i64::MAX) {
            return self.reversed(code, a, b);
        }
        if a.low <= 0 && a.high > 0 {
            let (negative, positive) = by_sign(a);
            self.at_sign(code, a.cell, |code, is_negative| {
                self.split(code, if is_negative { negative } else { positive }, b);
            });
        } else if b.low <= 0 && b.high > 0 {
            let (negative, positive) = by_sign(b);
            self.at_sign(code, b.cell, |code, is_negative| {
                self.split(code, a, if is_negative { negative } else { positive });
            });
        } else {
            self.both_negative(code, a, b);
        }
    }

    /// Emits `arm` once for cell ≤ 0 and once for cell > 0.
    fn at_sign(&self, code: &mut Draft, cell: Slot, arm: impl Fn(&mut Draft, bool)) {
        let negative = code.label();
        code.branch(cell, negative);
        arm(code, false);
        code.place(negative);
        arm(code, true);
    }

    /// Both are in [i64::MIN, 0], so only 0 − i64::MIN overflows: b ≥ −1 is told from b ≤ −2.
    fn both_negative(&self, code: &mut Draft, a: Value, b: Value) {
        let near = code.label();
        // scratch = −1 − b, which is ≤ 0 exactly where b ≥ −1.
        code.set(self.scratch, -1);
        code.sub_branch(b.cell, self.scratch, near);
        self.split(
            code,
            a,
            Value {
                high: b.high.min(-2),
                ..b
            },
        );
        code.place(near);
        self.split(
            code,
            a,
            Value {
                low: b.low.max(-1),
                ..b
            },
        );
    }

    /// scratch = a − b.
    fn difference(&self, code: &mut Draft, a: Value, b: Value) {
        code.copy(a, self.scratch);
        match self.test {
            Test::Le => code.sub_branch(b.cell, self.scratch, self.yes),
            Test::Eq => {
                let below = code.label();
                code.sub_branch(b.cell, self.scratch, below);
                code.jump(self.no);
                code.place(below);
                return self.is_zero(code);
            }
        }
        code.jump(self.no);
    }

    /// scratch = b − a.
    fn reversed(&self, code: &mut Draft, a: Value, b: Value) {
        code.copy(b, self.scratch);
        match self.test {
            Test::Le => code.sub(a.cell, self.scratch),
            Test::Eq => {
                let below = code.label();
                code.sub_branch(a.cell, self.scratch, below);
                code.jump(self.no);
                code.place(below);
            }
        }
        // For ≤: scratch + 1 > 0 exactly where a ≤ b.
        self.is_zero(code);
    }

    /// scratch + 1 ≤ 0: no, else yes. Of a scratch ≤ 0 that tells 0 from the rest.
    fn is_zero(&self, code: &mut Draft) {
        let minus_one = code.constant(-1);
        code.sub_branch(minus_one, self.scratch, self.no);
        code.jump(self.yes);
    }
}

/// The parts of `value` that are ≤ 0 and > 0.
fn by_sign(value: Value) -> (Value, Value) {
    (Value { high: 0, ..value }, Value { low: 1, ..value })
}

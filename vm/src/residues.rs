//! The cells of the domain `paillier` that are no small integers, beside the plain memory.

use std::sync::Arc;

use dashu_int::{IBig, UBig};

use crate::fast::SPECIAL;
use crate::ring::Ratio;
use crate::{Cell, Fault, Modulus, OpenOverflow, Residue};

/// What a cell marked [`SPECIAL`] holds.
#[derive(Clone, Debug)]
pub(crate) enum Special {
    /// The smallest 64-bit integer, whose own memory word is the mark.
    Smallest,
    /// An open integer beyond 64 bits, as t.
    Big(Arc<UBig>),
    /// A ciphertext as it was loaded: its canonical x.
    Loaded(Arc<UBig>),
    /// A ciphertext that steps made or touched.
    Ratio(Ratio),
}

/// An operand of a step.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Class open, fits 64 bits.
    Small(i64),
    /// Class open, as t.
    Big(Arc<UBig>),
    /// Class ciphertext.
    Enc(Ratio),
}

/// The special cells and the arithmetic of one machine of the domain `paillier`.
#[derive(Clone, Debug)]
pub(crate) struct Residues {
    modulus: Modulus,
    specials: Vec<Option<Special>>,
    overflow: OpenOverflow,
    small: bool,
}

impl Residues {
    pub(crate) fn new(modulus: Modulus, overflow: OpenOverflow) -> Self {
        let small = modulus.holds_i64();
        Self {
            modulus,
            specials: Vec::new(),
            overflow,
            small,
        }
    }

    pub(crate) fn modulus(&self) -> &Modulus {
        &self.modulus
    }

    /// Whether subtraction of 64-bit integers is subtraction modulo N while it does not overflow.
    pub(crate) fn holds_i64(&self) -> bool {
        self.small
    }

    /// The value of the cell at `address`, whose memory word is `word`.
    pub(crate) fn value(&mut self, word: i64, address: usize) -> Value {
        if word != SPECIAL {
            return Value::Small(word);
        }
        match self.special(address).clone() {
            Special::Smallest => Value::Small(SPECIAL),
            Special::Big(t) => Value::Big(t),
            Special::Ratio(ratio) => Value::Enc(ratio),
            Special::Loaded(x) => {
                let ratio = Ratio::whole(self.modulus.ring().unit(&x));
                self.put(address, Special::Ratio(ratio.clone()));
                Value::Enc(ratio)
            }
        }
    }

    fn special(&self, address: usize) -> &Special {
        self.specials[address]
            .as_ref()
            .expect("a special word has its special cell")
    }

    fn put(&mut self, address: usize, special: Special) {
        if address >= self.specials.len() {
            self.specials.resize(address + 1, None);
        }
        self.specials[address] = Some(special);
    }

    /// Keeps `value` for `address` and returns the memory word that stands for it.
    pub(crate) fn keep(&mut self, address: usize, value: Value) -> i64 {
        match value {
            Value::Small(SPECIAL) => self.put(address, Special::Smallest),
            Value::Small(word) => return word,
            Value::Big(t) => self.put(address, Special::Big(t)),
            Value::Enc(ratio) => self.put(address, Special::Ratio(ratio)),
        }
        SPECIAL
    }

    /// Keeps the smallest 64-bit integer for `address`.
    pub(crate) fn keep_smallest(&mut self, address: usize) {
        self.put(address, Special::Smallest);
    }

    /// Whether the special cell at `address` is the smallest 64-bit integer.
    pub(crate) fn is_smallest(&self, address: usize) -> bool {
        matches!(self.specials.get(address), Some(Some(Special::Smallest)))
    }

    /// Keeps a cell from outside; a residue was checked.
    pub(crate) fn keep_cell(&mut self, address: usize, cell: &Cell) -> i64 {
        match cell {
            Cell::Open(value) => {
                let value = self.integer(*value);
                self.keep(address, value)
            }
            Cell::Enc(residue) => {
                let (t, s) = self.modulus.parts(residue);
                if s.is_zero() {
                    let value = self.open(t);
                    return self.keep(address, value);
                }
                self.put(address, Special::Loaded(Arc::new(residue.get().clone())));
                SPECIAL
            }
        }
    }

    /// The value of a cell from outside; a residue was checked.
    pub(crate) fn value_of_cell(&self, cell: &Cell) -> Value {
        match cell {
            Cell::Open(value) => self.integer(*value),
            Cell::Enc(residue) => {
                let (t, s) = self.modulus.parts(residue);
                if s.is_zero() {
                    self.open(t)
                } else {
                    Value::Enc(Ratio::whole(self.modulus.ring().unit(residue.get())))
                }
            }
        }
    }

    /// An integer, taken modulo N.
    fn integer(&self, value: i64) -> Value {
        if self.small {
            Value::Small(value)
        } else {
            self.open(self.modulus.t_of(&IBig::from(value)))
        }
    }

    /// The open value of t.
    fn open(&self, t: UBig) -> Value {
        match self.modulus.value_of_t(&t) {
            Some(value) => Value::Small(value),
            None => Value::Big(Arc::new(t)),
        }
    }

    fn t(&self, value: &Value) -> Option<UBig> {
        match value {
            Value::Small(word) => Some(self.modulus.t_of(&IBig::from(*word))),
            Value::Big(t) => Some(t.as_ref().clone()),
            Value::Enc(_) => None,
        }
    }

    fn ratio(&self, value: Value) -> Ratio {
        match value {
            Value::Enc(ratio) => ratio,
            Value::Small(0) => Ratio::whole(None),
            open => {
                let t = self.t(&open).expect("ciphertexts were taken above");
                Ratio::whole(
                    self.modulus
                        .ring()
                        .unit(self.modulus.residue_of_t(&t).get()),
                )
            }
        }
    }

    /// `b` ⊖ `a`, of two different addresses.
    ///
    /// # Errors
    /// [`Fault::Overflow`] where open results beyond 64 bits fault.
    pub(crate) fn minus(&self, b: Value, a: Value) -> Result<Value, Fault> {
        if let (Value::Small(y), Value::Small(x)) = (&b, &a)
            && self.small
            && let Some(result) = y.checked_sub(*x)
        {
            return Ok(Value::Small(result));
        }
        let (Some(y), Some(x)) = (self.t(&b), self.t(&a)) else {
            return Ok(Value::Enc(self.ratio(b).minus(&self.ratio(a))));
        };
        let difference = if y >= x {
            y - x
        } else {
            y + self.modulus.n() - x
        };
        if self.overflow == OpenOverflow::Fault && self.modulus.value_of_t(&difference).is_none() {
            return Err(Fault::Overflow);
        }
        Ok(self.open(difference))
    }

    /// Whether an open value is ≤ 0.
    pub(crate) fn is_low(&self, t: &UBig) -> bool {
        t.is_zero() || self.modulus.is_negative(t)
    }

    /// The open value that a ciphertext happens to be, if any: an inversion only where there is one.
    pub(crate) fn opened(&self, ratio: &Ratio) -> Option<Value> {
        let ring = self.modulus.ring();
        if !ring.is_open(ratio, &self.modulus) {
            return None;
        }
        let x = ring
            .canonical(&[ratio])
            .pop()
            .expect("one ratio gives one integer");
        Some(self.open(self.modulus.parts(&Residue::new(x)).0))
    }

    /// An open value as an address or a jump target; beyond 64 bits it saturates.
    pub(crate) fn address(&self, value: &Value) -> Option<i64> {
        match value {
            Value::Small(word) => Some(*word),
            Value::Big(t) => {
                let end = if self.modulus.is_negative(t) {
                    i64::MIN
                } else {
                    i64::MAX
                };
                Some(self.modulus.value_of_t(t).unwrap_or(end))
            }
            Value::Enc(_) => None,
        }
    }

    /// The canonical cells of the memory words `words` at `address` and following, with one inversion for all.
    pub(crate) fn cells(&self, words: &[i64], address: usize) -> Vec<Cell> {
        let values: Vec<Canonical<'_>> = words
            .iter()
            .enumerate()
            .map(|(offset, &word)| {
                if word == SPECIAL {
                    self.canonical(address + offset)
                } else {
                    Canonical::Word(word)
                }
            })
            .collect();
        self.finish(&values)
    }

    /// The canonical cells of some values, with one inversion for all.
    pub(crate) fn cells_of(&self, values: &[Value]) -> Vec<Cell> {
        let values: Vec<Canonical<'_>> = values
            .iter()
            .map(|value| match value {
                Value::Small(word) => Canonical::Word(*word),
                Value::Big(t) => Canonical::Big(t),
                Value::Enc(ratio) => Canonical::Ratio(ratio),
            })
            .collect();
        self.finish(&values)
    }

    fn canonical(&self, address: usize) -> Canonical<'_> {
        match self.special(address) {
            Special::Smallest => Canonical::Word(SPECIAL),
            Special::Big(t) => Canonical::Big(t),
            Special::Loaded(x) => Canonical::Loaded(x),
            Special::Ratio(ratio) => Canonical::Ratio(ratio),
        }
    }

    fn finish(&self, values: &[Canonical<'_>]) -> Vec<Cell> {
        let ratios: Vec<&Ratio> = values
            .iter()
            .filter_map(|v| {
                if let Canonical::Ratio(ratio) = v {
                    Some(*ratio)
                } else {
                    None
                }
            })
            .collect();
        let mut integers = self.modulus.ring().canonical(&ratios).into_iter();
        let finish = |value: &Canonical<'_>| match value {
            Canonical::Word(word) => Cell::Open(*word),
            Canonical::Big(t) => match self.modulus.value_of_t(t) {
                Some(value) => Cell::Open(value),
                None => Cell::Enc(self.modulus.residue_of_t(t)),
            },
            Canonical::Loaded(x) => Cell::Enc(Residue::new((*x).clone())),
            Canonical::Ratio(_) => Cell::Enc(Residue::new(
                integers.next().expect("one integer for each ratio"),
            )),
        };
        values.iter().map(finish).collect()
    }
}

/// A cell on its way out.
enum Canonical<'a> {
    Word(i64),
    Big(&'a UBig),
    Loaded(&'a UBig),
    Ratio(&'a Ratio),
}

use std::fmt;
use std::marker::PhantomData;

/// The largest integer that a token may hold: 2^53 − 1, so that every JSON library reads it exactly.
///
/// Source: SPEC.md section 1.
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// An amount is larger than a token can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is larger than 2^53 - 1")]
pub struct UnitError(pub u64);

/// A whole number from 0 to 2^53 − 1 of one unit.
///
/// The unit is a type, so that gas can't be paid where credits are due.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount<Unit> {
    value: u64,
    unit: PhantomData<Unit>,
}

/// What an [`Amount`] counts.
pub mod unit {
    /// Blocks since genesis.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Height {}
    /// Computation.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Gas {}
    /// Money.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Credits {}
    /// A sender's transactions.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Seq {}
    /// Milliseconds since 1970.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Timestamp {}
    /// A miner's attempts.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Nonce {}
    /// Segments of a chain.
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum Segment {}
}

/// A block's distance from genesis, which is at height 0.
pub type Height = Amount<unit::Height>;
/// Units of computation: 1 is about one Cryptoleq instruction on open cells.
pub type Gas = Amount<unit::Gas>;
/// The ledger's unit of account.
pub type Credits = Amount<unit::Credits>;
/// How many transactions a sender has had included: the number of the next one.
pub type Seq = Amount<unit::Seq>;
/// Unix time in milliseconds.
pub type Timestamp = Amount<unit::Timestamp>;
/// The number that a miner varies.
pub type Nonce = Amount<unit::Nonce>;
/// The number of a segment: segment k holds the heights from k·S up to (k + 1)·S.
pub type SegmentIndex = Amount<unit::Segment>;

impl<Unit> Amount<Unit> {
    /// Nothing.
    pub const ZERO: Self = Self::wrap(0);
    /// The largest amount, 2^53 − 1.
    pub const MAX: Self = Self::wrap(INTEGER_MAX);

    const fn wrap(value: u64) -> Self {
        let unit = PhantomData;
        Self { value, unit }
    }

    /// Wraps a number.
    ///
    /// # Errors
    /// [`UnitError`] above 2^53 − 1.
    pub const fn new(value: u64) -> Result<Self, UnitError> {
        if value > INTEGER_MAX {
            return Err(UnitError(value));
        }
        Ok(Self::wrap(value))
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.value
    }

    /// The sum, or `None` above 2^53 − 1.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.value.checked_add(other.value)?).ok()
    }

    /// The difference, or `None` below zero.
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.value.checked_sub(other.value).map(Self::wrap)
    }
}

impl<Unit> Default for Amount<Unit> {
    fn default() -> Self {
        Self::ZERO
    }
}

impl<Unit> fmt::Display for Amount<Unit> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, f)
    }
}

impl<Unit> fmt::Debug for Amount<Unit> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Height {
    /// The next height; the last representable one stays.
    pub fn next(self) -> Self {
        Self::new(self.value + 1).unwrap_or(Self::MAX)
    }
}

impl Timestamp {
    /// The time `millis` later, at most [`Timestamp::MAX`].
    pub fn saturating_add(self, millis: u64) -> Self {
        Self::new(self.value.saturating_add(millis)).unwrap_or(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credits(value: u64) -> Credits {
        Credits::new(value).unwrap()
    }

    #[test]
    fn amounts_stay_within_a_token() {
        assert_eq!(Gas::new(INTEGER_MAX), Ok(Gas::MAX));
        assert_eq!(Gas::new(INTEGER_MAX + 1), Err(UnitError(1 << 53)));
        assert_eq!(Credits::MAX.checked_add(credits(1)), None);
        assert_eq!(credits(2).checked_sub(credits(3)), None);
        assert_eq!(credits(2).checked_add(credits(3)), Some(credits(5)));
        assert_eq!(Height::MAX.next(), Height::MAX);
        assert_eq!(Timestamp::MAX.saturating_add(1), Timestamp::MAX);
    }
}

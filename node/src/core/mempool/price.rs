use std::cmp::{Ordering, Reverse};

use lyceum_protocol::{Credits, Gas, Transaction};

/// What a transaction pays for each unit of gas that it may use: the exact fraction `fee / gas`.
///
/// A gas of 0 counts as 1, so that a free ride is priced too.
#[derive(Debug, Clone, Copy)]
pub struct Price {
    fee: Credits,
    gas: Gas,
}

impl Price {
    /// The price of `fee` credits for `gas`.
    pub fn new(fee: Credits, gas: Gas) -> Self {
        Self { fee, gas }
    }

    /// What `transaction` pays.
    pub fn of(transaction: &Transaction) -> Self {
        let claims = transaction.claims();
        Self::new(claims.fee, claims.gas)
    }

    /// Credits per million units of gas, rounded down, for people to read.
    pub fn per_million_gas(self) -> u128 {
        u128::from(self.fee.get()) * 1_000_000 / self.units()
    }

    fn units(self) -> u128 {
        u128::from(self.gas.get().max(1))
    }
}

impl Ord for Price {
    /// Compares the fractions by multiplying crosswise. Two amounts of 53 bits multiply within 128.
    fn cmp(&self, other: &Self) -> Ordering {
        let (ours, theirs) = (u128::from(self.fee.get()), u128::from(other.fee.get()));
        (ours * other.units()).cmp(&(theirs * self.units()))
    }
}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Price {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Price {}

/// The order in which transactions go into a block, the best the greatest: the dearer, then the first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) price: Price,
    pub(super) seen: Reverse<u64>,
}

/// What a transaction is worth to the mempool. The least goes first when room is needed.
///
/// A transaction cannot be mined before those of its sender that come before it, so it is worth no more than the worst of them; and one
/// behind a gap cannot be mined at all. Hence no transaction stands higher than one that it waits for: to drop a sender's
/// last is to drop its least, and a dear one at the end of a queue does not protect cheap ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Standing {
    pub(super) is_ready: bool,
    pub(super) worst: Rank,
}

impl Standing {
    /// Is it worth strictly less than `other`? When something was seen does not matter here.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        (self.is_ready, self.worst.price) < (other.is_ready, other.worst.price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(fee: u64, gas: u64) -> Price {
        Price::new(Credits::new(fee).unwrap(), Gas::new(gas).unwrap())
    }

    #[test]
    fn fractions_are_compared_exactly() {
        assert_eq!(price(1, 2), price(2, 4));
        assert!(price(1, 3) < price(1, 2));
        // As doubles these two are equal.
        let max = Credits::MAX.get();
        assert!(price(max - 1, max) < price(max, max));
        assert!(price(max - 2, max - 1) < price(max - 1, max));
        assert!(price(max, 1) > price(max - 1, 1));
    }

    #[test]
    fn no_gas_counts_as_one() {
        assert_eq!(price(7, 0), price(7, 1));
        assert!(price(0, 0) < price(1, Gas::MAX.get()));
        assert_eq!(price(3, 0).per_million_gas(), 3_000_000);
    }
}

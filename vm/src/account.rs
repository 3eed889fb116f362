//! Credits: the records `credits/account/…`.

use std::fmt::Write as _;

use lyceum_protocol::{Credits, Seq};
use serde_json::Value;

use crate::failure::{Failure, Stop};
use crate::world::{World, WorldError};

/// Room for any account's record: two numbers of 16 digits.
const RECORD_BYTES_MAX: usize = 56;

/// What an account's record says; one that has none is empty.
///
/// Source: SPEC.md section 7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Its credits.
    pub balance: Credits,
    /// How many transactions its holder has had included.
    pub seq: Seq,
}

impl Account {
    /// The path of the account of `owner`: a DID, or `contract:NAME` for a contract's own.
    pub fn path(owner: &str) -> String {
        ["credits/account/", owner].concat()
    }

    /// The account of `owner`.
    ///
    /// # Errors
    /// [`WorldError`] where the state cannot be read, or holds what is no account.
    pub fn load(world: &dyn World, owner: &str) -> Result<Self, WorldError> {
        Self::load_at(world, &Self::path(owner))
    }

    /// [`Account::load`] by its [`path`](Account::path).
    ///
    /// # Errors
    /// As [`Account::load`].
    pub fn load_at(world: &dyn World, path: &str) -> Result<Self, WorldError> {
        let Some(text) = world.text(path)? else {
            return Ok(Self::default());
        };
        if let Some(account) = Self::read(&text) {
            return Ok(account);
        }
        let record: Value = serde_json::from_str(&text).unwrap_or_default();
        let number = |name: &str| record.get(name).and_then(Value::as_u64);
        let broken = || WorldError(format!("{path} is no account"));
        Ok(Self {
            balance: number("balance")
                .and_then(|n| Credits::new(n).ok())
                .ok_or_else(broken)?,
            seq: number("seq")
                .and_then(|n| Seq::new(n).ok())
                .ok_or_else(broken)?,
        })
    }

    /// Reads an account's record as it is written.
    fn read(text: &str) -> Option<Self> {
        let inner = text.strip_prefix("{\"balance\":")?.strip_suffix('}')?;
        let (balance, seq) = inner.split_once(",\"seq\":")?;
        Some(Self {
            balance: Credits::new(balance.parse().ok()?).ok()?,
            seq: Seq::new(seq.parse().ok()?).ok()?,
        })
    }

    /// Writes the account of `owner`.
    ///
    /// # Errors
    /// [`WorldError`] from the state.
    pub fn store(&self, world: &mut dyn World, owner: &str) -> Result<(), WorldError> {
        self.store_at(world, Self::path(owner))
    }

    /// [`Account::store`] by its [`path`](Account::path).
    ///
    /// # Errors
    /// As [`Account::store`].
    pub fn store_at(&self, world: &mut dyn World, path: String) -> Result<(), WorldError> {
        let (balance, seq) = (self.balance, self.seq);
        let mut record = String::with_capacity(RECORD_BYTES_MAX);
        write!(record, "{{\"balance\":{balance},\"seq\":{seq}}}").expect("a string takes all");
        world.put(path, record)
    }
}

/// Moves `amount` credits. 0 moves nothing.
pub(crate) fn move_credits(
    world: &mut dyn World,
    from: &str,
    to: &str,
    amount: i64,
) -> Result<(), Stop> {
    let credits = u64::try_from(amount)
        .ok()
        .and_then(|n| Credits::new(n).ok())
        .ok_or(Failure::Amount(amount))?;
    if credits == Credits::ZERO {
        return Ok(());
    }
    if to.is_empty() {
        return Err(Failure::NoWallet.into());
    }
    let mut payer = Account::load(world, from)?;
    payer.balance =
        payer
            .balance
            .checked_sub(credits)
            .ok_or_else(|| Failure::InsufficientCredits {
                account: from.to_owned(),
                got: payer.balance.get(),
                want: credits.get(),
            })?;
    if from == to {
        return Ok(());
    }
    let mut payee = Account::load(world, to)?;
    payee.balance = payee
        .balance
        .checked_add(credits)
        .ok_or_else(|| Failure::BalanceOverflow(to.to_owned()))?;
    payer.store(world, from)?;
    payee.store(world, to)?;
    Ok(())
}

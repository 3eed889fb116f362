//! From the members of a chain file to its fields: types only, bounds are checked after.

use std::str::FromStr;

use serde_json::{Map, Value};

use super::{CHAIN_LIST_LEN_MAX, ChainFields, ChainSpecError, GenesisContract, builtin};
use crate::address::Address;
use crate::token::clip;
use crate::units::{Amount, Credits};

pub(super) fn fields(members: Map<String, Value>) -> Result<ChainFields, ChainSpecError> {
    let mut members = Members(members);
    let fields = ChainFields {
        chain: members.parsed("chain")?,
        genesis_time: members.amount("genesis_time")?,
        block_interval_ms: members.number("block_interval_ms")?,
        half_life_ms: members.number("half_life_ms")?,
        initial_bits: members.parsed("initial_bits")?,
        limit_bits: members.parsed("limit_bits")?,
        segment_blocks: members.number("segment_blocks")?,
        segment_depth: members.number("segment_depth")?,
        max_tx_bytes: members.number("max_tx_bytes")?,
        max_block_bytes: members.number("max_block_bytes")?,
        block_gas: members.amount("block_gas")?,
        min_gas_price: members
            .amount::<crate::unit::Credits>("min_gas_price")?
            .get(),
        subsidy: members.amount("subsidy")?,
        alloc: members.alloc()?.into_iter().collect(),
        contracts: members.list("contracts", contract)?,
        open: members.flag("open")?,
        admins: members.list("admins", |value| {
            text(value).parse().map_err(|e| format!("{e}"))
        })?,
        bootnodes: members.list("bootnodes", |value| Ok(text(value).to_owned()))?,
        trackers: members.list("trackers", |value| Ok(text(value).to_owned()))?,
        rendezvous: members.flag("rendezvous")?,
    };
    match members.0.keys().next() {
        Some(name) => Err(ChainSpecError::Unknown(clip(name))),
        None => Ok(fields),
    }
}

struct Members(Map<String, Value>);

fn refuse(field: &'static str, why: impl ToString) -> ChainSpecError {
    let why = why.to_string();
    ChainSpecError::Field { field, why }
}

/// The text of a value; of anything else the empty text, which no field admits.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn contract(value: &Value) -> Result<GenesisContract, String> {
    match value {
        Value::Object(_) => Ok(GenesisContract::Inline(value.clone())),
        Value::String(name) => match builtin(name) {
            Some(name) => Ok(GenesisContract::BuiltIn(name)),
            None => Err(format!("{:?} is not a built-in contract", clip(name))),
        },
        _ => Err("want a built-in contract's name, or a definition".to_owned()),
    }
}

impl Members {
    fn take(&mut self, field: &'static str) -> Result<Value, ChainSpecError> {
        let value = self.0.remove(field);
        value.ok_or(ChainSpecError::Missing(field))
    }

    fn parsed<T: FromStr<Err: ToString>>(
        &mut self,
        field: &'static str,
    ) -> Result<T, ChainSpecError> {
        let value = self.take(field)?;
        let text = value.as_str().ok_or_else(|| refuse(field, "want a text"))?;
        text.parse()
            .map_err(|error: T::Err| refuse(field, error.to_string()))
    }

    fn amount<Unit>(&mut self, field: &'static str) -> Result<Amount<Unit>, ChainSpecError> {
        let value = self.take(field)?.as_u64();
        let value = value.ok_or_else(|| refuse(field, "want a whole number from 0 to 2^53 - 1"))?;
        Amount::new(value).map_err(|error| refuse(field, error))
    }

    fn number(&mut self, field: &'static str) -> Result<u32, ChainSpecError> {
        let value = self.take(field)?.as_u64();
        let value = value.and_then(|value| u32::try_from(value).ok());
        value.ok_or_else(|| refuse(field, "want a whole number from 0 to 4294967295"))
    }

    fn flag(&mut self, field: &'static str) -> Result<bool, ChainSpecError> {
        let value = self.take(field)?.as_bool();
        value.ok_or_else(|| refuse(field, "want true or false"))
    }

    fn alloc(&mut self) -> Result<Vec<(Address, Credits)>, ChainSpecError> {
        const FIELD: &str = "alloc";
        let Value::Object(members) = self.take(FIELD)? else {
            return Err(refuse(FIELD, "want an object of addresses and credits"));
        };
        if members.len() > CHAIN_LIST_LEN_MAX {
            let why = format!("{} entries, at most {CHAIN_LIST_LEN_MAX}", members.len());
            return Err(refuse(FIELD, why));
        }
        let entries = members.iter().map(|(name, value)| {
            let address = name
                .parse()
                .map_err(|error| refuse(FIELD, format!("{:?}: {error}", clip(name))))?;
            let credits = value.as_u64().and_then(|value| Credits::new(value).ok());
            let credits = credits
                .ok_or_else(|| refuse(FIELD, format!("{name}: want credits from 0 to 2^53 - 1")))?;
            Ok((address, credits))
        });
        entries.collect()
    }

    fn list<T>(
        &mut self,
        field: &'static str,
        read: impl Fn(&Value) -> Result<T, String>,
    ) -> Result<Vec<T>, ChainSpecError> {
        let Value::Array(items) = self.take(field)? else {
            return Err(refuse(field, "want an array"));
        };
        if items.len() > CHAIN_LIST_LEN_MAX {
            let why = format!("{} entries, at most {CHAIN_LIST_LEN_MAX}", items.len());
            return Err(refuse(field, why));
        }
        let items = items.iter().enumerate();
        let items = items.map(|(at, item)| {
            read(item).map_err(|why| refuse(field, format!("entry {at}: {why}")))
        });
        items.collect()
    }
}

//! The actions that the host runs itself.

use std::str::FromStr;

use lyceum_protocol::{Address, Wallet, json};
use serde_json::{Map, Value, json};

use crate::account::move_credits;
use crate::call::Meter;
use crate::contract::{CompiledContract, DefinitionError};
use crate::failure::{Failure, Stop};
use crate::gas;
use crate::values::brief;
use crate::world::{Journal, World, definition_path};

/// Runs the native action `name`.
pub(crate) fn native(
    name: &str,
    journal: &mut Journal<'_>,
    caller: &str,
    object: &Map<String, Value>,
    meter: &mut Meter,
) -> Result<(), Stop> {
    match name {
        "transfer" => transfer(journal, caller, object, meter),
        "deploy_contract" => deploy_contract(journal, caller, object, meter),
        _ => register_wallet(journal, caller, object, meter),
    }
}

fn transfer(
    journal: &mut Journal<'_>,
    caller: &str,
    object: &Map<String, Value>,
    meter: &mut Meter,
) -> Result<(), Stop> {
    meter.charge(gas::TRANSFER + 2 * gas::STATE_WRITE)?;
    members(object, &["to", "amount"])?;
    let to = required(object, "to")?;
    let payee = match to.as_str() {
        Some(text) if Address::from_str(text).is_ok() => text,
        // A contract's own account, so that its treasury can be filled.
        Some(text)
            if text
                .strip_prefix("contract:")
                .is_some_and(crate::contract::is_lower_name) =>
        {
            let contract = &text["contract:".len()..];
            if !journal.exists(&definition_path(contract))? {
                return Err(Failure::UnknownContract(contract.to_owned()).into());
            }
            text
        }
        _ => return Err(param("to", to, "a wallet, did:key:z6Mk…, or contract:NAME")),
    };
    let amount = required(object, "amount")?;
    let credits = amount
        .as_i64()
        .filter(|n| *n > 0)
        .ok_or_else(|| param("amount", amount, "1 or more credits"))?;
    move_credits(journal, caller, payee, credits)
}

fn deploy_contract(
    journal: &mut Journal<'_>,
    caller: &str,
    object: &Map<String, Value>,
    meter: &mut Meter,
) -> Result<(), Stop> {
    members(object, &["definition"])?;
    let definition = required(object, "definition")?;
    meter
        .charge(gas::STATE_WRITE + gas::DEPLOYED_BYTE * json::canonical(definition).len() as u64)?;
    if definition.get("owner").is_some() {
        let error = DefinitionError::new("/owner", "a member that the chain sets", "none");
        return Err(Failure::Definition(error).into());
    }
    let contract = CompiledContract::compile(definition).map_err(Failure::Definition)?;
    let cells: usize = contract
        .actions()
        .map(|(_, action)| action.code().cells().len())
        .sum();
    meter.charge(gas::DEPLOYED_CELL * cells as u64)?;
    let path = definition_path(contract.name());
    if journal.exists(&path)? {
        return Err(Failure::ContractTaken(contract.name().to_owned()).into());
    }
    let mut record = definition.clone();
    record["owner"] = caller.into();
    journal.store(&path, record)?;
    Ok(())
}

fn register_wallet(
    journal: &mut Journal<'_>,
    caller: &str,
    object: &Map<String, Value>,
    meter: &mut Meter,
) -> Result<(), Stop> {
    meter.charge(gas::WALLET_CHECK + 2 * gas::STATE_WRITE)?;
    members(object, &["wallet"])?;
    let token = required(object, "wallet")?;
    let text = token
        .as_str()
        .ok_or_else(|| param("wallet", token, "a wallet token"))?;
    let wallet = Wallet::decode(text).map_err(|error| Failure::Wallet(error.to_string()))?;
    if wallet.address().to_string() != caller {
        let problem = format!("it is {}'s, want the sender's own", wallet.address());
        return Err(Failure::Wallet(problem).into());
    }
    let user_id = wallet.user_id().as_str();
    let (by_wallet, by_user) = (
        format!("identity/wallet/{caller}"),
        format!("identity/user/{user_id}"),
    );
    if journal.exists(&by_wallet)? {
        return Err(Failure::WalletRegistered(caller.to_owned()).into());
    }
    if journal.exists(&by_user)? {
        return Err(Failure::UserIdTaken(user_id.to_owned()).into());
    }
    journal.store(&by_wallet, json!({ "user_id": user_id }))?;
    journal.store(&by_user, json!({ "wallet": caller }))?;
    Ok(())
}

fn members(object: &Map<String, Value>, allowed: &[&str]) -> Result<(), Failure> {
    match object
        .keys()
        .find(|name| *name != "action" && !allowed.contains(&name.as_str()))
    {
        Some(name) => Err(Failure::Param(format!("\"{name}\": unknown"))),
        None => Ok(()),
    }
}

fn required<'a>(object: &'a Map<String, Value>, name: &str) -> Result<&'a Value, Failure> {
    object
        .get(name)
        .ok_or_else(|| Failure::Param(format!("\"{name}\": missing")))
}

fn param(name: &str, got: &Value, want: &str) -> Stop {
    Failure::Param(format!("\"{name}\": got {}, want {want}", brief(got))).into()
}

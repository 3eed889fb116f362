//! Transactions: actions in order, all or nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use lyceum_protocol::{ChainSpec, Gas, GenesisContract, Height, Timestamp, TxBody};
use serde_json::Value;

use crate::call::{Event, Meter, Site, call};
use crate::contract::{CompiledContract, NATIVE_ACTIONS};
use crate::failure::{Failure, Stop};
use crate::given::{Given, Members};
use crate::native::native;
use crate::world::{Journal, World, WorldError, definition_path};

/// Translations kept at once. Each has at most some megabytes, usually some ten kilobytes; a chain uses few.
pub const TRANSLATIONS_MAX: usize = 1_024;

/// What a transaction's actions see of its block and sender.
#[derive(Debug, Clone, Copy)]
pub struct CallContext<'a> {
    /// The address of who signed the transaction, as text.
    pub caller: &'a str,
    /// The height of its block.
    pub height: Height,
    /// The time of its block.
    pub timestamp: Timestamp,
}

/// How a transaction went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Why it failed, and so had no effect; `None` for success.
    pub failure: Option<Failure>,
    /// Gas used, at most the limit.
    pub gas: u64,
    /// Completed Cryptoleq steps of all its actions.
    pub steps: u64,
    /// What its contracts emitted, in order; nothing where it failed.
    pub events: Vec<Event>,
}

impl Receipt {
    /// Whether its effects stand.
    pub fn ok(&self) -> bool {
        self.failure.is_none()
    }

    /// Why it failed, in words.
    pub fn error(&self) -> Option<String> {
        self.failure.as_ref().map(Failure::to_string)
    }
}

/// Runs the transactions of one chain. It keeps translations and nothing else, so that it may be shared by threads, forks and
/// worlds of that chain.
#[derive(Debug)]
pub struct Executor {
    open: bool,
    builtins: Vec<BuiltIn>,
    /// By the definition's hash: a fork's other contract of the same name is another entry.
    translations: Mutex<HashMap<[u8; 32], Arc<CompiledContract>>>,
}

/// A contract of genesis, and its translation once it was asked for: no world of the chain has another definition of that name.
#[derive(Debug)]
struct BuiltIn {
    name: String,
    translation: OnceLock<Arc<CompiledContract>>,
}

impl Executor {
    /// An executor of a chain that is `open` or not, whose genesis installed the contracts `builtins`.
    pub fn new(open: bool, builtins: Vec<String>) -> Self {
        let builtins = builtins.into_iter().map(|name| BuiltIn {
            name,
            translation: OnceLock::new(),
        });
        Self {
            open,
            builtins: builtins.collect(),
            translations: Mutex::new(HashMap::new()),
        }
    }

    /// The executor of the chain `spec`.
    pub fn for_chain(spec: &ChainSpec) -> Self {
        let names = spec.contracts.iter().map(|contract| match contract {
            GenesisContract::BuiltIn(name) => (*name).to_owned(),
            GenesisContract::Inline(definition) => definition
                .get("contract")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        });
        Self::new(spec.open, names.collect())
    }

    /// Runs a transaction's body. On success its effects are in `world`; otherwise `world` is as before.
    ///
    /// The sender's `seq` and `fee` are the chain's to handle, before.
    ///
    /// # Errors
    /// [`WorldError`] where the state could not be read or written: no verdict on the transaction.
    pub fn execute(
        &self,
        world: &mut dyn World,
        context: &CallContext<'_>,
        body: &TxBody,
        gas_limit: Gas,
    ) -> Result<Receipt, WorldError> {
        let site = Site {
            caller: context.caller,
            height: context.height.get(),
            timestamp: context.timestamp.get(),
            open: self.open,
        };
        let mut meter = Meter::new(gas_limit.get());
        let mut journal = Journal::new(world);
        match self.run(&mut journal, site, body, &mut meter) {
            Ok(events) => {
                journal.commit()?;
                Ok(Receipt {
                    failure: None,
                    gas: meter.gas,
                    steps: meter.steps,
                    events,
                })
            }
            Err(Stop::World(error)) => Err(error),
            Err(Stop::Failure(failure)) => Ok(Receipt {
                failure: Some(failure),
                gas: meter.gas,
                steps: meter.steps,
                events: Vec::new(),
            }),
        }
    }

    fn run(
        &self,
        journal: &mut Journal<'_>,
        site: Site<'_>,
        body: &TxBody,
        meter: &mut Meter,
    ) -> Result<Vec<Event>, Stop> {
        let (TxBody::Actions(json) | TxBody::Contract(json)) = body;
        let given = serde_json::from_str(json).expect("checked when it was made");
        match (body, &given) {
            (TxBody::Actions(_), Given::Array(actions)) => {
                let mut events = Vec::new();
                for action in actions {
                    events.extend(self.action(journal, site, as_object(action)?, meter)?);
                }
                Ok(events)
            }
            (TxBody::Contract(_), given) => {
                let object = as_object(given)?;
                let (contract, action) = (text(object, "type")?, text(object, "action")?);
                self.contract_action(
                    journal,
                    site,
                    contract,
                    action,
                    (object, &["type", "action"]),
                    meter,
                )
            }
            (TxBody::Actions(_), _) => {
                Err(Failure::Malformed("want an array of actions".to_owned()).into())
            }
        }
    }

    /// One member of `actions`.
    fn action(
        &self,
        journal: &mut Journal<'_>,
        site: Site<'_>,
        object: &Members<'_>,
        meter: &mut Meter,
    ) -> Result<Vec<Event>, Stop> {
        let action = text(object, "action")?;
        if object.get("contract").is_some() {
            let contract = text(object, "contract")?;
            return self.contract_action(
                journal,
                site,
                contract,
                action,
                (object, &["action", "contract"]),
                meter,
            );
        }
        if NATIVE_ACTIONS.contains(&action) {
            native(action, journal, site.caller, &object.to_map(), meter)?;
            return Ok(Vec::new());
        }
        let mut owners = Vec::new();
        for builtin in &self.builtins {
            if let Some(contract) = self.builtin(journal, builtin)?
                && let Some(compiled) = contract.action(action)
            {
                owners.push((builtin.name.as_str(), compiled));
            }
        }
        match owners.as_slice() {
            [(_, compiled)] => call(compiled, journal, site, object, &["action"], meter),
            [] => Err(Failure::UnknownAction(format!(
                "unknown action {action:?}: no built-in contract has it"
            ))
            .into()),
            several => {
                let names: Vec<_> = several.iter().map(|(name, _)| *name).collect();
                let problem = format!(
                    "action {action:?} needs its contract: {} have it",
                    names.join(", ")
                );
                Err(Failure::UnknownAction(problem).into())
            }
        }
    }

    fn contract_action(
        &self,
        journal: &mut Journal<'_>,
        site: Site<'_>,
        contract: &str,
        action: &str,
        (object, skip): (&Members<'_>, &[&str]),
        meter: &mut Meter,
    ) -> Result<Vec<Event>, Stop> {
        let compiled = self
            .translation(journal, contract)?
            .ok_or_else(|| Failure::UnknownContract(contract.to_owned()))?;
        let compiled = compiled.action(action).ok_or_else(|| {
            Failure::UnknownAction(format!(
                "unknown action {action:?} of contract {contract:?}"
            ))
        })?;
        call(compiled, journal, site, object, skip, meter)
    }

    /// The translation of a contract of genesis.
    fn builtin<'e>(
        &'e self,
        journal: &Journal<'_>,
        builtin: &'e BuiltIn,
    ) -> Result<Option<&'e Arc<CompiledContract>>, Stop> {
        if let Some(known) = builtin.translation.get() {
            return Ok(Some(known));
        }
        let found = self.translation(journal, &builtin.name)?;
        Ok(found.map(|contract| builtin.translation.get_or_init(|| contract)))
    }

    /// The translation of an installed contract, kept for the next call.
    fn translation(
        &self,
        journal: &Journal<'_>,
        name: &str,
    ) -> Result<Option<Arc<CompiledContract>>, Stop> {
        if !crate::contract::is_lower_name(name) {
            return Ok(None);
        }
        let Some(hash) = journal.definition_hash(name)? else {
            return Ok(None);
        };
        if let Some(known) = self
            .translations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&hash)
        {
            return Ok(Some(known.clone()));
        }
        let Some(definition) = journal.load(&definition_path(name))? else {
            return Ok(None);
        };
        let compiled =
            Arc::new(CompiledContract::compile(&definition).map_err(Failure::Definition)?);
        let mut translations = self
            .translations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if translations.len() >= TRANSLATIONS_MAX {
            // Rare, and a rebuilt translation is the same one.
            translations.clear();
        }
        translations.insert(hash, compiled.clone());
        Ok(Some(compiled))
    }
}

fn as_object<'g, 't>(given: &'g Given<'t>) -> Result<&'g Members<'t>, Failure> {
    given
        .as_object()
        .ok_or_else(|| Failure::Malformed("want an object".to_owned()))
}

fn text<'a>(object: &'a Members<'_>, name: &str) -> Result<&'a str, Failure> {
    object
        .get(name)
        .and_then(Given::as_text)
        .ok_or_else(|| Failure::Malformed(format!("want a text \"{name}\"")))
}

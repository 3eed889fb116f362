//! Contracts without a chain: what `lyceum contract check|asm|run` does.

use lyceum_protocol::{Address, Gas, Height, SecretKey, Timestamp, json};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Meter, Site, call};
use crate::contract::{CompiledContract, DefinitionError, listing};
use crate::failure::{Failure, Stop};
use crate::given::Given;
use crate::world::{Journal, MemoryWorld, WorldError};

/// How deep a file may nest. A token is held to less (16), but a chain file may install what no token could carry.
const FILE_DEPTH_MAX: usize = 64;

/// Why a file could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfflineError {
    /// A text is no strict JSON.
    #[error("{what}: {error}")]
    Json {
        /// Which text.
        what: &'static str,
        /// What is wrong with it.
        error: String,
    },
    /// The definition was refused.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The contract has no such action.
    #[error("unknown action {got:?}, want one of {want}")]
    UnknownAction {
        /// The name asked for.
        got: String,
        /// The names there are.
        want: String,
    },
    /// Parameters or a world of the wrong shape.
    #[error("{what}: want {want}")]
    Shape {
        /// Which text.
        what: &'static str,
        /// Its shape.
        want: &'static str,
    },
    /// The memory world failed, which it never does.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// What [`check`] found in a good definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// The contract's name.
    pub contract: String,
    /// Each action with its number of Cryptoleq instructions and of cells, in the order of names.
    pub actions: Vec<ActionSummary>,
}

/// One action of a [`Summary`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionSummary {
    /// Its name.
    pub name: String,
    /// Cryptoleq instructions.
    pub instructions: usize,
    /// Cells of code and data.
    pub cells: usize,
    /// Whether it runs in the domain `paillier`.
    pub encrypted: bool,
}

/// Checks a definition.
///
/// # Errors
/// [`OfflineError`]; a refused definition names the JSON pointer.
pub fn check(definition: &str) -> Result<Summary, OfflineError> {
    let contract = CompiledContract::compile(&definition_of(definition)?)?;
    let actions = contract.actions().map(|(name, action)| ActionSummary {
        name: name.to_owned(),
        instructions: action.instructions(),
        cells: action.code().cells().len(),
        encrypted: action.modulus.is_some(),
    });
    Ok(Summary {
        contract: contract.name().to_owned(),
        actions: actions.collect(),
    })
}

/// The Cryptoleq code of all actions, in the assembler's format (ASM.md); each assembles back to the same cells.
///
/// # Errors
/// As [`check`].
pub fn asm(definition: &str) -> Result<String, OfflineError> {
    Ok(listing(&definition_of(definition)?)?)
}

/// A call without a chain.
#[derive(Debug, Clone)]
pub struct Run<'a> {
    /// The action.
    pub action: &'a str,
    /// Its parameters, a JSON object.
    pub params: &'a str,
    /// Records by path, a JSON object.
    pub world: &'a str,
    /// Who calls.
    pub caller: Address,
    /// The block's height.
    pub height: Height,
    /// The block's time.
    pub timestamp: Timestamp,
    /// The gas limit.
    pub gas: Gas,
}

impl Default for Run<'_> {
    /// No parameters, an empty world, height and time 0, 10^7 gas; the caller is the wallet of the all-zero seed.
    fn default() -> Self {
        Self {
            action: "",
            params: "{}",
            world: "{}",
            caller: Address::from_bytes(SecretKey::from_seed(&[0; 32]).public()),
            height: Height::ZERO,
            timestamp: Timestamp::ZERO,
            gas: Gas::new(10_000_000).expect("below 2^53"),
        }
    }
}

/// Calls one action of `definition` over a world and returns the object
/// `{"ok":…,"error":…,"gas":…,"steps":…,"events":[…],"world":{PATH:RECORD,…}}`.
///
/// `open` is true, as on the chain `dev`. Integers may use all 64 bits, beyond what tokens carry. The definition itself is not put into the world.
///
/// # Errors
/// [`OfflineError`] where a text is not what it should be; a call that fails is a result.
pub fn run(definition: &str, run: &Run<'_>) -> Result<Value, OfflineError> {
    let contract = CompiledContract::compile(&definition_of(definition)?)?;
    run_compiled(&contract, run)
}

/// [`run`] for a definition that is compiled already.
pub(crate) fn run_compiled(
    contract: &CompiledContract,
    run: &Run<'_>,
) -> Result<Value, OfflineError> {
    let action = contract
        .action(run.action)
        .ok_or_else(|| OfflineError::UnknownAction {
            got: run.action.to_owned(),
            want: contract
                .actions()
                .map(|(name, _)| name)
                .collect::<Vec<_>>()
                .join(", "),
        })?;
    let params: Given<'_> = lax("parameters", run.params)?;
    let params = params.as_object().ok_or(OfflineError::Shape {
        what: "parameters",
        want: "an object of parameters",
    })?;
    let records: Value = lax("world", run.world)?;
    let Value::Object(records) = records else {
        return Err(OfflineError::Shape {
            what: "world",
            want: "an object of records by path",
        });
    };
    if records.values().any(|record| !record.is_object()) {
        return Err(OfflineError::Shape {
            what: "world",
            want: "an object for each record",
        });
    }
    let mut world: MemoryWorld = records.into_iter().collect();
    let mut meter = Meter::new(run.gas.get());
    let caller = run.caller.to_string();
    let site = Site {
        caller: &caller,
        height: run.height.get(),
        timestamp: run.timestamp.get(),
        open: true,
    };
    let mut journal = Journal::new(&mut world);
    let (failure, events) = match call(action, &mut journal, site, params, &[], &mut meter) {
        Ok(events) => {
            journal.commit()?;
            (None, events)
        }
        Err(Stop::Failure(failure)) => (Some(failure), Vec::new()),
        Err(Stop::World(error)) => return Err(error.into()),
    };
    Ok(json!({
        "ok": failure.is_none(),
        "error": failure.as_ref().map(Failure::to_string),
        "gas": meter.gas,
        "steps": meter.steps,
        "events": events.iter().map(|event| json!({"event": event.event, "data": event.data()})).collect::<Vec<_>>(),
        "world": world.records(),
    }))
}

pub(crate) fn definition_of(text: &str) -> Result<Value, OfflineError> {
    json::parse_strict(text, FILE_DEPTH_MAX).map_err(|error| OfflineError::Json {
        what: "definition",
        error: error.to_string(),
    })
}

/// Parameters and worlds may hold integers beyond 2^53, so they are read by the lax parser.
fn lax<'t, T: Deserialize<'t>>(what: &'static str, text: &'t str) -> Result<T, OfflineError> {
    serde_json::from_str(text).map_err(|error| OfflineError::Json {
        what,
        error: error.to_string(),
    })
}

//! Definition → compiled contract.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::assemble::{TooLong, address, assemble};
use super::bounds::ACTION_CELLS_MAX;
use super::draft::Draft;
use super::error::{DefinitionError, child};
use super::tree::{Action, Contract, Event, Kind, Layout, Param};
use super::{check, lower, parse};
use crate::values::Literals;
use crate::{Code, Modulus};

/// A contract whose actions are translated; immutable, and shared by all calls.
#[derive(Debug)]
pub struct CompiledContract {
    name: String,
    actions: BTreeMap<String, CompiledAction>,
}

/// One action's code and what the host needs to call it.
#[derive(Debug)]
pub struct CompiledAction {
    pub(crate) contract: Arc<str>,
    pub(crate) layouts: Arc<[Layout]>,
    pub(crate) params: Vec<Param>,
    /// Kind and address of each local; the first are caller, height, timestamp and open.
    pub(crate) locals: Vec<(Kind, i64)>,
    pub(crate) literals: Literals,
    pub(crate) reasons: Vec<String>,
    pub(crate) events: Vec<Event>,
    /// N of the domain `paillier`; `None` for `open`.
    pub(crate) modulus: Option<Modulus>,
    pub(crate) code: Code,
    instructions: usize,
}

impl CompiledContract {
    /// Checks a definition and translates its actions.
    ///
    /// # Errors
    /// [`DefinitionError`]: the first thing wrong, by its JSON pointer.
    pub fn compile(definition: &Value) -> Result<Self, DefinitionError> {
        let contract = checked(definition)?;
        let name: Arc<str> = contract.name.as_str().into();
        let layouts: Arc<[Layout]> = contract.layouts.clone().into();
        let mut actions = BTreeMap::new();
        for action in &contract.actions {
            let compiled = compile_action(&contract, action, &name, &layouts)?;
            actions.insert(action.name.clone(), compiled);
        }
        Ok(Self {
            name: contract.name,
            actions,
        })
    }

    /// The contract's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The action of that name.
    pub fn action(&self, name: &str) -> Option<&CompiledAction> {
        self.actions.get(name)
    }

    /// All actions, in the order of their names.
    pub fn actions(&self) -> impl Iterator<Item = (&str, &CompiledAction)> {
        self.actions
            .iter()
            .map(|(name, action)| (name.as_str(), action))
    }
}

impl CompiledAction {
    /// The code that a call runs.
    pub fn code(&self) -> &Code {
        &self.code
    }

    /// How many Cryptoleq instructions the code has.
    pub fn instructions(&self) -> usize {
        self.instructions
    }

    /// Replaces the code by another with the same cells, for comparing engines.
    #[doc(hidden)]
    pub fn with_code(mut self, code: Code) -> Self {
        self.code = code;
        self
    }
}

/// A definition up to its typed tree.
pub(super) fn checked(definition: &Value) -> Result<Contract, DefinitionError> {
    check::contract(&parse::definition(definition)?)
}

/// An action's draft with its locals' addresses.
pub(super) fn draft(contract: &Contract, action: &Action) -> (Draft, Vec<i64>) {
    let lowered = lower::action(contract, action);
    let locals = lowered
        .locals
        .iter()
        .map(|slot| address(&lowered.draft, *slot))
        .collect();
    (lowered.draft, locals)
}

fn compile_action(
    contract: &Contract,
    action: &Action,
    name: &Arc<str>,
    layouts: &Arc<[Layout]>,
) -> Result<CompiledAction, DefinitionError> {
    let (draft, addresses) = draft(contract, action);
    let cells = assemble(&draft).map_err(|TooLong(cells)| {
        let at = child("/actions", &action.name);
        DefinitionError::new(
            &at,
            format!("{cells} cells of code"),
            format!("at most {ACTION_CELLS_MAX}"),
        )
    })?;
    Ok(CompiledAction {
        contract: name.clone(),
        layouts: layouts.clone(),
        params: action.params.clone(),
        locals: action
            .locals
            .iter()
            .map(|local| local.kind)
            .zip(addresses)
            .collect(),
        literals: Literals::new(action.literals.iter().map(String::as_str)),
        reasons: action.reasons.clone(),
        events: action.events.clone(),
        modulus: action.key.map(|key| contract.keys[key].modulus.clone()),
        instructions: draft.instructions.len(),
        code: Code::new(cells, 0).expect("the code is bounded and starts at 0"),
    })
}

//! The state of a chain before its first transaction.

use lyceum_protocol::{BUILTIN_CONTRACTS, ChainSpec, GenesisContract, Seq};
use serde_json::{Value, json};

use crate::account::Account;
use crate::contract::{CompiledContract, DefinitionError};
use crate::world::{World, WorldError, definition_path};

/// Why a chain file makes no genesis.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// A contract of the chain file does not check.
    #[error("contract {name:?}: definition {error}")]
    Definition {
        /// Its name, or its place in the list.
        name: String,
        /// What is wrong with it.
        error: DefinitionError,
    },
    /// Two contracts of one name.
    #[error("contract {0:?} stands twice")]
    Twice(String),
    /// The state could not be written.
    #[error(transparent)]
    World(#[from] WorldError),
}

/// Applies a chain file: `alloc`, `contracts` (which have no `owner`), and `admins` as admins of the contract `dao` where it is installed.
///
/// Source: SPEC.md sections 2, 7 and 8.
///
/// # Errors
/// [`GenesisError`].
pub fn genesis(spec: &ChainSpec, world: &mut dyn World) -> Result<(), GenesisError> {
    for (address, credits) in &spec.alloc {
        Account {
            balance: *credits,
            seq: Seq::ZERO,
        }
        .store(world, &address.to_string())?;
    }
    for (place, contract) in spec.contracts.iter().enumerate() {
        let (name, definition) = match contract {
            GenesisContract::BuiltIn(name) => (
                (*name).to_owned(),
                builtin_definition(name).unwrap_or_default(),
            ),
            GenesisContract::Inline(definition) => (place.to_string(), definition.clone()),
        };
        let refused = |error| GenesisError::Definition { name, error };
        if definition.get("owner").is_some() {
            return Err(refused(DefinitionError::new(
                "/owner",
                "a member that the chain sets",
                "none",
            )));
        }
        let path = definition_path(
            CompiledContract::compile(&definition)
                .map_err(refused)?
                .name(),
        );
        if world.exists(&path)? {
            return Err(GenesisError::Twice(path));
        }
        world.store(&path, definition)?;
    }
    if world.exists(&definition_path("dao"))? {
        for admin in spec.admins.iter().map(ToString::to_string) {
            world.store(
                &format!("dao/member/{admin}"),
                json!({"wallet": admin, "role": "admin"}),
            )?;
        }
    }
    Ok(())
}

/// The definition of a built-in contract.
pub fn builtin_definition(name: &str) -> Option<Value> {
    let (_, text) = BUILTIN_CONTRACTS.iter().find(|(known, _)| *known == name)?;
    serde_json::from_str(text).ok()
}

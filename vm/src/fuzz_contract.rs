//! Entries for fuzzing contracts: bytes in, a panic where a promise is broken.

use std::sync::LazyLock;

use lyceum_protocol::{BUILTIN_CONTRACTS, Gas};

use crate::CompiledContract;
use crate::offline::{self, OfflineError, Run, definition_of, run_compiled};

/// Enough for every action of the examples, and little enough for many runs a second.
const FUZZ_GAS: u64 = 100_000;

/// The contracts that parameters are thrown at.
static CONTRACTS: LazyLock<Vec<CompiledContract>> = LazyLock::new(|| {
    let library = include_str!("../examples/library.json");
    let ballot = include_str!("../examples/ballot.json");
    let builtin = BUILTIN_CONTRACTS.iter().map(|(_, text)| *text);
    let texts = builtin.chain([library, ballot]);
    texts
        .map(|text| compiled(text).expect("the examples check"))
        .collect()
});

/// A definition: it is refused, or its listing assembles, and every action of it can be called.
///
/// # Panics
/// Where checked code assembles to nothing, or misbehaves as translated code never should.
pub fn fuzz_contract(bytes: &[u8]) {
    let Ok(definition) = std::str::from_utf8(bytes) else {
        return;
    };
    let Ok(contract) = compiled(definition) else {
        assert!(offline::check(definition).is_err());
        return;
    };
    let listing = offline::asm(definition).expect("a definition that checks has a listing");
    crate::assemble(&listing).expect("a listing assembles");
    call_all(&contract, "{}", "{}");
}

/// Parameters on the first line, a world on the rest: every action of the known contracts gives a result.
///
/// # Panics
/// As [`fuzz_contract`].
pub fn fuzz_params(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (params, world) = text.split_once('\n').unwrap_or((text, "{}"));
    for contract in CONTRACTS.iter() {
        call_all(contract, params, world);
    }
}

fn compiled(definition: &str) -> Result<CompiledContract, OfflineError> {
    Ok(CompiledContract::compile(&definition_of(definition)?)?)
}

fn call_all(contract: &CompiledContract, params: &str, world: &str) {
    for (action, _) in contract.actions() {
        let run = Run {
            action,
            params,
            world,
            gas: Gas::new(FUZZ_GAS).expect("below 2^53"),
            ..Run::default()
        };
        let Ok(result) = run_compiled(contract, &run) else {
            continue;
        };
        let error = result["error"].as_str().unwrap_or_default();
        assert!(!error.starts_with("machine: "), "{action}: {error}");
        assert_eq!(result["ok"] == true, result["error"].is_null());
        assert!(
            result["gas"].as_u64().is_some_and(|gas| gas <= FUZZ_GAS),
            "{action}"
        );
    }
}

//! `contract asm`: text that assembles back to the same cells.

use lyceum_protocol::BUILTIN_CONTRACTS;
use lyceum_vm::{AsmCell, CompiledContract, assemble, offline};
use serde_json::Value;

#[test]
fn every_section_assembles_to_the_cells_that_run() {
    let library = ("library", include_str!("../../examples/library.json"));
    let ballot = ("ballot", include_str!("../../examples/ballot.json"));
    for (name, text) in BUILTIN_CONTRACTS.iter().copied().chain([library, ballot]) {
        let definition: Value = serde_json::from_str(text).unwrap();
        let contract = CompiledContract::compile(&definition).unwrap();
        let listing = offline::asm(text).unwrap();
        assemble(&listing).unwrap_or_else(|error| panic!("{name}: the whole: {error}"));
        let sections: Vec<_> = listing.split("# action ").skip(1).collect();
        assert_eq!(sections.len(), contract.actions().count());
        for (section, (action, compiled)) in sections.into_iter().zip(contract.actions()) {
            assert_eq!(section.lines().next(), Some(action));
            let body = section.split_once('\n').unwrap().1;
            let cells: Vec<_> = assemble(body)
                .unwrap()
                .cells
                .into_iter()
                .map(word)
                .collect();
            assert_eq!(cells, compiled.code().cells(), "{name}: {action}");
        }
    }
}

fn word(cell: AsmCell) -> i64 {
    match cell {
        AsmCell::Word(word) => word,
        AsmCell::Token(token) => panic!("{token}"),
    }
}

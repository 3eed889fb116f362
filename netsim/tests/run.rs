//! Scenarios by their names.
#![allow(clippy::unwrap_used)] // all of it is test code

use std::process::Command;

#[test]
fn every_shipped_scenario_is_listed_and_an_unknown_one_refused() {
    let done = Command::new(env!("CARGO_BIN_EXE_netsim"))
        .arg("list")
        .output()
        .unwrap();
    let listed = String::from_utf8(done.stdout).unwrap();
    for name in [
        "smoke",
        "late-join",
        "partition",
        "crash",
        "flash-crowd",
        "churn",
        "liars",
    ] {
        assert!(
            listed
                .lines()
                .any(|line| line.split_whitespace().next() == Some(name)),
            "{name}"
        );
    }
    let done = Command::new(env!("CARGO_BIN_EXE_netsim"))
        .args(["run", "nonesuch"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("netsim list"));
}

/// Liars are built apart; it says so before it makes anything.
#[test]
fn a_scenario_with_liars_needs_their_program() {
    let done = Command::new(env!("CARGO_BIN_EXE_netsim"))
        .args(["run", "liars", "--liar", "/nonesuch"])
        .output()
        .unwrap();
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8(done.stderr).unwrap();
    assert!(said.contains("--example lyceum-liar"), "{said}");
}

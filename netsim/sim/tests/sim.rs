//! Whole simulations, by the program. Each is a process of its own: libp2p numbers its connections by counters of the process.
#![allow(clippy::unwrap_used)] // all of it is test code

use std::process::{Command, Output};

use serde_json::Value;

fn sim(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_netsim-sim");
    Command::new(program)
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap()
}

fn report(arguments: &[&str]) -> Value {
    let done = sim(arguments);
    let said = String::from_utf8_lossy(&done.stderr);
    let report = serde_json::from_slice(&done.stdout);
    let report: Value = report.unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(done.status.success(), is_good(&report), "{said}");
    report
}

fn is_good(report: &Value) -> bool {
    let verdict = &report["verdict"];
    verdict["converged"] == true && verdict["faults"].as_array().unwrap().is_empty()
}

#[test]
fn one_seed_has_one_trace_and_another_seed_another() {
    let run = |seed| report(&["smoke", "--sim-seed", seed]);
    let (first, again, other) = (run("7"), run("7"), run("8"));
    assert!(is_good(&first), "{first}");
    assert_eq!(first["trace_hash"], again["trace_hash"]);
    assert_eq!(first["trace_events"], again["trace_events"]);
    assert_ne!(first["trace_hash"], other["trace_hash"]);
    assert!(first["trace_events"].as_u64().unwrap() > 1_000);
}

#[test]
fn a_partition_heals_to_one_tip() {
    let report = report(&["partition"]);
    assert!(is_good(&report), "{report}");
    let verdict = &report["verdict"];
    assert!(verdict["reorganisations"].as_u64().unwrap() >= 2);
    assert_eq!(verdict["nodes"], 4);
}

#[test]
fn newcomers_pull_segments_and_killed_nodes_come_back() {
    for scenario in ["late-join", "crash", "churn"] {
        let report = report(&[scenario, "--sim-seed", "3"]);
        assert!(is_good(&report), "{report}");
    }
}

/// Two halves, cut off from each other for good unless the end heals them.
const CUT: &str = r#"
about = "cut"
nodes = 4
miners = 2
seconds = 40
calls = 2
[[at]]
second = 10
split = [["node1", "node3"], ["node2", "node4"]]
"#;

#[test]
fn a_check_that_fails_is_named_and_fails_the_run() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, CUT).unwrap();
    let scenario = file.path().to_str().unwrap();
    assert!(is_good(&report(&[scenario])), "healed in the end");
    for (sabotage, name) in [("never-heal", "LIVENESS"), ("state-root", "STATE ROOT")] {
        let report = report(&[scenario, "--sabotage", sabotage]);
        assert!(!is_good(&report));
        let faults = report["verdict"]["faults"].as_array().unwrap();
        assert!(faults[0].as_str().unwrap().starts_with(name), "{faults:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    for (arguments, why) in [
        (&["nonesuch"][..], "netsim list"),
        (&["smoke", "--miners", "9"], "of the nodes mine"),
        (&["smoke", "--interval", "1ms"], "interval"),
        (&["partition", "--for", "5s"], "not within"),
    ] {
        let done = sim(arguments);
        assert!(!done.status.success());
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(said.contains(why), "{arguments:?}: {said}");
    }
}

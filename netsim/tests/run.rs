//! `netsim run`: a scenario over netsim's own network; that needs root, and is refused clearly without.
#![allow(clippy::unwrap_used)] // all of it is test code

use std::path::Path;
use std::process::Command;

use serde_json::Value;

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let uid = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    uid.split_whitespace().nth(2) == Some("0")
}

#[test]
fn a_scenario_is_played_or_refused() {
    let lyceum = Path::new(env!("CARGO_BIN_EXE_netsim")).with_file_name("lyceum");
    assert!(
        lyceum.exists(),
        "{} is missing: cargo build -p lyceum-node",
        lyceum.display()
    );
    let report = tempfile::tempdir().unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_netsim"));
    run.args(["run", "smoke", "--json", "--report"])
        .arg(report.path())
        .env("LYCEUM_BIN", lyceum);
    let done = run.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    if !is_root() {
        assert_eq!(done.status.code(), Some(1));
        assert!(said.contains("run it as root"), "{said}");
        return;
    }
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stdout)
    );
    let printed: Value = serde_json::from_slice(&done.stdout).unwrap();
    let written = std::fs::read(report.path().join("report.json")).unwrap();
    assert_eq!(printed, serde_json::from_slice::<Value>(&written).unwrap());
    assert_eq!(printed["verdict"]["converged"], true);
    assert!(
        printed["packets"].as_u64() > Some(1_000),
        "{}",
        printed["packets"]
    );
    let page = std::fs::read_to_string(report.path().join("report.html")).unwrap();
    assert!(page.contains("smoke: <span class=\"good\">passed") && page.contains("<polyline"));
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let own = format!("lyceum-{}", std::process::id());
    assert!(!String::from_utf8_lossy(&left.stdout).contains(&own));
}

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

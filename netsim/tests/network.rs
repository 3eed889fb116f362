//! Whole networks of real nodes: `netsim up`, and a scenario over netsim's own network, which needs root and is refused clearly without.

#![allow(clippy::unwrap_used)] // all of it is test code

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The program `lyceum`, which `cargo test --workspace` and `cargo build` put beside netsim.
fn lyceum() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_netsim")).with_file_name("lyceum");
    assert!(
        path.exists(),
        "{} is missing: cargo build -p lyceum-node",
        path.display()
    );
    path
}

fn up(arguments: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_netsim"));
    run.arg("up").args(arguments).env("LYCEUM_BIN", lyceum());
    run.output().unwrap()
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let uid = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    uid.split_whitespace().nth(2) == Some("0")
}

#[test]
fn a_network_converges_and_a_newcomer_pulls_its_chain_by_torrent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("network");
    let folder = path.to_str().unwrap();
    let done = up(&[
        "--nodes", "3", "--miners", "2", "--for", "40s", "--json", "--dir", folder,
    ]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&done.stdout)
    );
    let verdict: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(verdict["converged"], true, "{verdict}");
    assert_eq!(verdict["nodes"], 4);
    assert_eq!(verdict["faults"], Value::Array(Vec::new()));
    let (taken, included) = (
        verdict["taken"].as_u64().unwrap(),
        verdict["transactions"].as_u64().unwrap(),
    );
    assert!(included > 0 && included <= taken, "{verdict}");
    assert!(
        verdict["newcomer"]["seconds_to_sync"].as_f64().is_some(),
        "{verdict}"
    );
    assert!(
        verdict["newcomer"]["blocks_by_source"]["torrent"].as_u64() > Some(0),
        "{verdict}"
    );
    // A line for each block, on a pipe.
    assert!(
        said.lines()
            .filter(|line| line.starts_with("block "))
            .count()
            > 5,
        "{said}"
    );
    // The settings are the user's to keep.
    for node in ["node1", "node2", "node3", "late"] {
        let settings = std::fs::read_to_string(path.join(node).join("lyceum.toml")).unwrap();
        assert!(settings.contains("data_dir"), "{settings}");
    }
}

/// Three nodes, and a liar among them.
const SCENARIO: &str = r#"
about = "Three nodes, and a liar among them"
nodes = 3
miners = 1
seconds = 25
calls = 4

[link]
latency_ms = 5

[[at]]
second = 5
lie = ["no-work"]

[expect]
blocks = 5
transactions = 20
"#;

#[test]
fn a_scenario_is_played_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (scenario, report) = (
        folder.path().join("mine.toml"),
        folder.path().join("report"),
    );
    std::fs::write(&scenario, SCENARIO).unwrap();
    let liar = Path::new(env!("CARGO_BIN_EXE_netsim")).with_file_name("examples/lyceum-liar");
    let build = "cargo build -p lyceum-node --example lyceum-liar";
    assert!(liar.exists(), "{} is missing: {build}", liar.display());
    let mut run = Command::new(env!("CARGO_BIN_EXE_netsim"));
    run.arg("run").arg(&scenario).args(["--json", "--report"]);
    run.arg(&report).env("LYCEUM_BIN", lyceum());
    run.stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = run.spawn().unwrap();
    let id = run.id();
    let done = run.wait_with_output().unwrap();
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
    let written = std::fs::read(report.join("report.json")).unwrap();
    assert_eq!(printed, serde_json::from_slice::<Value>(&written).unwrap());
    assert_eq!(printed["verdict"]["converged"], true);
    assert!(
        printed["packets"].as_u64() > Some(1_000),
        "{}",
        printed["packets"]
    );
    let all = serde_json::json!({"node1": "work", "node2": "work", "node3": "work"});
    assert_eq!(printed["liars"]["no-work"]["banned_by"], all);
    let page = std::fs::read_to_string(report.join("report.html")).unwrap();
    assert!(page.contains(": <span class=\"good\">passed") && page.contains("<polyline"));
    assert!(page.contains("<td>no-work</td>"));
    let left = Command::new("ip").args(["netns", "list"]).output().unwrap();
    let own = format!("-{id}-");
    assert!(!String::from_utf8_lossy(&left.stdout).contains(&own));
}

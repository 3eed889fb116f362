//! `netsim up` with real nodes: they converge, and a newcomer pulls the chain by BitTorrent.
#![allow(clippy::unwrap_used)] // all of it is test code

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

#[test]
fn a_folder_that_is_in_use_and_too_many_miners_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "precious").unwrap();
    let done = up(&["--dir", dir.path().to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("not empty"));
    assert_eq!(std::fs::read(dir.path().join("mine")).unwrap(), b"precious");
    let done = up(&["--nodes", "1", "--miners", "2"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("--nodes 2"));
}

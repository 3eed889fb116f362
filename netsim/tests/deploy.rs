//! What lies in `deploy/` fits the node: every metric that it names exists, and Prometheus takes its files.
#![allow(clippy::unwrap_used)] // all of it is test code

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of a text that are names of the node's metrics.
fn metrics(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("lyceum_") || word.starts_with("libp2p_"));
    ours.map(str::to_owned).collect()
}

/// The metrics that the node lists; a histogram has three series.
fn known() -> BTreeSet<String> {
    metrics(&read("node/METRICS.md"))
}

fn assert_known(text: &str, source: &str) -> usize {
    let (named, known) = (metrics(text), known());
    for name in &named {
        let stem = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let is_known = known.contains(name) || stem.is_some_and(|stem| known.contains(stem));
        assert!(
            is_known,
            "{source} names {name}, which node/METRICS.md does not list"
        );
    }
    named.len()
}

/// All values of a member, however deep.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            found.extend(object.get(name).and_then(Value::as_str));
            object
                .values()
                .for_each(|inside| members(inside, name, found));
        }
        Value::Array(items) => items.iter().for_each(|inside| members(inside, name, found)),
        _ => {}
    }
}

#[test]
fn every_query_of_the_dashboard_names_metrics_that_exist() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/lyceum.json")).unwrap();
    let mut queries = Vec::new();
    members(&dashboard["panels"], "expr", &mut queries);
    assert!(queries.len() >= 40, "{} queries", queries.len());
    for query in &queries {
        let count = assert_known(query, "the dashboard");
        assert!(count > 0, "no metric in {query:?}");
    }
    assert!(assert_known(&dashboard["templating"].to_string(), "the dashboard") > 0);
}

#[test]
fn alerts_and_netsim_name_metrics_that_exist() {
    assert!(assert_known(&read("deploy/prometheus/alerts.yml"), "alerts.yml") >= 8);
    assert!(assert_known(&read("netsim/src/metrics.rs"), "netsim") >= 5);
}

/// Runs promtool, which `.ci/promtool` finds.
fn promtool(arguments: &[&str]) -> (bool, String) {
    let found = Command::new(root().join(".ci/promtool")).output().unwrap();
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "no promtool: {said}");
    let path = String::from_utf8(found.stdout).unwrap();
    let mut run = Command::new(path.trim_end());
    run.args(arguments)
        .current_dir(root().join("deploy/prometheus"));
    let done = run.output().unwrap();
    let said = [done.stdout, done.stderr].concat();
    (
        done.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

#[test]
fn prometheus_takes_its_files_and_alerts_fire_when_they_should() {
    for arguments in [
        &["check", "config", "prometheus.yml"][..],
        &["check", "config", "compose.yml"],
        &["test", "rules", "alerts_test.yml"],
    ] {
        let (is_good, said) = promtool(arguments);
        assert!(is_good, "promtool {arguments:?}: {said}");
    }
}

#[test]
fn every_alert_is_tested() {
    let (alerts, tests) = (
        read("deploy/prometheus/alerts.yml"),
        read("deploy/prometheus/alerts_test.yml"),
    );
    let names: Vec<_> = alerts
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    assert!(names.len() >= 9);
    for name in names {
        let quiet = format!("alertname: {name}, exp_alerts: []");
        let loud = format!("alertname: {name}\n");
        assert!(tests.contains(&quiet) && tests.contains(&loud), "{name}");
    }
}

/// The program `lyceum`, which `cargo test --workspace` puts beside netsim.
fn lyceum() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_netsim")).with_file_name("lyceum");
    assert!(path.exists(), "{} is missing", path.display());
    path
}

#[test]
fn containers_and_the_service_set_what_the_node_knows() {
    let help = Command::new(lyceum()).args(["node", "--help"]).output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    for path in [
        "deploy/Dockerfile",
        "deploy/compose.yaml",
        "deploy/systemd/lyceum.service",
    ] {
        let text = read(path);
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        let names: BTreeSet<_> = words.filter(|word| word.starts_with("LYCEUM_")).collect();
        assert!(names.len() >= 2, "{path}: {names:?}");
        for name in names {
            let known = format!("[env: {name}=");
            assert!(help.contains(&known), "{path}: the node has no {name}");
        }
    }
}

#[test]
fn systemd_takes_the_unit() {
    let found = Command::new("systemd-analyze").arg("--version").output();
    if found.is_err() {
        return; // no systemd here
    }
    let unit = read("deploy/systemd/lyceum.service");
    let here = unit.replace("/usr/local/bin/lyceum", lyceum().to_str().unwrap());
    assert_ne!(here, unit);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lyceum.service");
    std::fs::write(&path, here).unwrap();
    let mut verify = Command::new("systemd-analyze");
    let done = verify.arg("verify").arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}");
}

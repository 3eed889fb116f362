//! Other people's programs against what is served: promtool, schemathesis, and the list of routes in the OpenAPI document.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use lyceum_node::api::{ApiConfig, RateLimit};
use serde_json::Value;

use crate::forge;
use crate::metrics::touch;
use crate::world::World;

/// Runs a script of `.ci`; what it prints.
pub(crate) fn ci(script: &str, arguments: &[&str]) -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let made = Command::new(format!("{folder}/../.ci/{script}"))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success(), ".ci/{script} {arguments:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// Every route that is served: SPEC.md section 14, and what stands beside it.
const ROUTES: [(&str, &str); 23] = [
    ("get", "/"),
    ("get", "/api/v1/accounts/{did}"),
    ("get", "/api/v1/blocks"),
    ("get", "/api/v1/blocks/{id}"),
    ("get", "/api/v1/contracts"),
    ("get", "/api/v1/contracts/{name}"),
    ("get", "/api/v1/events"),
    ("get", "/api/v1/mempool"),
    ("get", "/api/v1/peers"),
    ("get", "/api/v1/segments"),
    ("get", "/api/v1/segments/{k}"),
    ("get", "/api/v1/segments/{k}.torrent"),
    ("get", "/api/v1/segments/{k}/magnet"),
    ("get", "/api/v1/state/{contract}/{record}"),
    ("get", "/api/v1/state/{contract}/{record}/{key}"),
    ("get", "/api/v1/status"),
    ("post", "/api/v1/txs"),
    ("get", "/api/v1/txs/{id}"),
    ("get", "/api/v1/txs/{id}/proof"),
    ("get", "/healthz"),
    ("get", "/metrics"),
    ("get", "/openapi.json"),
    ("get", "/readyz"),
];

#[test]
fn the_openapi_document_lists_every_route() {
    let world = World::new();
    let document = world.json("/openapi.json");
    let mut listed = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operation["responses"]["default"].is_object(),
                "{path} can refuse"
            );
            listed.push((method.clone(), path.clone()));
        }
    }
    listed.sort_by(|a, b| a.1.cmp(&b.1));
    let mut routes = ROUTES.map(|(method, path)| (method.to_owned(), path.to_owned()));
    routes.sort_by(|a, b| a.1.cmp(&b.1));
    assert_eq!(listed, routes);
    // Each is there: whatever it says, it is no unknown path.
    for (_, path) in routes
        .iter()
        .filter(|(method, path)| method == "get" && !path.ends_with("/events"))
    {
        let answer = world.get(&path.replace(['{', '}'], ""));
        let is_unknown = answer.status == 404 && answer.json()["reason"] == "unknown_path";
        assert!(!is_unknown, "{path}");
    }
}

#[test]
fn promtool_finds_nothing_to_mend() {
    ci("apt", &["prometheus"]);
    let world = World::new();
    touch(&world.metrics);
    let text = world.get("/metrics").body;
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

#[test]
fn schemathesis_finds_no_answer_that_the_document_does_not_describe() {
    let rate = RateLimit {
        per_second: 1_000_000,
        burst: 1_000_000,
    };
    let cors = Vec::new();
    let world = World::with(ApiConfig { cors, rate }, 10);
    for seq in 0..3 {
        let call = forge::register(&world.spec, 0, seq);
        assert_eq!(
            world
                .post("/api/v1/txs", "application/jwt", call.token().as_bytes())
                .status,
            202
        );
    }
    let python = ci("python", &["requirements-api.txt"]);
    let folder = tempfile::tempdir().unwrap();
    // An id that is there; what a token is no schema says; events never end.
    let included = world.json("/api/v1/blocks/3")["txs"][0].clone();
    let path = "/api/v1/txs/{id}/proof";
    let config =
        format!("[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ id = {included} }}\n");
    std::fs::write(folder.path().join("schemathesis.toml"), config).unwrap();
    let output = Command::new(Path::new(&python).with_file_name("schemathesis"))
        .current_dir(folder.path())
        .args(["run", &world.url("/openapi.json")])
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--checks", "all"])
        .args([
            "--exclude-checks",
            "positive_data_acceptance,unsupported_method",
        ])
        .args([
            "--max-examples",
            "40",
            "--seed",
            "1",
            "--generation-deterministic",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}");
    let status: Value = world.json("/healthz");
    assert_eq!(status["ok"], true);
}

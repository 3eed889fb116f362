//! Other people's programs against what is served: promtool, and the list of routes in the OpenAPI document.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::ci::ci;
use crate::metrics::touch;
use crate::world::World;

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
    let promtool = ci("promtool", &[]);
    let world = World::new();
    touch(&world.metrics);
    let text = world.get("/metrics").body;
    let mut child = Command::new(promtool)
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

//! A node whose ledger takes its time: what its API says meanwhile, and that it can be stopped.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, mpsc};

use lyceum_node::driver::{NodeConfig, OpenError, Opening, open_chain};
use serde_json::Value;

use crate::child::{NodeProcess, folder_of, text};
use crate::inside::runtime;
use crate::spec::spec;

/// Status, content type, `Retry-After`, body.
fn get(http: &str, path: &str) -> (u16, String, Option<String>, String) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = agent.build().into();
    let mut answer = agent.get(format!("http://{http}{path}")).call().unwrap();
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (kind, retry) = (header("content-type"), header("retry-after"));
    let status = answer.status().as_u16();
    let body = answer.body_mut().read_to_string().unwrap();
    (status, kind.unwrap_or_default(), retry, body)
}

/// What a node says whose ledger is not open.
fn assert_opening(http: &str, doing: &str) {
    let json = |body: &str| serde_json::from_str::<Value>(body).unwrap();
    let (status, _, _, body) = get(http, "/healthz");
    assert_eq!((status, json(&body)["ok"].as_bool()), (200, Some(true)));

    let (status, kind, _, body) = get(http, "/readyz");
    let body = json(&body);
    assert_eq!((status, kind.as_str()), (503, "application/json"));
    assert_eq!(
        (&body["ready"], &body["height"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(body["reasons"].as_array().unwrap().len(), 1);
    assert_eq!(body["reasons"][0]["reason"], "opening");
    let detail = body["reasons"][0]["detail"].as_str().unwrap();
    assert!(detail.starts_with(doing), "{detail}");

    let (status, _, _, body) = get(http, "/metrics");
    assert_eq!(status, 200);
    for family in [
        "lyceum_build_info",
        "lyceum_process_threads",
        "lyceum_http_requests_total",
    ] {
        assert!(body.contains(family), "{family}: {body}");
    }
    // A height of 0 would be a lie.
    assert!(
        !body.contains("lyceum_chain_") && !body.contains("libp2p"),
        "{body}"
    );

    for path in [
        "/",
        "/openapi.json",
        "/api/v1/status",
        "/api/v1/blocks?limit=0",
        "/api/v1/events",
    ] {
        let (status, kind, retry, body) = get(http, path);
        assert_eq!(
            (status, kind.as_str()),
            (503, "application/problem+json"),
            "{path}"
        );
        assert_eq!(retry.as_deref(), Some("1"), "{path}");
        assert_eq!(json(&body)["reason"], "opening", "{path}");
    }
}

#[test]
fn the_api_serves_what_there_is_while_the_ledger_opens() {
    let (runtime, spec) = (runtime(), Arc::new(spec(|_| {})));
    let folder = tempfile::tempdir().unwrap();
    let config = NodeConfig::local(spec, folder.path().join("data"), Vec::new());
    let opening = runtime.block_on(Opening::listen(config)).unwrap();
    let http = opening.http().to_string();
    let (go_on, wait) = mpsc::channel::<()>();
    let (told, tell) = mpsc::channel::<()>();
    let opened = runtime.spawn(opening.open(move |folder, spec, options| {
        wait.recv().unwrap();
        options.progress.set(2, 7);
        told.send(()).unwrap();
        wait.recv().unwrap();
        open_chain(folder, spec, options)
    }));
    assert_opening(&http, "opening the ledger; ");
    go_on.send(()).unwrap();
    tell.recv().unwrap();
    assert_opening(&http, "opening the ledger, 2 of 7 segments checked; ");
    go_on.send(()).unwrap();
    let node = runtime.block_on(opened).unwrap().unwrap();
    assert_eq!(node.addresses().http.to_string(), http);
    let (_, _, _, ready) = get(&http, "/readyz");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    assert_eq!(ready["height"], 0);
    assert_eq!(get(&http, "/api/v1/status").0, 200);
    let (_, _, _, metrics) = get(&http, "/metrics");
    assert!(metrics.contains("lyceum_chain_height 0\n"), "{metrics}");
    runtime.block_on(node.stop()).unwrap();
}

#[test]
fn a_ledger_that_does_not_open_ends_the_node_with_its_error() {
    let (runtime, spec) = (runtime(), Arc::new(spec(|_| {})));
    let folder = tempfile::tempdir().unwrap();
    let config = NodeConfig::local(spec, folder.path().join("data"), Vec::new());
    let opening = runtime.block_on(Opening::listen(config)).unwrap();
    let http = opening.http();
    let opened = runtime.block_on(opening.open(|folder, _, _| {
        Err(OpenError::Io {
            path: folder.to_owned(),
            error: std::io::Error::other("the disk is on fire"),
        })
    }));
    let error = opened.map(|_| ()).unwrap_err().to_string();
    assert!(error.ends_with("data: the disk is on fire"), "{error}");
    let knock = std::net::TcpStream::connect(http);
    assert_eq!(
        knock.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
}

/// A pipe in the place of the data folder's chain file: whoever opens the ledger waits until somebody writes to it.
fn pipe(folder: &Path) -> std::path::PathBuf {
    let pipe = folder.join("data/chain.json");
    std::fs::create_dir(folder.join("data")).unwrap();
    let made = Command::new("mkfifo").arg(text(pipe.clone())).status();
    assert!(made.unwrap().success());
    pipe
}

#[test]
fn the_program_can_be_stopped_while_it_opens_its_ledger() {
    for signal in ["INT", "TERM"] {
        let folder = folder_of(&spec(|_| {}));
        pipe(folder.path());
        let node = NodeProcess::open_in(None, folder.path(), &[]);
        assert_opening(&node.http, "opening the ledger");
        node.signal(signal);
        node.wait_for("stopped before the ledger was open");
        assert_eq!(node.ended().code(), Some(0));
    }
}

#[test]
fn the_program_goes_on_where_its_ledger_opens_late() {
    let spec = spec(|_| {});
    let folder = folder_of(&spec);
    let pipe = pipe(folder.path());
    let node = NodeProcess::open_in(None, folder.path(), &[]);
    assert_opening(&node.http, "opening the ledger");
    let mut writer = std::fs::File::options().write(true).open(pipe).unwrap();
    writer.write_all(spec.to_json().as_bytes()).unwrap();
    drop(writer);
    node.wait_for("node started");
    assert_eq!(node.status()["height"], 0);
    assert_eq!(node.end("INT").code(), Some(0));
}

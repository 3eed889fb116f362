//! One node, as its user sees it: it mines, takes transactions, shows the ledger, stops, and comes back.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::child::*;
use crate::spec::spec;

const MINE: [&str; 3] = ["--mine", "--mine-rate", "4000"];
const REGISTER: &str = r#"[{"action":"register_student","student":{"id":"S001","name":"John Doe","department":"Computer Science"}}]"#;

/// A plain wallet in `folder`; its key file.
fn wallet(folder: &tempfile::TempDir, name: &str) -> String {
    let dir = text(folder.path().join("wallets"));
    good(&["wallet", "new", name, "--plain", "--dir", &dir]);
    text(folder.path().join(format!("wallets/{name}.pem")))
}

#[test]
fn a_node_mines_and_its_user_sends_and_looks() {
    let folder = folder_of(&spec(|_| {}));
    let node = NodeProcess::start(folder.path(), &MINE);
    let http = node.http.clone();
    node.wait_for_height(2);

    let (key, actions) = (
        wallet(&folder, "alice"),
        text(folder.path().join("actions.json")),
    );
    std::fs::write(&actions, REGISTER).unwrap();
    let send = [
        "tx", "send", "--wallet", &key, "--http", &http, "--wait", "--json", &actions,
    ];
    let sent = json(&send);
    assert_eq!(sent["receipt"]["ok"], true, "{sent}");
    let id = sent["id"].as_str().unwrap();
    // The dry run leaves room, but not much.
    let (gas, used) = (&sent["claims"]["gas"], &sent["receipt"]["gas"]);
    let (gas, used) = (gas.as_u64().unwrap(), used.as_u64().unwrap());
    assert!(used < gas && gas <= used * 2 + 10_000, "{used} of {gas}");

    // The same once more would fail; so says the run here, and the chain if it is sent all the same.
    let refused = failure(1, &send);
    assert!(refused.contains("it would fail"), "{refused}");
    let forced = [&send[..], &["--gas", "100000"]].concat();
    let output = lyceum(&forced);
    let failed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &failed["receipt"]["ok"]),
        (Some(1), &json!(false))
    );
    assert_eq!(failed["claims"]["seq"], 1);

    let shown = json(&["tx", "show", id, "--http", &http, "--json"]);
    assert_eq!(shown["block"]["hash"], sent["block"]["hash"]);
    let height = shown["block"]["height"].to_string();
    let block = json(&["block", &height, "--http", &http, "--json"]);
    assert_eq!(block["txs"], json!([id]));
    let raw = good(&["block", &height, "--http", &http, "--raw"]);
    assert_eq!(raw.trim_end().split('~').count(), 2);
    let state = json(&["state", "learning/student/S001", "--http", &http]);
    assert_eq!(state["name"], "John Doe");
    let students = json(&["state", "learning/student", "--http", &http, "--json"]);
    assert_eq!(students.as_array().unwrap().len(), 1);
    let none = failure(1, &["state", "learning/student/S002", "--http", &http]);
    assert!(none.contains("no such record"), "{none}");

    assert_eq!(node.end("INT").code(), Some(0));
    // The same answers from the ledger alone.
    let data = text(folder.path().join("data"));
    let again = json(&["block", &height, "--data-dir", &data, "--json"]);
    assert_eq!(again, block);
    let status = json(&["status", "--data-dir", &data, "--json"]);
    assert!(status["height"].as_u64() >= shown["block"]["height"].as_u64());
    let gone = failure(1, &["status", "--http", &http]);
    assert!(gone.contains("no node answers"), "{gone}");
    good(&["chain", "verify", "--data-dir", &data]);
}

#[test]
fn actions_come_from_standard_input_and_need_not_be_waited_for() {
    let folder = folder_of(&spec(|_| {}));
    let node = NodeProcess::start(folder.path(), &MINE);
    let key = wallet(&folder, "bob");
    let mut send = command(&["tx", "send", "--wallet", &key, "--http", &node.http, "-"]);
    let mut send = send
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    send.stdin
        .take()
        .unwrap()
        .write_all(REGISTER.as_bytes())
        .unwrap();
    let output = send.wait_with_output().unwrap();
    assert!(output.status.success());
    let id = String::from_utf8(output.stdout).unwrap();
    let path = ["tx", "show", id.trim(), "--http", &node.http, "--json"];
    eventually("it is in a block", || {
        json(&path)["receipt"]["ok"].as_bool()
    });
}

#[test]
fn a_data_folder_has_one_node() {
    let folder = folder_of(&spec(|_| {}));
    let node = NodeProcess::start(folder.path(), &[]);
    let data = text(folder.path().join("data"));
    let chain = text(folder.path().join("chain.json"));
    let second = failure(
        1,
        &[
            "node",
            "--chain",
            &chain,
            "--data-dir",
            &data,
            "--http",
            "127.0.0.1:0",
        ],
    );
    assert!(second.contains("in use"), "{second}");
    let look = failure(1, &["status", "--data-dir", &data]);
    assert!(look.contains("in use") && look.contains("--http"), "{look}");
    // The folder knows its chain, and takes no other.
    assert_eq!(node.end("TERM").code(), Some(0));
    let other = failure(
        1,
        &[
            "node",
            "--chain",
            "dev",
            "--data-dir",
            &data,
            "--http",
            "127.0.0.1:0",
        ],
    );
    assert!(other.contains("another chain file"), "{other}");
}

#[test]
fn a_killed_node_comes_back_with_what_it_had_committed() {
    let folder = folder_of(&spec(|_| {}));
    let mut heights = Vec::new();
    for _ in 0..3 {
        let node = NodeProcess::start(folder.path(), &MINE);
        let opened = node.height();
        assert!(
            heights.last().is_none_or(|last| opened >= *last),
            "{opened} after {heights:?}"
        );
        node.wait_for_height(opened + 3);
        heights.push(node.height());
        assert!(!node.end("KILL").success());
    }
    let data = text(folder.path().join("data"));
    good(&["chain", "verify", "--data-dir", &data]);
}

#[test]
fn segments_are_listed_handed_out_and_fetched_by_their_magnet() {
    let folder = folder_of(&spec(|fields| fields.segment_blocks = 2));
    let node = NodeProcess::start(folder.path(), &MINE);
    let http = node.http.clone();
    let list = ["segment", "list", "--http", &http, "--json"];
    let first = eventually("a segment is sealed", || json(&list).get(0).cloned());
    let torrent = text(folder.path().join("0.torrent"));
    good(&[
        "segment", "torrent", "0", "--http", &http, "--out", &torrent,
    ]);
    let bytes = std::fs::read(&torrent).unwrap();
    let name = first["name"].as_str().unwrap();
    assert!(
        bytes
            .windows(name.len())
            .any(|window| window == name.as_bytes())
    );
    let magnet = good(&["segment", "magnet", "0", "--http", &http]);
    assert!(
        magnet.contains(first["infohash"].as_str().unwrap()),
        "{magnet}"
    );

    let peer = node.status()["torrents"]["listen"]
        .as_str()
        .unwrap()
        .to_owned();
    let dir = text(folder.path().join("fetched"));
    good(&[
        "segment",
        "fetch",
        magnet.trim(),
        "--peer",
        &peer,
        "--dir",
        &dir,
        "--timeout",
        "120",
    ]);
    let fetched = std::fs::read(folder.path().join("fetched").join(name)).unwrap();
    let sealed = std::fs::read(folder.path().join("data/segments").join(name)).unwrap();
    assert!(fetched == sealed);
    let twice = failure(
        1,
        &[
            "segment",
            "fetch",
            magnet.trim(),
            "--peer",
            &peer,
            "--dir",
            &dir,
        ],
    );
    assert!(twice.contains("exists already"), "{twice}");
}

#[test]
fn settings_come_from_file_variables_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = text(folder.path().join("lyceum.toml"));
    std::fs::write(
        &file,
        "mine_threads = 2\nmempool_mib = 7\nhttp = \"127.0.0.1:1\"\n",
    )
    .unwrap();
    let print = |flags: &[&str]| {
        let mut command = command(&["node", "--print-config", "--config", &file]);
        command
            .env("LYCEUM_MINE_THREADS", "3")
            .env("LYCEUM_HTTP", "127.0.0.1:2");
        let output = command.args(flags).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let printed = print(&["--http", "127.0.0.1:3"]);
    for line in [
        "mine_threads = 3",
        "mempool_mib = 7",
        "http = \"127.0.0.1:3\"",
        "mine = false",
    ] {
        assert!(printed.lines().any(|at| at == line), "{line}: {printed}");
    }
    // What is printed can be used as it stands.
    let again = text(folder.path().join("again.toml"));
    std::fs::write(&again, &printed).unwrap();
    assert_eq!(
        good(&["node", "--print-config", "--config", &again]),
        printed
    );

    std::fs::write(&file, "mine = true\nminethreads = 2\n").unwrap();
    let unknown = failure(1, &["node", "--print-config", "--config", &file]);
    assert!(
        unknown.contains("line 2") && unknown.contains("minethreads"),
        "{unknown}"
    );
}

#[test]
fn wrong_usage_is_status_2_and_help_has_examples() {
    failure(2, &["node", "--mine-threads", "none"]);
    failure(2, &["block"]);
    failure(2, &["status", "--http", "a", "--data-dir", "b"]);
    for command in [
        &["node"][..],
        &["block"],
        &["state"],
        &["status"],
        &["tx", "send"],
    ] {
        let help = good(&[command, &["--help"]].concat());
        assert!(help.contains("Examples:"), "{command:?}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = good(&["completions", shell]);
        assert!(
            script.contains("lyceum") && script.contains("mine-rate"),
            "{shell}"
        );
    }
}

//! Other people's programs against running nodes: Prometheus, schemathesis.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use lyceum_node::api::{ApiConfig, RateLimit};
use lyceum_protocol::Amount;
use percent_encoding::NON_ALPHANUMERIC;
use serde_json::Value;

use crate::child::eventually;
use crate::ci::ci;
use crate::forge;
use crate::inside::{Inside, miner, runtime};
use crate::spec::spec;

/// A running Prometheus; killed when dropped.
struct Prometheus {
    child: Child,
    address: String,
    _folder: tempfile::TempDir,
}

impl Prometheus {
    /// Starts one that scrapes these.
    fn start(targets: &[String]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets = serde_json::to_string(targets).unwrap();
        let config = format!(
            "global: {{ scrape_interval: 250ms, scrape_timeout: 250ms }}\n\
             scrape_configs: [{{ job_name: lyceum, static_configs: [{{ targets: {targets} }}] }}]\n"
        );
        let file = folder.path().join("prometheus.yml");
        std::fs::write(&file, config).unwrap();
        // A port that was free a moment ago: Prometheus does not say which it took.
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let child = Command::new(ci("promtool", &["prometheus"]))
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("db").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=warn")
            .spawn()
            .unwrap();
        Self {
            child,
            address: address.to_string(),
            _folder: folder,
        }
    }

    /// What a query gives for each target.
    fn query(&self, query: &str) -> Option<Vec<(String, f64)>> {
        let query = percent_encoding::utf8_percent_encode(query, NON_ALPHANUMERIC);
        let url = format!("http://{}/api/v1/query?query={query}", self.address);
        let mut answer = ureq::get(url).call().ok()?;
        let answer: Value = answer.body_mut().read_json().ok()?;
        let results = answer["data"]["result"].as_array()?.iter();
        let mut results: Vec<_> = results
            .map(|result| {
                let instance = result["metric"]["instance"].as_str().unwrap().to_owned();
                (
                    instance,
                    result["value"][1].as_str().unwrap().parse().unwrap(),
                )
            })
            .collect();
        results.sort_by(|a, b| a.0.cmp(&b.0));
        Some(results)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[test]
fn prometheus_scrapes_two_nodes() {
    let (runtime, spec) = (runtime(), Arc::new(spec(|_| {})));
    let first = Inside::start(&runtime, &spec, Vec::new(), miner(1, 4_000));
    let second = Inside::start(&runtime, &spec, vec![first.address()], None);
    let nodes = [&first, &second];
    let mut targets = nodes.map(|node| node.node.addresses().http.to_string());
    targets.sort();
    let prometheus = Prometheus::start(&targets);
    let of_both = |query: &str, is: &dyn Fn(f64) -> bool| {
        eventually(query, || {
            let found = prometheus.query(query)?;
            let same = found.iter().map(|(target, _)| target).eq(&targets);
            (same && found.iter().all(|(_, value)| is(*value))).then_some(())
        });
    };
    of_both("up", &|up| up == 1.0);
    let height = 3.max(second.height());
    of_both("lyceum_chain_height", &|found| found >= height as f64);
    // What Prometheus keeps is what the nodes say, with the types that it was told.
    of_both(
        "lyceum_peers{direction=~\"inbound|outbound\"}>0",
        &|peers| peers == 1.0,
    );
    of_both(
        "libp2p_gossipsub_topic_subscription_status{hash=~\".*block.*\"}",
        &|subscribed| subscribed == 1.0,
    );
    let first_height = first.height() as f64;
    assert!(first_height >= height as f64);
    second.stop(&runtime);
    first.stop(&runtime);
}

#[test]
fn schemathesis_finds_no_answer_that_the_document_does_not_describe() {
    let runtime = runtime();
    let spec = Arc::new(spec(|fields| {
        fields.segment_blocks = 2;
        fields.alloc = [(forge::address(0), Amount::new(1_000_000).unwrap())].into();
    }));
    let node = Inside::start_with(&runtime, &spec, Vec::new(), |config| {
        config.miner = miner(1, 4_000);
        config.api = ApiConfig {
            cors: Vec::new(),
            rate: RateLimit {
                per_second: 1_000_000,
                burst: 1_000_000,
            },
        };
    });
    let url = |path: &str| format!("http://{}{path}", node.node.addresses().http);
    let send = |seq: u64| {
        let call = forge::register(&spec, 0, seq);
        let request = ureq::post(url("/api/v1/txs")).header("content-type", "application/jwt");
        let mut answer = request.send(call.token().as_bytes()).unwrap();
        let answer: Value = answer.body_mut().read_json().unwrap();
        answer["id"].as_str().unwrap().to_owned()
    };
    let included = send(0);
    eventually("it is in a block, and a segment is sealed", || {
        let url = url(&format!("/api/v1/txs/{included}"));
        let found: Value = ureq::get(url)
            .call()
            .unwrap()
            .body_mut()
            .read_json()
            .unwrap();
        let is_sealed = node.metric("lyceum_segments_sealed ") >= Some(1.0);
        (found["receipt"]["ok"] == true && is_sealed).then_some(())
    });
    // One that waits for its block, at first, so that the mempool has something to show.
    send(1);

    let python = ci("python", &["requirements-api.txt"]);
    let folder = tempfile::tempdir().unwrap();
    // An id that is there; what a token is no schema says; events never end.
    let path = "/api/v1/txs/{id}/proof";
    let config = format!(
        "[[operations]]\ninclude-path = \"{path}\"\nparameters = {{ id = \"{included}\" }}\n"
    );
    std::fs::write(folder.path().join("schemathesis.toml"), config).unwrap();
    let output = Command::new(Path::new(&python).with_file_name("schemathesis"))
        .current_dir(folder.path())
        .args(["run", &url("/openapi.json")])
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
    // It goes on.
    let height = node.height();
    eventually("it still mines", || (node.height() > height).then_some(()));
    node.stop(&runtime);
}

//! What is refused, and how.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use lyceum_node::api::{ApiConfig, ApiError, RateLimit};
use serde_json::Value;

use crate::forge;
use crate::world::World;

#[test]
fn each_refusal_is_a_problem_with_its_reason() {
    let world = World::new();
    let zeros = "0".repeat(64);
    for (path, status, reason) in [
        ("/nothing", 404, "unknown_path"),
        ("/api/v1/blocks/11", 404, "unknown_block"),
        ("/api/v1/blocks/-1", 400, "block"),
        ("/api/v1/blocks/+1", 400, "block"),
        ("/api/v1/blocks/9007199254740992", 400, "block"),
        (&format!("/api/v1/blocks/{zeros}"), 404, "unknown_block"),
        ("/api/v1/blocks?limit=0", 400, "limit"),
        ("/api/v1/blocks?limit=101", 400, "limit"),
        ("/api/v1/blocks?from=9007199254740992", 400, "height"),
        ("/api/v1/blocks?limit=x", 400, "request"),
        ("/api/v1/blocks?form=1", 400, "request"),
        ("/api/v1/txs/abc", 400, "transaction"),
        (&format!("/api/v1/txs/{zeros}"), 404, "unknown_transaction"),
        ("/api/v1/mempool?after=abc", 400, "transaction"),
        ("/api/v1/accounts/nobody", 400, "address"),
        ("/api/v1/contracts/none", 404, "unknown_contract"),
        ("/api/v1/state/learning/student/none", 404, "unknown_record"),
        ("/api/v1/state/learning/student/none?proof=2", 400, "proof"),
        ("/api/v1/state/learning/student%2Fx", 400, "path"),
        (
            &format!("/api/v1/state/a/b/{}", "k".repeat(5_000)),
            400,
            "path",
        ),
        ("/api/v1/segments/x.torrent", 400, "segment"),
        ("/api/v1/segments?after=9007199254740992", 400, "segment"),
    ] {
        world.refuses(&world.get(path), status, reason);
    }
    let answer = world.post("/api/v1/status", "application/jwt", b"");
    world.refuses(&answer, 405, "method");
    assert_eq!(answer.header("allow"), "GET,HEAD");
}

#[test]
fn a_bad_transaction_is_refused_with_the_rules_reason() {
    let world = World::new();
    let submit = |kind: &str, body: &[u8]| world.post("/api/v1/txs", kind, body);
    world.refuses(&submit("application/json", b"{}"), 415, "media_type");
    world.refuses(&submit("application/jwt", b"\xff"), 400, "token_parts");
    world.refuses(&submit("application/jwt", b"a.b"), 400, "token_parts");
    let call = forge::register(&world.spec, 3, 0);
    let mut forged = call.token().to_owned().into_bytes();
    let dot = forged.iter().rposition(|byte| *byte == b'.').unwrap();
    forged[dot + 1] = if forged[dot + 1] == b'A' { b'B' } else { b'A' };
    let answer = submit("application/jwt", &forged);
    assert!(
        answer.json()["reason"]
            .as_str()
            .unwrap()
            .starts_with("signature"),
        "{}",
        answer.text()
    );
    let poor = forge::call(
        &world.spec,
        9,
        0,
        5,
        r#"{"action":"delete_course","id":"C"}"#,
    );
    world.refuses(
        &submit("application/jwt", poor.token().as_bytes()),
        400,
        "pending_funds",
    );
    let long = vec![b'a'; world.spec.max_tx_bytes as usize + 17];
    world.refuses(&submit("application/jwt", &long), 413, "body_size");
    assert_eq!(
        world.json("/api/v1/mempool")["items"],
        serde_json::json!([])
    );
}

#[test]
fn a_client_that_asks_too_often_is_told_to_wait_but_is_still_watched() {
    let rate = RateLimit {
        per_second: 1,
        burst: 5,
    };
    let cors = Vec::new();
    let world = World::with(ApiConfig { cors, rate }, 1);
    let answers: Vec<_> = (0..20).map(|_| world.get("/api/v1/status")).collect();
    assert!(answers[..5].iter().all(|answer| answer.status == 200));
    let refused = answers.iter().find(|answer| answer.status == 429).unwrap();
    world.refuses(refused, 429, "rate_limit");
    assert_eq!(refused.header("retry-after"), "1");
    for path in ["/healthz", "/metrics"] {
        assert_eq!(world.get(path).status, 200, "{path} is free");
    }
}

#[test]
fn other_origins_read_only_where_it_is_allowed() {
    let origin = "https://school.example";
    let asks = [("origin", origin)];
    let allow = "access-control-allow-origin";
    let closed = World::new();
    assert!(
        !closed
            .get_with("/api/v1/status", &asks)
            .headers
            .contains_key(allow)
    );
    let with = |origins: &[&str]| ApiConfig {
        cors: origins.iter().map(ToString::to_string).collect(),
        ..ApiConfig::default()
    };
    let open = World::with(with(&[origin]), 1);
    assert_eq!(open.get_with("/api/v1/status", &asks).header(allow), origin);
    let foreign = open.get_with("/api/v1/status", &[("origin", "https://other.example")]);
    assert!(!foreign.headers.contains_key(allow));
    assert_eq!(
        World::with(with(&["*"]), 1)
            .get_with("/healthz", &asks)
            .header(allow),
        "*"
    );
    for bad in [
        "school.example",
        "https://school.example/path",
        "ftp://x",
        "https://",
    ] {
        let serve = lyceum_node::api::serve(
            "127.0.0.1:0".parse().unwrap(),
            closed.node.clone(),
            closed.metrics.clone(),
            with(&[bad]),
            closed.shutdown.clone(),
        );
        let refused = closed.runtime.block_on(serve).unwrap_err();
        assert!(
            matches!(&refused, ApiError::Origin(origin) if origin == bad),
            "{refused}"
        );
    }
}

#[test]
fn an_address_in_use_is_named() {
    let world = World::new();
    let serve = lyceum_node::api::serve(
        world.address,
        world.node.clone(),
        world.metrics.clone(),
        ApiConfig::default(),
        world.shutdown.clone(),
    );
    let refused = world.runtime.block_on(serve).unwrap_err().to_string();
    assert!(
        refused.contains(&world.address.to_string()) && refused.contains("--http"),
        "{refused}"
    );
}

#[test]
fn one_client_can_not_hold_all_connections() {
    let world = World::new();
    // Each is accepted for certain: it has had an answer.
    let mut held: Vec<_> = (0..128).map(|_| Held::open(&world)).collect();
    let mut more = TcpStream::connect(world.address).unwrap();
    let mut rest = Vec::new();
    // Closed at once: an end, or a reset where our bytes came too late.
    let closed = more
        .write_all(ASK)
        .and_then(|()| more.read_to_end(&mut rest));
    assert!(closed.is_err() || rest.is_empty(), "{rest:?}");
    held[127].ask();
    drop(held);
    // The places come back as the listener learns of the ends.
    while Held::try_open(&world).is_err() {}
}

const ASK: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";

/// A connection that stays open between requests.
struct Held(BufReader<TcpStream>);

impl Held {
    fn open(world: &World) -> Self {
        Self::try_open(world).unwrap()
    }

    fn try_open(world: &World) -> std::io::Result<Self> {
        let mut held = Self(BufReader::new(TcpStream::connect(world.address)?));
        held.try_ask().map(|()| held)
    }

    fn ask(&mut self) {
        self.try_ask().unwrap();
    }

    fn try_ask(&mut self) -> std::io::Result<()> {
        self.0.get_mut().write_all(ASK)?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head)? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let length = head.to_lowercase();
        let (_, length) = length.split_once("content-length: ").unwrap();
        let (length, _) = length.split_once("\r\n").unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body)?;
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["ok"], true);
        Ok(())
    }
}

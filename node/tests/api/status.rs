//! Where the node stands.

use lyceum_node::core::Phase;
use lyceum_protocol::{Height, Timestamp};
use serde_json::{Value, json};

use crate::world::{World, clock};

#[test]
fn the_status_says_where_the_node_stands() {
    let world = World::new();
    let status = world.json("/api/v1/status");
    let tip = world.node.reader.read().tip().unwrap().unwrap();
    for (member, want) in [
        ("chain", json!("dev")),
        ("height", json!(10)),
        ("tip", json!(tip.hash.to_string())),
        ("state_root", json!(tip.state_root.to_string())),
        ("work", json!(tip.work.to_string())),
        ("peers", json!(1)),
        ("peer_id", json!(world.node.peer_id.to_string())),
        ("listen", json!(["/ip4/192.0.2.7/tcp/9000"])),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("genesis", world.json("/api/v1/blocks/0")["hash"].clone()),
    ] {
        assert_eq!(status[member], want, "{member}");
    }
    assert_eq!(status["sync"]["phase"], "following");
    assert_eq!(status["torrents"]["fetches"][0]["segment"], 2);
}

#[test]
fn peers_are_paged_by_id() {
    let world = World::new();
    let page = world.json("/api/v1/peers?limit=2");
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
    let next = page["next"].as_str().unwrap();
    let rest = world.json(&format!("/api/v1/peers?after={next}"));
    assert_eq!(
        (rest["items"].as_array().unwrap().len(), &rest["next"]),
        (1, &Value::Null)
    );
    let all = [
        page["items"].as_array().unwrap().clone(),
        rest["items"].as_array().unwrap().clone(),
    ]
    .concat();
    let outbound = all.iter().filter(|peer| peer["direction"] == "outbound");
    assert_eq!(outbound.count(), 2);
    assert_eq!(
        (&all[0]["agent"], &all[0]["ping_ms"]),
        (&json!("lyceum/0.1.0"), &json!(1.5))
    );
}

fn reasons(world: &World, status: u16) -> (Vec<String>, Value) {
    let answer = world.get("/readyz");
    assert_eq!(
        (answer.status, answer.kind.as_str()),
        (status, "application/json")
    );
    let body = answer.json();
    assert_eq!(body["ready"], status == 200);
    let reasons = body["reasons"].as_array().unwrap().iter();
    let reasons = reasons.map(|reason| reason["reason"].as_str().unwrap().to_owned());
    (reasons.collect(), body)
}

#[test]
fn readiness_gives_its_reasons() {
    let world = World::new();
    world
        .standing
        .send_modify(|standing| standing.tip_timestamp = clock());
    assert_eq!(reasons(&world, 200).0, [] as [&str; 0]);
    world.standing.send_modify(|standing| {
        standing.peers = 0;
        standing.phase = Phase::Blocks;
        standing.target_height = Height::new(110).unwrap();
        standing.tip_timestamp = Timestamp::new(1).unwrap();
        standing.blocks_per_second = 8.0;
    });
    let (why, body) = reasons(&world, 503);
    assert_eq!(why, ["no_peers", "syncing", "behind", "tip_old"]);
    let sync = &body["sync"];
    assert_eq!(
        (&sync["lag_blocks"], &sync["eta_seconds"]),
        (&json!(100), &json!(13))
    );
    assert_eq!(sync["phase"], "blocks");
    world
        .standing
        .send_modify(|standing| standing.blocks_per_second = f64::NAN);
    let (_, body) = reasons(&world, 503);
    assert_eq!(
        (
            &body["sync"]["eta_seconds"],
            &body["sync"]["blocks_per_second"]
        ),
        (&Value::Null, &json!(0.0))
    );
    // Whoever mines alone needs no peer.
    world.standing.send_modify(|standing| {
        standing.is_mining = true;
        standing.phase = Phase::Waiting;
        standing.target_height = standing.height;
        standing.tip_timestamp = clock();
    });
    assert_eq!(reasons(&world, 200).0, [] as [&str; 0]);
}

#[test]
fn a_node_without_a_core_is_not_healthy() {
    let world = World::new();
    assert_eq!(world.json("/healthz"), json!({ "ok": true }));
    let World { runtime, .. } = &world;
    // The core's end of the channel goes with its runtime's task; another handle stands for it here.
    let (commands, questions) = tokio::sync::mpsc::channel(1);
    drop(questions);
    let mut node = world.node.clone();
    node.commands = commands;
    let serve = lyceum_node::api::serve(
        "127.0.0.1:0".parse().unwrap(),
        node,
        world.metrics.clone(),
        lyceum_node::api::ApiConfig::default(),
        world.shutdown.clone(),
    );
    let server = runtime.block_on(serve).unwrap();
    let mut stopped = World::new();
    stopped.address = server.address;
    stopped.refuses(&stopped.get("/healthz"), 503, "stopping");
    stopped.refuses(
        &stopped.post("/api/v1/txs", "application/jwt", b"x"),
        503,
        "stopping",
    );
    // What is in the ledger is still told: nothing is pending.
    let account = stopped.json(&format!("/api/v1/accounts/{}", crate::forge::address(1)));
    assert_eq!(
        (&account["seq"], &account["next_seq"]),
        (&json!(10), &json!(10))
    );
    assert_eq!(stopped.json("/api/v1/mempool")["items"], json!([]));
    let none = format!("/api/v1/txs/{}", "0".repeat(64));
    stopped.refuses(&stopped.get(&none), 404, "unknown_transaction");
}

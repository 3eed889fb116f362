//! Accounts, contracts, records, proofs, segments.

use lyceum_protocol::{StateRoot, TxId};
use lyceum_storage::{ProofLeaf, TreeProof, verify_proof};
use serde_json::{Value, json};

use crate::forge;
use crate::world::World;

#[test]
fn an_account_shows_credits_and_who_it_is() {
    let world = World::new();
    let owner = forge::address(1);
    let account = world.json(&format!("/api/v1/accounts/{owner}"));
    let want = json!({
        "address": owner.to_string(), "balance": 1_000_500, "seq": 10, "next_seq": 10, "user_id": null, "role": null
    });
    assert_eq!(account, want);
    let nobody = forge::address(9);
    let account = world.json(&format!("/api/v1/accounts/{nobody}"));
    assert_eq!(
        (&account["balance"], &account["seq"]),
        (&json!(0), &json!(0))
    );
    let join = format!(r#"{{"action":"add_member","wallet":"{owner}","role":"teacher"}}"#);
    let call = forge::call(&world.spec, 1, 10, 5, &join);
    assert_eq!(
        world
            .post("/api/v1/txs", "application/jwt", call.token().as_bytes())
            .status,
        202
    );
    world.mine();
    assert_eq!(
        world.json(&format!("/api/v1/accounts/{owner}"))["role"],
        "teacher"
    );
}

#[test]
fn contracts_are_listed_and_shown() {
    let world = World::new();
    let page = world.json("/api/v1/contracts?limit=2");
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items
            .map(|c| c["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&page), ["course_management", "dao"]);
    let rest = world.json(&format!(
        "/api/v1/contracts?after={}",
        page["next"].as_str().unwrap()
    ));
    assert_eq!(
        (names(&rest), &rest["next"]),
        (vec!["learning".to_owned()], &Value::Null)
    );
    assert_eq!(rest["items"][0]["owner"], Value::Null);
    assert!(
        rest["items"][0]["actions"]
            .as_array()
            .unwrap()
            .contains(&json!("enroll"))
    );
    let contract = world.json("/api/v1/contracts/learning");
    assert_eq!(contract["definition"]["contract"], "learning");

    let mut definition = contract["definition"].clone();
    definition["contract"] = json!("mine");
    definition["records"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| name != "member");
    let deploy = json!({"action": "deploy_contract", "definition": {
        "contract": "mine", "records": {"note": {"key": "id", "fields": {"id": "text"}}},
        "actions": {"add": {"params": {"id": "text"}, "do": [{"put": ["note", {"id": {"var": "id"}}]}]}}
    }});
    let call = forge::call(&world.spec, 2, 0, 5, &deploy.to_string());
    assert_eq!(
        world
            .post("/api/v1/txs", "application/jwt", call.token().as_bytes())
            .status,
        202
    );
    world.mine();
    let mine = world.json("/api/v1/contracts/mine");
    assert_eq!(mine["owner"], forge::address(2).to_string());
    assert_eq!(
        mine["definition"], deploy["definition"],
        "the owner stands beside it"
    );
}

#[test]
fn records_are_paged_in_the_order_of_their_keys() {
    let world = World::new();
    let mut keys = Vec::new();
    let mut after = String::new();
    loop {
        let page = world.json(&format!("/api/v1/state/learning/student?limit=3{after}"));
        for item in page["items"].as_array().unwrap() {
            assert_eq!(item["key"], item["record"]["id"]);
            keys.push(item["key"].as_str().unwrap().to_owned());
        }
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let want: Vec<_> = (0..10).map(|i| format!("S1-{i}")).collect();
    assert_eq!(keys, want);
    assert_eq!(
        world.json("/api/v1/state/learning/nothing")["items"],
        json!([])
    );
}

#[test]
fn a_record_and_its_absence_are_proved() {
    let world = World::new();
    let path = "/api/v1/state/learning/student/S1-3";
    let plain = world.json(path);
    assert_eq!(plain["record"]["department"], "D");
    assert_eq!(plain.get("proof"), None);
    assert_eq!(world.json(&format!("{path}?proof=0")), plain);
    let missing = "/api/v1/state/learning/student/S9";
    world.refuses(&world.get(missing), 404, "unknown_record");
    for (path, is_there) in [(path, true), (missing, false)] {
        let answer = world.get(&format!("{path}?proof=1"));
        let shown = answer.json();
        assert_eq!(shown["record"].is_object(), is_there);
        let bytes = |hash: &Value| *hash.as_str().unwrap().parse::<TxId>().unwrap().as_bytes();
        let proof = &shown["proof"];
        let leaf = Some(&proof["leaf"]).filter(|leaf| leaf.is_object());
        let proof = TreeProof {
            leaf: leaf.map(|leaf| ProofLeaf {
                key: bytes(&leaf["key"]),
                value_hash: bytes(&leaf["value_hash"]),
            }),
            siblings: proof["siblings"]
                .as_array()
                .unwrap()
                .iter()
                .map(bytes)
                .collect(),
        };
        let root: StateRoot = shown["state_root"].as_str().unwrap().parse().unwrap();
        assert_eq!(
            root,
            world.node.reader.read().tip().unwrap().unwrap().state_root
        );
        // The canonical JSON stands in the answer as it is.
        let path = shown["path"].as_str().unwrap();
        let record = world.node.reader.read().record(path).unwrap();
        verify_proof(root, path, record.as_deref(), &proof).unwrap();
        if let Some(record) = record {
            assert!(answer.text().contains(&record));
        }
    }
}

#[test]
fn sealed_segments_are_listed_and_given_as_torrents_and_magnets() {
    let world = World::new();
    let page = world.json("/api/v1/segments?limit=1");
    assert_eq!(page["next"], "0");
    let rest = world.json("/api/v1/segments?after=0");
    assert_eq!(
        (rest["items"].as_array().unwrap().len(), &rest["next"]),
        (1, &Value::Null)
    );
    let segment = &rest["items"][0];
    assert_eq!(world.json("/api/v1/segments/1"), *segment);
    assert_eq!(
        segment["infohash"],
        world.json("/api/v1/blocks/8")["claims"]["segment"]
    );
    assert_eq!(
        (&segment["first_height"], &segment["last_height"]),
        (&json!(4), &json!(7))
    );
    let length: usize = (4..8).map(|height| world.line(height).len() + 1).sum();
    assert_eq!(segment["length"], length);

    let torrent = world.get("/api/v1/segments/1.torrent");
    assert_eq!(
        (torrent.status, torrent.kind.as_str()),
        (200, "application/x-bittorrent")
    );
    let entry = world
        .node
        .reader
        .read()
        .segment(lyceum_protocol::SegmentIndex::new(1).unwrap());
    assert_eq!(
        torrent.body,
        entry
            .unwrap()
            .unwrap()
            .metainfo
            .to_torrent(&world.spec.trackers)
    );
    let magnet = world.get("/api/v1/segments/1/magnet");
    let want = format!(
        "magnet:?xt=urn:btih:{}&dn=dev-00000001.jwts&tr=udp%3A%2F%2Ftracker.example.org%3A6969%2Fannounce&x.pe=192.0.2.7:6881",
        segment["infohash"].as_str().unwrap()
    );
    assert_eq!(
        (magnet.text(), segment["magnet"].as_str().unwrap()),
        (want.as_str(), want.as_str())
    );
    world
        .torrents
        .send_modify(|view| view.listen = Some("127.0.0.1:7000".parse().unwrap()));
    assert!(
        world
            .get("/api/v1/segments/1/magnet")
            .text()
            .ends_with("&x.pe=127.0.0.1:7000")
    );
    world.torrents.send_modify(|view| view.listen = None);
    assert!(
        !world
            .get("/api/v1/segments/1/magnet")
            .text()
            .contains("x.pe")
    );
    for path in ["2", "2.torrent", "2/magnet"] {
        world.refuses(
            &world.get(&format!("/api/v1/segments/{path}")),
            404,
            "unknown_segment",
        );
    }
}

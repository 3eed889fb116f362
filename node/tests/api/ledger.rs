//! Blocks and transactions.

use lyceum_protocol::{BlockHash, BlockLine, Header, InclusionProof, TxId};
use serde_json::{Value, json};

use crate::forge;
use crate::world::World;

#[test]
fn blocks_are_paged_both_ways_and_given_by_height_and_hash() {
    let world = World::new();
    let last = world.json("/api/v1/blocks?limit=3");
    let heights = |page: &Value| -> Vec<u64> {
        let items = page["items"].as_array().unwrap();
        items
            .iter()
            .map(|b| b["height"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(
        (heights(&last), &last["next"]),
        (vec![8, 9, 10], &Value::Null)
    );
    let mut seen = Vec::new();
    let mut from = json!("0");
    while let Some(start) = from.as_str() {
        let page = world.json(&format!("/api/v1/blocks?from={start}&limit=4"));
        seen.extend(heights(&page));
        from = page["next"].clone();
    }
    assert_eq!(seen, (0..=10).collect::<Vec<_>>());
    assert_eq!(world.json("/api/v1/blocks?from=11")["items"], json!([]));

    let line = world.line(4);
    let split = BlockLine::new(&line);
    let block = world.json("/api/v1/blocks/4");
    let hash = BlockHash::of(split.token().as_bytes()).to_string();
    assert_eq!(block["hash"], hash);
    assert_eq!(block["token"], split.token());
    assert_eq!(block["claims"]["index"], 4);
    assert_eq!(block["claims"]["segment"].as_str().unwrap().len(), 40);
    let ids: Vec<_> = split
        .transactions()
        .map(|t| TxId::of(t.as_bytes()).to_string())
        .collect();
    assert_eq!(block["txs"], json!(ids));
    assert_eq!(
        (&block["main"], &block["bytes"]),
        (&json!(true), &json!(line.len()))
    );
    assert_eq!(world.json(&format!("/api/v1/blocks/{hash}")), block);
    assert_eq!(last["items"][0], world.json("/api/v1/blocks/8"));
}

#[test]
fn plain_text_gives_the_block_line_itself() {
    let world = World::new();
    let text = [("accept", "text/plain")];
    let one = world.get_with("/api/v1/blocks/3", &text);
    assert_eq!(
        (one.text(), one.kind.as_str()),
        (world.line(3).as_str(), "text/plain; charset=utf-8")
    );
    let some = world.get_with("/api/v1/blocks?from=2&limit=2", &text);
    assert_eq!(
        some.text(),
        format!("{}\n{}\n", world.line(2), world.line(3))
    );
}

#[test]
fn a_side_block_is_found_by_its_hash_alone() {
    let world = World::new();
    let other = {
        let mut other = forge::chain(&world.spec);
        forge::extend(&mut other, 2, 1).remove(0)
    };
    world
        .core
        .lock()
        .unwrap()
        .chain
        .import(&other, forge::now())
        .unwrap();
    let block = world.json(&format!("/api/v1/blocks/{}", forge::hash(&other)));
    assert_eq!(
        (&block["height"], &block["main"]),
        (&json!(1), &json!(false))
    );
    assert_eq!(world.json("/api/v1/blocks/1")["main"], true);
}

#[test]
fn a_transaction_is_shown_with_its_block_and_receipt() {
    let world = World::new();
    let token = BlockLine::new(&world.line(7))
        .transactions()
        .next()
        .unwrap()
        .to_owned();
    let id = TxId::of(token.as_bytes());
    let shown = world.json(&format!("/api/v1/txs/{id}"));
    assert_eq!(
        (&shown["id"], &shown["token"]),
        (&json!(id.to_string()), &json!(token))
    );
    assert_eq!(shown["claims"]["seq"], 6);
    assert_eq!(shown["claims"]["actions"][0]["student"]["id"], "S1-6");
    let place = &shown["block"];
    assert_eq!(place["hash"], forge::hash(&world.line(7)).to_string());
    assert_eq!(
        (&place["height"], &place["index"], &place["confirmations"]),
        (&json!(7), &json!(0), &json!(4))
    );
    assert_eq!(shown["receipt"]["ok"], true);
    assert_eq!(shown["receipt"]["events"][0]["event"], "student_registered");
}

#[test]
fn a_submitted_transaction_is_followed_until_its_receipt() {
    let world = World::new();
    let call = forge::register(&world.spec, 3, 0);
    let taken = world.post("/api/v1/txs", "application/jwt", call.token().as_bytes());
    assert_eq!(
        (taken.status, taken.json()),
        (202, json!({ "id": call.id().to_string() }))
    );
    let place = taken.header("location").to_owned();
    let pending = world.json(&place);
    assert_eq!(
        (&pending["block"], &pending["receipt"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(world.json("/api/v1/mempool")["items"], json!([pending]));
    let refusal = world.get(&format!("{place}/proof"));
    world.refuses(&refusal, 404, "unknown_transaction");
    let again = world.post(
        "/api/v1/txs",
        "text/plain; charset=utf-8",
        call.token().as_bytes(),
    );
    world.refuses(&again, 400, "known");

    world.mine();
    let done = world.json(&place);
    assert_eq!(
        (&done["block"]["height"], &done["receipt"]["ok"]),
        (&json!(11), &json!(true))
    );
    assert_eq!(world.json("/api/v1/mempool")["items"], json!([]));
    let stale = world.post("/api/v1/txs", "application/jwt", call.token().as_bytes());
    world.refuses(&stale, 400, "seq_too_old");
}

#[test]
fn a_proof_leads_from_the_transaction_to_its_block() {
    let world = World::new();
    let calls: Vec<_> = (0..3)
        .map(|i| forge::register(&world.spec, i, if i == 1 { 10 } else { 0 }))
        .collect();
    for call in &calls {
        let token = format!("{}\n", call.token());
        assert_eq!(
            world
                .post("/api/v1/txs", "application/jwt", token.as_bytes())
                .status,
            202
        );
    }
    world.mine();
    for call in &calls {
        let proof = world.json(&format!("/api/v1/txs/{}/proof", call.id()));
        let block_token = proof["block_token"].as_str().unwrap();
        let header = Header::decode(block_token, &world.spec).unwrap();
        assert_eq!(proof["block"]["hash"], header.hash().to_string());
        let path = proof["path"].as_array().unwrap().iter();
        let path = path.map(|hash| *hash.as_str().unwrap().parse::<TxId>().unwrap().as_bytes());
        let inclusion = InclusionProof {
            index: proof["block"]["index"].as_u64().unwrap() as usize,
            leaves: proof["leaves"].as_u64().unwrap() as usize,
            path: path.collect(),
        };
        assert_eq!(proof["token"], call.token());
        assert!(inclusion.verify(call.token(), header.claims().tx_root));
    }
}

#[test]
fn the_mempool_is_paged_by_id() {
    let world = World::new();
    let mut ids = Vec::new();
    for seq in 0..5 {
        let call = forge::register(&world.spec, 0, seq);
        assert_eq!(
            world
                .post("/api/v1/txs", "application/jwt", call.token().as_bytes())
                .status,
            202
        );
        ids.push(call.id().to_string());
    }
    ids.sort();
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = world.json(&format!("/api/v1/mempool?limit=2{after}"));
        seen.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tx| tx["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    let account = world.json(&format!("/api/v1/accounts/{}", forge::address(0)));
    assert_eq!(
        (&account["seq"], &account["next_seq"]),
        (&json!(0), &json!(5))
    );
}

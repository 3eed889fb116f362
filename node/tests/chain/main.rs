//! The chain over a store in memory: extension, forks, invalid blocks, orphans, runs, segments, templates.

#![allow(clippy::unwrap_used)]

mod ahead;
mod cli;
mod deep;
mod forge;
mod runs;
mod segment_files;

use forge::*;
use lyceum_node::core::{ChainError, Imported, TipChange};
use lyceum_protocol::{BlockError, SegmentIndex, StateRoot, Timestamp, TxError};
use lyceum_storage::Durability;
use proptest::prelude::*;
use serde_json::Value;

#[test]
fn a_block_is_executed_and_its_miner_paid() {
    let spec = spec();
    let mut chain = chain(&spec);
    let lines = extend(&mut chain, 1, 1);
    let view = chain.store().read();
    assert_eq!(view.tip().unwrap().unwrap().hash, hash(&lines[0]));
    let student = view.record("learning/student/S1-0").unwrap().unwrap();
    assert!(student.contains("\"department\":\"D\""), "{student}");
    let account: Value = {
        let record = view
            .record(&format!("credits/account/{}", address(1)))
            .unwrap();
        serde_json::from_str(&record.unwrap()).unwrap()
    };
    // The fee goes from the sender to the miner, who is the same; the subsidy comes on top.
    assert_eq!(account, serde_json::json!({"balance": 1_000_050, "seq": 1}));
    let block = block(&spec, &lines[0]);
    let receipt = view.receipt(&block.transactions[0].id()).unwrap().unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    assert_eq!(
        (&receipt["ok"], &receipt["error"]),
        (&Value::Bool(true), &Value::Null)
    );
}

#[test]
fn a_call_that_fails_pays_its_fee_and_does_nothing_else() {
    let spec = spec();
    let mut chain = chain(&spec);
    let bad = call(
        &spec,
        1,
        0,
        7,
        r#"{"action":"transfer","to":"nobody","amount":1}"#,
    );
    let id = bad.id();
    let line = next_line(&chain, 2, 2_000, vec![bad]);
    chain.import(&line, now()).unwrap();
    let view = chain.store().read();
    let balance = |i: u8| -> (u64, u64) {
        let record = view
            .record(&format!("credits/account/{}", address(i)))
            .unwrap()
            .unwrap();
        let account: Value = serde_json::from_str(&record).unwrap();
        (
            account["balance"].as_u64().unwrap(),
            account["seq"].as_u64().unwrap(),
        )
    };
    assert_eq!((balance(1), balance(2)), ((999_993, 1), (1_000_057, 0)));
    let receipt: Value = serde_json::from_slice(&view.receipt(&id).unwrap().unwrap()).unwrap();
    assert_eq!(receipt["ok"], false);
    assert!(!receipt["error"].as_str().unwrap().is_empty());
}

#[test]
fn the_branch_of_more_work_wins_and_the_dropped_calls_come_back() {
    let spec = spec();
    let (mut ours, mut theirs) = (chain(&spec), chain(&spec));
    let short = extend(&mut ours, 1, 2);
    let long = extend(&mut theirs, 2, 3);
    assert_eq!(ours.import(&long[0], now()).unwrap(), Imported::Side);
    assert_eq!(
        ours.import(&long[1], now()).unwrap(),
        Imported::Side,
        "equal work: the first stays"
    );
    let Imported::Tip(change) = ours.import(&long[2], now()).unwrap() else {
        panic!("a reorganisation")
    };
    let tokens = |line: &String| block(&spec, line).transactions[0].token().to_owned();
    assert_eq!(
        change,
        TipChange {
            disconnected: vec![hash(&short[1]), hash(&short[0])],
            connected: long.iter().map(|line| hash(line)).collect(),
            dropped: short.iter().map(tokens).collect(),
        }
    );
    assert_eq!(ours.tip().unwrap(), theirs.tip().unwrap());
    let view = ours.store().read();
    assert_eq!(view.record("learning/student/S1-0").unwrap(), None);
    assert!(view.record("learning/student/S2-2").unwrap().is_some());
    drop(view);
    assert_eq!(ours.import(&long[0], now()).unwrap(), Imported::Known);
}

#[test]
fn an_invalid_block_on_a_better_branch_leaves_the_chain_as_it_was() {
    let spec = spec();
    let (mut ours, mut theirs) = (chain(&spec), chain(&spec));
    extend(&mut ours, 1, 2);
    let good = extend(&mut theirs, 2, 2);
    // A third block whose state root is wrong: only execution shows it.
    let tip = theirs.tip().unwrap();
    let time = header(&spec, &good[1]).claims().timestamp;
    let mut template = theirs
        .template(address(2), [], time.saturating_add(2_000))
        .unwrap();
    template.claims.state_root = StateRoot::ZERO;
    let bad = mine(&spec, &template, 2);
    let before = ours.tip().unwrap();
    for line in &good {
        ours.import(line, now()).unwrap();
    }
    match ours.import(&bad, now()).unwrap_err() {
        ChainError::Block(BlockError::StateRoot { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(ours.tip().unwrap(), before);
    assert!(
        matches!(ours.import(&bad, now()), Err(ChainError::Tree(_))),
        "it stays invalid"
    );
    // A good third block on the same branch is still followed.
    let line = next_line(&theirs, 3, 2_000, vec![]);
    assert!(matches!(
        ours.import(&line, now()).unwrap(),
        Imported::Tip(_)
    ));
    assert_eq!(ours.tip().unwrap().height, tip.height.next());
}

#[test]
fn a_sequence_number_out_of_turn_makes_a_block_invalid() {
    let spec = spec();
    let mut chain = chain(&spec);
    // The template leaves such a transaction out, and says why.
    let late = register(&spec, 1, 1);
    let template = chain
        .template(address(2), [late.clone()], Timestamp::ZERO)
        .unwrap();
    assert!(template.transactions.is_empty());
    assert!(matches!(template.refused[..], [(_, TxError::Seq { .. })]));
    // A miner who puts it in all the same is refused.
    let mut template = chain
        .template(address(2), [register(&spec, 1, 0)], Timestamp::ZERO)
        .unwrap();
    template.transactions = vec![late];
    template.claims.tx_root =
        lyceum_protocol::tx_root(template.transactions.iter().map(|tx| tx.token()));
    let error = chain.import(&mine(&spec, &template, 2), now()).unwrap_err();
    let ChainError::Block(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.reason(), "seq");
}

#[test]
fn orphans_wait_for_their_parent() {
    let spec = spec();
    let mut source = chain(&spec);
    let lines = extend(&mut source, 1, 6);
    let mut chain = chain(&spec);
    for line in lines.iter().skip(1).rev() {
        assert!(matches!(
            chain.import(line, now()).unwrap(),
            Imported::Orphan(_)
        ));
    }
    let Imported::Tip(change) = chain.import(&lines[0], now()).unwrap() else {
        panic!("all of them")
    };
    assert_eq!(
        change.connected,
        lines.iter().map(|line| hash(line)).collect::<Vec<_>>()
    );
    assert_eq!(chain.tip().unwrap(), source.tip().unwrap());
}

#[test]
fn a_run_gives_what_single_imports_give() {
    let spec = spec();
    let mut source = chain(&spec);
    let lines = extend(&mut source, 1, 20);
    let mut chain = chain(&spec);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = chain.import_run(&lines[..7], now(), Durability::Buffered);
    assert_eq!((run.done, run.new, run.error.is_none()), (7, 7, true));
    // An overlap is no trouble, and a bad line stops the run where it stands.
    let mut damaged = lines[5..].to_vec();
    let broken = damaged[10].replacen('~', "~A", 1);
    damaged[10] = &broken;
    let run = chain.import_run(&damaged, now(), Durability::Buffered);
    assert_eq!((run.done, run.new), (10, 8));
    let Some(ChainError::Block(error)) = run.error else {
        panic!("{:?}", run.error)
    };
    assert_eq!(error.reason(), "tx_root");
    let run = chain.import_run(&lines, now(), Durability::Synced);
    assert_eq!((run.done, run.new, run.error.is_none()), (20, 5, true));
    assert_eq!(chain.tip().unwrap(), source.tip().unwrap());
}

#[test]
fn segments_are_sealed_and_their_infohash_is_demanded() {
    let spec = spec();
    let mut chain = chain(&spec);
    let lines = extend(&mut chain, 1, 13);
    assert_eq!(chain.seal_ready(Durability::Synced).unwrap(), 3);
    let view = chain.store().read();
    for index in 0..3_u64 {
        let metainfo = view
            .metainfo(SegmentIndex::new(index).unwrap())
            .unwrap()
            .unwrap();
        let boundary = header(&spec, &lines[(index as usize + 1) * 4 - 1]);
        assert_eq!(boundary.claims().segment, Some(metainfo.info_hash()));
    }
    for line in &lines {
        assert_eq!(
            view.line(&hash(line)).unwrap().as_deref(),
            Some(line.as_str()),
            "sealed or not"
        );
    }
    drop(view);
    // A boundary block that carries another infohash is refused.
    let mut other = forge::chain(&spec);
    for line in &lines[..3] {
        other.import(line, now()).unwrap();
    }
    let mut claims = header(&spec, &lines[3]).claims().clone();
    claims.segment = None;
    let token = mine_token(&spec, &claims, 1);
    let line = lines[3].replacen(header(&spec, &lines[3]).token(), &token, 1);
    let error = other.import(&line, now()).unwrap_err();
    let ChainError::Block(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.reason(), "segment");
}

#[test]
fn a_reorganisation_past_a_sealed_segment_unseals_it() {
    let spec = spec();
    let (mut ours, mut theirs) = (chain(&spec), chain(&spec));
    extend(&mut ours, 1, 10);
    assert_eq!(ours.seal_ready(Durability::Synced).unwrap(), 2);
    for line in extend(&mut theirs, 2, 11) {
        ours.import(&line, now()).unwrap();
    }
    assert_eq!(ours.tip().unwrap(), theirs.tip().unwrap());
    assert_eq!(ours.seal_ready(Durability::Synced).unwrap(), 2);
    theirs.seal_ready(Durability::Synced).unwrap();
    let index = SegmentIndex::ZERO;
    let metainfo = |chain: &lyceum_node::core::Chain| chain.store().read().metainfo(index).unwrap();
    assert_eq!(metainfo(&ours), metainfo(&theirs));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The same blocks in any order give one tip and one state.
    #[test]
    fn the_order_of_arrival_does_not_matter(seed: u64) {
        let spec = spec();
        let (mut a, mut b) = (chain(&spec), chain(&spec));
        let common = extend(&mut a, 0, 2);
        for line in &common {
            b.import(line, now()).unwrap();
        }
        let mut lines = [common, extend(&mut a, 1, 3), extend(&mut b, 2, 5)].concat();
        let mut state = seed | 1;
        for i in (1..lines.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            lines.swap(i, (state >> 33) as usize % (i + 1));
        }
        let mut chain = chain(&spec);
        for line in &lines {
            chain.import(line, now()).unwrap();
        }
        prop_assert_eq!(chain.tip().unwrap(), b.tip().unwrap());
    }
}

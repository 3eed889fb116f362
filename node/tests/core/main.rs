//! The core by its interface: several of them in virtual time, and one against liars.

#![allow(clippy::unwrap_used)]

mod crowd;
#[path = "../chain/forge.rs"]
#[allow(dead_code)]
mod forge;
mod fuzz_corpus;
mod liars;
mod net;
mod providers;

use lyceum_node::torrent::FetchFailure;
use lyceum_protocol::{ChainSpec, TxId};

use net::Net;

/// A chain whose genesis is not a block that anyone could have mined, as all real ones.
fn spec() -> ChainSpec {
    let spec = forge::spec_with(|fields| {
        fields.limit_bits = "200fffff".parse().unwrap();
        fields.initial_bits = fields.limit_bits;
    });
    let genesis = forge::chain(&spec).store().genesis();
    assert!(!spec.limit_bits.target().is_met_by(genesis));
    spec
}

#[test]
fn a_mined_block_is_followed_by_all() {
    let mut net = Net::new(spec());
    for i in 0..4 {
        net.add(i == 0);
    }
    for i in 0..3 {
        net.connect(i, i + 1); // a line: gossip is relayed
    }
    net.mine_every(0, 2_000);
    net.run(40_000);
    assert!(net.tip(0).0 >= 15, "{:?}", net.tip(0));
    net.run(1_500);
    assert!(net.agree(0..4));
    let gossiped = net.nodes[3].imported.get("gossip").copied();
    assert!(
        gossiped.unwrap_or_default() as u64 >= net.tip(3).0 - 2,
        "{:?}",
        net.nodes[3].imported
    );
    assert!(net.nodes.iter().all(|node| node.bans.is_empty()));
}

#[test]
fn a_submitted_call_reaches_the_miner_and_the_chain() {
    let mut net = Net::new(spec());
    for i in 0..3 {
        net.add(i == 0);
    }
    net.connect(0, 1);
    net.connect(1, 2);
    net.mine_every(0, 2_000);
    let call = forge::register(&net.spec, 3, 0);
    net.submit(2, call.token());
    net.submit(2, call.token());
    net.submit(2, "nonsense");
    net.run(20_000);
    let id = TxId::of(call.token().as_bytes());
    assert_eq!(net.nodes[2].submitted[0], Ok(id));
    assert!(net.nodes[2].submitted[1..].iter().all(Result::is_err));
    for node in &net.nodes {
        assert!(
            node.core
                .chain()
                .store()
                .read()
                .transaction(&id)
                .unwrap()
                .is_some()
        );
        assert_eq!(node.core.mempool().stats().transactions, 0);
    }
}

/// A network whose first node has mined `blocks` blocks alone.
fn with_history(blocks: u64) -> Net {
    let mut net = Net::new(spec());
    net.add(true);
    net.mine_every(0, 1_000);
    net.run(4_000 + blocks * 1_000);
    assert!(net.tip(0).0 >= blocks, "{:?}", net.tip(0));
    net
}

#[test]
fn newcomers_pull_sealed_segments_by_torrent_from_each_other_too() {
    let mut net = with_history(80);
    for i in 1..4 {
        net.add(false);
        net.connect(0, i);
    }
    net.connect(1, 2);
    net.connect(2, 3);
    net.run(30_000);
    assert!(
        net.agree(0..4) || {
            net.run(500);
            net.agree(0..4)
        }
    );
    let sealed = net.nodes[0]
        .core
        .chain()
        .store()
        .read()
        .sealed_segments()
        .unwrap()
        .get();
    for node in &net.nodes[1..] {
        let torrent = node.imported["torrent"] as u64;
        assert!(
            torrent >= 76 && torrent <= sealed * 4,
            "{:?}",
            node.imported
        );
        assert!(node.bans.is_empty());
    }
}

#[test]
fn where_torrents_fail_blocks_come_one_by_one() {
    for failure in [
        FetchFailure::Stalled,
        FetchFailure::Unreachable,
        FetchFailure::Engine,
    ] {
        let mut net = with_history(40);
        net.torrents_fail = Some(failure);
        net.add(false);
        net.connect(0, 1);
        net.run(60_000);
        assert!(
            net.agree(0..2) || {
                net.run(500);
                net.agree(0..2)
            },
            "{failure:?}"
        );
        assert!(!net.nodes[1].imported.contains_key("torrent"));
        let fell = |note: &String| note.starts_with("FellBack");
        assert!(net.nodes[1].notices.iter().any(fell));
    }
}

#[test]
fn who_serves_wrong_bytes_is_banned() {
    let mut net = with_history(40);
    net.torrents_fail = Some(FetchFailure::WrongBytes);
    net.add(false);
    net.connect(0, 1);
    net.run(5_000);
    assert_eq!(net.nodes[1].bans, [(net::peer(0), "wrong_bytes")]);
}

#[test]
fn a_partition_heals_to_one_tip_and_the_dropped_calls_come_back() {
    let mut net = Net::new(spec());
    for i in 0..4 {
        net.add(i == 0 || i == 2);
    }
    for (a, b) in [(0, 1), (2, 3), (1, 2), (0, 3)] {
        net.connect(a, b);
    }
    net.mine_every(0, 2_000);
    net.run(10_000);
    net.sides = vec![0, 0, 1, 1];
    net.mine_every(2, 3_100);
    let call = forge::register(&net.spec, 3, 0);
    net.submit(3, call.token());
    net.run(30_000);
    let id = TxId::of(call.token().as_bytes());
    let holds = |net: &Net, i: usize| {
        net.nodes[i]
            .core
            .chain()
            .store()
            .read()
            .transaction(&id)
            .unwrap()
            .is_some()
    };
    assert!(holds(&net, 2) && !holds(&net, 0) && !net.agree(0..4));
    net.sides = vec![0; 4];
    net.run(60_000);
    assert!(
        net.agree(0..4) || {
            net.run(300);
            net.agree(0..4)
        }
    );
    assert!((0..4).all(|i| holds(&net, i)));
    assert!(net.nodes.iter().all(|node| node.bans.is_empty()));
}

#[test]
fn the_same_events_give_the_same_actions() {
    let trace = || {
        let mut net = with_history(30);
        net.add(true);
        net.connect(0, 1);
        net.mine_every(1, 1_700);
        net.run(20_000);
        net.trace
    };
    assert_eq!(trace(), trace());
}

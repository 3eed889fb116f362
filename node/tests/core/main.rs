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

use std::fs;

use lyceum_node::core::{Action, Core, CoreConfig, Event, MempoolLimits, Notice};
use lyceum_node::torrent::FetchFailure;
use lyceum_protocol::{ChainSpec, Height, SegmentIndex, TxId};

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
fn a_pulled_segment_is_moved_to_the_sealed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let mut net = with_history(80);
    let on_disk = net.add_on_disk(folder.path());
    net.connect(0, on_disk);
    net.run(10_000);
    // What the newcomer pulled it can give, from its own place.
    let late = net.add(false);
    net.connect(on_disk, late);
    net.run(20_000);
    assert!(
        net.agree(0..3) || {
            net.run(500);
            net.agree(0..3)
        }
    );
    for node in &net.nodes[1..] {
        assert!(node.imported["torrent"] >= 76, "{:?}", node.imported);
        assert!(node.bans.is_empty());
    }
    let chain = net.nodes[on_disk].core.chain();
    let view = chain.store().read();
    let sealed = view.sealed_segments().unwrap().get();
    assert!(sealed >= 19);
    for index in (0..sealed).map(|index| SegmentIndex::new(index).unwrap()) {
        let text = fs::read(chain.segment_file(index).unwrap()).unwrap();
        let metainfo = view.metainfo(index).unwrap().unwrap();
        assert_eq!(text.len() as u64, metainfo.length());
    }
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "nothing but the ledger");
}

#[test]
fn a_segment_that_was_half_imported_at_the_end_is_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let net = with_history(20);
    let source = net.nodes[0].core.chain().store().read();
    let line = |height: u64| {
        let height = Height::new(height).unwrap();
        source.line_at(height).unwrap().unwrap()
    };
    let mut chain = forge::chain_on_disk(&net.spec, folder.path());
    for height in 1..4 {
        chain.import(&line(height), forge::now()).unwrap();
    }
    let file = folder.path().join("pulled");
    let text: String = (4..8).map(|height| line(height) + "\n").collect();
    fs::write(&file, &text).unwrap();
    let index = SegmentIndex::new(1).unwrap();
    assert!(chain.adopt_segment(index, &file).unwrap());
    chain.import(&line(4), forge::now()).unwrap();
    chain.close().unwrap();

    let chain = forge::chain_on_disk(&net.spec, folder.path());
    let place = chain.segment_file(index).unwrap();
    let config = CoreConfig {
        miner: None,
        mempool: MempoolLimits::default(),
        has_torrents: true,
        seed: [1; 32],
    };
    let (mut core, mut actions) = Core::new(chain, &config, net.time()).unwrap();
    let registered =
        |action: &Action| matches!(action, Action::Register { index: i, .. } if *i == index);
    assert!(actions.iter().any(registered), "{actions:?}");
    assert!(!actions.iter().any(
        |action| matches!(action, Action::Notice(Notice::Sealed { index: i, .. }) if *i == index)
    ));
    actions = core.step(net.time(), Event::Tick).unwrap();
    let reads = actions
        .iter()
        .any(|action| matches!(action, Action::ReadSegment { file, .. } if *file == place));
    assert!(reads, "{actions:?}");
    let part = core.chain().run_checker().check_part(text.into_bytes());
    let offset = 0;
    actions = core
        .step(
            net.time(),
            Event::SegmentPart {
                index,
                offset,
                part,
            },
        )
        .unwrap();
    let asks_on =
        |action: &Action| matches!(action, Action::ReadSegment { offset, .. } if *offset > 0);
    assert!(actions.iter().any(asks_on), "{actions:?}");
    assert_eq!(core.chain().tip().unwrap().height, Height::new(4).unwrap());
    actions = core.step(net.time(), Event::Continue).unwrap();
    let sealed = |action: &Action| matches!(action, Action::Notice(Notice::Sealed { index: i, .. }) if *i == index);
    assert!(actions.iter().any(sealed), "{actions:?}");
    assert_eq!(core.chain().tip().unwrap().height, Height::new(7).unwrap());
    assert!(place.exists());
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

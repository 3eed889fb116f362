//! Several nodes of one chain: they follow each other, join by torrent, split and come together, and survive a kill.

use std::sync::Arc;

use crate::child::{NodeProcess, eventually, folder_of};
use crate::inside::{Inside, miner, runtime};
use crate::spec::{late_spec, spec};

#[test]
fn a_mined_block_is_announced_and_followed() {
    let (runtime, spec) = (runtime(), Arc::new(spec(|_| {})));
    let first = Inside::start(&runtime, &spec, Vec::new(), miner(1, 4_000));
    let second = Inside::start(&runtime, &spec, vec![first.address()], None);
    let third = Inside::start(&runtime, &spec, vec![second.address()], None);
    // The third one hears of them by the second alone, or finds the first by it.
    let (start, grown) = (third.height(), 8);
    eventually("all follow", || {
        let tips = [&first, &second, &third].map(|node| node.standing().tip);
        (third.height() >= start + grown && tips.iter().all(|tip| *tip == tips[0])).then_some(())
    });
    for node in [&second, &third] {
        assert!(node.imported("gossip") > 0.0);
        assert_eq!(node.imported("mined"), 0.0);
        let bans = node.metric("lyceum_bans_active{kind=\"peer\"}");
        assert_eq!(bans, Some(0.0));
    }
    assert!(first.imported("mined") >= grown as f64);
    for node in [third, second, first] {
        node.stop(&runtime);
    }
}

#[test]
fn a_new_node_pulls_the_sealed_chain_by_torrent() {
    let runtime = runtime();
    let spec = Arc::new(late_spec(|fields| {
        fields.segment_blocks = 16;
        fields.segment_depth = 4;
    }));
    let old = Inside::start(&runtime, &spec, Vec::new(), miner(1, 100_000));
    eventually("a chain grows", || (old.height() >= 400).then_some(()));
    // It mines no more, so that what is sealed stands still.
    let old = old.restart(&runtime, Vec::new(), None);
    let sealed = old
        .node
        .handle()
        .reader
        .read()
        .sealed_segments()
        .unwrap()
        .get();
    assert!(sealed >= 20);
    let new = Inside::start(&runtime, &spec, vec![old.address()], None);
    let tip = old.standing().tip;
    eventually("the new node is there", || {
        (new.standing().tip == tip).then_some(())
    });
    let (torrent, blocks) = (new.imported("torrent"), new.imported("sync"));
    let want = (sealed * 16 - 1) as f64; // genesis is nobody's to send
    assert!(
        torrent > 0.95 * want,
        "{torrent} of {want} by torrent, {blocks} by sync"
    );
    new.stop(&runtime);
    old.stop(&runtime);
}

/// Nobody tells the newcomer of the holder but a provider record: it is in nobody's routing table, and the only peer has no torrents.
#[test]
fn a_holder_of_segments_is_found_by_its_provider_records() {
    let runtime = runtime();
    let spec = Arc::new(late_spec(|fields| {
        fields.segment_blocks = 16;
        fields.segment_depth = 4;
    }));
    let holder = Inside::start(&runtime, &spec, Vec::new(), miner(1, 100_000));
    eventually("a chain grows", || (holder.height() >= 100).then_some(()));
    let middle = Inside::start_with(&runtime, &spec, Vec::new(), |config| config.torrents = None);
    let bootnode = vec![middle.address()];
    let holder = holder.restart_with(&runtime, bootnode.clone(), |config| {
        config.discovery.kad_client = true;
        // It dials nobody else.
        config.limits.outbound = 1;
    });
    let tip = holder.standing().tip;
    eventually("the middle one follows", || {
        (middle.standing().tip == tip).then_some(())
    });
    let sealed = holder
        .node
        .handle()
        .reader
        .read()
        .sealed_segments()
        .unwrap()
        .get() as f64;
    let told = "libp2p_kad_inbound_requests_total{request=\"AddProvider\"}";
    middle.wait_for_metric(told, sealed);

    let new = Inside::start(&runtime, &spec, bootnode, None);
    eventually("the new node is there", || {
        (new.standing().tip == tip).then_some(())
    });
    let (torrent, blocks) = (new.imported("torrent"), new.imported("sync"));
    let want = sealed * 16.0 - 1.0;
    assert!(
        torrent > 0.95 * want,
        "{torrent} of {want} by torrent, {blocks} by sync"
    );
    assert!(new.metric("lyceum_network_providers_found_total") >= Some(1.0));
    let peers = new.node.handle().network.borrow().peers.clone();
    let id = holder.node.addresses().peer_id;
    assert!(peers.iter().any(|peer| peer.peer == id));
    for node in [new, middle, holder] {
        node.stop(&runtime);
    }
}

#[test]
fn two_halves_that_meet_share_the_better_tip() {
    let (runtime, spec) = (runtime(), Arc::new(late_spec(|_| {})));
    let strong = Inside::start(&runtime, &spec, Vec::new(), miner(1, 20_000));
    let weak = Inside::start(&runtime, &spec, Vec::new(), miner(2, 20_000));
    eventually("each mines a chain of its own", || {
        (strong.height() >= 40 && weak.height() >= 20).then_some(())
    });
    let weak = weak.restart(&runtime, Vec::new(), None);
    let ahead = weak.height() + 3;
    eventually("one is ahead", || (strong.height() >= ahead).then_some(()));
    // From here on neither mines: the longer of the two chains wins.
    let strong = strong.restart(&runtime, Vec::new(), None);
    let best = strong.standing().tip;
    assert_ne!(weak.standing().tip, best);
    let weak = weak.restart(&runtime, vec![strong.address()], None);
    eventually("they agree", || {
        let tips = [&strong, &weak].map(|node| node.standing().tip);
        (tips == [best, best]).then_some(())
    });
    let roots = [&strong, &weak].map(|node| node.standing().state_root);
    assert_eq!(roots[0], roots[1]);
    weak.stop(&runtime);
    strong.stop(&runtime);
}

#[test]
fn a_killed_node_rejoins_and_catches_up() {
    let (runtime, spec) = (runtime(), Arc::new(spec(|_| {})));
    let miner = Inside::start(&runtime, &spec, Vec::new(), miner(1, 4_000));
    let folder = folder_of(&spec);
    let bootnode = miner.address().to_string();
    let arguments = ["--bootnode", bootnode.as_str()];
    let follower = NodeProcess::start(folder.path(), &arguments);
    follower.wait_for_height(4);
    assert!(!follower.end("KILL").success());
    let missed = miner.height() + 4;
    eventually("blocks are missed", || {
        (miner.height() >= missed).then_some(())
    });
    let follower = NodeProcess::start(folder.path(), &arguments);
    follower.wait_for_height(missed);
    eventually("it has the miner's tip", || {
        (follower.status()["tip"] == miner.standing().tip.to_string()).then_some(())
    });
    assert_eq!(follower.end("TERM").code(), Some(0));
    miner.stop(&runtime);
}

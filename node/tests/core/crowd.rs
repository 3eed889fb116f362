//! Many newcomers at once: they serve each other, and nobody waits for ever.

use crate::net::Net;
use crate::with_history;

const JOINERS: usize = 12;
/// The seed is the first node.
const SEED: usize = 0;

/// A network whose seed has a chain, and newcomers who know the seed alone.
fn crowd(joiners: usize) -> (Net, u64) {
    let mut net = with_history(80);
    // It mines no more, so that what is sealed stands still.
    net.stop_mining(SEED);
    let sealed = net.sealed_bytes(SEED);
    assert!(sealed > 0);
    for _ in 0..joiners {
        let i = net.add(false);
        net.connect(SEED, i);
    }
    (net, sealed)
}

/// How long it takes until all agree, in milliseconds.
fn time_to_agree(net: &mut Net, at_most: u64) -> u64 {
    let begun = net.now;
    while !net.agree(0..net.nodes.len()) {
        assert!(net.now - begun < at_most, "not all agree in time");
        net.run(250);
    }
    net.now - begun
}

fn all_came_by_torrent(net: &Net) {
    for node in &net.nodes[1..] {
        let (torrent, sync) = (node.imported["torrent"], node.imported.get("sync"));
        // What no segment holds yet comes block by block.
        let tail = u64::from(net.spec.segment_blocks + net.spec.segment_depth) as usize;
        assert!(
            torrent >= 76 && sync.is_none_or(|sync| *sync <= tail),
            "{:?}",
            node.imported
        );
        let is_trouble = |note: &&String| note.contains("Fell") || note.contains("Failed");
        assert_eq!(node.notices.iter().find(is_trouble), None);
        assert!(node.bans.is_empty());
    }
}

#[test]
fn the_seed_of_a_crowd_sends_the_chain_a_few_times_alone() {
    let (mut net, sealed) = crowd(JOINERS);
    let took = time_to_agree(&mut net, 20_000);
    let uploaded = net.nodes[SEED].uploaded;
    let times = uploaded as f64 / sealed as f64;
    println!("the seed sent {times:.2} chains, all agree after {took} ms");
    assert!(uploaded <= 3 * sealed, "{times}");
    all_came_by_torrent(&net);
    assert!(net.nodes[SEED].bans.is_empty());
}

#[test]
fn a_crowd_that_cannot_meet_has_it_all_from_the_seed() {
    let (mut net, sealed) = crowd(JOINERS);
    net.finds = false;
    time_to_agree(&mut net, 20_000);
    assert_eq!(net.nodes[SEED].uploaded, JOINERS as u64 * sealed);
    all_came_by_torrent(&net);
    assert!(net.nodes[SEED].bans.is_empty(), "nobody asks too often");
}

#[test]
fn a_few_newcomers_need_not_wait() {
    let (mut net, _) = crowd(2);
    net.finds = false;
    time_to_agree(&mut net, 5_000);
    all_came_by_torrent(&net);
}

#[test]
fn who_never_has_time_is_not_waited_for() {
    let (mut net, _) = crowd(1);
    net.never_has_time = Some(SEED);
    // Not at once, for then a crowd would have it all by `Blocks`.
    net.run(40_000);
    assert!(!net.nodes[1].imported.contains_key("sync"));
    time_to_agree(&mut net, 40_000);
    let node = &net.nodes[1];
    assert!(!node.imported.contains_key("torrent") && node.imported.contains_key("sync"));
    assert!(node.notices.iter().any(|note| note.contains("FellBack")));
    assert!(node.bans.is_empty());
}

//! Holders of segments that no peer is yet: found by their provider records.

use std::collections::BTreeMap;

use lyceum_node::core::wire::{Request, Response};
use lyceum_node::core::{Action, Event};
use lyceum_protocol::SegmentIndex;

use crate::liars::Victim;
use crate::net::{Net, peer};
use crate::{spec, with_history};

/// A network of three: who has the chain and its torrents; who has the chain alone; and a newcomer that knows but the second.
fn with_a_hidden_holder() -> Net {
    let mut net = with_history(60);
    let middle = net.add_with(false, false);
    net.connect(0, middle);
    net.run(20_000);
    assert!(net.tip(middle).0 + 1 >= net.tip(0).0);
    net.disconnect(0, middle);
    net.run(1_000);
    let new = net.add(false);
    net.connect(middle, new);
    net
}

#[test]
fn a_holder_that_no_peer_is_is_found_and_pulled_from() {
    let mut net = with_a_hidden_holder();
    // Far sooner than a sync counts as stalled.
    net.run(15_000);
    let new = &net.nodes[2];
    assert!(new.connected.contains(&0));
    let imported = new.imported.get("torrent").copied();
    assert!(imported >= Some(56), "{:?}", new.imported);
    assert!(!new.notices.iter().any(|note| note.starts_with("Stalled")));
    assert!(net.nodes.iter().all(|node| node.bans.is_empty()));
}

#[test]
fn a_peer_that_may_hold_more_than_it_said_is_asked_anew() {
    let mut victim = Victim::new();
    let asked = victim.step(Event::Connected {
        peer: peer(7),
        ip: None,
    });
    let mut status = victim.boast(0);
    status.work = [0; 32];
    victim.respond(&asked, |_| Response::Status(status.clone()));
    let index = SegmentIndex::new(1).unwrap();
    let searched = victim.step(Event::SegmentDamaged(index));
    let view = victim.core.chain().store().read();
    let key = view.segment(index).unwrap().unwrap().metainfo.info_hash();
    let key = key.as_bytes().to_vec();
    drop(view);
    assert!(
        searched
            .iter()
            .any(|action| matches!(action, Action::FindProviders(k) if *k == key))
    );

    let mut hear = |key: &[u8]| {
        victim.now += 2_000;
        let peers = vec![peer(7), peer(8)]; // the second is no peer
        let key = key.to_vec();
        let actions = victim.step(Event::Providers { key, peers });
        let asked = actions.into_iter().filter_map(|action| match action {
            Action::Request {
                peer,
                request: Request::Status(_),
                ..
            } => Some(peer),
            _ => None,
        });
        asked.collect::<Vec<_>>()
    };
    assert_eq!(hear(b"another key, that nobody searched for"), []);
    assert_eq!(hear(&key), [peer(7)]);
    // It has not answered yet.
    assert_eq!(hear(&key), []);
}

#[test]
fn searches_are_few_where_nobody_provides() {
    let mut net = with_a_hidden_holder();
    net.sides[0] = 1;
    net.run(25_000);
    let searches = &net.nodes[2].searches;
    assert!(searches.len() >= 2, "{searches:?}");
    let mut by_key: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for (at, key) in searches {
        by_key.entry(key.clone()).or_default().push(*at);
    }
    let apart = |times: &[u64], least: u64| times.windows(2).all(|two| two[1] - two[0] >= least);
    let times: Vec<_> = searches.iter().map(|(at, _)| *at).collect();
    assert!(apart(&times, 1_000), "{times:?}");
    assert!(
        by_key.values().all(|times| apart(times, 10_000)),
        "{by_key:?}"
    );
    // Once it has stalled, the sync goes on without torrents, from the same peer; then there is nothing to search for.
    net.run(15_000);
    assert_eq!(net.tip(2).0, net.tip(1).0);
    let before = net.nodes[2].searches.len();
    net.run(60_000);
    assert_eq!(net.nodes[2].searches.len(), before);
}

#[test]
fn nobody_is_searched_for_where_holders_are_many() {
    let mut net = with_history(60);
    for i in 1..4 {
        net.add(false);
        net.connect(0, i);
    }
    net.run(30_000);
    let new = net.add(false);
    for i in 0..4 {
        net.connect(i, new);
    }
    net.run(20_000);
    assert!(net.nodes[new].imported.get("torrent").copied() >= Some(56));
    assert_eq!(net.nodes[new].searches, []);
}

#[test]
fn without_torrents_nothing_is_searched_for() {
    let mut net = Net::new(spec());
    net.add(true);
    net.mine_every(0, 1_000);
    net.run(40_000);
    let new = net.add_with(false, false);
    net.connect(0, new);
    net.run(20_000);
    assert!(net.tip(new).0 >= 35);
    assert_eq!(net.nodes[new].searches, []);
}

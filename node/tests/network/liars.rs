//! Peers that lie to real nodes: each is banned by whom it lies to, while the honest ones follow each other and blame nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use lyceum_node::core::wire::Request;
use lyceum_protocol::ChainSpec;
use tokio::runtime::Runtime;

use crate::child::eventually;
use crate::inside::{Inside, miner, runtime};
use crate::liar::{Home, Liar};
use crate::lies::{BOAST, GOSSIP, Kind, TALK};
use crate::spec::spec;

/// An honest miner, and one who follows it.
struct Honest {
    runtime: Runtime,
    spec: Arc<ChainSpec>,
    nodes: [Inside; 2],
    /// All liars, with the reasons to ban them.
    liars: BTreeMap<String, String>,
}

impl Honest {
    fn start() -> Self {
        let (runtime, spec) = (runtime(), Arc::new(spec(|_| {})));
        let first = Inside::start(&runtime, &spec, Vec::new(), miner(1, 4_000));
        let second = Inside::start(&runtime, &spec, vec![first.address()], None);
        let honest = Self {
            runtime,
            spec,
            nodes: [first, second],
            liars: BTreeMap::new(),
        };
        honest.go_on(2);
        honest
    }

    /// Waits until both have so many new blocks, and one tip.
    fn go_on(&self, blocks: u64) {
        let want = self.nodes[0].height() + blocks;
        eventually("the honest go on", || {
            let [first, second] = self.nodes.each_ref().map(Inside::standing);
            (first.height.get() >= want && first.tip == second.tip).then_some(())
        });
    }

    /// A liar's home, beside one of the nodes that it knows.
    fn home(&self, victim: &Inside) -> Home {
        Home {
            spec: (*self.spec).clone(),
            lines: victim.lines(),
            victims: vec![victim.address()],
            listen: Vec::new(),
            garbage: None,
        }
    }

    /// Has a liar tell a lie to each node, until both have banned it for this reason.
    fn hear(&mut self, kind: &Kind) {
        let Kind { name, lie, reason } = *kind;
        let mut liars = self.nodes.each_ref().map(|node| {
            let home = self.home(node);
            Liar::start(&self.runtime, home, lie)
        });
        let begun = Instant::now();
        eventually(name, || {
            liars.iter_mut().for_each(Liar::act);
            let mut all = self.nodes.iter().zip(&liars);
            all.all(|(node, liar)| node.bans().contains_key(&liar.name()))
                .then_some(())
        });
        // For whoever reads the output.
        println!("{name}: {reason}, both within {:?}", begun.elapsed());
        let names = liars.iter().map(|liar| (liar.name(), reason.to_owned()));
        self.liars.extend(names);
        self.go_on(1);
        for liar in liars {
            liar.stop(&self.runtime);
        }
        self.blame_nobody_else();
    }

    fn blame_nobody_else(&self) {
        for (i, node) in self.nodes.iter().enumerate() {
            let bans = eventually("all bans are shown and counted", || {
                let bans = node.bans();
                let view = node.node.handle().network.borrow().clone();
                (view.banned_peers == bans.len() && counted(node, &bans)).then_some(bans)
            });
            assert!(bans.iter().all(|ban| self.liars.get(ban.0) == Some(ban.1)));
            let other = self.nodes[1 - i].node.addresses().peer_id;
            let view = node.node.handle().network.borrow().clone();
            assert!(view.peers.iter().any(|peer| peer.peer == other));
            assert!(view.banned_addresses.is_empty(), "loopback is everybody's");
        }
    }

    fn stop(self) {
        let [first, second] = self.nodes;
        second.stop(&self.runtime);
        first.stop(&self.runtime);
    }
}

/// Do the metrics tell of these bans, and of no others?
fn counted(node: &Inside, bans: &BTreeMap<String, String>) -> bool {
    let active = node.metric("lyceum_bans_active{kind=\"peer\"}");
    let same = |reason: &String| bans.values().filter(|other| *other == reason).count() as f64;
    active == Some(bans.len() as f64)
        && bans.values().all(|reason| {
            let name = format!("lyceum_bans_total{{reason=\"{reason}\"}}");
            node.metric(&name) == Some(same(reason))
        })
}

#[test]
fn who_gossips_lies_is_banned() {
    let mut honest = Honest::start();
    for kind in GOSSIP {
        honest.hear(&kind);
    }
    honest.stop();
}

#[test]
fn who_asks_and_answers_falsely_is_banned() {
    let mut honest = Honest::start();
    for kind in TALK {
        honest.hear(&kind);
    }
    honest.stop();
}

/// One boast may be an honest peer's reorganisation: it is asked once, then not followed for a while; the second time it is banned.
#[test]
fn who_claims_work_without_blocks_is_not_followed() {
    let honest = Honest::start();
    let home = honest.home(&honest.nodes[0]);
    let mut liar = Liar::start(&honest.runtime, home, BOAST.lie);
    let victim = honest.nodes[0].node.addresses().peer_id;
    let questions = |liar: &Liar| {
        let asked = liar.asked.iter().filter(|(peer, _)| *peer == victim);
        let blocks = asked.filter(|(_, asked)| matches!(asked, Request::BlocksAfter { .. }));
        blocks.count()
    };
    eventually("its blocks are asked for", || {
        liar.act();
        (questions(&liar) > 0).then_some(())
    });
    let want = honest.nodes[0].height() + 4;
    eventually("the honest go on", || {
        liar.act();
        let [first, second] = honest.nodes.each_ref().map(Inside::standing);
        (first.height.get() >= want && first.tip == second.tip).then_some(())
    });
    let reason = honest.nodes[0].bans().remove(&liar.name());
    match questions(&liar) {
        1 => assert_eq!(reason, None),
        more => assert_eq!((more, reason.as_deref()), (2, Some(BOAST.reason))),
    }
    let bans = honest.nodes.each_ref().map(Inside::bans);
    let mut banned = bans.iter().flat_map(BTreeMap::keys);
    assert!(banned.all(|name| *name == liar.name()));
    liar.stop(&honest.runtime);
    honest.stop();
}

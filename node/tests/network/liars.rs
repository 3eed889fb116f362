//! Peers that lie to real nodes: each is banned by whom it lies to, while the honest ones follow each other and blame nobody else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use lyceum_node::core::wire::{
    ANNOUNCEMENT_BYTES_MAX, Announcement, Boundary, IDS_MAX, Request, Response, Wire as _,
};
use lyceum_node::network::Topic;
use lyceum_protocol::{BlockClaims, BlockHash, ChainSpec, Hash, Height, Nonce};
use tokio::runtime::Runtime;

use crate::child::eventually;
use crate::forge;
use crate::inside::{Inside, miner, runtime};
use crate::liar::{Answer, Forger, Gossip, Liar, Lie};
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

    /// Has a liar tell a lie to each node, until both have banned it for this reason.
    fn hear(&mut self, what: &str, lie: Lie, reason: &str) {
        let mut liars = self
            .nodes
            .each_ref()
            .map(|node| Liar::start(&self.runtime, &self.spec, node, lie));
        let begun = Instant::now();
        eventually(what, || {
            liars.iter_mut().for_each(Liar::act);
            let mut all = self.nodes.iter().zip(&liars);
            all.all(|(node, liar)| node.bans().contains_key(&liar.name()))
                .then_some(())
        });
        // For whoever reads the output.
        println!("{what}: {reason}, both within {:?}", begun.elapsed());
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

fn announcement(token: String) -> Vec<u8> {
    let ids = Vec::new();
    Announcement { token, ids }.encode()
}

fn false_state(claims: &mut BlockClaims) {
    claims.state_root = Hash::from_bytes([5; 32]);
}

/// A block that has its work, under the signature of another.
fn badly_signed(forger: &mut Forger, _: u64) -> Vec<u8> {
    let mut claims = forger.next_claims();
    let other = claims.sign(&forge::key(1), &forger.spec).unwrap();
    let (_, signature) = other.token().rsplit_once('.').unwrap();
    let tokens = (claims.nonce.get() + 1..).map(|nonce| {
        claims.nonce = Nonce::new(nonce).unwrap();
        let input = claims.signing_input(forger.spec.chain.as_str());
        format!("{input}.{signature}")
    });
    let target = other.claims().bits.target();
    let mut sealed = tokens.filter(|token| target.is_met_by(BlockHash::of(token.as_bytes())));
    announcement(sealed.next().unwrap())
}

/// A block that is signed and claims a hard target, but was never mined.
fn without_work(forger: &mut Forger, _: u64) -> Vec<u8> {
    let mut claims = forger.next_claims();
    claims.bits = "1d00ffff".parse().unwrap();
    let signed = claims.sign(&forge::key(1), &forger.spec).unwrap();
    announcement(signed.token().to_owned())
}

/// A block in order, but for the state that it leads to. The liar has it for those who ask.
fn of_a_false_state(forger: &mut Forger, _: u64) -> Vec<u8> {
    let token = forger.token(false_state);
    forger.kept.push(token.clone());
    announcement(token)
}

/// A transaction under the signature of another.
fn false_transaction(forger: &mut Forger, number: u64) -> Vec<u8> {
    let [call, other] = [0, 1].map(|i| forge::register(&forger.spec, 1, number * 2 + i));
    let (input, _) = call.token().rsplit_once('.').unwrap();
    let (_, signature) = other.token().rsplit_once('.').unwrap();
    format!("{input}.{signature}").into_bytes()
}

/// Boasts of segments, and ends each with what `lie` makes of a block that is mined at the right height.
fn false_boundaries(
    forger: &mut Forger,
    request: &Request,
    lie: fn(Boundary) -> Boundary,
) -> Option<Response> {
    let from = match request {
        Request::Status(_) => return Some(forger.boast(1_000_000)),
        Request::Segments { from, .. } => *from,
        _ => return None,
    };
    let blocks = u64::from(forger.spec.segment_blocks);
    let token = forger.token(|claims| {
        claims.height = Height::new((from + 1) * blocks).unwrap();
    });
    let boundary = lie(Boundary {
        index: from,
        token,
        length: 10,
        pieces: vec![1; 20],
    });
    Some(Response::Segments(vec![boundary]))
}

#[test]
fn who_gossips_lies_is_banned() {
    let mut honest = Honest::start();
    let lies: [(_, _, Gossip, _); 6] = [
        ("no work", Topic::Block, without_work, "work"),
        ("no true signature", Topic::Block, badly_signed, "signature"),
        (
            "a false state",
            Topic::Block,
            of_a_false_state,
            "kept_invalid",
        ),
        (
            "false transactions",
            Topic::Transaction,
            false_transaction,
            "signature",
        ),
        (
            "an endless announcement",
            Topic::Block,
            |_, number| {
                let mut data = number.to_be_bytes().to_vec();
                data.resize(ANNOUNCEMENT_BYTES_MAX + 1, 0);
                data
            },
            "oversized_gossip",
        ),
        (
            "no announcement at all",
            Topic::Block,
            |_, number| number.to_be_bytes().to_vec(),
            "announcement",
        ),
    ];
    for (what, topic, lie, reason) in lies {
        honest.hear(what, Lie::Gossip(topic, lie), reason);
    }
    honest.stop();
}

#[test]
fn who_asks_and_answers_falsely_is_banned() {
    let mut honest = Honest::start();
    let too_many = || Request::BlocksByHash(vec![[0; 32]; IDS_MAX + 1]);
    honest.hear("endless requests", Lie::Ask(too_many), "malformed_frame");
    let lies: [(_, Answer, _); 6] = [
        (
            "an endless list",
            |_, _| Some(Response::Transactions(vec![String::new(); IDS_MAX + 1])),
            "malformed_response",
        ),
        (
            "an answer to another question",
            |_, _| Some(Response::Transactions(Vec::new())),
            "wrong_response",
        ),
        (
            "another genesis",
            |forger, _| {
                let mut status = forger.modest();
                status.genesis = [0; 32];
                Some(Response::Status(status))
            },
            "wrong_genesis",
        ),
        (
            "a chain of a false state",
            |forger, request| match request {
                Request::Status(_) => Some(forger.boast(0)),
                _ => Some(Response::Blocks(vec![forger.token(false_state)])),
            },
            "state_root",
        ),
        (
            "endless headers",
            |forger, request| false_boundaries(forger, request, |boundary| boundary),
            "boundary_infohash",
        ),
        (
            "boundaries of elsewhere",
            |forger, request| {
                false_boundaries(forger, request, |boundary| Boundary {
                    index: boundary.index + 1,
                    ..boundary
                })
            },
            "boundary_index",
        ),
    ];
    for (what, lie, reason) in lies {
        honest.hear(what, Lie::Answer(lie), reason);
    }
    honest.stop();
}

/// One boast may be an honest peer's reorganisation: it is asked once, then not followed for a while; the second time it is banned.
#[test]
fn who_claims_work_without_blocks_is_not_followed() {
    let honest = Honest::start();
    let boast = Lie::Answer(|forger, request| match request {
        Request::Status(_) => Some(forger.boast(0)),
        Request::BlocksAfter { .. } => Some(Response::Blocks(Vec::new())),
        _ => None,
    });
    let mut liar = Liar::start(&honest.runtime, &honest.spec, &honest.nodes[0], boast);
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
        more => assert_eq!((more, reason.as_deref()), (2, Some("false_claim"))),
    }
    let bans = honest.nodes.each_ref().map(Inside::bans);
    let mut banned = bans.iter().flat_map(BTreeMap::keys);
    assert!(banned.all(|name| *name == liar.name()));
    liar.stop(&honest.runtime);
    honest.stop();
}

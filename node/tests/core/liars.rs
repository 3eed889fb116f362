//! One core, and peers that lie to it.

use libp2p::gossipsub::MessageId;
use lyceum_node::core::wire::{
    Announcement, Boundary, Refusal, Request, Response, Status, Wire as _,
};
use lyceum_node::core::{Action, Core, CoreConfig, Event, MempoolLimits};
use lyceum_node::network::{GossipVerdict, ReplyId, RequestId, Topic};
use lyceum_protocol::{BlockHash, BlockLine, ChainSpec, Hash, TxRoot};
use proptest::prelude::*;

use crate::forge;
use crate::net::peer;

pub(crate) struct Victim {
    spec: ChainSpec,
    pub(crate) core: Core,
    pub(crate) now: u64,
}

impl Victim {
    pub(crate) fn new() -> Self {
        let spec = forge::spec();
        let mut chain = forge::chain(&spec);
        forge::extend(&mut chain, 1, 20);
        let config = CoreConfig {
            miner: None,
            mempool: MempoolLimits::default(),
            has_torrents: true,
            seed: [1; 32],
        };
        let now = spec.genesis_time.get() + 1_000_000;
        let time = lyceum_protocol::Timestamp::new(now).unwrap();
        let (core, _) = Core::new(chain, &config, time).unwrap();
        let mut victim = Self { spec, core, now };
        victim.step(Event::Connected {
            peer: peer(9),
            ip: Some([127, 0, 0, 1].into()),
        });
        victim
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<Action> {
        self.now += 1;
        let now = lyceum_protocol::Timestamp::new(self.now).unwrap();
        self.core.step(now, event).unwrap()
    }

    fn gossip(&mut self, topic: Topic, data: Vec<u8>) -> Vec<Action> {
        let id = MessageId::new(&data[..data.len().min(20)]);
        let from = peer(9);
        self.step(Event::Gossip {
            topic,
            from,
            id,
            data,
        })
    }

    fn announce(&mut self, line: &str) -> Vec<Action> {
        let announcement = Announcement {
            token: BlockLine::new(line).token().to_owned(),
            ids: Vec::new(),
        };
        self.gossip(Topic::Block, announcement.encode())
    }

    pub(crate) fn respond(
        &mut self,
        asked: &[Action],
        answer: impl Fn(&Request) -> Response,
    ) -> Vec<Action> {
        let mut done = Vec::new();
        for action in asked {
            if let Action::Request { peer, id, request } = action {
                let (peer, id, result) = (*peer, *id, Ok(answer(request)));
                done.extend(self.step(Event::Response { peer, id, result }));
            }
        }
        done
    }

    /// A status that claims a better chain.
    pub(crate) fn boast(&self, segments: u64) -> Status {
        Status {
            genesis: *self.core.chain().store().genesis().as_bytes(),
            tip: [3; 32],
            height: 1_000,
            work: [1; 32],
            segments,
            missing: Vec::new(),
            torrent: Some("127.0.0.1:1".parse().unwrap()),
        }
    }
}

fn banned(actions: &[Action]) -> Option<&'static str> {
    actions.iter().find_map(|action| match action {
        Action::Ban { reason, .. } => Some(*reason),
        _ => None,
    })
}

fn verdict(actions: &[Action]) -> Option<GossipVerdict> {
    actions.iter().find_map(|action| match action {
        Action::Verdict { verdict, .. } => Some(*verdict),
        _ => None,
    })
}

/// A block on the victim's tip, changed and mined again.
fn forged(victim: &Victim, change: impl FnOnce(&mut lyceum_protocol::BlockClaims)) -> String {
    let line = forge::next_line(victim.core.chain(), 1, 2_000, Vec::new());
    let mut claims = forge::block(&victim.spec, &line).header.claims().clone();
    change(&mut claims);
    forge::mine_token(&victim.spec, &claims, 1)
}

#[test]
fn a_good_announcement_is_relayed_and_taken() {
    let mut victim = Victim::new();
    let line = forged(&victim, |_| {});
    let actions = victim.announce(&line);
    assert_eq!(verdict(&actions), Some(GossipVerdict::Accept));
    let hash = BlockHash::of(line.as_bytes());
    assert_eq!(victim.core.chain().tip().unwrap().hash, hash);
    assert_eq!(
        verdict(&victim.announce(&line)),
        Some(GossipVerdict::Ignore)
    );
}

#[test]
fn announcements_that_break_a_rule_ban_their_sender() {
    type Lie = fn(&Victim) -> (String, &'static str);
    let lies: [Lie; 6] = [
        |victim| {
            let good = forged(victim, |_| {});
            let (token, _) = good.rsplit_once('.').unwrap();
            (
                format!("{token}.{}", "A".repeat(86)),
                "signature_small_order",
            )
        },
        |victim| {
            let hard = |claims: &mut lyceum_protocol::BlockClaims| {
                claims.bits = "1d00ffff".parse().unwrap()
            };
            let line = forge::next_line(victim.core.chain(), 1, 2_000, Vec::new());
            let mut claims = forge::block(&victim.spec, &line).header.claims().clone();
            hard(&mut claims);
            let signed = claims.sign(&forge::key(1), &victim.spec).unwrap();
            (signed.token().to_owned(), "work")
        },
        |victim| {
            (
                forged(victim, |claims| claims.bits = "207ffffe".parse().unwrap()),
                "bits",
            )
        },
        |victim| {
            let early = lyceum_protocol::Timestamp::new(1).unwrap();
            (forged(victim, |claims| claims.timestamp = early), "too_old")
        },
        |victim| {
            let hash = lyceum_protocol::InfoHash::from_bytes([1; 20]);
            let demanded = |claims: &mut lyceum_protocol::BlockClaims| {
                claims.segment = match claims.segment {
                    Some(_) => None,
                    None => Some(hash),
                }
            };
            (forged(victim, demanded), "segment")
        },
        |_| ("a.b.c".to_owned(), "header_encoding"),
    ];
    for (i, lie) in lies.into_iter().enumerate() {
        let mut victim = Victim::new();
        let (token, reason) = lie(&victim);
        let before = victim.core.chain().tip().unwrap();
        let actions = victim.announce(&token);
        assert_eq!(verdict(&actions), Some(GossipVerdict::Reject), "lie {i}");
        // A forged signature changes the hash, so its work may be what is found out.
        let found = banned(&actions);
        assert!(
            found == Some(reason) || (i == 0 && found.is_some()) || i == 5 && found.is_some(),
            "lie {i}: {found:?}"
        );
        assert_eq!(victim.core.chain().tip().unwrap(), before);
    }
}

#[test]
fn a_block_of_a_wrong_state_is_refused_and_who_keeps_it_is_banned() {
    let mut victim = Victim::new();
    let line = forged(&victim, |claims| {
        claims.state_root = Hash::from_bytes([5; 32])
    });
    let before = victim.core.chain().tip().unwrap();
    let actions = victim.announce(&line);
    // It has its proof of work, so it may be relayed; but it is not taken.
    assert_eq!(verdict(&actions), Some(GossipVerdict::Accept));
    assert_eq!(victim.core.chain().tip().unwrap(), before);
    let after = victim.respond(&actions, |_| Response::Blocks(vec![line.clone()]));
    assert_eq!(banned(&after), Some("kept_invalid"));
}

#[test]
fn an_honest_relay_of_a_changed_list_is_not_blamed() {
    let mut victim = Victim::new();
    let call = forge::register(&victim.spec, 2, 0);
    let line = forge::next_line(victim.core.chain(), 1, 2_000, vec![call]);
    let actions = victim.announce(&line); // the list of ids is empty
    assert_eq!(verdict(&actions), Some(GossipVerdict::Accept));
    let after = victim.respond(&actions, |_| Response::Blocks(vec![line.clone()]));
    assert_eq!(banned(&after), None);
    assert_eq!(victim.core.chain().tip().unwrap().hash, forge::hash(&line));
    assert_ne!(
        forge::header(&victim.spec, &line).claims().tx_root,
        TxRoot::from_bytes([0; 32])
    );
}

#[test]
fn invalid_transactions_ban_after_some() {
    let mut victim = Victim::new();
    let bans = (0..10).filter_map(|i| {
        let data = format!("nonsense {i}").into_bytes();
        banned(&victim.gossip(Topic::Transaction, data))
    });
    assert_eq!(bans.count(), 1);
}

#[test]
fn boasts_without_blocks_are_found_out() {
    for round in 0..2 {
        let mut victim = Victim::new();
        let status = victim.boast(0);
        let reply = ReplyId(1);
        let request = Request::Status(status.clone());
        let from = peer(9);
        let asked = victim.step(Event::Request {
            peer: from,
            reply,
            request,
        });
        assert!(asked.iter().any(|action| matches!(
            action,
            Action::Request {
                request: Request::BlocksAfter { .. },
                ..
            }
        )));
        let invalid = forged(&victim, |claims| {
            claims.state_root = Hash::from_bytes([5; 32])
        });
        let answer = |_: &Request| match round {
            0 => Response::Blocks(Vec::new()),
            _ => Response::Blocks(vec![invalid.clone()]),
        };
        let after = victim.respond(&asked, answer);
        match round {
            0 => assert_eq!(
                victim.core.standing(0.0, 0).unwrap().target_height.get(),
                20
            ),
            _ => assert_eq!(banned(&after), Some("state_root")),
        }
    }
}

#[test]
fn endless_headers_and_false_boundaries_ban() {
    let boundary = |victim: &Victim, height: u64| {
        let token = forged(victim, |claims| {
            claims.height = lyceum_protocol::Height::new(height).unwrap();
        });
        Boundary {
            index: 5,
            token,
            length: 10,
            pieces: vec![1; 20],
        }
    };
    type Lie = (fn(Boundary) -> Boundary, &'static str);
    let lies: [Lie; 4] = [
        (|b| b, "boundary_infohash"),
        (|b| Boundary { index: 77, ..b }, "boundary_index"),
        (
            |b| Boundary {
                length: 1 << 40,
                ..b
            },
            "boundary_length",
        ),
        (
            |b| Boundary {
                token: "x".to_owned(),
                ..b
            },
            "token_parts",
        ),
    ];
    for (lie, reason) in lies {
        let mut victim = Victim::new();
        let request = Request::Status(victim.boast(100));
        let (from, reply) = (peer(9), ReplyId(1));
        let asked = victim.step(Event::Request {
            peer: from,
            reply,
            request,
        });
        let false_one = lie(boundary(&victim, 24));
        let after = victim.respond(&asked, |request| match request {
            Request::Segments { .. } => Response::Segments(vec![false_one.clone()]),
            _ => Response::Refused(Refusal::Busy),
        });
        assert_eq!(banned(&after), Some(reason));
    }
}

#[test]
fn a_peer_of_another_genesis_is_banned() {
    let mut victim = Victim::new();
    let mut status = victim.boast(0);
    status.genesis = [0; 32];
    let (from, reply, request) = (peer(9), ReplyId(1), Request::Status(status));
    let actions = victim.step(Event::Request {
        peer: from,
        reply,
        request,
    });
    assert_eq!(banned(&actions), Some("wrong_genesis"));
}

fn request() -> impl Strategy<Value = Request> {
    let hashes = || prop::collection::vec(any::<[u8; 32]>(), 0..5);
    prop_oneof![
        (hashes(), any::<u32>()).prop_map(|(locator, blocks_max)| Request::BlocksAfter {
            locator,
            blocks_max
        }),
        hashes().prop_map(Request::BlocksByHash),
        hashes().prop_map(Request::Transactions),
        (any::<u64>(), any::<u32>()).prop_map(|(from, limit)| Request::Segments { from, limit }),
        any::<u64>().prop_map(Request::Activate),
    ]
}

fn response() -> impl Strategy<Value = Response> {
    let text = || prop::collection::vec("[a-zA-Z0-9.~]{0,40}", 0..4);
    prop_oneof![
        text().prop_map(Response::Blocks),
        text().prop_map(Response::Transactions),
        Just(Response::Refused(Refusal::Busy)),
        (
            any::<u64>(),
            ".{0,20}",
            any::<u64>(),
            prop::collection::vec(any::<u8>(), 0..50)
        )
            .prop_map(|(index, token, length, pieces)| Response::Segments(vec![
                Boundary {
                    index,
                    token,
                    length,
                    pieces
                }
            ])),
        (any::<u64>(), prop::collection::vec(any::<u8>(), 0..50)).prop_map(|(length, pieces)| {
            let torrent = "0.0.0.0:7".parse().unwrap();
            Response::Activated {
                length,
                pieces,
                torrent,
            }
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever peers send, the core goes on, answers each request once, and its chain stays.
    #[test]
    fn nothing_that_peers_send_stops_the_core(
        events in prop::collection::vec((0_u8..9, request(), response(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..60)), 1..40),
    ) {
        let mut victim = Victim::new();
        let boast = victim.boast(50);
        let tip = victim.core.chain().tip().unwrap();
        let mut asked: Vec<RequestId> = Vec::new();
        let (mut requests, mut answers) = (0, 0);
        for (kind, request, response, number, bytes) in events {
            let (from, reply) = (peer(9), ReplyId(number));
            let index = lyceum_protocol::SegmentIndex::new(number % 60).unwrap();
            let event = match kind {
                0 => Event::Gossip { topic: Topic::Block, from, id: MessageId::new(&bytes), data: bytes },
                1 => Event::Gossip { topic: Topic::Transaction, from, id: MessageId::new(&bytes), data: bytes },
                2 => Event::Request { peer: from, reply, request },
                3 => Event::Response { peer: from, id: asked.pop().unwrap_or(RequestId(number)), result: Ok(response) },
                4 => Event::Request { peer: from, reply, request: Request::Status(boast.clone()) },
                5 => Event::Activated { index, is_seeded: number % 2 == 0 },
                6 => Event::SegmentPart { index, offset: 0, part: victim.core.chain().run_checker().check_part(bytes) },
                7 => Event::Providers { key: bytes, peers: vec![from, peer(8)] },
                _ => Event::Connected { peer: from, ip: None },
            };
            requests += usize::from(matches!(event, Event::Request { .. }));
            victim.now += number % 10_000;
            for action in victim.step(event) {
                match action {
                    Action::Request { id, .. } => asked.push(id),
                    Action::Respond { .. } => answers += 1,
                    Action::Activate(index) => {
                        for action in victim.step(Event::Activated { index, is_seeded: true }) {
                            answers += usize::from(matches!(action, Action::Respond { .. }));
                        }
                    }
                    _ => {}
                }
            }
        }
        prop_assert_eq!(requests, answers);
        prop_assert_eq!(victim.core.chain().tip().unwrap(), tip);
    }
}

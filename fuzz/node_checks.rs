//! What must hold for anything that peers send. The fuzz targets and the quick tests of `node` share these functions.
//!
//! No message panics, what is read is written back the same, and no sequence of events stops the core or moves its chain without work.

use std::sync::LazyLock;

use lyceum_node::core::wire::{Announcement, Request, Response, Wire};
use lyceum_node::core::{Action, Chain, Core, CoreConfig, Event, MempoolLimits, RunChecker};
use lyceum_node::network::{ReplyId, RequestFailure, RequestId, Topic};
use lyceum_protocol::{BatchSeed, ChainSpec, SegmentIndex, Timestamp};
use lyceum_storage::{Options, Store};

static DEV: LazyLock<ChainSpec> = LazyLock::new(ChainSpec::dev);

/// Events that one input can hold.
const EVENTS_MAX: usize = 256;

/// A message has one spelling, but for what an address leaves open.
pub(crate) fn wire(input: &[u8]) {
    again::<Request>(input);
    again::<Response>(input);
    again::<Announcement>(input);
}

fn again<Message: Wire>(input: &[u8]) {
    if let Ok(message) = Message::decode(input) {
        assert_eq!(message.encode(), input);
    }
}

/// Reads a sequence of events: a kind, a length, so many bytes.
pub(crate) fn core_events(mut input: &[u8]) {
    let open = |spec: &ChainSpec, genesis| Ok(Store::in_memory(spec, genesis, &Options::default()));
    let chain = Chain::open(DEV.clone(), open, BatchSeed::new([1; 32]));
    let config = CoreConfig {
        miner: None,
        mempool: MempoolLimits::default(),
        has_torrents: true,
        seed: [1; 32],
    };
    let mut now = DEV.genesis_time.get() + 1_000_000;
    let time = |millis| Timestamp::new(millis).expect("within 53 bits");
    let chain = chain.expect("the dev chain opens");
    let (mut core, _) = Core::new(chain, &config, time(now)).expect("a store in memory");
    let genesis = core.chain().tip().expect("a store in memory");
    let checker = core.chain().run_checker();
    let (mut asked, mut waiting) = (Vec::new(), 0_usize);
    for _ in 0..EVENTS_MAX {
        let [kind, length, rest @ ..] = input else {
            break;
        };
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        input = rest;
        now += u64::from(*length) * 16;
        let Some(event) = event(*kind, bytes, &mut asked, &checker) else {
            continue;
        };
        waiting += usize::from(matches!(event, Event::Request { .. }));
        let actions = core.step(time(now), event).expect("no peer stops the core");
        for action in actions {
            match action {
                Action::Request { peer, id, .. } => asked.push((peer, id)),
                Action::Respond { .. } => waiting -= 1,
                _ => {}
            }
        }
    }
    // No input has the work of a block of this chain in it.
    assert_eq!(core.chain().tip().expect("a store in memory"), genesis);
    assert_eq!(waiting, 0, "a request without an answer");
}

fn peer(number: u8) -> libp2p::PeerId {
    let seed = [number % 3 + 1; 32];
    let key = libp2p::identity::Keypair::ed25519_from_bytes(seed).expect("32 bytes");
    key.public().to_peer_id()
}

fn event(
    kind: u8,
    bytes: &[u8],
    asked: &mut Vec<(libp2p::PeerId, RequestId)>,
    checker: &RunChecker,
) -> Option<Event> {
    let first = bytes.first().copied().unwrap_or_default();
    let from = peer(kind / 16);
    let index = SegmentIndex::new(u64::from(first)).expect("a byte");
    let id = libp2p::gossipsub::MessageId::new(bytes);
    let data = bytes.to_vec();
    Some(match kind % 13 {
        0 => Event::Connected {
            peer: from,
            ip: Some([127, 0, 0, 1].into()),
        },
        1 => Event::Gossip {
            topic: Topic::Block,
            from,
            id,
            data,
        },
        2 => Event::Gossip {
            topic: Topic::Transaction,
            from,
            id,
            data,
        },
        3 => Event::Request {
            peer: from,
            reply: ReplyId(1),
            request: Request::decode(bytes).ok()?,
        },
        4 => {
            let (peer, id) = asked.pop()?;
            let result = Ok(Response::decode(bytes).ok()?);
            Event::Response { peer, id, result }
        }
        5 => {
            let (peer, id) = asked.pop()?;
            let result = Err(RequestFailure::Timeout);
            Event::Response { peer, id, result }
        }
        6 => Event::Disconnected(from),
        7 => Event::SegmentPart {
            index,
            offset: 0,
            part: checker.check_part(data),
        },
        8 => Event::Fetched {
            index,
            file: "segment".into(),
            from: Vec::new(),
        },
        9 => Event::Tick,
        10 => Event::Misbehaved {
            peer: from,
            reason: "frame",
        },
        11 => Event::SegmentDamaged(index),
        _ => Event::Providers {
            key: data,
            peers: vec![from, peer(first)],
        },
    })
}

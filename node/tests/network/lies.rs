//! Kinds of lies.

use lyceum_node::core::wire::{
    ANNOUNCEMENT_BYTES_MAX, Announcement, Boundary, IDS_MAX, Request, Response, Wire as _,
};
use lyceum_node::network::Topic;
use lyceum_protocol::{BlockClaims, BlockHash, Hash, Height, Nonce};

use crate::forge;
use crate::liar::{Forger, Lie};

/// A kind of lie.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The lie.
    pub(crate) lie: Lie,
    /// Why who tells it is banned.
    pub(crate) reason: &'static str,
}

const fn kind(name: &'static str, lie: Lie, reason: &'static str) -> Kind {
    Kind { name, lie, reason }
}

/// Lies that are gossiped.
pub(crate) const GOSSIP: [Kind; 6] = [
    kind("no-work", Lie::Gossip(Topic::Block, without_work), "work"),
    kind(
        "false-signature",
        Lie::Gossip(Topic::Block, badly_signed),
        "signature",
    ),
    kind(
        "false-state",
        Lie::Gossip(Topic::Block, of_a_false_state),
        "kept_invalid",
    ),
    kind(
        "false-transactions",
        Lie::Gossip(Topic::Transaction, false_transaction),
        "signature",
    ),
    kind(
        "endless-announcement",
        Lie::Gossip(Topic::Block, |_, number| {
            let mut data = number.to_be_bytes().to_vec();
            data.resize(ANNOUNCEMENT_BYTES_MAX + 1, 0);
            data
        }),
        "oversized_gossip",
    ),
    kind(
        "no-announcement",
        Lie::Gossip(Topic::Block, |_, number| number.to_be_bytes().to_vec()),
        "announcement",
    ),
];

/// Lies that are asked and answered.
pub(crate) const TALK: [Kind; 7] = [
    kind(
        "endless-requests",
        Lie::Ask(|| Request::BlocksByHash(vec![[0; 32]; IDS_MAX + 1])),
        "malformed_frame",
    ),
    kind(
        "endless-list",
        Lie::Answer(|_, _| Some(Response::Transactions(vec![String::new(); IDS_MAX + 1]))),
        "malformed_response",
    ),
    kind(
        "wrong-answer",
        Lie::Answer(|_, _| Some(Response::Transactions(Vec::new()))),
        "wrong_response",
    ),
    kind(
        "other-genesis",
        Lie::Answer(|forger, _| {
            let mut status = forger.modest();
            status.genesis = [0; 32];
            Some(Response::Status(status))
        }),
        "wrong_genesis",
    ),
    kind(
        "false-chain",
        Lie::Answer(|forger, request| match request {
            Request::Status(_) => Some(forger.boast(0)),
            _ => Some(Response::Blocks(vec![forger.token(false_state)])),
        }),
        "state_root",
    ),
    kind(
        "endless-headers",
        Lie::Answer(|forger, request| false_boundaries(forger, request, |boundary| boundary)),
        "boundary_infohash",
    ),
    kind(
        "false-boundaries",
        Lie::Answer(|forger, request| {
            false_boundaries(forger, request, |boundary| Boundary {
                index: boundary.index + 1,
                ..boundary
            })
        }),
        "boundary_index",
    ),
];

/// A claim of more work than is shown.
pub(crate) const BOAST: Kind = kind(
    "boast",
    Lie::Answer(|forger, request| match request {
        Request::Status(_) => Some(forger.boast(0)),
        Request::BlocksAfter { .. } => Some(Response::Blocks(Vec::new())),
        _ => None,
    }),
    "false_claim",
);

/// A holder of segments whose bytes are wrong.
pub(crate) const WRONG_BYTES: Kind = kind("wrong-bytes", Lie::Serve, "wrong_bytes");

/// All of them.
pub(crate) fn kinds() -> impl Iterator<Item = Kind> {
    let alone = [BOAST, WRONG_BYTES];
    GOSSIP.into_iter().chain(TALK).chain(alone)
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

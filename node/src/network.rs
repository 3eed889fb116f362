//! The libp2p side: who is connected, gossip, requests, discovery.
//!
//! One task owns the libp2p swarm; the rest of the node speaks with it by [`NetworkCommand`]s and [`NetworkEvent`]s, both over bounded
//! channels. It judges no block: it asks for verdicts on gossip, and carries out bans.

mod address;
mod bans;
mod behaviour;
mod codec;
mod config;
mod dial;
mod dialled;
mod discovery;
mod events;
mod exchange;
mod gate;
mod gossip;
mod identity;
mod metrics;
mod outbox;
mod peers;
mod rendezvous;
mod start;
mod surplus;
mod task;
#[cfg(test)]
mod tests;
mod unheard;

use std::net::IpAddr;
use std::time::Duration;

use libp2p::gossipsub::MessageId;
use libp2p::{Multiaddr, PeerId};

use crate::core::wire::{Request, Response};

pub use self::bans::BANS_FILE;
pub use self::config::{Discovery, Limits, Mainline, NetworkConfig, TARGET_PEERS, Timing};
pub use self::identity::{IDENTITY_FILE, IdentityError, load_or_create_identity};
pub use self::start::{Network, NetworkError, NetworkSender, start, start_over};
pub use self::surplus::PEERS_HIGH;

/// Commands that may wait for the network.
pub const NETWORK_COMMANDS_LEN: usize = 1_024;
/// Events that may wait for the rest of the node: gossip is at most 1 MiB, most of it far less.
pub const NETWORK_EVENTS_LEN: usize = 256;
/// The most keys that a node provides, and keeps the providers of: all segments of a long chain, and new blocks.
pub const PROVIDED_MAX: usize = 16_384;

/// What is gossiped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Announcements of new blocks.
    Block,
    /// Transactions.
    Transaction,
}

/// What becomes of a gossiped message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GossipVerdict {
    /// Relay it.
    Accept,
    /// Don't; whoever sent it is to blame.
    Reject,
    /// Don't; nobody is to blame.
    Ignore,
}

/// Names a request that we made, for as long as it has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// Names a request that a peer made, for as long as it has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyId(pub u64);

/// Why a request has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestFailure {
    /// No answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The peer is gone, or can't be reached.
    #[error("the peer is gone")]
    Disconnected,
    /// The peer does not speak the protocol, or gave up.
    #[error("the peer does not answer")]
    Unsupported,
    /// The answer can't be read: it is too long, or malformed.
    #[error("the answer can't be read")]
    Malformed,
}

/// What the network tells.
#[derive(Debug)]
pub enum NetworkEvent {
    /// A peer of our chain is connected: identify has confirmed it.
    Connected {
        /// Who.
        peer: PeerId,
        /// From where, or whereto.
        address: Multiaddr,
        /// Did we dial?
        is_outbound: bool,
    },
    /// Its last connection is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// A message that awaits a verdict.
    Gossip {
        /// What it is about.
        topic: Topic,
        /// Who passed it on.
        from: PeerId,
        /// Names it in [`NetworkCommand::Verdict`].
        id: MessageId,
        /// Its content.
        data: Vec<u8>,
    },
    /// A peer asks; it awaits [`NetworkCommand::Respond`].
    Request {
        /// Who.
        peer: PeerId,
        /// Names it in the answer.
        reply: ReplyId,
        /// What.
        request: Request,
    },
    /// The end of a request of ours.
    Response {
        /// Who was asked.
        peer: PeerId,
        /// Which request.
        id: RequestId,
        /// The answer.
        result: Result<Response, RequestFailure>,
    },
    /// Peers that say they provide a key.
    Providers {
        /// The key.
        key: Vec<u8>,
        /// Who; perhaps more later.
        peers: Vec<PeerId>,
    },
    /// A peer broke the protocol below the messages: an oversized or malformed frame.
    Misbehaved {
        /// Who.
        peer: PeerId,
        /// How, as a metric's label.
        reason: &'static str,
    },
}

/// What the network is told.
#[derive(Debug)]
pub enum NetworkCommand {
    /// Gossip something of our own.
    Publish {
        /// What it is about.
        topic: Topic,
        /// Its content.
        data: Vec<u8>,
    },
    /// The verdict on a gossiped message.
    Verdict {
        /// The message.
        id: MessageId,
        /// Who passed it on.
        from: PeerId,
        /// What becomes of it.
        verdict: GossipVerdict,
    },
    /// Ask a peer.
    Request {
        /// Whom.
        peer: PeerId,
        /// A name that is not in use.
        id: RequestId,
        /// What.
        request: Request,
    },
    /// Answer a peer.
    Respond {
        /// Which request.
        reply: ReplyId,
        /// The answer.
        response: Response,
    },
    /// Disconnect a peer, and refuse it and its addresses for a while. Bans survive a restart.
    Ban {
        /// Who.
        peer: PeerId,
        /// For how long.
        duration: Duration,
        /// Why, as a metric's label.
        reason: &'static str,
    },
    /// Announce that we provide a key: a segment's infohash, a block's hash.
    Provide(Vec<u8>),
    /// No longer.
    StopProviding(Vec<u8>),
    /// Look for providers of a key, and dial some of those that are not connected: [`NetworkEvent::Providers`].
    FindProviders(Vec<u8>),
    /// Dial an address.
    Dial(Multiaddr),
}

/// A connected peer, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerView {
    /// Who.
    pub peer: PeerId,
    /// Its address.
    pub address: Multiaddr,
    /// Did we dial?
    pub is_outbound: bool,
    /// What identify calls its software.
    pub agent: String,
    /// The last round trip.
    pub ping: Option<Duration>,
}

/// The network as it stands, for the API and the command line.
#[derive(Debug, Clone, Default)]
pub struct NetworkView {
    /// Where we listen, observed and relayed addresses too.
    pub listen: Vec<Multiaddr>,
    /// The connected peers of our chain.
    pub peers: Vec<PeerView>,
    /// Bans in force: peers and addresses.
    pub banned_peers: usize,
    /// Addresses that are banned.
    pub banned_addresses: Vec<IpAddr>,
}

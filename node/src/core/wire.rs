//! What peers say to each other: the messages of `sync/1` and of the block topic.
//!
//! Each is one byte of version, then borsh. Decoding is strict: nothing may be left over, lists are bounded by the constants here, and
//! tokens are text that the rules have yet to judge.

use std::net::SocketAddr;

use borsh::{BorshDeserialize, BorshSerialize};
use lyceum_protocol::BLOCK_BYTES_LIMIT;

/// The version of all messages: their first byte.
pub const WIRE_VERSION: u8 = 1;
/// The longest request: a locator or a list of ids.
pub const REQUEST_BYTES_MAX: usize = 256 << 10;
/// The longest response: a block of any size, or many small ones.
pub const RESPONSE_BYTES_MAX: usize = BLOCK_BYTES_LIMIT as usize + (64 << 10);
/// The most hashes in a request, and the most ids.
pub const IDS_MAX: usize = 4_096;
/// The most blocks in a response.
pub const BLOCKS_MAX: usize = 512;
/// The most boundaries in a response.
pub const BOUNDARIES_MAX: usize = 256;
/// The most segments that a status lists as not held.
pub const MISSING_MAX: usize = 64;

/// A hash or an id on the wire.
pub type WireHash = [u8; 32];

/// Where a node stands.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Status {
    /// The chain's first block.
    pub genesis: WireHash,
    /// The last block of its main chain.
    pub tip: WireHash,
    /// The tip's height.
    pub height: u64,
    /// The main chain's work, big-endian.
    pub work: [u8; 32],
    /// It can seed the segments from 0 up to this number, but for those missing.
    pub segments: u64,
    /// Segments below `segments` that it can't seed now.
    pub missing: Vec<u64>,
    /// Where its BitTorrent side listens; an unspecified IP stands for the one that it is connected from.
    pub torrent: Option<SocketAddr>,
}

/// A question of `sync/1`.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Request {
    /// Where do you stand? I stand here.
    Status(Status),
    /// The blocks of your main chain after the first hash of mine that is on it.
    BlocksAfter {
        /// The asker's chain, the tip first, ever sparser, genesis last.
        locator: Vec<WireHash>,
        /// The most blocks.
        blocks_max: u32,
    },
    /// These blocks, whatever branch they are on.
    BlocksByHash(Vec<WireHash>),
    /// These transactions, pending or in recent blocks.
    Transactions(Vec<WireHash>),
    /// The boundaries of the segments from this one on.
    Segments {
        /// The first segment.
        from: u64,
        /// The most boundaries.
        limit: u32,
    },
    /// Seed this segment now.
    Activate(u64),
}

/// The end of a segment as the chain commits to it.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Boundary {
    /// Which segment.
    pub index: u64,
    /// The block token that carries its infohash: that of height (index + 1) * `segment_blocks`.
    pub token: String,
    /// The length of its file.
    pub length: u64,
    /// The SHA-1 of its pieces, 20 bytes each.
    pub pieces: Vec<u8>,
}

/// An answer of `sync/1`; each fits the request's variant, or refuses.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Response {
    /// Where the answerer stands.
    Status(Status),
    /// Block lines, parents before their children; those that are unknown, or did not fit, are left out.
    Blocks(Vec<String>),
    /// Transaction tokens; those that are unknown, or did not fit, are left out.
    Transactions(Vec<String>),
    /// Boundaries, in order.
    Segments(Vec<Boundary>),
    /// The segment is seeded: its metainfo, and where.
    Activated {
        /// The length of its file.
        length: u64,
        /// The SHA-1 of its pieces, 20 bytes each.
        pieces: Vec<u8>,
        /// As in [`Status::torrent`].
        torrent: SocketAddr,
    },
    /// The answerer can't.
    Refused(Refusal),
}

/// Why a request has no other answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Refusal {
    /// It does not hold the segment.
    NotHeld,
    /// Too much to do: ask again later, or others.
    Busy,
    /// Its ledger is in trouble.
    Failed,
}

/// A new block, as it is gossiped: the receiver rebuilds it from what it has pending.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Announcement {
    /// The block's token.
    pub token: String,
    /// The ids of its transactions, in order.
    pub ids: Vec<WireHash>,
}

/// Why a message can't be read.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// Longer than any message of its kind.
    #[error("a message of {got} bytes, at most {max} are allowed")]
    Size {
        /// Its length.
        got: usize,
        /// The bound.
        max: usize,
    },
    /// A version that we don't speak.
    #[error("message version {0:?}, want {WIRE_VERSION}")]
    Version(Option<u8>),
    /// Not what the version says.
    #[error("malformed message: {0}")]
    Malformed(#[from] std::io::Error),
    /// A list that is too long.
    #[error("a list of {got}, at most {max} are allowed")]
    List {
        /// Its length.
        got: usize,
        /// The bound.
        max: usize,
    },
}

/// A message that can be encoded and decoded.
pub trait Wire: BorshSerialize + BorshDeserialize {
    /// The longest encoding.
    const BYTES_MAX: usize;

    /// The longest list in it, and how long it may be.
    fn longest_list(&self) -> (usize, usize);

    /// Version byte and borsh.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![WIRE_VERSION];
        borsh::to_writer(&mut bytes, self).expect("writing to memory can't fail");
        bytes
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`WireError`].
    fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (got, max) = (bytes.len(), Self::BYTES_MAX);
        if got > max {
            return Err(WireError::Size { got, max });
        }
        let Some((&WIRE_VERSION, body)) = bytes.split_first() else {
            return Err(WireError::Version(bytes.first().copied()));
        };
        let message: Self = borsh::from_slice(body)?;
        let (got, max) = message.longest_list();
        if got > max {
            return Err(WireError::List { got, max });
        }
        Ok(message)
    }
}

impl Wire for Request {
    const BYTES_MAX: usize = REQUEST_BYTES_MAX;

    fn longest_list(&self) -> (usize, usize) {
        match self {
            Self::Status(status) => (status.missing.len(), MISSING_MAX),
            Self::BlocksAfter { locator, .. } => (locator.len(), lyceum_protocol::LOCATOR_LEN_MAX),
            Self::BlocksByHash(ids) | Self::Transactions(ids) => (ids.len(), IDS_MAX),
            Self::Segments { .. } | Self::Activate(_) => (0, 0),
        }
    }
}

impl Wire for Response {
    const BYTES_MAX: usize = RESPONSE_BYTES_MAX;

    fn longest_list(&self) -> (usize, usize) {
        match self {
            Self::Status(status) => (status.missing.len(), MISSING_MAX),
            Self::Blocks(lines) => (lines.len(), BLOCKS_MAX),
            Self::Transactions(tokens) => (tokens.len(), IDS_MAX),
            Self::Segments(boundaries) => (boundaries.len(), BOUNDARIES_MAX),
            Self::Activated { .. } | Self::Refused(_) => (0, 0),
        }
    }
}

impl Wire for Announcement {
    const BYTES_MAX: usize = ANNOUNCEMENT_BYTES_MAX;

    fn longest_list(&self) -> (usize, usize) {
        (self.ids.len(), ANNOUNCED_IDS_MAX)
    }
}

/// The longest announcement: a token, and an id for every transaction of the fullest block.
pub const ANNOUNCEMENT_BYTES_MAX: usize = 1 << 20;
/// The most transactions of a block that is announced.
pub const ANNOUNCED_IDS_MAX: usize = ANNOUNCEMENT_BYTES_MAX / 32;

//! The layout of keys and values; SCHEMA.md shows it.

use borsh::{BorshDeserialize, BorshSerialize};
use lyceum_protocol::{
    Bits, BlockHash, Header, Height, InfoHash, SegmentIndex, StateRoot, Timestamp, TxId, U256, Work,
};

use crate::error::StoreError;
use crate::family::Family;

/// The number of this schema. A database of another is refused, never converted in silence.
pub(crate) const SCHEMA: u16 = 2;
/// The first byte of every borsh value.
const VALUE_VERSION: u8 = 1;
const VALUE_BYTES_USUAL: usize = 32;
/// What stands before a list or a text in a borsh value: how long it is.
pub(crate) const LENGTH_BYTES: usize = 4;

/// Keys of [`Family::Meta`].
pub(crate) const META_CHAIN: &[u8] = b"chain";
pub(crate) const META_TIP: &[u8] = b"tip";
/// How many segments are sealed.
pub(crate) const META_SEALED: &[u8] = b"sealed";
/// There while a process has the database open.
pub(crate) const META_OPEN: &[u8] = b"open";

pub(crate) fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    encode_in(VALUE_BYTES_USUAL, value)
}

/// As [`encode`], of a value whose items are about so many bytes.
pub(crate) fn encode_in<T: BorshSerialize>(bytes: usize, value: &T) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + LENGTH_BYTES + bytes);
    out.push(VALUE_VERSION);
    borsh::to_writer(&mut out, value).expect("writing to memory can't fail");
    out
}

/// Encodes a value that is a list, item by item.
pub(crate) struct ListEncoder {
    bytes: Vec<u8>,
    items: u32,
}

impl ListEncoder {
    /// Of items that are about so many bytes in all.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            bytes: encode_in(bytes, &0_u32),
            items: 0,
        }
    }

    pub(crate) fn push<T: BorshSerialize>(&mut self, item: &T) {
        self.items += 1; // a block's items are bounded by its 16 MiB
        borsh::to_writer(&mut self.bytes, item).expect("writing to memory can't fail");
    }

    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes[1..=LENGTH_BYTES].copy_from_slice(&self.items.to_le_bytes());
        self.bytes
    }
}

pub(crate) fn decode<T: BorshDeserialize>(
    family: Family,
    key: &[u8],
    bytes: &[u8],
) -> Result<T, StoreError> {
    let read = match bytes.split_first() {
        Some((&VALUE_VERSION, rest)) => borsh::from_slice(rest).map_err(|error| error.to_string()),
        Some((version, _)) => Err(format!("version {version}, want {VALUE_VERSION}")),
        None => Err("empty".to_owned()),
    };
    read.map_err(|reason| damaged(family, key, reason))
}

pub(crate) fn damaged(family: Family, key: &[u8], reason: impl Into<String>) -> StoreError {
    StoreError::Value {
        family: family.name(),
        key: key.iter().map(|byte| format!("{byte:02x}")).collect(),
        reason: reason.into(),
    }
}

/// A height as a key: 8 bytes, big-endian, so that keys sort as heights do.
pub(crate) fn height_key(height: Height) -> [u8; 8] {
    height.get().to_be_bytes()
}

/// Height, then hash: blocks in chronological order, parents before children.
pub(crate) fn block_key(height: Height, hash: &BlockHash) -> Vec<u8> {
    [&height_key(height)[..], hash.as_bytes()].concat()
}

pub(crate) fn segment_key(index: SegmentIndex) -> [u8; 8] {
    index.get().to_be_bytes()
}

/// The height at the start of a key.
pub(crate) fn key_height(family: Family, key: &[u8]) -> Result<Height, StoreError> {
    let number = key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
    let height = number.and_then(|number| Height::new(number).ok());
    height.ok_or_else(|| damaged(family, key, "the key has no height"))
}

/// The path's `CONTRACT/RECORD/`.
pub(crate) fn path_prefix(path: &str) -> Result<&str, StoreError> {
    let mut slashes = path.match_indices('/').map(|(at, _)| at);
    let (first, second) = (slashes.next(), slashes.next());
    match (first, second) {
        (Some(first), Some(second))
            if first > 0 && second > first + 1 && second + 1 < path.len() =>
        {
            Ok(&path[..=second])
        }
        _ => Err(StoreError::Path(path.to_owned())),
    }
}

/// [`META_CHAIN`]. The schema's number comes first in every schema.
#[derive(Debug, Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct ChainValue {
    pub(crate) schema: u16,
    pub(crate) name: String,
    pub(crate) genesis: [u8; 32],
    pub(crate) segment_blocks: u32,
}

/// [`META_TIP`].
#[derive(Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct TipValue {
    pub(crate) hash: [u8; 32],
    pub(crate) height: u64,
    pub(crate) state_root: [u8; 32],
    pub(crate) work: [u8; 32],
}

/// [`Family::Headers`].
#[derive(Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct HeaderValue {
    parent: [u8; 32],
    timestamp: u64,
    bits: u32,
    state_root: [u8; 32],
    segment: Option<[u8; 20]>,
    work: [u8; 32],
    transactions: u32,
    line_bytes: u32,
}

/// [`Family::Transactions`].
#[derive(Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct TransactionValue {
    pub(crate) height: u64,
    pub(crate) index: u32,
}

/// [`Family::Receipts`]: those of a block, in order.
pub(crate) type ReceiptsValue = Vec<Vec<u8>>;

/// [`Family::Offsets`].
#[derive(Debug, BorshSerialize, BorshDeserialize)]
pub(crate) struct OffsetValue {
    pub(crate) offset: u64,
    pub(crate) bytes: u32,
}

/// [`Family::Segments`].
#[derive(Debug, Clone, BorshSerialize, BorshDeserialize)]
pub(crate) struct SegmentValue {
    pub(crate) length: u64,
    pub(crate) pieces: Vec<u8>,
    pub(crate) is_missing: bool,
}

/// [`Family::Undo`]: each changed path with what it held.
pub(crate) type UndoValue = Vec<(String, Option<String>)>;

/// The last block of the main chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
    /// The work of the chain up to it.
    pub work: Work,
    /// The state after it.
    pub state_root: StateRoot,
}

impl Tip {
    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&TipValue {
            hash: *self.hash.as_bytes(),
            height: self.height.get(),
            state_root: *self.state_root.as_bytes(),
            work: self.work.get().to_be_bytes(),
        })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let value: TipValue = decode(Family::Meta, META_TIP, bytes)?;
        Ok(Self {
            hash: BlockHash::from_bytes(value.hash),
            height: amount(Family::Meta, META_TIP, value.height)?,
            work: Work::new(U256::from_be_bytes(value.work)),
            state_root: StateRoot::from_bytes(value.state_root),
        })
    }
}

fn amount<Unit>(
    family: Family,
    key: &[u8],
    value: u64,
) -> Result<lyceum_protocol::Amount<Unit>, StoreError> {
    lyceum_protocol::Amount::new(value).map_err(|error| damaged(family, key, error.to_string()))
}

/// What is known of a block without its text: enough to judge its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockEntry {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub height: Height,
    /// The block before.
    pub parent: BlockHash,
    /// When it was made, in Unix milliseconds.
    pub timestamp: Timestamp,
    /// Its target.
    pub bits: Bits,
    /// The state after it, as it claims.
    pub state_root: StateRoot,
    /// The infohash it carries, if any.
    pub segment: Option<InfoHash>,
    /// The work of the chain up to it, itself included.
    pub work: Work,
    /// How many transactions it holds.
    pub transactions: u32,
    /// The length of its line, without the line feed.
    pub line_bytes: u32,
}

impl BlockEntry {
    pub(crate) fn new(header: &Header, line: &str, work: Work) -> Self {
        let claims = header.claims();
        let separators = line.bytes().filter(|byte| *byte == b'~').count();
        Self {
            hash: header.hash(),
            height: claims.height,
            parent: claims.parent,
            timestamp: claims.timestamp,
            bits: claims.bits,
            state_root: claims.state_root,
            segment: claims.segment,
            work,
            // Both are bounded by a block's size, at most 16 MiB.
            transactions: separators as u32,
            line_bytes: line.len() as u32,
        }
    }

    pub(crate) fn key(&self) -> Vec<u8> {
        block_key(self.height, &self.hash)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        encode(&HeaderValue {
            parent: *self.parent.as_bytes(),
            timestamp: self.timestamp.get(),
            bits: self.bits.get(),
            state_root: *self.state_root.as_bytes(),
            segment: self.segment.map(|hash| *hash.as_bytes()),
            work: self.work.get().to_be_bytes(),
            transactions: self.transactions,
            line_bytes: self.line_bytes,
        })
    }

    pub(crate) fn decode(key: &[u8], bytes: &[u8]) -> Result<Self, StoreError> {
        let family = Family::Headers;
        let value: HeaderValue = decode(family, key, bytes)?;
        let hash = key.get(8..).and_then(|hash| hash.try_into().ok());
        let hash = hash.ok_or_else(|| damaged(family, key, "the key has no hash"))?;
        let bits = Bits::new(value.bits);
        Ok(Self {
            hash: BlockHash::from_bytes(hash),
            height: key_height(family, key)?,
            parent: BlockHash::from_bytes(value.parent),
            timestamp: amount(family, key, value.timestamp)?,
            bits: bits.map_err(|error| damaged(family, key, error.to_string()))?,
            state_root: StateRoot::from_bytes(value.state_root),
            segment: value.segment.map(InfoHash::from_bytes),
            work: Work::new(U256::from_be_bytes(value.work)),
            transactions: value.transactions,
            line_bytes: value.line_bytes,
        })
    }
}

/// Where a transaction stands on the main chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxLocation {
    /// The height of its block.
    pub height: Height,
    /// The hash of its block.
    pub block: BlockHash,
    /// Its place in the block, from 0.
    pub index: u32,
}

pub(crate) fn encode_hash(hash: &BlockHash) -> Vec<u8> {
    encode(hash.as_bytes())
}

pub(crate) fn decode_hash(
    family: Family,
    key: &[u8],
    bytes: &[u8],
) -> Result<BlockHash, StoreError> {
    decode(family, key, bytes).map(BlockHash::from_bytes)
}

pub(crate) fn decode_height(
    family: Family,
    key: &[u8],
    bytes: &[u8],
) -> Result<Height, StoreError> {
    amount(family, key, decode(family, key, bytes)?)
}

/// The id of a transaction's token.
pub(crate) fn tx_key(token: &str) -> [u8; 32] {
    *TxId::of(token.as_bytes()).as_bytes()
}

impl ChainValue {
    pub(crate) fn describe(&self) -> String {
        let genesis = BlockHash::from_bytes(self.genesis);
        format!(
            "{:?} with genesis {genesis} and segments of {} blocks",
            self.name, self.segment_blocks
        )
    }
}

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use serde_json::{Map, Value, json};

use crate::address::Address;
use crate::block::{BlockClaims, Header};
use crate::contracts::BUILTIN_CONTRACTS;
use crate::hash::{BlockHash, StateRoot};
use crate::json::{JsonError, parse_strict};
use crate::merkle::tx_root;
use crate::signature::SecretKey;
use crate::units::{Credits, Gas, Height, Nonce, SegmentIndex, Timestamp};
use crate::work::{Asert, Bits};

mod read;

/// The longest chain file: room for inline contracts.
pub const CHAIN_FILE_BYTES_MAX: usize = 4 << 20;
/// How deep a chain file may nest: a contract stands three levels in.
const CHAIN_FILE_DEPTH_MAX: usize = 32;
/// The most entries in `alloc`, and in each list of a chain file.
pub const CHAIN_LIST_LEN_MAX: usize = 100_000;
/// The longest block line that a chain may allow: what one network frame carries.
pub const BLOCK_BYTES_LIMIT: u64 = 16 << 20;

/// A chain's name: 3 to 32 of `a-z`, `0-9` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChainName(String);

impl ChainName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ChainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ChainName {
    type Err = ChainNameError;

    fn from_str(text: &str) -> Result<Self, ChainNameError> {
        let is_allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if !(3..=32).contains(&text.len()) || !text.bytes().all(is_allowed) {
            return Err(ChainNameError);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A text is not a chain's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("want 3 to 32 of a-z, 0-9 and '-'")]
pub struct ChainNameError;

/// A contract that genesis installs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GenesisContract {
    /// One of [`BUILTIN_CONTRACTS`], by its name.
    BuiltIn(&'static str),
    /// A definition that stands in the chain file itself.
    Inline(Value),
}

/// The fields of a chain file.
///
/// Source: SPEC.md section 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFields {
    /// The chain's name.
    pub chain: ChainName,
    /// When genesis was made.
    pub genesis_time: Timestamp,
    /// The time between blocks that the difficulty aims at, in milliseconds; 100 to 86 400 000.
    pub block_interval_ms: u32,
    /// How far behind schedule halves the difficulty, in milliseconds; at least a block interval.
    pub half_life_ms: u32,
    /// The target of genesis.
    pub initial_bits: Bits,
    /// The easiest target.
    pub limit_bits: Bits,
    /// Blocks in a segment; 1 to 65 536.
    pub segment_blocks: u32,
    /// How many blocks past its end seal a segment; 1 to 65 536.
    pub segment_depth: u32,
    /// The longest transaction token, in bytes; at least 512.
    pub max_tx_bytes: u32,
    /// The longest block line, in bytes; room for one longest transaction and 2 048 bytes more, at most [`BLOCK_BYTES_LIMIT`].
    pub max_block_bytes: u32,
    /// The most gas that a block's transactions may ask for together.
    pub block_gas: Gas,
    /// The least fee for each unit of gas.
    pub min_gas_price: u64,
    /// What the miner of each block is given.
    pub subsidy: Credits,
    /// Who has how much at genesis.
    pub alloc: BTreeMap<Address, Credits>,
    /// What genesis installs, in order.
    pub contracts: Vec<GenesisContract>,
    /// Everyone may do everything.
    pub open: bool,
    /// Who is an admin of the `dao` contract at genesis.
    pub admins: Vec<Address>,
    /// Where a new node finds its first peers: multiaddresses.
    pub bootnodes: Vec<String>,
    /// BitTorrent trackers of the chain's segments: `http:`, `https:` or `udp:` URLs.
    pub trackers: Vec<String>,
    /// Do nodes find each other on the BitTorrent Mainline DHT?
    pub rendezvous: bool,
}

/// A chain: the fields of its file, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainSpec(ChainFields);

impl Deref for ChainSpec {
    type Target = ChainFields;

    fn deref(&self) -> &ChainFields {
        &self.0
    }
}

impl ChainSpec {
    /// The chain for trying things out: blocks every 2 s, everyone may do everything.
    pub fn dev() -> Self {
        Self::parse(include_str!("../chains/dev.json")).expect("a test parses it")
    }

    /// The public chain.
    pub fn public() -> Self {
        Self::parse(include_str!("../chains/public.json")).expect("a test parses it")
    }

    /// The embedded chain of that name.
    pub fn embedded(name: &str) -> Option<Self> {
        match name {
            "dev" => Some(Self::dev()),
            "public" => Some(Self::public()),
            _ => None,
        }
    }

    /// Checks the fields of a chain.
    ///
    /// To make a new chain from one that there is, clone its fields, change some, and check them here.
    ///
    /// # Errors
    /// [`ChainSpecError::Field`], the first field that is out of its bounds or does not fit another.
    pub fn new(fields: ChainFields) -> Result<Self, ChainSpecError> {
        check(&fields)?;
        Ok(Self(fields))
    }

    /// Reads a chain file.
    ///
    /// # Errors
    /// [`ChainSpecError`]: unknown and missing fields are refused, as is a value that is out of its bounds.
    pub fn parse(text: &str) -> Result<Self, ChainSpecError> {
        if text.len() > CHAIN_FILE_BYTES_MAX {
            return Err(ChainSpecError::Size { got: text.len() });
        }
        let value = parse_strict(text, CHAIN_FILE_DEPTH_MAX)?;
        let Value::Object(members) = value else {
            return Err(ChainSpecError::NotObject);
        };
        Self::new(read::fields(members)?)
    }

    /// Writes the chain file: the members in the order of SPEC.md section 2, one a line.
    pub fn to_json(&self) -> String {
        let alloc = self.alloc.iter();
        let alloc: Map<_, _> = alloc
            .map(|(k, v)| (k.to_string(), json!(v.get())))
            .collect();
        let contracts = self.contracts.iter().map(|contract| match contract {
            GenesisContract::BuiltIn(name) => json!(name),
            GenesisContract::Inline(definition) => definition.clone(),
        });
        let admins = self.admins.iter().map(Address::to_string);
        let members = [
            ("chain", json!(self.chain.as_str())),
            ("genesis_time", json!(self.genesis_time.get())),
            ("block_interval_ms", json!(self.block_interval_ms)),
            ("half_life_ms", json!(self.half_life_ms)),
            ("initial_bits", json!(self.initial_bits.to_string())),
            ("limit_bits", json!(self.limit_bits.to_string())),
            ("segment_blocks", json!(self.segment_blocks)),
            ("segment_depth", json!(self.segment_depth)),
            ("max_tx_bytes", json!(self.max_tx_bytes)),
            ("max_block_bytes", json!(self.max_block_bytes)),
            ("block_gas", json!(self.block_gas.get())),
            ("min_gas_price", json!(self.min_gas_price)),
            ("subsidy", json!(self.subsidy.get())),
            ("alloc", Value::Object(alloc)),
            ("contracts", contracts.collect()),
            ("open", json!(self.open)),
            ("admins", admins.collect()),
            ("bootnodes", json!(self.bootnodes)),
            ("trackers", json!(self.trackers)),
            ("rendezvous", json!(self.rendezvous)),
        ];
        let lines = members.map(|(name, value)| format!("  \"{name}\": {value}"));
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Makes the genesis block, which has no transactions and needs no work.
    ///
    /// `state_root` is that of the records that `alloc`, `contracts` and `admins` give. The key is derived from the chain's
    /// name, so anybody can sign with it, and it stands for nobody.
    pub fn genesis(&self, state_root: StateRoot) -> Header {
        let seed = BlockHash::of(self.chain.as_str().as_bytes());
        let key = SecretKey::from_seed(seed.as_bytes());
        let claims = BlockClaims {
            miner: Address::from_bytes(key.public()),
            height: Height::ZERO,
            parent: BlockHash::ZERO,
            timestamp: self.genesis_time,
            bits: self.initial_bits,
            tx_root: tx_root([]),
            state_root,
            segment: None,
            nonce: Nonce::ZERO,
        };
        claims.sign(&key, self).expect("the key is the miner's")
    }

    /// The chain's difficulty rule.
    pub fn asert(&self) -> Asert {
        let genesis = i64::try_from(self.genesis_time.get()).expect("within 53 bits");
        Asert {
            anchor: self.initial_bits,
            anchor_parent_time: genesis - i64::from(self.block_interval_ms),
            spacing: self.block_interval_ms,
            half_life: self.half_life_ms,
            limit: self.limit_bits,
        }
    }

    /// The bits that the block after `parent` must have.
    pub fn next_bits(&self, parent: &BlockClaims) -> Bits {
        let time = i64::try_from(parent.timestamp.get()).expect("within 53 bits");
        self.asert().next_bits(time, parent.height.get())
    }

    /// The segment whose infohash the block at `height` must carry, if any.
    pub fn demanded_segment(&self, height: Height) -> Option<SegmentIndex> {
        let blocks = u64::from(self.segment_blocks);
        if height == Height::ZERO || !height.get().is_multiple_of(blocks) {
            return None;
        }
        SegmentIndex::new(height.get() / blocks - 1).ok()
    }
}

/// A URL's schemes that a BitTorrent client knows a tracker by.
const TRACKER_SCHEMES: [&str; 3] = ["http://", "https://", "udp://"];

fn check(fields: &ChainFields) -> Result<(), ChainSpecError> {
    let bound = |field, value: u64, least: u64, most: u64| {
        if (least..=most).contains(&value) {
            return Ok(());
        }
        let why = format!("{value} is not within {least} and {most}");
        Err(ChainSpecError::Field { field, why })
    };
    let interval = u64::from(fields.block_interval_ms);
    let max_tx = u64::from(fields.max_tx_bytes);
    let max_block = u64::from(fields.max_block_bytes);
    bound("block_interval_ms", interval, 100, 86_400_000)?;
    let half_life = u64::from(fields.half_life_ms);
    bound("half_life_ms", half_life, interval, u64::from(u32::MAX))?;
    if fields.initial_bits.target() > fields.limit_bits.target() {
        let limit = fields.limit_bits;
        let why = format!("{} is easier than limit_bits {limit}", fields.initial_bits);
        let field = "initial_bits";
        return Err(ChainSpecError::Field { field, why });
    }
    bound("segment_blocks", fields.segment_blocks.into(), 1, 65_536)?;
    bound("segment_depth", fields.segment_depth.into(), 1, 65_536)?;
    bound("max_tx_bytes", max_tx, 512, BLOCK_BYTES_LIMIT)?;
    bound(
        "max_block_bytes",
        max_block,
        max_tx + 2_048,
        BLOCK_BYTES_LIMIT,
    )?;
    bound("block_gas", fields.block_gas.get(), 1, Gas::MAX.get())?;
    bound("min_gas_price", fields.min_gas_price, 0, Credits::MAX.get())?;
    let sum = fields
        .alloc
        .values()
        .try_fold(Credits::ZERO, |sum, credits| sum.checked_add(*credits));
    if sum.is_none() {
        let why = "the credits sum to more than 2^53 - 1".to_owned();
        let field = "alloc";
        return Err(ChainSpecError::Field { field, why });
    }
    check_lists(fields)
}

fn check_lists(fields: &ChainFields) -> Result<(), ChainSpecError> {
    let refuse = |field, why: String| Err(ChainSpecError::Field { field, why });
    let mut names = BTreeSet::new();
    for (at, contract) in fields.contracts.iter().enumerate() {
        let name = match contract {
            GenesisContract::BuiltIn(name) => name,
            GenesisContract::Inline(definition) => {
                match definition.get("contract").and_then(Value::as_str) {
                    Some(name) => name,
                    None => {
                        return refuse(
                            "contracts",
                            format!("entry {at}: a definition has a member \"contract\", its name"),
                        );
                    }
                }
            }
        };
        if !names.insert(name) {
            return refuse("contracts", format!("entry {at}: {name:?} stands twice"));
        }
    }
    let distinct: BTreeSet<_> = fields.admins.iter().collect();
    if distinct.len() != fields.admins.len() {
        return refuse("admins", "an address stands twice".to_owned());
    }
    if let Some(address) = fields
        .bootnodes
        .iter()
        .find(|address| !is_plain(address, &["/"]))
    {
        return refuse(
            "bootnodes",
            format!("{address:?} is not a multiaddress such as /dns4/HOST/tcp/PORT/p2p/PEER"),
        );
    }
    if let Some(url) = fields
        .trackers
        .iter()
        .find(|url| !is_plain(url, &TRACKER_SCHEMES))
    {
        return refuse(
            "trackers",
            format!("{url:?} is not an http, https or udp URL"),
        );
    }
    Ok(())
}

/// Does the text start with one of `prefixes`, and is it printable ASCII of at most 512 bytes?
fn is_plain(text: &str, prefixes: &[&str]) -> bool {
    let starts = prefixes.iter().any(|prefix| text.starts_with(prefix));
    starts && text.len() <= 512 && text.bytes().all(|c| c.is_ascii_graphic())
}

/// Looks a built-in contract up by its name.
pub(crate) fn builtin(name: &str) -> Option<&'static str> {
    let names = BUILTIN_CONTRACTS.iter().map(|(name, _)| *name);
    names.into_iter().find(|known| *known == name)
}

/// Why a chain file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainSpecError {
    /// Longer than [`CHAIN_FILE_BYTES_MAX`].
    #[error("a chain file of {got} bytes, at most {CHAIN_FILE_BYTES_MAX} are read")]
    Size {
        /// Bytes.
        got: usize,
    },
    /// Its JSON is refused.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Not an object.
    #[error("a chain file is a JSON object")]
    NotObject,
    /// A field is not there.
    #[error("field {0:?} is missing")]
    Missing(&'static str),
    /// A field that no chain file has.
    #[error("field {0:?} is unknown")]
    Unknown(String),
    /// A field's value is not right.
    #[error("field {field:?}: {why}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl ChainSpecError {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Size { .. } => "chain_file_size",
            Self::Json(error) => error.reason(),
            Self::NotObject => "chain_file_not_object",
            Self::Missing(_) => "missing_field",
            Self::Unknown(_) => "unknown_field",
            Self::Field { .. } => "field",
        }
    }
}

use bt_bencode::{ByteString, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::block::{BlockLine, Header, HeaderError};
use crate::chain_spec::{ChainName, ChainSpec};
use crate::hash::{BlockHash, InfoHash};
use crate::units::{Height, SegmentIndex};

/// BitTorrent's piece length for every segment, in bytes.
///
/// Source: SPEC.md section 6.
pub const PIECE_BYTES: usize = 262_144;

/// The heights that segment `index` of `spec` holds, in order.
pub fn segment_heights(
    spec: &ChainSpec,
    index: SegmentIndex,
) -> impl Iterator<Item = Height> + use<> {
    let blocks = u64::from(spec.segment_blocks);
    let first = index.get().saturating_mul(blocks);
    let heights = first..first.saturating_add(blocks);
    heights.map_while(|height| Height::new(height).ok())
}

/// The name of a segment's file: `CHAIN-KKKKKKKK.jwts`.
pub fn segment_file_name(chain: &ChainName, index: SegmentIndex) -> String {
    format!("{chain}-{:08}.jwts", index.get())
}

/// Hashes a segment's text as it is written, and gives its torrent.
#[derive(Debug, Clone)]
pub struct MetainfoBuilder {
    name: String,
    length: u64,
    pieces: Vec<u8>,
    piece: Sha1,
}

impl MetainfoBuilder {
    /// Starts the torrent of segment `index`.
    pub fn new(chain: &ChainName, index: SegmentIndex) -> Self {
        Self {
            name: segment_file_name(chain, index),
            length: 0,
            pieces: Vec::new(),
            piece: Sha1::new(),
        }
    }

    /// Takes the next bytes of the text.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let filled = (self.length % PIECE_BYTES as u64) as usize;
            let (now, later) = bytes.split_at(bytes.len().min(PIECE_BYTES - filled));
            self.piece.update(now);
            self.length += now.len() as u64;
            if filled + now.len() == PIECE_BYTES {
                self.pieces.extend(self.piece.finalize_reset());
            }
            bytes = later;
        }
    }

    /// Takes a block line, and the line feed after it.
    pub fn update_line(&mut self, line: &str) {
        self.update(line.as_bytes());
        self.update(b"\n");
    }

    /// Ends the torrent.
    pub fn finish(mut self) -> Metainfo {
        if !self.length.is_multiple_of(PIECE_BYTES as u64) {
            self.pieces.extend(self.piece.finalize());
        }
        Metainfo::new(self.name, self.length, self.pieces)
    }
}

fn bytes(content: &[u8]) -> Value {
    Value::ByteStr(ByteString::from(content))
}

fn dictionary<const N: usize>(members: [(&str, Value); N]) -> Value {
    let members = members.map(|(name, value)| (ByteString::from(name), value));
    Value::Dict(BTreeMap::from(members))
}

/// A segment's torrent: BitTorrent v1, one file.
///
/// Source: SPEC.md section 6; BEP 3.
#[derive(Debug, Clone, PartialEq)]
pub struct Metainfo {
    name: String,
    length: u64,
    pieces: Vec<u8>,
    info_hash: InfoHash,
    info: Value,
}

impl Metainfo {
    fn new(name: String, length: u64, pieces: Vec<u8>) -> Self {
        let info = dictionary([
            ("length", Value::from(length)),
            ("name", bytes(name.as_bytes())),
            ("piece length", Value::from(PIECE_BYTES as u64)),
            ("pieces", bytes(&pieces)),
        ]);
        let encoded = bt_bencode::to_vec(&info).expect("encoding to memory can't fail");
        Self {
            name,
            length,
            pieces,
            info_hash: InfoHash::from_bytes(Sha1::digest(&encoded).into()),
            info,
        }
    }

    /// The torrent of segment `index` whose pieces were hashed before: 20 bytes of SHA-1 each. `None` where their number does not fit
    /// the length.
    pub fn from_pieces(
        chain: &ChainName,
        index: SegmentIndex,
        length: u64,
        pieces: Vec<u8>,
    ) -> Option<Self> {
        let want = length.div_ceil(PIECE_BYTES as u64).checked_mul(20)?;
        let name = segment_file_name(chain, index);
        (pieces.len() as u64 == want).then(|| Self::new(name, length, pieces))
    }

    /// The SHA-1 of each piece, 20 bytes each, in order.
    pub fn pieces(&self) -> &[u8] {
        &self.pieces
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The infohash.
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The torrent file, with the chain's trackers: each a tier of its own (BEP 12).
    pub fn to_torrent(&self, trackers: &[String]) -> Vec<u8> {
        let mut torrent = dictionary([("info", self.info.clone())]);
        if let (Value::Dict(members), [first, ..]) = (&mut torrent, trackers) {
            members.insert("announce".into(), bytes(first.as_bytes()));
            let tiers = trackers.iter();
            let tiers = tiers.map(|url| Value::List(vec![bytes(url.as_bytes())]));
            members.insert("announce-list".into(), Value::List(tiers.collect()));
        }
        bt_bencode::to_vec(&torrent).expect("encoding to memory can't fail")
    }

    /// The magnet link, with trackers (`tr`) and peers (`x.pe`, BEP 9).
    pub fn magnet(&self, trackers: &[String], peers: &[SocketAddr]) -> String {
        let mut link = format!("magnet:?xt=urn:btih:{}&dn={}", self.info_hash, self.name);
        for url in trackers {
            link.push_str(&format!("&tr={}", utf8_percent_encode(url, QUERY)));
        }
        for peer in peers {
            link.push_str(&format!("&x.pe={peer}"));
        }
        link
    }
}

/// What is escaped in a magnet's parameter: all but RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Reads a segment's text back, line by line, on the borrowed bytes.
///
/// Each line is checked to be a block of this chain at its height that names the line before as its parent. The rules of a block are the caller's to ask; the parent of the first line, too.
#[derive(Debug, Clone)]
pub struct SegmentReader<'a> {
    spec: &'a ChainSpec,
    rest: &'a [u8],
    first: Height,
    line: u32,
    parent: Option<BlockHash>,
    failed: bool,
}

/// One block of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentLine<'a> {
    /// The block's decoded token.
    pub header: Header,
    /// The whole line.
    pub line: BlockLine<'a>,
}

impl<'a> SegmentReader<'a> {
    /// Starts at the first line of segment `index`.
    ///
    /// # Errors
    /// [`SegmentErrorKind::Index`] where its heights are out of range.
    pub fn new(
        spec: &'a ChainSpec,
        index: SegmentIndex,
        text: &'a [u8],
    ) -> Result<Self, SegmentError> {
        let first = segment_heights(spec, index).next();
        let kind = SegmentErrorKind::Index;
        Ok(Self {
            spec,
            rest: text,
            first: first.ok_or(SegmentError { line: 1, kind })?,
            line: 0,
            parent: None,
            failed: false,
        })
    }

    fn read_line(&mut self) -> Result<SegmentLine<'a>, SegmentErrorKind> {
        let max = self.spec.max_block_bytes as usize;
        let window = &self.rest[..self.rest.len().min(max + 1)];
        let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
            return Err(match self.rest.len() {
                0 => SegmentErrorKind::Missing {
                    want: self.spec.segment_blocks,
                },
                len if len > max => SegmentErrorKind::Size { max },
                _ => SegmentErrorKind::LineFeed,
            });
        };
        let line = str::from_utf8(&self.rest[..end]).map_err(|_| SegmentErrorKind::Text)?;
        let line = BlockLine::new(line);
        let header = Header::decode(line.token(), self.spec)?;
        let claims = header.claims();
        let want = Height::new(self.first.get() + u64::from(self.line));
        let (got, want) = (claims.height, want.unwrap_or(Height::MAX));
        if got != want {
            return Err(SegmentErrorKind::Height { got, want });
        }
        if let Some(want) = self.parent.filter(|parent| *parent != claims.parent) {
            let got = claims.parent;
            return Err(SegmentErrorKind::Parent { got, want });
        }
        self.rest = &self.rest[end + 1..];
        self.parent = Some(header.hash());
        Ok(SegmentLine { header, line })
    }
}

impl<'a> Iterator for SegmentReader<'a> {
    type Item = Result<SegmentLine<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let ended = self.line == self.spec.segment_blocks;
        if self.failed || ended && self.rest.is_empty() {
            return None;
        }
        let read = match ended {
            true => Err(SegmentErrorKind::Surplus { want: self.line }),
            false => self.read_line(),
        };
        self.line += 1;
        let line = self.line;
        self.failed = read.is_err();
        Some(read.map_err(|kind| SegmentError { line, kind }))
    }
}

/// Why a text is not a segment, and at which line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct SegmentError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub kind: SegmentErrorKind,
}

/// What is wrong with a line of a segment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentErrorKind {
    /// No chain has so many blocks.
    #[error("the segment's number is out of range")]
    Index,
    /// The text ends before.
    #[error("the text ends here, want {want} lines")]
    Missing {
        /// The chain's `segment_blocks`.
        want: u32,
    },
    /// There is more text after the last line.
    #[error("more text after the last of {want} lines")]
    Surplus {
        /// The chain's `segment_blocks`.
        want: u32,
    },
    /// The line is too long.
    #[error("longer than {max} bytes")]
    Size {
        /// The chain's `max_block_bytes`.
        max: usize,
    },
    /// The text ends without a line feed.
    #[error("no line feed at the end")]
    LineFeed,
    /// Not UTF-8.
    #[error("not UTF-8")]
    Text,
    /// The block's token is refused.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Another height than the line's.
    #[error("height {got}, want {want}")]
    Height {
        /// The claim.
        got: Height,
        /// The line's.
        want: Height,
    },
    /// Another parent than the line before.
    #[error("parent {got}, the line before is {want}")]
    Parent {
        /// The claim.
        got: BlockHash,
        /// The hash of the line before.
        want: BlockHash,
    },
}

impl SegmentErrorKind {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Index => "segment_index",
            Self::Missing { .. } => "segment_missing_lines",
            Self::Surplus { .. } => "segment_surplus",
            Self::Size { .. } => "block_size",
            Self::LineFeed => "segment_line_feed",
            Self::Text => "line_text",
            Self::Header(error) => error.reason(),
            Self::Height { .. } => "height",
            Self::Parent { .. } => "parent",
        }
    }
}

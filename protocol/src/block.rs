use crate::address::Address;
use crate::chain_spec::ChainSpec;
use crate::hash::{BlockHash, InfoHash, StateRoot, TxRoot};
use crate::merkle::tx_root;
use crate::signature::{SecretKey, SignedMessage};
use crate::token::{Token, TokenError, clip, seal, signing_input};
use crate::transaction::{Transaction, signed_part};
use crate::units::{Height, Nonce, Timestamp};
use crate::work::{Bits, Work};

/// What stands between the tokens of a block line.
pub const LINE_SEPARATOR: char = '~';

/// What a block's token says.
///
/// Source: SPEC.md section 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockClaims {
    /// Who mined it and signs it (`iss`).
    pub miner: Address,
    /// Its height (`index`).
    pub height: Height,
    /// The hash of the block before (`prev_hash`).
    pub parent: BlockHash,
    /// When it was made.
    pub timestamp: Timestamp,
    /// Its target.
    pub bits: Bits,
    /// The root over its transactions.
    pub tx_root: TxRoot,
    /// The state after it.
    pub state_root: StateRoot,
    /// The infohash of the segment before, where one is demanded.
    pub segment: Option<InfoHash>,
    /// What the miner varies.
    pub nonce: Nonce,
}

impl BlockClaims {
    /// The claims as JSON, for the chain named `chain`; the nonce's digits stand just before the closing brace.
    pub fn to_json(&self, chain: &str) -> String {
        let segment = match self.segment {
            Some(hash) => format!(r#""segment":"{hash}","#),
            None => String::new(),
        };
        format!(
            concat!(
                r#"{{"iss":"{}","aud":"{}","index":{},"prev_hash":"{}","timestamp":{},"bits":"{}","#,
                r#""tx_root":"{}","state_root":"{}",{}"nonce":{}}}"#
            ),
            self.miner,
            chain,
            self.height,
            self.parent,
            self.timestamp,
            self.bits,
            self.tx_root,
            self.state_root,
            segment,
            self.nonce
        )
    }

    /// The text that the miner signs.
    pub fn signing_input(&self, chain: &str) -> String {
        signing_input(&self.to_json(chain))
    }

    /// Signs the block as it stands, whatever its hash.
    ///
    /// # Errors
    /// [`HeaderError::Miner`] where the key is not the miner's.
    pub fn sign(&self, key: &SecretKey, spec: &ChainSpec) -> Result<Header, HeaderError> {
        if key.public() != *self.miner.as_bytes() {
            return Err(HeaderError::Miner);
        }
        let input = self.signing_input(spec.chain.as_str());
        let signature = key.sign(input.as_bytes());
        Header::decode(&seal(input, &signature), spec)
    }

    /// The work that the block stands for.
    pub fn work(&self) -> Work {
        self.bits.target().work()
    }
}

/// A block's token, well formed; whether it keeps the rules is asked by them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    token: Box<str>,
    hash: BlockHash,
    claims: BlockClaims,
    signature: [u8; 64],
}

impl Header {
    /// Decodes a block token of the chain `spec`: size, encodings, header, claims, `aud` (rule 1).
    ///
    /// # Errors
    /// [`HeaderError`], the first rule that is broken.
    pub fn decode(text: &str, spec: &ChainSpec) -> Result<Self, HeaderError> {
        let (got, max) = (text.len(), spec.max_block_bytes as usize);
        if got > max {
            return Err(TokenError::Size { got, max }.into());
        }
        let token = Token::decode(text)?;
        let mut claims = token.claims()?;
        let miner = claims.address("iss")?;
        let chain = claims.text("aud")?;
        if chain != spec.chain.as_str() {
            return Err(HeaderError::WrongChain(clip(&chain)));
        }
        let hex = "64 lower-case hex digits";
        let parsed = BlockClaims {
            miner,
            height: claims.amount("index")?,
            parent: claims.parsed("prev_hash", hex)?,
            timestamp: claims.amount("timestamp")?,
            bits: claims.parsed("bits", "a compact target: 8 lower-case hex digits")?,
            tx_root: claims.parsed("tx_root", hex)?,
            state_root: claims.parsed("state_root", hex)?,
            segment: match claims.has("segment") {
                true => Some(claims.parsed("segment", "40 lower-case hex digits")?),
                false => None,
            },
            nonce: claims.amount("nonce")?,
        };
        claims.finish()?;
        Ok(Self {
            hash: BlockHash::of(text.as_bytes()),
            claims: parsed,
            signature: *token.signature(),
            token: text.into(),
        })
    }

    /// The token itself.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// SHA-256 of the token.
    pub fn hash(&self) -> BlockHash {
        self.hash
    }

    /// What it says.
    pub fn claims(&self) -> &BlockClaims {
        &self.claims
    }

    /// What was signed, by whom.
    pub fn signed_message(&self) -> SignedMessage<'_> {
        SignedMessage {
            key: self.claims.miner.as_bytes(),
            message: signed_part(&self.token),
            signature: &self.signature,
        }
    }
}

/// A block: its token and its transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The block's token.
    pub header: Header,
    /// The transactions, in order.
    pub transactions: Vec<Transaction>,
}

impl Block {
    /// The block line, without a line feed.
    pub fn line(&self) -> String {
        let bodies = self.transactions.iter().map(|tx| tx.token().len() + 1);
        let len = self.header.token().len() + bodies.sum::<usize>();
        let mut line = String::with_capacity(len);
        line.push_str(self.header.token());
        for transaction in &self.transactions {
            line.push(LINE_SEPARATOR);
            line.push_str(transaction.token());
        }
        line
    }
}

/// A block line, split into its tokens, none of them decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockLine<'a> {
    line: &'a str,
    token_len: usize,
}

impl<'a> BlockLine<'a> {
    /// Splits a line.
    pub fn new(line: &'a str) -> Self {
        let token_len = line.find(LINE_SEPARATOR).unwrap_or(line.len());
        Self { line, token_len }
    }

    /// The whole line.
    pub fn as_str(self) -> &'a str {
        self.line
    }

    /// The block's token.
    pub fn token(self) -> &'a str {
        &self.line[..self.token_len]
    }

    /// The transactions' tokens, in order.
    pub fn transactions(self) -> impl Iterator<Item = &'a str> {
        let rest = &self.line[self.token_len..];
        rest.split(LINE_SEPARATOR).skip(1)
    }

    /// The root over the transactions as they stand.
    pub fn tx_root(self) -> TxRoot {
        tx_root(self.transactions())
    }
}

/// Why a block's token is refused before the rules are asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Not a token, or not with a block's claims.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// `aud` names another chain.
    #[error("claim \"aud\" is {0:?}, another chain")]
    WrongChain(String),
    /// The key is not that of `iss`.
    #[error("the key is not the miner's")]
    Miner,
}

impl HeaderError {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token(error) => error.reason(),
            Self::WrongChain(_) => "wrong_chain",
            Self::Miner => "miner_key",
        }
    }
}

use std::io;

use lyceum_protocol::TxError;

use super::{Hs256Difficulty, Hs256Hash, Place};

/// Why a chain is refused, and from which line on.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct Hs256Error {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub problem: Hs256Problem,
}

impl Hs256Error {
    /// The error's short name.
    pub fn reason(&self) -> &'static str {
        self.problem.reason()
    }
}

/// What is wrong with a block, in the order in which the rules are asked.
#[derive(Debug, thiserror::Error)]
pub enum Hs256Problem {
    /// The file cannot be read.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Too long.
    #[error("longer than {max} bytes")]
    LineSize {
        /// The most bytes allowed.
        max: usize,
    },
    /// Not UTF-8.
    #[error("not UTF-8, so no JWT")]
    NotText,
    /// Signed by another algorithm, or by none.
    #[error("the algorithm is not HS256")]
    Algorithm,
    /// Not a JWT.
    #[error("not a JWT with an HS256 signature: {0}")]
    Token(String),
    /// Another secret, or a changed block.
    #[error("the signature does not match: another --secret, or a changed block")]
    Signature,
    /// The header has a `crit` member, which asks for more than this reader knows.
    #[error("header member \"crit\" is not supported")]
    Critical,
    /// A claim is missing, stands twice or has another type.
    #[error("claims: {0}")]
    Claims(String),
    /// A claim that is neither a number nor a text.
    #[error("claim {name:?}: want a number or a text")]
    Claim {
        /// The claim.
        name: &'static str,
    },
    /// The first block has a parent.
    #[error("claim \"prev_hash\" is {got:?}, the first block wants 64 zeros or \"0\"")]
    First {
        /// The claim.
        got: String,
    },
    /// Not the child of the block before.
    #[error("claim \"prev_hash\" is {got:?}, the block before has {want}")]
    Link {
        /// The claim.
        got: String,
        /// The hash of the block before.
        want: Hs256Hash,
    },
    /// Not enough work.
    #[error("hash {hash} has not the {want} leading zeros that --difficulty asks")]
    Work {
        /// The block's hash.
        hash: Hs256Hash,
        /// The difficulty.
        want: Hs256Difficulty,
    },
    /// Neither an object, nor a text of one, nor an array of those.
    #[error(
        "{0}: want an object with \"actions\" or \"contract\", its JSON text, or an array of those"
    )]
    Shape(Place),
    /// An object that is no transaction's body.
    #[error("{place}: {error}")]
    Body {
        /// Where it stands.
        place: Place,
        /// Why.
        error: TxError,
    },
}

impl Hs256Problem {
    /// The problem's short name.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Read(_) => "read",
            Self::LineSize { .. } => "line_size",
            Self::NotText => "not_text",
            Self::Algorithm => "algorithm",
            Self::Token(_) => "token",
            Self::Signature => "signature",
            Self::Critical => "header_member",
            Self::Claims(_) => "claims",
            Self::Claim { .. } => "claim",
            Self::First { .. } => "first_block",
            Self::Link { .. } => "link",
            Self::Work { .. } => "work",
            Self::Shape(_) => "body_shape",
            Self::Body { error, .. } => error.reason(),
        }
    }
}

//! A contract whose names and types are settled: what `check` makes of the tree and `lower` translates.

use std::fmt;

use crate::Modulus;

/// What one cell holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Bool,
    /// A handle of a text.
    Text,
    /// A handle of a text that is a DID.
    Wallet,
    /// A handle of a text that is canonical JSON.
    Json,
    /// A ciphertext under the action's key, or an open integer standing for its own encryption.
    Cipher,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Int => "int",
            Self::Bool => "bool",
            Self::Text => "text",
            Self::Wallet => "wallet",
            Self::Json => "json",
            Self::Cipher => "encrypted",
        })
    }
}

impl Kind {
    /// Whether a value of this kind may stand where `want` is expected: a wallet is a text, an open
    /// integer is its own (trivial) encryption.
    pub(crate) fn fits(self, want: Self) -> bool {
        self == want
            || matches!(
                (self, want),
                (Self::Wallet, Self::Text) | (Self::Int, Self::Cipher)
            )
    }
}

/// A record type: where its records lie and what each cell of a window on one holds.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) contract: String,
    pub(crate) name: String,
    /// What the paths of its records begin with: `CONTRACT/RECORD/`.
    pub(crate) prefix: String,
    /// Positions of the key's parts in `fields`, in the order of the key.
    pub(crate) key: Vec<usize>,
    /// In the order of their names.
    pub(crate) fields: Vec<(String, Kind)>,
    /// Another contract's: read only.
    pub(crate) foreign: bool,
    /// The key of its encrypted fields, if it has any.
    pub(crate) cipher: Option<usize>,
}

impl Layout {
    /// The names of the fields, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The kinds of the key's parts.
    pub(crate) fn key_kinds(&self) -> impl Iterator<Item = Kind> {
        self.key.iter().map(|field| self.fields[*field].1)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) modulus: Modulus,
}

/// A parameter and the first of the locals that it fills.
#[derive(Debug, Clone)]
pub(crate) struct Param {
    pub(crate) name: String,
    pub(crate) local: usize,
    /// The record type of a parameter that is a whole record; it fills one local for each field.
    pub(crate) layout: Option<usize>,
}

/// A plain value's cell.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

/// The cells through which one name sees a record.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    pub(crate) name: String,
    pub(crate) layout: usize,
}

#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) name: String,
    pub(crate) fields: Vec<(String, Kind)>,
}

/// The locals that every action has, before its parameters.
pub(crate) const CALLER: usize = 0;
pub(crate) const HEIGHT: usize = 1;
pub(crate) const TIMESTAMP: usize = 2;
pub(crate) const OPEN: usize = 3;

#[derive(Debug, Clone, Default)]
pub(crate) struct Action {
    pub(crate) name: String,
    pub(crate) params: Vec<Param>,
    pub(crate) locals: Vec<Local>,
    pub(crate) windows: Vec<Window>,
    /// Literal texts; the handle of the text at `i` is `i + 1`.
    pub(crate) literals: Vec<String>,
    pub(crate) reasons: Vec<String>,
    pub(crate) events: Vec<Event>,
    pub(crate) body: Vec<Stmt>,
    /// The key in whose paillier domain the action runs; `None` for the open domain.
    pub(crate) key: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Contract {
    pub(crate) name: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) layouts: Vec<Layout>,
    pub(crate) actions: Vec<Action>,
}

#[derive(Debug, Clone)]
pub(crate) enum Stmt {
    Require {
        cond: Expr,
        reason: usize,
    },
    /// A plain local takes a value.
    Assign {
        local: usize,
        value: Expr,
    },
    /// A window opens on the record with that key.
    Open {
        window: usize,
        key: Vec<Expr>,
    },
    SetField {
        window: usize,
        field: usize,
        value: Expr,
    },
    /// One value for each field.
    Put {
        layout: usize,
        values: Vec<Expr>,
    },
    Delete {
        layout: usize,
        key: Vec<Expr>,
    },
    If {
        cond: Expr,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    Repeat {
        times: Expr,
        counter: usize,
        body: Vec<Stmt>,
    },
    Emit {
        event: usize,
        values: Vec<Expr>,
    },
    /// `to` is `None` for the contract's own account.
    Transfer {
        from_contract: bool,
        to: Option<Expr>,
        amount: Expr,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) kind: Kind,
    pub(crate) node: Node,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Le,
    Lt,
    Ge,
    Gt,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    /// An integer, 0 or 1, or a literal's handle.
    Const(i64),
    Local(usize),
    /// A field of a record that a name stands for.
    Field {
        window: usize,
        field: usize,
    },
    /// A field of a record fetched on the spot.
    Get {
        window: usize,
        key: Vec<Expr>,
        field: usize,
    },
    Exists {
        layout: usize,
        key: Vec<Expr>,
    },
    Count {
        layout: usize,
    },
    Not(Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// Conditions with their values, and the value where none holds.
    If(Vec<(Expr, Expr)>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
    /// The middle of three compared with both others; only `Le` and `Lt`.
    Between(Compare, Box<Expr>, Box<Expr>, Box<Expr>),
    Add(Vec<Expr>),
    Sub(Box<Expr>, Box<Expr>),
    Neg(Box<Expr>),
    Mul(Vec<Expr>),
    Div(Box<Expr>, Box<Expr>),
    Rem(Box<Expr>, Box<Expr>),
    Min(Vec<Expr>),
    Max(Vec<Expr>),
}

//! A contract as it was written: names not yet resolved, types not yet checked.
//!
//! Every node carries the JSON pointer `at` of the place it came from.

/// A type as written in `fields` and `params`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Type {
    Int,
    Bool,
    Text,
    Wallet,
    Json,
    /// A ciphertext under the named key.
    Encrypted(String),
    /// A whole record; parameters only.
    Record(String),
}

/// A record type. `fields` are in the order of their names.
#[derive(Debug, Clone)]
pub(crate) struct RecordType {
    pub(crate) at: String,
    pub(crate) name: String,
    /// Positions of the key's parts in `fields`, in the order of the key.
    pub(crate) key: Vec<usize>,
    pub(crate) fields: Vec<(String, Type)>,
    /// The contract whose records these are, if another's: then they can only be read.
    pub(crate) of: Option<String>,
}

/// A Paillier public key: name and decimal modulus.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) at: String,
    pub(crate) name: String,
    pub(crate) modulus: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) at: String,
    pub(crate) name: String,
    pub(crate) params: Vec<(String, Type)>,
    pub(crate) body: Vec<Stmt>,
}

#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) keys: Vec<Key>,
    pub(crate) records: Vec<RecordType>,
    pub(crate) actions: Vec<Action>,
}

#[derive(Debug, Clone)]
pub(crate) struct Stmt {
    pub(crate) at: String,
    pub(crate) kind: StmtKind,
}

#[derive(Debug, Clone)]
pub(crate) enum StmtKind {
    Require {
        cond: Expr,
        reason: String,
    },
    Let(Vec<(String, Expr)>),
    /// Targets as written (`name` or `name.field`).
    Set(Vec<(String, Expr)>),
    Put {
        record: String,
        value: PutValue,
    },
    Delete {
        record: String,
        key: Vec<Expr>,
    },
    If {
        cond: Expr,
        then: Vec<Stmt>,
        otherwise: Vec<Stmt>,
    },
    Repeat {
        times: Expr,
        counter: Option<String>,
        body: Vec<Stmt>,
    },
    Emit {
        event: String,
        fields: Vec<(String, Expr)>,
    },
    Transfer {
        from: Account,
        to: Payee,
        amount: Expr,
    },
}

#[derive(Debug, Clone)]
pub(crate) enum PutValue {
    /// An object of field expressions.
    Fields(Vec<(String, Expr)>),
    /// A name that stands for a whole record.
    Whole(Expr),
}

/// Whose credits a `transfer` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Caller,
    Contract,
}

/// Who gets a `transfer`'s credits.
#[derive(Debug, Clone)]
pub(crate) enum Payee {
    Contract,
    Wallet(Expr),
}

#[derive(Debug, Clone)]
pub(crate) struct Expr {
    pub(crate) at: String,
    pub(crate) kind: ExprKind,
}

#[derive(Debug, Clone)]
pub(crate) enum ExprKind {
    Int(i64),
    Bool(bool),
    Text(String),
    Null,
    Var(String),
    Op(Op, Vec<Expr>),
    /// `key` has an expression for each part.
    Get {
        record: String,
        key: Vec<Expr>,
        field: Option<String>,
    },
    Exists {
        record: String,
        key: Vec<Expr>,
    },
    Count {
        record: String,
    },
}

/// The operators that take plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Not,
    And,
    Or,
    If,
    Add,
    Sub,
    Mul,
    Div,
    Rem,
    Min,
    Max,
}

impl Op {
    /// The operator written `symbol`.
    pub(crate) fn parse(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "==" => Self::Eq,
            "!=" => Self::Ne,
            "<" => Self::Lt,
            "<=" => Self::Le,
            ">" => Self::Gt,
            ">=" => Self::Ge,
            "!" => Self::Not,
            "and" => Self::And,
            "or" => Self::Or,
            "if" => Self::If,
            "+" => Self::Add,
            "-" => Self::Sub,
            "*" => Self::Mul,
            "/" => Self::Div,
            "%" => Self::Rem,
            "min" => Self::Min,
            "max" => Self::Max,
            _ => return None,
        })
    }

    /// Least and most operands, bounded by [`super::bounds::OPERANDS_MAX`].
    pub(crate) fn operands(self) -> (usize, usize) {
        let most = super::bounds::OPERANDS_MAX;
        match self {
            Self::Eq | Self::Ne | Self::Gt | Self::Ge | Self::Div | Self::Rem => (2, 2),
            Self::Lt | Self::Le => (2, 3),
            Self::Not => (1, 1),
            Self::Sub => (1, 2),
            Self::If => (3, most),
            Self::And | Self::Or | Self::Add | Self::Mul | Self::Min | Self::Max => (1, most),
        }
    }
}

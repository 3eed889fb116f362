//! Types of expressions.

use std::str::FromStr;

use lyceum_protocol::{Address, json};

use super::ast;
use super::ast::{ExprKind, Op};
use super::check::{Checker, Name, Result};
use super::error::{DefinitionError, child};
use super::tree::{Compare, Expr, Kind, Node};

impl Checker<'_> {
    /// A bool, for `require`, `if` and the logical operators.
    pub(super) fn condition(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let checked = self.expression(expr)?;
        match checked.kind {
            Kind::Bool => Ok(checked),
            Kind::Cipher => {
                let want = "a bool: nothing can branch on a ciphertext";
                Err(DefinitionError::new(&expr.at, "encrypted", want))
            }
            other => Err(DefinitionError::new(&expr.at, other.to_string(), "bool")),
        }
    }

    /// An expression where a value of `want` is expected. A literal text becomes a wallet, any literal becomes JSON.
    pub(super) fn expect(&mut self, expr: &ast::Expr, want: Kind) -> Result<Expr> {
        match (&expr.kind, want) {
            (ExprKind::Text(text), Kind::Wallet) => {
                if Address::from_str(text).is_err() {
                    return Err(DefinitionError::new(
                        &expr.at,
                        format!("\"{text}\""),
                        "a wallet, did:key:z6Mk…",
                    ));
                }
                let node = Node::Const(self.literal(text));
                return Ok(Expr {
                    kind: Kind::Wallet,
                    node,
                });
            }
            (
                ExprKind::Null | ExprKind::Bool(_) | ExprKind::Int(_) | ExprKind::Text(_),
                Kind::Json,
            ) => {
                let value = match &expr.kind {
                    ExprKind::Bool(b) => (*b).into(),
                    ExprKind::Int(n) => (*n).into(),
                    ExprKind::Text(text) => text.as_str().into(),
                    _ => serde_json::Value::Null,
                };
                let node = Node::Const(self.literal(&json::canonical(&value)));
                return Ok(Expr {
                    kind: Kind::Json,
                    node,
                });
            }
            (ExprKind::Op(Op::If, operands), Kind::Wallet | Kind::Json) => {
                return self.choice_of(operands, want);
            }
            _ => {}
        }
        let checked = self.expression(expr)?;
        if !checked.kind.fits(want) {
            let want = match checked.kind {
                Kind::Cipher => format!("{want}: a ciphertext has no open value"),
                _ => want.to_string(),
            };
            return Err(DefinitionError::new(
                &expr.at,
                checked.kind.to_string(),
                want,
            ));
        }
        // It keeps its own kind: what is known of its range depends on it.
        Ok(checked)
    }

    /// The handle of a literal text.
    pub(super) fn literal(&mut self, text: &str) -> i64 {
        let literals = &mut self.action.literals;
        let index = literals
            .iter()
            .position(|known| known == text)
            .unwrap_or_else(|| {
                literals.push(text.to_owned());
                literals.len() - 1
            });
        i64::try_from(index).expect("literals are bounded") + 1
    }

    pub(super) fn expression(&mut self, expr: &ast::Expr) -> Result<Expr> {
        let at = &expr.at;
        Ok(match &expr.kind {
            ExprKind::Int(n) => Expr {
                kind: Kind::Int,
                node: Node::Const(*n),
            },
            ExprKind::Bool(b) => Expr {
                kind: Kind::Bool,
                node: Node::Const(i64::from(*b)),
            },
            ExprKind::Text(text) => Expr {
                kind: Kind::Text,
                node: Node::Const(self.literal(text)),
            },
            ExprKind::Null => Expr {
                kind: Kind::Json,
                node: Node::Const(self.literal("null")),
            },
            ExprKind::Var(name) => self.variable(name, &child(at, "var"))?,
            ExprKind::Op(op, operands) => self.operator(*op, operands, expr)?,
            ExprKind::Get { record, key, field } => {
                let at = child(at, "get");
                let layout = self.record(record, &child(&at, "0"))?;
                let key = self.key(key, layout, &child(&at, "1"))?;
                let Some(field) = field else {
                    let want = "a let name for it, or [RECORD,KEY,FIELD] for one field";
                    return Err(DefinitionError::new(&at, "a whole record", want));
                };
                let (field, kind) = self.field(layout, field, &child(&at, "2"))?;
                let window = self.window("get", layout);
                Expr {
                    kind,
                    node: Node::Get { window, key, field },
                }
            }
            ExprKind::Exists { record, key } => {
                let layout = self.record(record, &child(&child(at, "exists"), "0"))?;
                let key = self.key(key, layout, &child(&child(at, "exists"), "1"))?;
                Expr {
                    kind: Kind::Bool,
                    node: Node::Exists { layout, key },
                }
            }
            ExprKind::Count { record } => {
                let layout = self.record(record, &child(at, "count"))?;
                Expr {
                    kind: Kind::Int,
                    node: Node::Count { layout },
                }
            }
        })
    }

    fn variable(&mut self, path: &str, at: &str) -> Result<Expr> {
        let (name, field) = match path.split_once('.') {
            Some((name, field)) => (name, Some(field)),
            None => (path, None),
        };
        let Some(bound) = self.lookup(name).cloned() else {
            let want = "a parameter, a let name, caller, height, timestamp or open";
            return Err(DefinitionError::new(
                at,
                format!("the unknown name \"{name}\""),
                want,
            ));
        };
        match (bound, field) {
            (Name::Plain { local, .. }, None) => Ok(Expr {
                kind: self.action.locals[local].kind,
                node: Node::Local(local),
            }),
            (Name::Plain { .. }, Some(_)) => Err(DefinitionError::new(
                at,
                format!("a field of the plain value \"{name}\""),
                "a record's name",
            )),
            (Name::Window(window), Some(field)) => {
                let (field, kind) = self.field(self.action.windows[window].layout, field, at)?;
                Ok(Expr {
                    kind,
                    node: Node::Field { window, field },
                })
            }
            (Name::Record { layout, first }, Some(field)) => {
                let (field, kind) = self.field(layout, field, at)?;
                Ok(Expr {
                    kind,
                    node: Node::Local(first + field),
                })
            }
            (Name::Window(_) | Name::Record { .. }, None) => Err(DefinitionError::new(
                at,
                format!("the whole record \"{name}\""),
                "one of its fields, NAME.FIELD",
            )),
        }
    }

    fn field(&self, layout: usize, field: &str, at: &str) -> Result<(usize, Kind)> {
        let layout = &self.layouts[layout];
        let position = layout
            .fields
            .iter()
            .position(|(known, _)| known == field)
            .ok_or_else(|| {
                let want = format!("a field of \"{}\"", layout.name);
                DefinitionError::new(at, format!("the unknown field \"{field}\""), want)
            })?;
        Ok((position, layout.fields[position].1))
    }

    fn operator(&mut self, op: Op, operands: &[ast::Expr], expr: &ast::Expr) -> Result<Expr> {
        match op {
            Op::Eq | Op::Ne => self.equality(op == Op::Ne, &operands[0], &operands[1]),
            Op::Lt | Op::Le | Op::Gt | Op::Ge => self.ordering(op, operands),
            Op::Not => {
                let operand = self.condition(&operands[0])?;
                Ok(not(operand))
            }
            Op::And | Op::Or => {
                let operands = operands
                    .iter()
                    .map(|e| self.condition(e))
                    .collect::<Result<Vec<_>>>()?;
                let node = if op == Op::And {
                    Node::And(operands)
                } else {
                    Node::Or(operands)
                };
                Ok(Expr {
                    kind: Kind::Bool,
                    node,
                })
            }
            Op::If => self.choice(operands),
            Op::Add | Op::Sub => self.sum(op, operands),
            Op::Mul => self.product(operands, expr),
            Op::Div | Op::Rem | Op::Min | Op::Max => {
                let mut operands = self.integers(operands)?;
                let node = match op {
                    Op::Min => Node::Min(operands),
                    Op::Max => Node::Max(operands),
                    _ => {
                        let divisor = Box::new(operands.pop().expect("two operands"));
                        let dividend = Box::new(operands.pop().expect("two operands"));
                        if op == Op::Div {
                            Node::Div(dividend, divisor)
                        } else {
                            Node::Rem(dividend, divisor)
                        }
                    }
                };
                Ok(Expr {
                    kind: Kind::Int,
                    node,
                })
            }
        }
    }

    fn integers(&mut self, operands: &[ast::Expr]) -> Result<Vec<Expr>> {
        operands.iter().map(|e| self.expect(e, Kind::Int)).collect()
    }

    /// Two values brought to one kind: a literal follows the other side, a wallet is a text.
    fn alike(&mut self, left: &ast::Expr, right: &ast::Expr) -> Result<(Expr, Expr)> {
        let (a, b) = if is_literal(left) {
            let b = self.expression(right)?;
            (self.literal_like(left, b.kind)?, b)
        } else {
            let a = self.expression(left)?;
            let b = self.literal_like(right, a.kind)?;
            (a, b)
        };
        if !a.kind.fits(b.kind) && !b.kind.fits(a.kind) {
            return Err(DefinitionError::new(
                &right.at,
                b.kind.to_string(),
                a.kind.to_string(),
            ));
        }
        Ok((a, b))
    }

    fn literal_like(&mut self, expr: &ast::Expr, kind: Kind) -> Result<Expr> {
        let wallet = matches!(&expr.kind, ExprKind::Text(text) if Address::from_str(text).is_ok());
        match kind {
            Kind::Json if is_literal(expr) => self.expect(expr, Kind::Json),
            Kind::Wallet if wallet => self.expect(expr, Kind::Wallet),
            _ => self.expression(expr),
        }
    }

    fn equality(&mut self, negated: bool, left: &ast::Expr, right: &ast::Expr) -> Result<Expr> {
        let (a, b) = self.alike(left, right)?;
        if a.kind == Kind::Cipher || b.kind == Kind::Cipher {
            let at = if a.kind == Kind::Cipher {
                &left.at
            } else {
                &right.at
            };
            return Err(DefinitionError::new(
                at,
                "encrypted",
                "an open value: ciphertexts cannot be compared",
            ));
        }
        let equal = Expr {
            kind: Kind::Bool,
            node: Node::Compare(Compare::Eq, Box::new(a), Box::new(b)),
        };
        Ok(if negated { not(equal) } else { equal })
    }

    fn ordering(&mut self, op: Op, operands: &[ast::Expr]) -> Result<Expr> {
        let mut checked = Vec::with_capacity(operands.len());
        for operand in operands {
            let expr = self.expression(operand)?;
            if expr.kind != Kind::Int {
                let want = match expr.kind {
                    Kind::Cipher => "int: ciphertexts cannot be compared",
                    _ => "int",
                };
                return Err(DefinitionError::new(
                    &operand.at,
                    expr.kind.to_string(),
                    want,
                ));
            }
            checked.push(expr);
        }
        let compare = match op {
            Op::Lt => Compare::Lt,
            Op::Le => Compare::Le,
            Op::Gt => Compare::Gt,
            _ => Compare::Ge,
        };
        let mut operands = checked.into_iter().map(Box::new);
        let node = match (operands.next(), operands.next(), operands.next()) {
            (Some(a), Some(b), None) => Node::Compare(compare, a, b),
            (Some(a), Some(b), Some(c)) => Node::Between(compare, a, b, c),
            _ => unreachable!("the parser counted two or three operands"),
        };
        Ok(Expr {
            kind: Kind::Bool,
            node,
        })
    }

    fn choice(&mut self, operands: &[ast::Expr]) -> Result<Expr> {
        // Literals follow the kind of the other values, so those are read first; each is read once.
        let value_at = |i: usize| i % 2 == 1 || i == operands.len() - 1;
        let mut checked: Vec<Option<Expr>> = vec![None; operands.len()];
        let mut kind = None;
        for literals in [false, true] {
            for (i, operand) in operands.iter().enumerate() {
                if is_literal(operand) != literals || !value_at(i) {
                    continue;
                }
                let value = match kind {
                    Some(kind) => self.literal_like(operand, kind)?,
                    None => self.expression(operand)?,
                };
                kind = match kind {
                    Some(kind) if value.kind.fits(kind) => Some(kind),
                    Some(kind) if !kind.fits(value.kind) => {
                        return Err(DefinitionError::new(
                            &operand.at,
                            value.kind.to_string(),
                            kind.to_string(),
                        ));
                    }
                    _ => Some(value.kind),
                };
                checked[i] = Some(value);
            }
        }
        let kind = kind.expect("at least three operands");
        let mut values = Vec::with_capacity(operands.len());
        for (operand, value) in operands.iter().zip(checked) {
            values.push(match value {
                Some(value) => value,
                None => self.condition(operand)?,
            });
        }
        let otherwise = Box::new(values.pop().expect("at least three operands"));
        let mut branches = Vec::with_capacity(values.len() / 2);
        let mut values = values.into_iter();
        while let (Some(cond), Some(value)) = (values.next(), values.next()) {
            branches.push((cond, value));
        }
        Ok(Expr {
            kind,
            node: Node::If(branches, otherwise),
        })
    }

    /// An `if` whose values are expected to be of the kind `want`, literals included.
    fn choice_of(&mut self, operands: &[ast::Expr], want: Kind) -> Result<Expr> {
        let (otherwise, cases) = operands.split_last().expect("at least three operands");
        let mut branches = Vec::with_capacity(cases.len() / 2);
        for case in cases.chunks_exact(2) {
            branches.push((self.condition(&case[0])?, self.expect(&case[1], want)?));
        }
        let otherwise = Box::new(self.expect(otherwise, want)?);
        Ok(Expr {
            kind: want,
            node: Node::If(branches, otherwise),
        })
    }

    fn sum(&mut self, op: Op, operands: &[ast::Expr]) -> Result<Expr> {
        let mut checked = self.addable(operands)?;
        let cipher = checked.iter().any(|e| e.kind == Kind::Cipher);
        let kind = if cipher { Kind::Cipher } else { Kind::Int };
        let node = match (op, checked.len()) {
            (Op::Add, _) => Node::Add(checked),
            (_, 1) => Node::Neg(Box::new(checked.remove(0))),
            _ => {
                let subtrahend = Box::new(checked.remove(1));
                Node::Sub(Box::new(checked.remove(0)), subtrahend)
            }
        };
        Ok(Expr { kind, node })
    }

    /// Integers and ciphertexts, each with its own kind.
    fn addable(&mut self, operands: &[ast::Expr]) -> Result<Vec<Expr>> {
        let mut checked = Vec::with_capacity(operands.len());
        for operand in operands {
            let value = self.expression(operand)?;
            if !value.kind.fits(Kind::Cipher) {
                return Err(DefinitionError::new(
                    &operand.at,
                    value.kind.to_string(),
                    "int",
                ));
            }
            checked.push(value);
        }
        Ok(checked)
    }

    fn product(&mut self, operands: &[ast::Expr], expr: &ast::Expr) -> Result<Expr> {
        let checked = self.addable(operands)?;
        let ciphers = checked.iter().filter(|e| e.kind == Kind::Cipher).count();
        let constants = checked
            .iter()
            .filter(|e| matches!(e.node, Node::Const(_)))
            .count();
        if ciphers > 0 && ciphers + constants < checked.len() || ciphers > 1 {
            let want = "one encrypted factor, the others literal integers";
            return Err(DefinitionError::new(
                &expr.at,
                "a product of a ciphertext and a variable",
                want,
            ));
        }
        let kind = if ciphers > 0 { Kind::Cipher } else { Kind::Int };
        Ok(Expr {
            kind,
            node: Node::Mul(checked),
        })
    }
}

pub(super) fn not(expr: Expr) -> Expr {
    Expr {
        kind: Kind::Bool,
        node: Node::Not(Box::new(expr)),
    }
}

fn is_literal(expr: &ast::Expr) -> bool {
    matches!(
        expr.kind,
        ExprKind::Int(_) | ExprKind::Bool(_) | ExprKind::Text(_) | ExprKind::Null
    )
}

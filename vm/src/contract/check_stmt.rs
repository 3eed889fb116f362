//! Types of statements.

use super::ast;
use super::ast::{Account, Payee, PutValue, StmtKind};
use super::bounds::LOOP_PRODUCT_MAX;
use super::check::{Checker, Name, Result};
use super::error::{DefinitionError, child};
use super::parse::free_name;
use super::tree::{Event, Expr, Kind, Node, Stmt};

impl Checker<'_> {
    pub(super) fn block(&mut self, statements: &[ast::Stmt]) -> Result<Vec<Stmt>> {
        let outer = self.scope.len();
        let mut out = Vec::new();
        for statement in statements {
            self.statement(statement, &mut out)?;
        }
        self.scope.truncate(outer);
        Ok(out)
    }

    fn statement(&mut self, statement: &ast::Stmt, out: &mut Vec<Stmt>) -> Result<()> {
        let at = &statement.at;
        match &statement.kind {
            StmtKind::Require { cond, reason } => {
                let cond = self.condition(cond)?;
                let reason = self.reason(reason);
                out.push(Stmt::Require { cond, reason });
            }
            StmtKind::Let(bindings) => {
                for (name, value) in bindings {
                    let stmt = self.binding(name, value)?;
                    out.push(stmt);
                }
            }
            StmtKind::Set(bindings) => {
                for (target, value) in bindings {
                    let stmt = self.assignment(target, value, &child(&child(at, "set"), target))?;
                    out.push(stmt);
                }
            }
            StmtKind::Put { record, value } => {
                let stmt = self.put(record, value, &child(at, "put"))?;
                out.push(stmt);
            }
            StmtKind::Delete { record, key } => {
                let layout = self.own_record(record, &child(&child(at, "delete"), "0"))?;
                let key = self.key(key, layout, &child(&child(at, "delete"), "1"))?;
                out.push(Stmt::Delete { layout, key });
            }
            StmtKind::If {
                cond,
                then,
                otherwise,
            } => {
                let cond = self.condition(cond)?;
                let (then, otherwise) = (self.block(then)?, self.block(otherwise)?);
                out.push(Stmt::If {
                    cond,
                    then,
                    otherwise,
                });
            }
            StmtKind::Repeat {
                times,
                counter,
                body,
            } => {
                let stmt = self.repeat(times, counter.as_deref(), body, at)?;
                out.push(stmt);
            }
            StmtKind::Emit { event, fields } => {
                let stmt = self.emit(event, fields)?;
                out.push(stmt);
            }
            StmtKind::Transfer { from, to, amount } => {
                let to = match to {
                    Payee::Contract => None,
                    Payee::Wallet(to) => Some(self.expect(to, Kind::Wallet)?),
                };
                let amount = self.expect(amount, Kind::Int)?;
                out.push(Stmt::Transfer {
                    from_contract: *from == Account::Contract,
                    to,
                    amount,
                });
            }
        }
        Ok(())
    }

    fn reason(&mut self, reason: &str) -> usize {
        let reasons = &mut self.action.reasons;
        reasons
            .iter()
            .position(|known| known == reason)
            .unwrap_or_else(|| {
                reasons.push(reason.to_owned());
                reasons.len() - 1
            })
    }

    fn binding(&mut self, name: &str, value: &ast::Expr) -> Result<Stmt> {
        free_name(name, &value.at)?;
        if let ast::ExprKind::Get {
            record,
            key,
            field: None,
        } = &value.kind
        {
            let layout = self.record(record, &child(&child(&value.at, "get"), "0"))?;
            let key = self.key(key, layout, &child(&child(&value.at, "get"), "1"))?;
            let window = self.window(name, layout);
            self.bind(name, Name::Window(window), &value.at)?;
            return Ok(Stmt::Open { window, key });
        }
        let value_checked = self.expression(value)?;
        let local = self.local(name, value_checked.kind);
        self.bind(
            name,
            Name::Plain {
                local,
                settable: true,
            },
            &value.at,
        )?;
        Ok(Stmt::Assign {
            local,
            value: value_checked,
        })
    }

    fn assignment(&mut self, target: &str, value: &ast::Expr, at: &str) -> Result<Stmt> {
        let (name, field) = match target.split_once('.') {
            Some((name, field)) => (name, Some(field)),
            None => (target, None),
        };
        let bound = self.lookup(name).cloned();
        match (bound, field) {
            (
                Some(Name::Plain {
                    local,
                    settable: true,
                }),
                None,
            ) => {
                let value = self.expect(value, self.action.locals[local].kind)?;
                Ok(Stmt::Assign { local, value })
            }
            (Some(Name::Window(window)), Some(field)) => {
                let layout = &self.layouts[self.action.windows[window].layout];
                let Some(position) = layout.fields.iter().position(|(known, _)| known == field)
                else {
                    let want = format!("a field of \"{}\"", layout.name);
                    return Err(DefinitionError::new(
                        at,
                        format!("the unknown field \"{field}\""),
                        want,
                    ));
                };
                if layout.foreign {
                    let got = format!("a record of contract \"{}\"", layout.contract);
                    return Err(DefinitionError::new(
                        at,
                        got,
                        "a record of this contract: others' can only be read",
                    ));
                }
                if layout.key.contains(&position) {
                    let want = "another field: a record keeps its key, put a new record instead";
                    return Err(DefinitionError::new(
                        at,
                        format!("the key \"{field}\""),
                        want,
                    ));
                }
                let value = self.expect(value, layout.fields[position].1)?;
                Ok(Stmt::SetField {
                    window,
                    field: position,
                    value,
                })
            }
            (Some(Name::Window(_)), None) => Err(DefinitionError::new(
                at,
                format!("the record \"{name}\""),
                "one of its fields, NAME.FIELD",
            )),
            (Some(_), _) => {
                let want = "a name bound by let, or a field of a record bound by let";
                Err(DefinitionError::new(
                    at,
                    format!("\"{target}\", which cannot be set"),
                    want,
                ))
            }
            (None, _) => Err(DefinitionError::new(
                at,
                format!("the unknown name \"{name}\""),
                "a name bound by let",
            )),
        }
    }

    fn put(&mut self, record: &str, value: &PutValue, at: &str) -> Result<Stmt> {
        let layout = self.own_record(record, &child(at, "0"))?;
        let at = child(at, "1");
        let values = match value {
            PutValue::Whole(expr) => self.whole_record(expr, layout)?,
            PutValue::Fields(given) => self.fields(given, layout, &at)?,
        };
        Ok(Stmt::Put { layout, values })
    }

    /// The fields of the record that `expr` names, one expression for each.
    fn whole_record(&mut self, expr: &ast::Expr, layout: usize) -> Result<Vec<Expr>> {
        let want = || {
            format!(
                "a name that stands for a record \"{}\"",
                self.layouts[layout].name
            )
        };
        let ast::ExprKind::Var(name) = &expr.kind else {
            return Err(DefinitionError::new(&expr.at, "another expression", want()));
        };
        let fields = self.layouts[layout].fields.iter().enumerate();
        match self.lookup(name) {
            Some(Name::Window(window)) if self.action.windows[*window].layout == layout => {
                Ok(fields
                    .map(|(field, (_, kind))| Expr {
                        kind: *kind,
                        node: Node::Field {
                            window: *window,
                            field,
                        },
                    })
                    .collect())
            }
            Some(Name::Record { layout: of, first }) if *of == layout => Ok(fields
                .map(|(field, (_, kind))| Expr {
                    kind: *kind,
                    node: Node::Local(first + field),
                })
                .collect()),
            _ => Err(DefinitionError::new(
                &expr.at,
                format!("\"{name}\""),
                want(),
            )),
        }
    }

    fn fields(
        &mut self,
        given: &[(String, ast::Expr)],
        layout: usize,
        at: &str,
    ) -> Result<Vec<Expr>> {
        let of = &self.layouts[layout];
        if let Some((name, _)) = given
            .iter()
            .find(|(name, _)| !of.fields.iter().any(|(known, _)| known == name))
        {
            let want = format!("a field of \"{}\"", of.name);
            return Err(DefinitionError::new(
                &child(at, name),
                format!("the unknown field \"{name}\""),
                want,
            ));
        }
        let mut values = Vec::with_capacity(of.fields.len());
        for (position, (name, kind)) in of.fields.iter().enumerate() {
            let value = match given.iter().find(|(known, _)| known == name) {
                Some((_, value)) => self.expect(value, *kind)?,
                None if of.key.contains(&position) => {
                    let want = format!("the field \"{name}\", which is the key");
                    return Err(DefinitionError::new(at, "nothing", want));
                }
                None => self.zero(*kind),
            };
            values.push(value);
        }
        Ok(values)
    }

    fn zero(&mut self, kind: Kind) -> Expr {
        let node = match kind {
            Kind::Text | Kind::Wallet => Node::Const(self.literal("")),
            Kind::Json => Node::Const(self.literal("null")),
            Kind::Int | Kind::Bool | Kind::Cipher => Node::Const(0),
        };
        Expr { kind, node }
    }

    fn repeat(
        &mut self,
        times: &ast::Expr,
        counter: Option<&str>,
        body: &[ast::Stmt],
        at: &str,
    ) -> Result<Stmt> {
        let outer_product = self.loop_product;
        if let ast::ExprKind::Int(n) = times.kind {
            let product = u64::try_from(n)
                .ok()
                .and_then(|n| self.loop_product.checked_mul(n.max(1)));
            match product {
                Some(product) if product <= LOOP_PRODUCT_MAX => self.loop_product = product,
                _ => {
                    let want = format!(
                        "a count of 0 or more, nested loops together at most {LOOP_PRODUCT_MAX}"
                    );
                    return Err(DefinitionError::new(&times.at, n.to_string(), want));
                }
            }
        }
        let times = self.expect(times, Kind::Int)?;
        let outer = self.scope.len();
        let local = self.local(counter.unwrap_or("repeat"), Kind::Int);
        if let Some(name) = counter {
            let at = child(at, "as");
            free_name(name, &at)?;
            self.bind(
                name,
                Name::Plain {
                    local,
                    settable: false,
                },
                &at,
            )?;
        }
        let body = self.block(body)?;
        self.scope.truncate(outer);
        self.loop_product = outer_product;
        Ok(Stmt::Repeat {
            times,
            counter: local,
            body,
        })
    }

    fn emit(&mut self, event: &str, fields: &[(String, ast::Expr)]) -> Result<Stmt> {
        let values = fields
            .iter()
            .map(|(_, value)| self.expression(value))
            .collect::<Result<Vec<_>>>()?;
        let fields = fields
            .iter()
            .zip(&values)
            .map(|((name, _), value)| (name.clone(), value.kind))
            .collect();
        self.action.events.push(Event {
            name: event.to_owned(),
            fields,
        });
        Ok(Stmt::Emit {
            event: self.action.events.len() - 1,
            values,
        })
    }
}

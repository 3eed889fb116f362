//! Tree → typed tree: every name resolved, every type and bound settled.

use super::ast;
use super::ast::{Account, Payee, PutValue, StmtKind, Type};
use super::bounds::{KEY_BITS_MAX, KEY_BITS_MIN, LOOP_PRODUCT_MAX};
use super::error::{DefinitionError, child};
use super::parse::free_name;
use super::tree::{
    Action, Contract, Event, Expr, Key, Kind, Layout, Local, Node, Param, Stmt, Window,
};
use crate::Modulus;

pub(super) type Result<T> = std::result::Result<T, DefinitionError>;

/// Checks a whole definition.
pub(crate) fn contract(definition: &ast::Definition) -> Result<Contract> {
    let keys = definition
        .keys
        .iter()
        .map(key)
        .collect::<Result<Vec<_>>>()?;
    let layouts = definition
        .records
        .iter()
        .map(|record| layout(definition, record))
        .collect::<Result<Vec<_>>>()?;
    let actions = definition
        .actions
        .iter()
        .map(|action| Checker::new(definition, &layouts, action).run(action))
        .collect::<Result<Vec<_>>>()?;
    Ok(Contract {
        name: definition.name.clone(),
        keys,
        layouts,
        actions,
    })
}

fn key(key: &ast::Key) -> Result<Key> {
    let want = format!("an odd decimal number of {KEY_BITS_MIN} to {KEY_BITS_MAX} bits");
    let refuse = |got: String| DefinitionError::new(&key.at, got, &want);
    let modulus = Modulus::from_decimal(&key.modulus).map_err(|error| refuse(error.to_string()))?;
    if !(KEY_BITS_MIN..=KEY_BITS_MAX).contains(&modulus.bits()) {
        return Err(refuse(format!("{} bits", modulus.bits())));
    }
    // Any odd N of that size but 2^k + 1 leaves room for both signs of 64 bits.
    if !modulus.holds_i64() {
        return Err(refuse(
            "a modulus without room for signed 64-bit integers".to_owned(),
        ));
    }
    Ok(Key { modulus })
}

fn layout(definition: &ast::Definition, record: &ast::RecordType) -> Result<Layout> {
    let mut cipher = None;
    let mut fields = Vec::with_capacity(record.fields.len());
    for (name, ty) in &record.fields {
        let at = child(&child(&record.at, "fields"), name);
        if matches!(ty, Type::Record(_)) {
            return Err(DefinitionError::new(
                &at,
                type_name(ty),
                "int, bool, text, wallet, json or encrypted:KEY",
            ));
        }
        let kind = scalar(definition, ty, &at, &mut cipher)?;
        fields.push((name.clone(), kind));
    }
    for part in &record.key {
        let (name, ty) = &record.fields[*part];
        if !matches!(ty, Type::Int | Type::Text | Type::Wallet) {
            let at = child(&child(&record.at, "fields"), name);
            return Err(DefinitionError::new(
                &at,
                type_name(ty),
                "a key of type text, int or wallet",
            ));
        }
    }
    if let Some(of) = &record.of {
        let at = child(&record.at, "of");
        if *of == definition.name {
            return Err(DefinitionError::new(
                &at,
                "the contract itself",
                "another contract",
            ));
        }
        if cipher.is_some() {
            return Err(DefinitionError::new(
                &at,
                "encrypted fields",
                "open fields of another contract's records",
            ));
        }
    }
    Ok(Layout {
        contract: record.of.clone().unwrap_or_else(|| definition.name.clone()),
        name: record.name.clone(),
        key: record.key.clone(),
        fields,
        foreign: record.of.is_some(),
        cipher,
    })
}

fn type_name(ty: &Type) -> String {
    match ty {
        Type::Int => "int".to_owned(),
        Type::Bool => "bool".to_owned(),
        Type::Text => "text".to_owned(),
        Type::Wallet => "wallet".to_owned(),
        Type::Json => "json".to_owned(),
        Type::Encrypted(key) => format!("encrypted:{key}"),
        Type::Record(name) => format!("\"{name}\""),
    }
}

/// The kind of a plain type; the key of an encrypted one must agree with `cipher`.
fn scalar(
    definition: &ast::Definition,
    ty: &Type,
    at: &str,
    cipher: &mut Option<usize>,
) -> Result<Kind> {
    Ok(match ty {
        Type::Int => Kind::Int,
        Type::Bool => Kind::Bool,
        Type::Text => Kind::Text,
        Type::Wallet => Kind::Wallet,
        Type::Json => Kind::Json,
        Type::Encrypted(name) => {
            let key = definition
                .keys
                .iter()
                .position(|key| key.name == *name)
                .ok_or_else(|| {
                    DefinitionError::new(
                        at,
                        format!("the unknown key \"{name}\""),
                        "a key that the contract declares",
                    )
                })?;
            if cipher.is_some_and(|other| other != key) {
                return Err(DefinitionError::new(
                    at,
                    format!("a second key \"{name}\""),
                    "one key in a record",
                ));
            }
            *cipher = Some(key);
            Kind::Cipher
        }
        Type::Record(_) => unreachable!("callers handle records"),
    })
}

/// What a name in scope stands for.
#[derive(Debug, Clone)]
pub(super) enum Name {
    Plain {
        local: usize,
        settable: bool,
    },
    Window(usize),
    /// A parameter that is a whole record, its fields in consecutive locals.
    Record {
        layout: usize,
        first: usize,
    },
}

/// Checks one action.
pub(super) struct Checker<'a> {
    pub(super) definition: &'a ast::Definition,
    pub(super) layouts: &'a [Layout],
    pub(super) action: Action,
    scope: Vec<(String, Name)>,
    loop_product: u64,
}

impl<'a> Checker<'a> {
    fn new(definition: &'a ast::Definition, layouts: &'a [Layout], action: &ast::Action) -> Self {
        let action = Action {
            name: action.name.clone(),
            ..Action::default()
        };
        let mut checker = Self {
            definition,
            layouts,
            action,
            scope: Vec::new(),
            loop_product: 1,
        };
        // In the order of `tree::{CALLER, HEIGHT, TIMESTAMP, OPEN}`.
        for (name, kind) in [
            ("caller", Kind::Wallet),
            ("height", Kind::Int),
            ("timestamp", Kind::Int),
            ("open", Kind::Bool),
        ] {
            let local = checker.local(name, kind);
            checker.scope.push((
                name.to_owned(),
                Name::Plain {
                    local,
                    settable: false,
                },
            ));
        }
        checker
    }

    fn run(mut self, action: &ast::Action) -> Result<Action> {
        for (name, ty) in &action.params {
            let at = child(&child(&action.at, "params"), name);
            self.param(name, ty, &at)?;
        }
        self.action.body = self.block(&action.body)?;
        Ok(self.action)
    }

    fn param(&mut self, name: &str, ty: &Type, at: &str) -> Result<()> {
        let (bound, param) = match ty {
            Type::Record(record) => {
                let want = "int, bool, text, wallet, json, encrypted:KEY or the name of a record";
                let layout = self
                    .layout_named(record)
                    .ok_or_else(|| DefinitionError::new(at, type_name(ty), want))?;
                self.use_layout(layout, at)?;
                let first = self.action.locals.len();
                for (field, kind) in &self.layouts[layout].fields {
                    self.local(&format!("{name}.{field}"), *kind);
                }
                let param = Param {
                    name: name.to_owned(),
                    local: first,
                    layout: Some(layout),
                };
                (Name::Record { layout, first }, param)
            }
            _ => {
                let mut cipher = self.action.key;
                let kind = scalar(self.definition, ty, at, &mut cipher)?;
                self.action.key = cipher;
                let local = self.local(name, kind);
                let param = Param {
                    name: name.to_owned(),
                    local,
                    layout: None,
                };
                (
                    Name::Plain {
                        local,
                        settable: false,
                    },
                    param,
                )
            }
        };
        self.action.params.push(param);
        self.bind(name, bound, at)
    }

    fn local(&mut self, name: &str, kind: Kind) -> usize {
        self.action.locals.push(Local {
            name: name.to_owned(),
            kind,
        });
        self.action.locals.len() - 1
    }

    pub(super) fn window(&mut self, name: &str, layout: usize) -> usize {
        self.action.windows.push(Window {
            name: name.to_owned(),
            layout,
        });
        self.action.windows.len() - 1
    }

    fn bind(&mut self, name: &str, bound: Name, at: &str) -> Result<()> {
        if self.lookup(name).is_some() {
            return Err(DefinitionError::new(
                at,
                format!("\"{name}\", which is taken"),
                "a new name",
            ));
        }
        self.scope.push((name.to_owned(), bound));
        Ok(())
    }

    pub(super) fn lookup(&self, name: &str) -> Option<&Name> {
        self.scope
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .map(|(_, bound)| bound)
    }

    fn layout_named(&self, name: &str) -> Option<usize> {
        self.layouts.iter().position(|layout| layout.name == name)
    }

    /// The record type `name`, written at `at`, with its key noted as the action's.
    pub(super) fn record(&mut self, name: &str, at: &str) -> Result<usize> {
        let layout = self.layout_named(name).ok_or_else(|| {
            DefinitionError::new(
                at,
                format!("the unknown record \"{name}\""),
                "a record that the contract declares",
            )
        })?;
        self.use_layout(layout, at)?;
        Ok(layout)
    }

    fn own_record(&mut self, name: &str, at: &str) -> Result<usize> {
        let layout = self.record(name, at)?;
        if self.layouts[layout].foreign {
            let got = format!(
                "\"{name}\" of contract \"{}\"",
                self.layouts[layout].contract
            );
            return Err(DefinitionError::new(
                at,
                got,
                "a record of this contract: others' can only be read",
            ));
        }
        Ok(layout)
    }

    /// A key of records of that type, an expression for each part.
    pub(super) fn key(
        &mut self,
        parts: &[ast::Expr],
        layout: usize,
        at: &str,
    ) -> Result<Vec<Expr>> {
        let of = &self.layouts[layout];
        if parts.len() != of.key.len() {
            let want = match of.key.len() {
                1 => "one key".to_owned(),
                n => format!("an array of {n}, the parts of the key"),
            };
            return Err(DefinitionError::new(
                at,
                format!("{} parts", parts.len()),
                want,
            ));
        }
        parts
            .iter()
            .zip(of.key_kinds())
            .map(|(part, kind)| self.expect(part, kind))
            .collect()
    }

    fn use_layout(&mut self, layout: usize, at: &str) -> Result<()> {
        let Some(key) = self.layouts[layout].cipher else {
            return Ok(());
        };
        if self.action.key.is_some_and(|other| other != key) {
            let got = format!("a second key \"{}\"", self.definition.keys[key].name);
            return Err(DefinitionError::new(at, got, "one key in an action"));
        }
        self.action.key = Some(key);
        Ok(())
    }

    fn block(&mut self, statements: &[ast::Stmt]) -> Result<Vec<Stmt>> {
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
            let layout = self.record(record, &child(&value.at, "get/0"))?;
            let key = self.key(key, layout, &child(&value.at, "get/1"))?;
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

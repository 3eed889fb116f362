//! Tree → typed tree: every name resolved, every type and bound settled.

use super::ast;
use super::ast::Type;
use super::bounds::{KEY_BITS_MAX, KEY_BITS_MIN};
use super::error::{DefinitionError, child};
use super::tree::{Action, Contract, Expr, Key, Kind, Layout, Local, Param, Window};
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
    let contract = record.of.as_ref().unwrap_or(&definition.name);
    Ok(Layout {
        contract: contract.clone(),
        prefix: format!("{contract}/{}/", record.name),
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
    pub(super) scope: Vec<(String, Name)>,
    pub(super) loop_product: u64,
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

    pub(super) fn local(&mut self, name: &str, kind: Kind) -> usize {
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

    pub(super) fn bind(&mut self, name: &str, bound: Name, at: &str) -> Result<()> {
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

    pub(super) fn layout_named(&self, name: &str) -> Option<usize> {
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

    pub(super) fn own_record(&mut self, name: &str, at: &str) -> Result<usize> {
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

    pub(super) fn use_layout(&mut self, layout: usize, at: &str) -> Result<()> {
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
}

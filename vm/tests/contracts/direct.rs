//! A direct evaluator of the contract language, dumb on purpose: it walks the JSON itself, keeps the world as a map, and
//! shares nothing with the translator.
//!
//! It knows contracts without encrypted fields and takes them for checked.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

pub(crate) type Records = BTreeMap<String, Value>;

/// A failed call's reason.
type Failed<T> = Result<T, String>;

/// What a name stands for.
#[derive(Clone)]
enum Bound {
    Plain(Value),
    /// The path of a record.
    Reference(String),
}

pub(crate) struct Direct<'a> {
    definition: &'a Value,
    records: Records,
    names: Vec<(String, Bound)>,
    events: Vec<Value>,
}

/// The world and the events after a call, or why it failed.
pub(crate) fn call(
    definition: &Value,
    action: &str,
    params: &Map<String, Value>,
    site: &[(&str, Value)],
    world: &Records,
) -> Failed<(Records, Vec<Value>)> {
    let mut direct = Direct {
        definition,
        records: world.clone(),
        names: Vec::new(),
        events: Vec::new(),
    };
    for (name, value) in site {
        direct
            .names
            .push(((*name).to_owned(), Bound::Plain(value.clone())));
    }
    let action = &definition["actions"][action];
    for (name, ty) in action["params"].as_object().into_iter().flatten() {
        let mut value = params[name].clone();
        if let Some(record) = definition["records"].get(ty.as_str().unwrap()) {
            for (field, ty) in record["fields"].as_object().unwrap() {
                let fields = value.as_object_mut().unwrap();
                fields.entry(field).or_insert_with(|| zero(ty));
            }
        }
        direct.names.push((name.clone(), Bound::Plain(value)));
    }
    direct.block(&action["do"])?;
    Ok((direct.records, direct.events))
}

fn zero(ty: &Value) -> Value {
    match ty.as_str().unwrap() {
        "int" => json!(0),
        "bool" => json!(false),
        "json" => Value::Null,
        _ => json!(""),
    }
}

fn fits(exact: i128) -> Failed<Value> {
    i64::try_from(exact)
        .map(Value::from)
        .map_err(|_| "overflow".to_owned())
}

fn wide(value: &Value) -> i128 {
    i128::from(value.as_i64().unwrap())
}

impl Direct<'_> {
    fn block(&mut self, statements: &Value) -> Failed<()> {
        let outer = self.names.len();
        for statement in statements.as_array().into_iter().flatten() {
            self.statement(statement)?;
        }
        self.names.truncate(outer);
        Ok(())
    }

    fn statement(&mut self, statement: &Value) -> Failed<()> {
        let object = statement.as_object().unwrap();
        if let Some(cond) = object.get("require") {
            return match self.expr(cond)? == true {
                true => Ok(()),
                false => Err(object["else"].as_str().unwrap().to_owned()),
            };
        }
        if let Some(bindings) = object.get("let") {
            for (name, value) in bindings.as_object().unwrap() {
                let bound = match value.get("get").and_then(Value::as_array) {
                    Some(get) if get.len() == 2 => {
                        Bound::Reference(self.existing(&get[0], &get[1])?)
                    }
                    _ => Bound::Plain(self.expr(value)?),
                };
                self.names.push((name.clone(), bound));
            }
        } else if let Some(bindings) = object.get("set") {
            for (target, value) in bindings.as_object().unwrap() {
                let value = self.expr(value)?;
                self.set(target, value)?;
            }
        } else if let Some(put) = object.get("put") {
            let record = self.whole(&put[0], &put[1])?;
            let ty = &self.definition["records"][put[0].as_str().unwrap()];
            let keys: Vec<_> = key_fields(ty)
                .iter()
                .map(|field| record[field].clone())
                .collect();
            let path = self.path(&put[0], &keys)?;
            self.records.insert(path, record);
        } else if let Some(delete) = object.get("delete") {
            let path = self.existing(&delete[0], &delete[1])?;
            self.records.remove(&path);
        } else if let Some(cond) = object.get("if") {
            let branch = if self.expr(cond)? == true {
                "then"
            } else {
                "else"
            };
            self.block(object.get(branch).unwrap_or(&Value::Null))?;
        } else if let Some(times) = object.get("repeat") {
            let times = self.expr(times)?.as_i64().unwrap();
            for i in 0..times.max(0) {
                let outer = self.names.len();
                if let Some(name) = object.get("as") {
                    self.names
                        .push((name.as_str().unwrap().to_owned(), Bound::Plain(i.into())));
                }
                self.block(&object["do"])?;
                self.names.truncate(outer);
            }
        } else if let Some(emit) = object.get("emit") {
            let mut data = Map::new();
            for (name, value) in emit[1].as_object().unwrap() {
                data.insert(name.clone(), self.expr(value)?);
            }
            self.events.push(json!({"event": emit[0], "data": data}));
        } else {
            panic!("{statement}");
        }
        Ok(())
    }

    fn set(&mut self, target: &str, value: Value) -> Failed<()> {
        let (name, field) = target.split_once('.').unwrap_or((target, ""));
        let place = self
            .names
            .iter_mut()
            .rev()
            .find(|(known, _)| known == name)
            .unwrap();
        match &mut place.1 {
            Bound::Plain(plain) => *plain = value,
            Bound::Reference(path) => {
                let path = path.clone();
                let record = self
                    .records
                    .get_mut(&path)
                    .ok_or_else(|| format!("missing record {path}"))?;
                record[field] = value;
            }
        }
        Ok(())
    }

    fn whole(&mut self, record: &Value, value: &Value) -> Failed<Value> {
        let object = value.as_object().unwrap();
        if let (1, Some(name)) = (object.len(), object.get("var")) {
            return self.variable(name.as_str().unwrap());
        }
        let types = self.definition["records"][record.as_str().unwrap()]["fields"]
            .as_object()
            .unwrap();
        let mut fields = Map::new();
        for (field, ty) in types {
            let value = match object.get(field) {
                Some(value) => self.expr(value)?,
                None => zero(ty),
            };
            fields.insert(field.clone(), value);
        }
        Ok(fields.into())
    }

    fn path(&self, record: &Value, keys: &[Value]) -> Failed<String> {
        let record = record.as_str().unwrap();
        let ty = &self.definition["records"][record];
        let contract = ty
            .get("of")
            .unwrap_or(&self.definition["contract"])
            .as_str()
            .unwrap();
        let mut path = format!("{contract}/{record}");
        for (i, key) in keys.iter().enumerate() {
            let text = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
            let bad = |c: char| c == '/' || c.is_control() || (keys.len() > 1 && c == ',');
            if text.is_empty() || text.len() > 128 || text.contains(bad) {
                return Err("key".to_owned());
            }
            path.push_str(if i == 0 { "/" } else { "," });
            path.push_str(&text);
        }
        Ok(path)
    }

    fn keyed(&mut self, record: &Value, key: &Value) -> Failed<String> {
        let parts = key.as_array().cloned().unwrap_or_else(|| vec![key.clone()]);
        let keys = parts
            .iter()
            .map(|part| self.expr(part))
            .collect::<Failed<Vec<_>>>()?;
        self.path(record, &keys)
    }

    fn existing(&mut self, record: &Value, key: &Value) -> Failed<String> {
        let path = self.keyed(record, key)?;
        match self.records.contains_key(&path) {
            true => Ok(path),
            false => Err(format!("missing record {path}")),
        }
    }

    fn variable(&self, path: &str) -> Failed<Value> {
        let (name, field) = path.split_once('.').unwrap_or((path, ""));
        let (_, bound) = self
            .names
            .iter()
            .rev()
            .find(|(known, _)| known == name)
            .unwrap();
        let whole = match bound {
            Bound::Plain(value) => value,
            Bound::Reference(path) => self
                .records
                .get(path)
                .ok_or_else(|| format!("missing record {path}"))?,
        };
        Ok(if field.is_empty() {
            whole.clone()
        } else {
            whole[field].clone()
        })
    }

    fn expr(&mut self, expr: &Value) -> Failed<Value> {
        let Some(object) = expr.as_object() else {
            return Ok(expr.clone());
        };
        let (symbol, operand) = object.iter().next().unwrap();
        let single = [operand.clone()];
        let operands = operand.as_array().map_or(&single[..], Vec::as_slice);
        match symbol.as_str() {
            "var" => return self.variable(operands[0].as_str().unwrap()),
            "get" => {
                let path = self.existing(&operands[0], &operands[1])?;
                return Ok(self.records[&path][operands[2].as_str().unwrap()].clone());
            }
            "exists" => {
                let path = self.keyed(&operands[0], &operands[1])?;
                return Ok(self.records.contains_key(&path).into());
            }
            "count" => {
                let record = operands[0].as_str().unwrap();
                let ty = &self.definition["records"][record];
                let contract = ty
                    .get("of")
                    .unwrap_or(&self.definition["contract"])
                    .as_str()
                    .unwrap();
                let prefix = format!("{contract}/{record}/");
                return Ok(self
                    .records
                    .keys()
                    .filter(|path| path.starts_with(&prefix))
                    .count()
                    .into());
            }
            "and" | "or" => {
                for operand in operands {
                    if (self.expr(operand)? == true) != (symbol == "and") {
                        return Ok((symbol == "or").into());
                    }
                }
                return Ok((symbol == "and").into());
            }
            "if" => {
                let (otherwise, cases) = operands.split_last().unwrap();
                for case in cases.chunks(2) {
                    if self.expr(&case[0])? == true {
                        return self.expr(&case[1]);
                    }
                }
                return self.expr(otherwise);
            }
            _ => {}
        }
        let values = operands
            .iter()
            .map(|operand| self.expr(operand))
            .collect::<Failed<Vec<_>>>()?;
        operator(symbol, &values)
    }
}

fn operator(symbol: &str, values: &[Value]) -> Failed<Value> {
    let ordered = |holds: fn(i128, i128) -> bool| {
        Ok(values
            .windows(2)
            .all(|pair| holds(wide(&pair[0]), wide(&pair[1])))
            .into())
    };
    match symbol {
        "==" => Ok((values[0] == values[1]).into()),
        "!=" => Ok((values[0] != values[1]).into()),
        "!" => Ok((values[0] == false).into()),
        "<" => ordered(|a, b| a < b),
        "<=" => ordered(|a, b| a <= b),
        ">" => ordered(|a, b| a > b),
        ">=" => ordered(|a, b| a >= b),
        "+" => values[1..]
            .iter()
            .try_fold(values[0].clone(), |sum, x| fits(wide(&sum) + wide(x))),
        "*" => values[1..]
            .iter()
            .try_fold(values[0].clone(), |product, x| {
                fits(wide(&product) * wide(x))
            }),
        "-" if values.len() == 1 => fits(-wide(&values[0])),
        "-" => fits(wide(&values[0]) - wide(&values[1])),
        "/" | "%" if wide(&values[1]) == 0 => Err("division by zero".to_owned()),
        "/" => fits(wide(&values[0]) / wide(&values[1])),
        "%" => fits(wide(&values[0]) % wide(&values[1])),
        "min" => Ok(values.iter().min_by_key(|x| wide(x)).unwrap().clone()),
        "max" => Ok(values.iter().max_by_key(|x| wide(x)).unwrap().clone()),
        other => panic!("{other}"),
    }
}

/// The fields of a record type's key.
pub(crate) fn key_fields(ty: &Value) -> Vec<String> {
    match &ty["key"] {
        Value::Array(fields) => fields
            .iter()
            .map(|field| field.as_str().unwrap().to_owned())
            .collect(),
        field => vec![field.as_str().unwrap().to_owned()],
    }
}

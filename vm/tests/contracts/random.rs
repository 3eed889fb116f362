//! Random contracts and random calls: the machine and the direct evaluator leave the same world.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::chain::{Chain, cases, wallet};
use super::direct::{self, Records};

/// Draws choices from a list of numbers, so that proptest can shrink a contract.
struct Choices {
    numbers: std::vec::IntoIter<u32>,
}

impl Choices {
    fn below(&mut self, bound: usize) -> usize {
        self.numbers.next().unwrap_or(0) as usize % bound
    }

    fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Ty {
    Int,
    Bool,
    Text,
    Wallet,
}

/// What a name of the generated text stands for.
#[derive(Clone)]
enum Kind {
    Plain(Ty, bool),
    /// A record bound by `let`.
    Window(&'static str),
    /// The parameter that is a whole record.
    Param(&'static str),
}

fn records() -> Value {
    json!({
        "item": {"key": "id", "fields": {"id": "text", "n": "int", "m": "int", "flag": "bool", "tag": "text", "owner": "wallet"}},
        "pair": {"key": ["b", "a"], "fields": {"a": "int", "b": "text", "v": "int"}},
        "thing": {"of": "other", "key": "id", "fields": {"id": "text", "n": "int"}},
    })
}

/// Fields of a record type and whether they can be set.
fn fields(record: &str) -> &'static [(&'static str, Ty, bool)] {
    match record {
        "item" => &[
            ("id", Ty::Text, false),
            ("n", Ty::Int, true),
            ("m", Ty::Int, true),
            ("flag", Ty::Bool, true),
            ("tag", Ty::Text, true),
            ("owner", Ty::Wallet, true),
        ],
        "pair" => &[
            ("a", Ty::Int, false),
            ("b", Ty::Text, false),
            ("v", Ty::Int, true),
        ],
        _ => &[("id", Ty::Text, false), ("n", Ty::Int, false)],
    }
}

struct Generator {
    choices: Choices,
    names: Vec<(String, Kind)>,
    fresh: usize,
}

const INTEGERS: [i64; 14] = [
    0,
    1,
    2,
    3,
    -1,
    -2,
    7,
    100,
    -100,
    1 << 31,
    i64::MAX,
    i64::MIN,
    i64::MIN + 1,
    1 << 62,
];
const TEXTS: [&str; 8] = ["a", "b", "c", "a", "b", "c", "", "a,b"];

impl Generator {
    fn new(numbers: Vec<u32>) -> Self {
        let mut names = Vec::new();
        for (name, ty) in [
            ("caller", Ty::Wallet),
            ("height", Ty::Int),
            ("open", Ty::Bool),
            ("p", Ty::Int),
            ("q", Ty::Int),
            ("s", Ty::Text),
        ] {
            names.push((name.to_owned(), Kind::Plain(ty, false)));
        }
        names.push(("w".to_owned(), Kind::Plain(Ty::Wallet, false)));
        names.push(("r".to_owned(), Kind::Param("item")));
        Self {
            choices: Choices {
                numbers: numbers.into_iter(),
            },
            names,
            fresh: 0,
        }
    }

    fn contract(mut self) -> Value {
        let body = self.block(0, 10);
        json!({"contract": "random", "records": records(), "actions": {"f": {
            "params": {"p": "int", "q": "int", "s": "text", "w": "wallet", "r": "item"}, "do": body}}})
    }

    fn name(&mut self) -> String {
        self.fresh += 1;
        format!("v{:03}", self.fresh)
    }

    fn block(&mut self, depth: usize, most: usize) -> Value {
        let outer = self.names.len();
        let count = 1 + self.choices.below(most);
        let statements: Vec<_> = (0..count).map(|_| self.statement(depth)).collect();
        self.names.truncate(outer);
        statements.into()
    }

    fn windows(&self) -> Vec<(String, &'static str)> {
        let windows = self.names.iter().filter_map(|(name, kind)| match kind {
            Kind::Window(record) if *record != "thing" => Some((name.clone(), *record)),
            _ => None,
        });
        windows.collect()
    }

    fn statement(&mut self, depth: usize) -> Value {
        match self.choices.below(if depth < 3 { 16 } else { 12 }) {
            0 => {
                let ty = self
                    .choices
                    .pick(&[Ty::Int, Ty::Bool, Ty::Text, Ty::Wallet]);
                let value = match ty {
                    // A literal DID on its own is a text.
                    Ty::Wallet => self.variable(ty).unwrap(),
                    _ => self.expr(ty, 3),
                };
                let name = self.name();
                self.names.push((name.clone(), Kind::Plain(ty, true)));
                json!({"let": {name: value}})
            }
            1..=3 => {
                let record = self.choices.pick(&["item", "item", "pair", "thing"]);
                let key = self.key(record, 1);
                let name = self.name();
                self.names.push((name.clone(), Kind::Window(record)));
                json!({"let": {name: {"get": [record, key]}}})
            }
            4..=6 => self.set(),
            7 => {
                let record = self.choices.pick(&["item", "pair"]);
                let mut values = Map::new();
                for (field, ty, settable) in fields(record) {
                    if !settable || self.choices.below(3) > 0 {
                        values.insert((*field).to_owned(), self.expr(*ty, 2));
                    }
                }
                json!({"put": [record, values]})
            }
            8 => {
                let whole = self.names.iter().filter_map(|(name, kind)| match kind {
                    Kind::Window("item") | Kind::Param("item") => Some(name.clone()),
                    _ => None,
                });
                let whole: Vec<_> = whole.collect();
                json!({"put": ["item", {"var": self.choices.pick(&whole)}]})
            }
            9 => match self.choices.below(3) {
                0 => {
                    let record = self.choices.pick(&["item", "pair"]);
                    json!({"delete": [record, self.key(record, 1)]})
                }
                _ => {
                    json!({"require": {"or": [self.expr(Ty::Bool, 2), {"<": [self.expr(Ty::Int, 1), 50]}]}, "else": "no"})
                }
            },
            10 | 11 => json!({"emit": ["e", {
                "i": self.expr(Ty::Int, 3), "b": self.expr(Ty::Bool, 3), "t": self.expr(Ty::Text, 2), "w": self.expr(Ty::Wallet, 1)}]}),
            12 | 13 => {
                let cond = self.expr(Ty::Bool, 3);
                json!({"if": cond, "then": self.block(depth + 1, 4), "else": self.block(depth + 1, 3)})
            }
            _ => {
                let times = match self.choices.below(3) {
                    0 => json!({"%": [self.expr(Ty::Int, 1), 4]}),
                    _ => json!(self.choices.below(4)),
                };
                let counter = self.name();
                self.names
                    .push((counter.clone(), Kind::Plain(Ty::Int, false)));
                let body = self.block(depth + 1, 4);
                self.names.pop();
                json!({"repeat": times, "as": counter, "do": body})
            }
        }
    }

    fn set(&mut self) -> Value {
        let mut targets = Map::new();
        for _ in 0..=self.choices.below(3) {
            let mut places: Vec<(String, Ty)> = Vec::new();
            for (name, record) in self.windows() {
                let settable = fields(record).iter().filter(|(_, _, settable)| *settable);
                places.extend(settable.map(|(field, ty, _)| (format!("{name}.{field}"), *ty)));
            }
            for (name, kind) in &self.names {
                if let Kind::Plain(ty, true) = kind {
                    places.push((name.clone(), *ty));
                }
            }
            if places.is_empty() {
                return json!({"emit": ["nothing", {}]});
            }
            let (place, ty) = self.choices.pick(&places);
            targets.insert(place, self.expr(ty, 3));
        }
        json!({"set": targets})
    }

    fn key(&mut self, record: &str, depth: usize) -> Value {
        match record {
            "pair" => json!([self.expr(Ty::Text, depth), {"%": [self.expr(Ty::Int, depth), 2]}]),
            _ => self.expr(Ty::Text, depth),
        }
    }

    /// A name of that type, or a field.
    fn variable(&mut self, ty: Ty) -> Option<Value> {
        let mut found = Vec::new();
        for (name, kind) in &self.names {
            match kind {
                Kind::Plain(of, _) if *of == ty => found.push(name.clone()),
                Kind::Plain(..) => {}
                Kind::Window(record) | Kind::Param(record) => {
                    let of_type = fields(record).iter().filter(|(_, of, _)| *of == ty);
                    // Fields thrice: they are what may go stale.
                    found.extend(
                        of_type.flat_map(|(field, _, _)| vec![format!("{name}.{field}"); 3]),
                    );
                }
            }
        }
        (!found.is_empty()).then(|| json!({"var": self.choices.pick(&found)}))
    }

    fn expr(&mut self, ty: Ty, depth: usize) -> Value {
        let deep = if depth == 0 { 0 } else { self.choices.below(4) };
        if deep == 0 {
            return match (self.choices.below(3), self.variable(ty)) {
                (1 | 2, Some(variable)) => variable,
                _ => self.literal(ty),
            };
        }
        if deep == 1 && self.choices.below(2) == 0 {
            let cond = self.expr(Ty::Bool, depth - 1);
            return json!({"if": [cond, self.expr(ty, depth - 1), self.expr(ty, depth - 1)]});
        }
        let depth = depth - 1;
        match ty {
            Ty::Int => match self.choices.below(10) {
                0 => json!({"count": self.choices.pick(&["item", "pair", "thing"])}),
                1 => {
                    let (record, field) =
                        self.choices
                            .pick(&[("item", "n"), ("thing", "n"), ("pair", "v")]);
                    json!({"get": [record, self.key(record, depth), field]})
                }
                2 => json!({"-": self.expr(Ty::Int, depth)}),
                3 => json!({self.choices.pick(&["+", "*", "min", "max"]): [
                    self.expr(Ty::Int, depth), self.expr(Ty::Int, depth), self.expr(Ty::Int, depth)]}),
                _ => {
                    let symbol = self
                        .choices
                        .pick(&["+", "+", "-", "*", "/", "%", "min", "max"]);
                    json!({symbol: [self.expr(Ty::Int, depth), self.expr(Ty::Int, depth)]})
                }
            },
            Ty::Bool => self.boolean(depth),
            Ty::Text => json!({"get": ["item", self.key("item", depth), "tag"]}),
            Ty::Wallet => json!({"get": ["item", self.key("item", depth), "owner"]}),
        }
    }

    fn boolean(&mut self, depth: usize) -> Value {
        match self.choices.below(6) {
            0 => json!({"!": self.expr(Ty::Bool, depth)}),
            1 => {
                json!({self.choices.pick(&["and", "or"]): [self.expr(Ty::Bool, depth), self.expr(Ty::Bool, depth), self.expr(Ty::Bool, depth)]})
            }
            2 => {
                let record = self.choices.pick(&["item", "pair", "thing"]);
                json!({"exists": [record, self.key(record, depth)]})
            }
            3 => {
                let ty = self
                    .choices
                    .pick(&[Ty::Int, Ty::Bool, Ty::Text, Ty::Wallet]);
                json!({self.choices.pick(&["==", "!="]): [self.expr(ty, depth), self.expr(ty, depth)]})
            }
            4 => json!({self.choices.pick(&["<", "<="]): [
                self.expr(Ty::Int, depth), self.expr(Ty::Int, depth), self.expr(Ty::Int, depth)]}),
            _ => {
                json!({self.choices.pick(&["<", "<=", ">", ">="]): [self.expr(Ty::Int, depth), self.expr(Ty::Int, depth)]})
            }
        }
    }

    fn literal(&mut self, ty: Ty) -> Value {
        match ty {
            Ty::Int => self.choices.pick(&INTEGERS).into(),
            Ty::Bool => (self.choices.below(2) == 0).into(),
            Ty::Text => self.choices.pick(&TEXTS).into(),
            Ty::Wallet => wallet(u8::try_from(self.choices.below(3)).unwrap())
                .to_string()
                .into(),
        }
    }
}

fn world() -> Records {
    let mut world = Records::new();
    for (i, id) in ["a", "b", "c"].into_iter().enumerate() {
        let i = i as i64;
        let item = json!({"id": id, "n": i, "m": -i, "flag": i == 1, "tag": "b", "owner": wallet(1).to_string()});
        world.insert(format!("random/item/{id}"), item);
        world.insert(
            format!("other/thing/{id}"),
            json!({"id": id, "n": i * 1000, "more": [1]}),
        );
        for a in -1..=1 {
            world.insert(
                format!("random/pair/{id},{a}"),
                json!({"a": a, "b": id, "v": a}),
            );
        }
    }
    world
}

/// Runs one random contract both ways. Whether the call succeeded.
fn agree(numbers: Vec<u32>) -> bool {
    let mut arguments = Choices {
        numbers: numbers
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .into_iter(),
    };
    let definition = Generator::new(numbers).contract();
    let params = json!({
        "p": arguments.pick(&INTEGERS), "q": arguments.pick(&INTEGERS), "s": arguments.pick(&TEXTS), "w": wallet(1).to_string(),
        "r": {"id": arguments.pick(&TEXTS), "n": arguments.pick(&INTEGERS)},
    });
    let params = params.as_object().unwrap();

    let mut chain = Chain::of(std::slice::from_ref(&definition));
    let definition_path = "contracts/definition/random";
    for (path, record) in world() {
        lyceum_vm::World::store(&mut chain.world, &path, record).unwrap();
    }
    let mut action = params.clone();
    action.insert("action".to_owned(), "f".into());
    let receipt = chain.actions(&json!([action]));
    let mut got_world = chain.world.records();
    got_world.remove(definition_path);

    let site = [
        ("caller", json!(chain.caller.to_string())),
        ("height", json!(chain.height)),
        ("open", json!(true)),
    ];
    let want = direct::call(&definition, "f", params, &site, &world());
    match want {
        Ok((want_world, want_events)) => {
            assert_eq!(receipt.error(), None, "{definition}");
            assert_eq!(got_world, want_world, "{definition}");
            let events: Vec<_> = receipt
                .events
                .iter()
                .map(|e| json!({"event": e.event, "data": e.data()}))
                .collect();
            assert_eq!(events, want_events, "{definition}");
            true
        }
        Err(why) => {
            let error = receipt
                .error()
                .unwrap_or_else(|| panic!("want {why:?}: {definition}"));
            let error = if error.starts_with("key ") {
                "key"
            } else {
                &error
            };
            assert_eq!(error, why, "{definition}");
            assert_eq!(got_world, world(), "a failed call has no effect");
            false
        }
    }
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn machine_and_direct_evaluation_agree(numbers in prop::collection::vec(any::<u32>(), 20..400)) {
        agree(numbers);
    }
}

/// A test of the test: enough of the random calls succeed, and enough fail.
#[test]
fn random_calls_go_both_ways() {
    let mut state = 1u64;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32
    };
    let succeeded = (0..300)
        .filter(|_| agree((0..300).map(|_| next()).collect()))
        .count();
    assert!((30..270).contains(&succeeded), "{succeeded} of 300 succeed");
}

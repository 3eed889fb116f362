//! Contracts: calls end to end against one strict signature check, code fused against unfused, and nanoseconds per unit of gas.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use lyceum_protocol::{
    Address, ChainSpec, Gas, Height, SecretKey, Timestamp, TxBody, json, verify_strict,
};
use lyceum_vm::{
    CallContext, Cell, Code, CompiledContract, Executor, Halt, Limits, Machine, MemoryWorld,
    NoPorts, PortCall, PortMemory, PortStop, Ports, World, builtin_definition, definition_path,
    genesis, offline,
};
use serde_json::{Value, json};

/// An action, by the number of its call.
type Action = fn(usize) -> Value;

const ROUNDS: usize = 9;
const CALLS: usize = 2_000;

fn main() {
    let signature = signature();
    println!(
        "strict Ed25519 check            {:8.1} us",
        micros(signature)
    );
    let mut chain = Chain::new();
    for (name, action) in learning().into_iter().chain(others()) {
        chain.measure(name, action, signature);
    }
    record();
    println!();
    fused();
    println!();
    for name in ["learning", "dao", "course_management"] {
        translate(name);
    }
}

/// The actions of the learning contract.
fn learning() -> [(&'static str, Action); 4] {
    [
        (
            "register_student",
            |i| json!({"action": "register_student", "student": {"id": format!("S{i}"), "name": "John Doe", "department": "Computer Science"}}),
        ),
        (
            "add_course",
            |i| json!({"action": "add_course", "course": {"id": format!("C{i}"), "name": "Logic", "capacity": 30}}),
        ),
        (
            "enroll",
            |i| json!({"action": "enroll", "student": format!("S{i}"), "course": format!("C{i}")}),
        ),
        (
            "grade",
            |i| json!({"action": "grade", "student": format!("S{i}"), "course": format!("C{i}"), "grade": 90}),
        ),
    ]
}

fn others() -> [(&'static str, Action); 6] {
    [
        (
            "vote_proposal (opens)",
            |i| json!({"action": "vote_proposal", "proposal": {"id": format!("P{i}"), "description": "more books"}}),
        ),
        (
            "course_management add",
            |i| json!({"action": "add", "course_id": i, "course_info": 100}),
        ),
        (
            "transfer",
            |_| json!({"action": "transfer", "to": Address::from_bytes([7; 32]).to_string(), "amount": 1}),
        ),
        ("deploy_contract", |i| {
            let mut definition = library();
            definition["contract"] = format!("library{i}").into();
            json!({"action": "deploy_contract", "definition": definition})
        }),
        (
            "ballot open_poll",
            |i| json!({"action": "open_poll", "contract": "ballot", "id": format!("Q{i}"), "question": "?", "blocks": 9}),
        ),
        (
            "ballot vote (2048 bits)",
            |i| json!({"action": "vote", "contract": "ballot", "poll": format!("Q{i}"), "vote": VOTE}),
        ),
    ]
}

/// Translated code fused against the same code unfused.
fn fused() {
    println!("fused vs unfused on translated code (want 3x)");
    let loops = CompiledContract::compile(&loops()).unwrap();
    let mut least = f64::MAX;
    for (name, action) in loops.actions() {
        least = least.min(unfused(name, action.code(), 1, &mut |_| NoPorts));
    }
    let dao = builtin_definition("dao").unwrap();
    let listing = offline::asm(&dao.to_string()).unwrap();
    let contract = CompiledContract::compile(&dao).unwrap();
    let code = contract.action("vote_proposal").unwrap().code();
    let vote = Vote::new(&listing, code.cells().len());
    least = least.min(unfused("vote_proposal", code, 200, &mut |machine| {
        vote.prepare(machine);
        &vote
    }));
    println!("least of them{least:20.2} x");
}

/// Loops of calculation and of comparison, over values of every size and over small ones.
fn loops() -> Value {
    json!({"contract": "loops", "actions": {
        "sums": {"do": [{"let": {"a": 1, "b": 2, "n": 0}}, {"repeat": 5000, "as": "i", "do": [
            {"if": {"<": [{"var": "a"}, {"var": "b"}]},
                "then": [{"set": {"a": {"+": [{"var": "a"}, {"var": "i"}]}}}],
                "else": [{"set": {"b": {"+": [{"var": "b"}, {"*": [{"var": "i"}, 3]}]}, "n": {"+": [{"var": "n"}, 1]}}}]}]}]},
        "products": {"do": [{"let": {"a": 1}}, {"repeat": 1000, "as": "i", "do": [
            {"set": {"a": {"%": [{"+": [{"*": [{"var": "a"}, {"var": "i"}]}, 12345]}, 1000003]}}}]}]},
        "comparisons": {"do": [{"let": {"a": 0, "b": 2500, "c": -7, "n": 0}}, {"repeat": 5000, "as": "i", "do": [
            {"set": {"a": {"-": [{"var": "i"}, 1200]}}},
            {"if": {"or": [{"and": [{"<": [{"var": "c"}, {"var": "a"}]}, {"<=": [{"var": "a"}, {"var": "b"}]}]},
                    {"==": [{"var": "a"}, {"var": "c"}]}, {"!=": [{"var": "b"}, 2500]}]},
                "then": [{"set": {"n": {"+": [{"var": "n"}, 1]}}}],
                "else": [{"if": {">": [{"var": "i"}, {"var": "n"}]}, "then": [{"set": {"c": {"-": [{"var": "c"}, 1]}}}]}]}]}]}}})
}

fn translate(name: &str) {
    let start = Instant::now();
    let contract = CompiledContract::compile(&builtin_definition(name).unwrap()).unwrap();
    let time = start.elapsed();
    println!("translating {name:<20}{:8.1} us", micros(time));
    for (action, compiled) in contract.actions() {
        println!(
            "    {action:<28}{:6} instructions, {:6} cells",
            compiled.instructions(),
            compiled.code().cells().len()
        );
    }
}

/// The host of a `vote_proposal` that opens the proposal; next to nothing takes time but the machine.
struct Vote {
    /// Cells filled in before the run.
    given: Vec<(i64, i64)>,
    /// Cells of the record that `load` fills.
    loaded: Vec<(i64, i64)>,
}

impl Vote {
    /// Finds the cells by their names in the listing; an action's data are the last of its cells.
    fn new(listing: &str, cells: usize) -> Self {
        let data: Vec<_> = listing
            .lines()
            .filter_map(|line| {
                line.strip_prefix("vote_proposal.")?
                    .split_once(": .data ")
                    .map(|(name, _)| name)
            })
            .collect();
        let cell = |&(name, value): &(&str, i64)| {
            let index = data.iter().position(|known| *known == name).unwrap();
            (i64::try_from(cells - data.len() + index).unwrap(), value)
        };
        // Texts are handles; the literals "", "open" and null are 1, 3 and 4.
        let given = [
            ("caller", 20),
            ("height", 7),
            ("open", 1),
            ("proposal.description", 21),
            ("proposal.id", 22),
            ("proposal.kind", 1),
            ("proposal.vote", 4),
        ];
        let loaded = [("p.closes", 107), ("p.status", 3), ("p.yes", 0)];
        Self {
            given: given.iter().map(cell).collect(),
            loaded: loaded.iter().map(cell).collect(),
        }
    }

    fn prepare(&self, machine: &mut Machine) {
        for (address, value) in &self.given {
            machine.write(*address, Cell::Open(*value)).unwrap();
        }
    }
}

impl Ports for &Vote {
    fn call(
        &mut self,
        call: PortCall,
        memory: &mut dyn PortMemory,
        _: u64,
    ) -> Result<u64, PortStop> {
        // `exists` leaves the 0 in its answer.
        match call.a {
            -2 => {
                for (address, value) in &self.loaded {
                    memory.write(*address, Cell::Open(*value))?;
                }
                Ok(0)
            }
            -9 => Err(PortStop::Fail(0)),
            _ => Ok(0),
        }
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn signature() -> Duration {
    let key = SecretKey::from_seed(&[1; 32]);
    let message = vec![7; 400];
    let signature = key.sign(&message);
    let public = key.public();
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..50 {
            verify_strict(black_box(&public), &message, &signature).unwrap();
        }
        best = best.min(start.elapsed() / 50);
    }
    best
}

/// What the state does with a record anyway: its canonical JSON.
fn record() {
    let record = json!({"id": "S001", "name": "John Doe", "department": "Computer Science", "email": "", "wallet": Address::from_bytes([7; 32]).to_string()});
    let start = Instant::now();
    for _ in 0..CALLS {
        black_box(json::canonical(black_box(&record)));
    }
    println!(
        "canonical JSON of a student     {:8.2} us",
        micros(start.elapsed() / CALLS as u32)
    );
}

struct Chain {
    executor: Executor,
    world: MemoryWorld,
    next: usize,
}

impl Chain {
    fn new() -> Self {
        let spec = ChainSpec::dev();
        let mut world = MemoryWorld::new();
        genesis(&spec, &mut world).unwrap();
        let account = lyceum_vm::Account {
            balance: lyceum_protocol::Credits::MAX,
            ..Default::default()
        };
        account.store(&mut world, &caller().to_string()).unwrap();
        let ballot = serde_json::from_str(include_str!("../examples/ballot.json")).unwrap();
        world.store(&definition_path("ballot"), ballot).unwrap();
        Self {
            executor: Executor::for_chain(&spec),
            world,
            next: 0,
        }
    }

    fn measure(&mut self, name: &str, action: Action, signature: Duration) {
        let caller = caller().to_string();
        let context = CallContext {
            caller: &caller,
            height: Height::new(7).unwrap(),
            timestamp: Timestamp::new(1).unwrap(),
        };
        let limit = Gas::new(10_000_000).unwrap();
        let (mut best, mut gas, mut steps) = (Duration::MAX, 0, 0);
        for round in 0..ROUNDS {
            let bodies: Vec<_> = (0..CALLS / ROUNDS)
                .map(|i| TxBody::Actions(json!([action(round * CALLS + i)]).to_string()))
                .collect();
            let start = Instant::now();
            for body in &bodies {
                let receipt = self
                    .executor
                    .execute(&mut self.world, &context, body, limit)
                    .unwrap();
                assert_eq!(receipt.error(), None, "{name}");
                (gas, steps) = (receipt.gas, receipt.steps);
            }
            best = best.min(start.elapsed() / (CALLS / ROUNDS) as u32);
        }
        self.next += 1;
        println!(
            "{name:<32}{:8.1} us  {:5.2} signature checks, {steps:5} steps, {gas:6} gas, {:5.2} ns/gas",
            micros(best),
            best.as_secs_f64() / signature.as_secs_f64(),
            best.as_secs_f64() * 1e9 / gas as f64
        );
    }
}

/// A unit modulo any N of large primes, almost as long as a ciphertext.
const VOTE: &str = concat!(
    "3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f",
    "3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f",
    "3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f",
    "3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f",
    "3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f",
    "3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f3b9aca07f"
);

fn library() -> Value {
    serde_json::from_str(include_str!("../examples/library.json")).unwrap()
}

fn caller() -> Address {
    Address::from_bytes(SecretKey::from_seed(&[1; 32]).public())
}

/// Measures `calls` runs in a row, `host` preparing each: the runs alone, without the copy of memory that each starts from.
fn unfused<P: Ports>(
    name: &str,
    code: &Code,
    calls: u32,
    host: &mut impl FnMut(&mut Machine) -> P,
) -> f64 {
    let plain = Code::unfused(code.cells().to_vec(), code.entry()).unwrap();
    let (mut fused, mut plain) = (machine(code), machine(&plain));
    let [mut a, mut b, mut before] = [Duration::MAX; 3];
    let mut steps = 0;
    for _ in 0..ROUNDS * 3 {
        steps = run(&mut fused, calls, host, &mut a);
        assert_eq!(
            run(&mut plain, calls, host, &mut b),
            steps,
            "fused or not, the same steps"
        );
        let start = Instant::now();
        for _ in 0..calls {
            fused.restart();
            black_box(host(black_box(&mut fused)));
        }
        before = before.min(start.elapsed() / calls);
    }
    let [a, b, before] = [a, b, before].map(|time| time.as_secs_f64() * 1e9);
    let ratio = (b - before) / (a - before);
    println!(
        "{name:<16}{ratio:17.2} x   {:.2} ns a step vs {:.2}, {steps} steps; {:.2} x with fresh memory ({before:.0} ns a run)",
        (a - before) / steps as f64,
        (b - before) / steps as f64,
        b / a,
    );
    ratio
}

fn machine(code: &Code) -> Machine {
    Machine::open(code, code.cells().len())
}

/// The steps of one run; `best` becomes the time of one if that is less.
fn run<P: Ports>(
    machine: &mut Machine,
    calls: u32,
    host: &mut impl FnMut(&mut Machine) -> P,
    best: &mut Duration,
) -> u64 {
    let mut steps = 0;
    let start = Instant::now();
    for _ in 0..calls {
        machine.restart();
        let mut host = host(machine);
        let outcome = machine.run(&mut host, Limits::gas(u64::MAX / 2));
        assert_eq!(outcome.halt, Halt::Halt);
        steps = outcome.steps;
    }
    *best = (*best).min(start.elapsed() / calls);
    steps
}

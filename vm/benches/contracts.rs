//! Contracts: calls end to end against one strict signature check, code fused against unfused, and nanoseconds per unit of gas.
#![allow(clippy::unwrap_used, reason = "a bench may panic")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use lyceum_protocol::{
    Address, ChainSpec, Gas, Height, SecretKey, Timestamp, TxBody, json, verify_strict,
};
use lyceum_vm::{
    CallContext, Code, CompiledContract, Executor, Halt, Limits, Machine, MemoryWorld, NoPorts,
    World, builtin_definition, definition_path, genesis,
};
use serde_json::{Value, json};

const ROUNDS: usize = 9;
const CALLS: usize = 2_000;

fn main() {
    let signature = signature();
    println!(
        "strict Ed25519 check            {:8.1} us",
        micros(signature)
    );
    let mut chain = Chain::new();
    let calls: [(&str, fn(usize) -> Value); 10] = [
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
    ];
    for (name, action) in calls {
        chain.measure(name, action, signature);
    }
    record();
    let loops = json!({"contract": "loops", "actions": {
        "sums": {"do": [{"let": {"a": 1, "b": 2, "n": 0}}, {"repeat": 5000, "as": "i", "do": [
            {"if": {"<": [{"var": "a"}, {"var": "b"}]},
                "then": [{"set": {"a": {"+": [{"var": "a"}, {"var": "i"}]}}}],
                "else": [{"set": {"b": {"+": [{"var": "b"}, {"*": [{"var": "i"}, 3]}]}, "n": {"+": [{"var": "n"}, 1]}}}]}]}]},
        "products": {"do": [{"let": {"a": 1}}, {"repeat": 1000, "as": "i", "do": [
            {"set": {"a": {"%": [{"+": [{"*": [{"var": "a"}, {"var": "i"}]}, 12345]}, 1000003]}}}]}]}}});
    let loops = CompiledContract::compile(&loops).unwrap();
    for (name, action) in loops.actions() {
        unfused(name, action.code());
    }
    for name in ["learning", "dao", "course_management"] {
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

    fn measure(&mut self, name: &str, action: fn(usize) -> Value, signature: Duration) {
        let context = CallContext {
            caller: caller(),
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

fn unfused(name: &str, code: &Code) {
    let plain = Code::unfused(code.cells().to_vec(), code.entry()).unwrap();
    let (mut fused, mut plain) = (machine(code), machine(&plain));
    let (mut a, mut b) = (Duration::MAX, Duration::MAX);
    let mut steps = 0;
    for _ in 0..ROUNDS * 3 {
        steps = run(&mut fused, &mut a);
        assert_eq!(
            run(&mut plain, &mut b),
            steps,
            "fused or not, the same steps"
        );
    }
    println!(
        "{name:<12} fused vs unfused    {:8.2} x   {:.2} ns a step vs {:.2}, {steps} steps",
        b.as_secs_f64() / a.as_secs_f64(),
        a.as_secs_f64() * 1e9 / steps as f64,
        b.as_secs_f64() * 1e9 / steps as f64,
    );
}

fn machine(code: &Code) -> Machine {
    Machine::open(code, code.cells().len())
}

fn run(machine: &mut Machine, best: &mut Duration) -> u64 {
    machine.restart();
    let start = Instant::now();
    let outcome = machine.run(&mut NoPorts, Limits::gas(u64::MAX / 2));
    *best = (*best).min(start.elapsed());
    assert_eq!(outcome.halt, Halt::Halt);
    outcome.steps
}

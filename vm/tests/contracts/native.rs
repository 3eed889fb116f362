//! Native actions, and how actions find their contract.

use lyceum_protocol::{Credits, SecretKey, Seq, TxBody, UserId, Wallet};
use lyceum_vm::{Account, CompiledContract, MemoryWorld, World};
use serde_json::{Value, json};

use super::chain::{Chain, wallet};

fn library() -> Value {
    serde_json::from_str(include_str!("../../examples/library.json")).unwrap()
}

fn funded(credits: u64) -> Chain {
    let mut chain = Chain::embedded("dev", &[]);
    let account = Account {
        balance: Credits::new(credits).unwrap(),
        seq: Seq::new(3).unwrap(),
    };
    account
        .store(&mut chain.world, &wallet(1).to_string())
        .unwrap();
    chain
}

fn account(chain: &Chain, owner: &str) -> (u64, u64) {
    let account = Account::load(&chain.world, owner).unwrap();
    (account.balance.get(), account.seq.get())
}

fn transfer(to: &str, amount: Value) -> Value {
    json!({"action": "transfer", "to": to, "amount": amount})
}

#[test]
fn credits_move() {
    let (me, you) = (wallet(1).to_string(), wallet(2).to_string());
    let mut chain = funded(100);
    chain.ok(transfer(&you, json!(30)));
    assert_eq!(
        (account(&chain, &me), account(&chain, &you)),
        ((70, 3), (30, 0))
    );
    chain.ok(transfer(&me, json!(70)));
    assert_eq!(account(&chain, &me), (70, 3), "to oneself");
    chain.ok(transfer("contract:learning", json!(5)));
    assert_eq!(
        chain.record("credits/account/contract:learning"),
        json!({"balance": 5, "seq": 0})
    );
    assert_eq!(
        chain.fails(transfer(&you, json!(66))),
        format!("insufficient credits: {me} has 65, want 66")
    );
    assert_eq!(
        chain.fails(transfer(&me, json!(66))),
        format!("insufficient credits: {me} has 65, want 66")
    );
    assert_eq!(
        chain.by(9).fails(transfer(&you, json!(1))),
        format!("insufficient credits: {} has 0, want 1", wallet(9))
    );
    chain.by(1);
    for amount in [json!(0), json!(-1), json!("1"), json!(1.5), json!(u64::MAX)] {
        let error = chain.fails(transfer(&you, amount.clone()));
        assert_eq!(
            error,
            format!("parameter \"amount\": got {amount}, want 1 or more credits")
        );
    }
    assert_eq!(
        chain.fails(transfer(&you, json!(1u64 << 53))),
        "amount 9007199254740992: want 0 to 2^53 - 1"
    );
    assert_eq!(
        chain.fails(transfer("contract:nothing", json!(1))),
        "unknown contract \"nothing\""
    );
    for to in ["", "bob", "contract:", "contract:a/b", "did:key:z6Mk"] {
        let error = chain.fails(transfer(to, json!(1)));
        assert_eq!(
            error,
            format!(
                "parameter \"to\": got \"{to}\", want a wallet, did:key:z6Mk…, or contract:NAME"
            )
        );
    }
    let mut more = transfer(&you, json!(1));
    more["memo"] = "x".into();
    assert_eq!(chain.fails(more), "parameter \"memo\": unknown");
    assert_eq!(
        chain.fails(json!({"action": "transfer", "to": you})),
        "parameter \"amount\": missing"
    );
}

#[test]
fn a_balance_stays_within_tokens() {
    let you = wallet(2).to_string();
    let mut chain = funded(10);
    let full = Account {
        balance: Credits::MAX,
        seq: Seq::ZERO,
    };
    full.store(&mut chain.world, &you).unwrap();
    assert_eq!(
        chain.fails(transfer(&you, json!(1))),
        format!("balance of {you} would pass 2^53 - 1")
    );
}

#[test]
fn a_deployed_contract_runs_like_a_built_in_one() {
    let mut chain = funded(0);
    let deploy = json!({"action": "deploy_contract", "definition": library()});
    chain.ok(deploy.clone());
    let record = chain.record("contracts/definition/library");
    assert_eq!(record["owner"], wallet(1).to_string());
    let mut without = record.clone();
    without.as_object_mut().unwrap().remove("owner");
    assert_eq!(
        without,
        library(),
        "the definition and its owner, nothing else"
    );
    CompiledContract::compile(&record).unwrap();
    assert_eq!(
        chain.by(2).fails(deploy),
        "contract \"library\" is already deployed"
    );

    chain
        .world
        .store(
            "library/book/B1",
            json!({"id": "B1", "title": "", "copies": 1, "lent": 0}),
        )
        .unwrap();
    let lend = json!({"action": "lend", "contract": "library", "id": "L1", "book": "B1"});
    chain.by(3).ok(lend);
    assert_eq!(
        chain.record("library/loan/L1")["reader"],
        wallet(3).to_string()
    );
    // Only built-in contracts are found by an action's name.
    let lend = json!({"action": "lend", "id": "L2", "book": "B1"});
    assert_eq!(
        chain.fails(lend),
        "unknown action \"lend\": no built-in contract has it"
    );
}

#[test]
fn a_bad_deployment_is_refused() {
    let mut chain = funded(0);
    let deploy = |definition: Value| json!({"action": "deploy_contract", "definition": definition});
    let mut owned = library();
    owned["owner"] = wallet(2).to_string().into();
    assert_eq!(
        chain.fails(deploy(owned)),
        "definition /owner: got a member that the chain sets, want none"
    );
    let mut wrong = library();
    wrong["actions"]["lend"]["do"][2]["set"]["b.lent"] = json!("many");
    assert_eq!(
        chain.fails(deploy(wrong)),
        "definition /actions/lend/do/2/set/b.lent: got text, want int"
    );
    assert_eq!(
        chain.fails(deploy(json!(1))),
        "definition /: got 1, want a contract"
    );
    assert_eq!(
        chain.fails(json!({"action": "deploy_contract"})),
        "parameter \"definition\": missing"
    );
    chain.gas = 20_000;
    assert_eq!(chain.fails(deploy(library())), "out of gas");
}

#[test]
fn a_wallet_registers_once_and_so_does_a_user_id() {
    let token = |seed: u8, user: &str| {
        let key = SecretKey::from_seed(&[seed; 32]);
        Wallet::create(&key, &user.parse::<UserId>().unwrap(), 1)
            .unwrap()
            .token()
            .to_owned()
    };
    let register = |token: String| json!({"action": "register_wallet", "wallet": token});
    let mut chain = funded(0);
    chain.by(1).ok(register(token(1, "student123")));
    let me = wallet(1).to_string();
    assert_eq!(
        chain.record(&format!("identity/wallet/{me}")),
        json!({"user_id": "student123"})
    );
    assert_eq!(
        chain.record("identity/user/student123"),
        json!({"wallet": me})
    );
    assert_eq!(
        chain.fails(register(token(1, "other"))),
        format!("wallet {me} is registered already")
    );
    assert_eq!(
        chain.by(2).fails(register(token(2, "student123"))),
        "user id \"student123\" is taken"
    );
    assert_eq!(
        chain.fails(register(token(3, "x"))),
        format!("wallet: it is {}'s, want the sender's own", wallet(3))
    );
    assert!(
        chain
            .fails(register("a.b.c".to_owned()))
            .starts_with("wallet: ")
    );
    assert_eq!(
        chain.fails(json!({"action": "register_wallet", "wallet": 1})),
        "parameter \"wallet\": got 1, want a wallet token"
    );
    let (head, signature) = token(2, "x")
        .rsplit_once('.')
        .map(|(h, s)| (h.to_owned(), s.to_owned()))
        .unwrap();
    let other = token(2, "y").rsplit_once('.').unwrap().1.to_owned();
    assert_ne!(signature, other);
    assert!(
        chain
            .fails(register(format!("{head}.{other}")))
            .starts_with("wallet: ")
    );
}

#[test]
fn actions_are_all_or_nothing() {
    let you = wallet(2).to_string();
    let mut chain = funded(100);
    let student = |id: &str| json!({"action": "register_student", "student": {"id": id}});
    let before = chain.world.clone();
    for last in [
        student("S1"),
        transfer(&you, json!(91)),
        json!({"action": "nothing"}),
        json!(1),
        json!({"action": 1}),
    ] {
        let receipt = chain.actions(&json!([student("S1"), transfer(&you, json!(10)), last]));
        assert!(!receipt.ok() && receipt.events.is_empty(), "{last}");
        assert!(receipt.gas > 0);
        assert_eq!(chain.world, before, "{last}");
    }
    // Later actions see what earlier ones did.
    let enroll = json!({"action": "enroll", "student": "S1", "course": "C1"});
    let course = json!({"action": "add_course", "course": {"id": "C1"}});
    let receipt = chain.actions(&json!([student("S1"), course, enroll]));
    assert_eq!(receipt.error(), None);
    assert_eq!(receipt.events.len(), 3);
    assert_eq!(chain.record("learning/course/C1")["enrolled"], 1);
}

#[test]
fn an_action_finds_its_contract() {
    let mut chain = Chain::of(&[
        json!({"contract": "one", "actions": {"both": {"do": []}, "only": {"do": [{"emit": ["e", {}]}]}}}),
        json!({"contract": "two", "actions": {"both": {"do": []}}}),
    ]);
    assert_eq!(
        chain.ok(json!({"action": "only"})).events[0]
            .contract
            .as_ref(),
        "one"
    );
    assert_eq!(
        chain.fails(json!({"action": "both"})),
        "action \"both\" needs its contract: one, two have it"
    );
    chain.ok(json!({"action": "both", "contract": "two"}));
    assert_eq!(
        chain.fails(json!({"action": "only", "contract": "two"})),
        "unknown action \"only\" of contract \"two\""
    );
    assert_eq!(
        chain.fails(json!({"action": "only", "contract": "three"})),
        "unknown contract \"three\""
    );
    assert_eq!(
        chain.fails(json!({"action": "only", "contract": "a/b"})),
        "unknown contract \"a/b\""
    );
    assert_eq!(
        chain.fails(json!({"action": "only", "contract": 1})),
        "not an action: want a text \"contract\""
    );
    assert_eq!(
        chain.fails(json!({"action": "transfer", "contract": "one"})),
        "unknown action \"transfer\" of contract \"one\""
    );
    let mut contract = |body: Value| chain.execute(&TxBody::Contract(body.to_string())).error();
    assert_eq!(contract(json!({"type": "one", "action": "only"})), None);
    assert_eq!(
        contract(json!({"type": "one", "action": "only", "contract": "one"})).unwrap(),
        "parameter \"contract\": unknown"
    );
    assert_eq!(
        contract(json!({"action": "only"})).unwrap(),
        "not an action: want a text \"type\""
    );
    assert_eq!(
        contract(json!({"type": "one"})).unwrap(),
        "not an action: want a text \"action\""
    );
    assert_eq!(
        contract(json!({"type": "credits", "action": "transfer"})).unwrap(),
        "unknown contract \"credits\""
    );
}

#[test]
fn a_fork_with_another_contract_of_the_name_gets_its_own_translation() {
    let of = |value: i64| json!({"contract": "c", "actions": {"f": {"do": [{"emit": ["e", {"value": value}]}]}}});
    let mut chain = Chain::of(&[of(1)]);
    let call = || json!({"action": "f", "contract": "c"});
    assert_eq!(chain.ok(call()).events[0].data()["value"], 1);
    let mut fork = MemoryWorld::new();
    fork.store("contracts/definition/c", of(2)).unwrap();
    chain.world = fork;
    assert_eq!(chain.ok(call()).events[0].data()["value"], 2);
}

//! The contract `dao`: members, votes, and what is decided.

use lyceum_protocol::{Credits, Seq};
use lyceum_vm::Account;
use serde_json::{Value, json};

use super::chain::{Chain, wallet};

const ADMIN: u8 = 1;
const STRANGER: u8 = 99;

/// The chain `public` with members 1 (an admin) to 10.
fn dao() -> Chain {
    let mut chain = Chain::embedded("public", &[wallet(ADMIN)]);
    for seed in 2..=10 {
        chain.by(ADMIN).ok(
            json!({"action": "add_member", "wallet": wallet(seed).to_string(), "role": "student"}),
        );
    }
    chain
}

fn propose(more: Value) -> Value {
    let mut proposal = json!({"id": "P1", "description": "more books", "period": 10});
    proposal
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    json!({"action": "propose", "proposal": proposal})
}

fn vote(yes: bool) -> Value {
    json!({"action": "vote_proposal", "proposal": {"id": "P1", "vote": yes}})
}

fn execute() -> Value {
    json!({"action": "execute_proposal", "id": "P1"})
}

/// Has members 1 to `yes` vote yes and the next `no` vote no, then passes the end of voting.
fn decide(chain: &mut Chain, yes: u8, no: u8) -> String {
    for seed in 1..=yes + no {
        chain.by(seed).ok(vote(seed <= yes));
    }
    chain.height += 11;
    chain.by(ADMIN).ok(execute());
    chain.record("dao/proposal/P1")["status"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn one_member_has_one_vote_while_voting_is_open() {
    let mut chain = dao();
    chain.by(2).ok(propose(json!({})));
    assert_eq!(
        chain.by(3).fails(propose(json!({}))),
        "the proposal exists already"
    );
    assert_eq!(chain.by(STRANGER).fails(vote(true)), "only a member votes");
    chain.by(2).ok(vote(true));
    assert_eq!(chain.by(2).fails(vote(true)), "already voted");
    assert_eq!(chain.by(2).fails(vote(false)), "already voted");
    assert_eq!(chain.by(2).fails(execute()), "voting is still open");
    chain.height += 10; // the last block in which a vote counts
    chain.by(3).ok(vote(false));
    assert_eq!(chain.by(3).fails(execute()), "voting is still open");
    chain.height += 1;
    assert_eq!(chain.by(4).fails(vote(true)), "voting is closed");
    assert_eq!(
        chain.by(STRANGER).fails(execute()),
        "only a member executes"
    );
    let record = chain.record("dao/proposal/P1");
    assert_eq!(
        (&record["yes"], &record["no"], &record["status"]),
        (&json!(1), &json!(1), &json!("open"))
    );
    chain.by(4).ok(execute());
    assert_eq!(
        chain.by(4).fails(execute()),
        "the proposal was executed already"
    );
    assert_eq!(chain.by(5).fails(vote(true)), "voting is closed");
}

#[test]
fn quorum_and_threshold_decide() {
    for (quorum, threshold, yes, no, status) in [
        (20, 50, 2, 0, "passed"),
        (20, 50, 1, 0, "rejected"), // 1 of 10 members is below 20 %
        (30, 50, 2, 1, "passed"),
        (31, 50, 2, 1, "rejected"), // 31 % of 10 members is 4 votes
        (20, 50, 2, 2, "rejected"), // half is not more than half
        (20, 66, 2, 1, "passed"),
        (20, 67, 2, 1, "rejected"),
        (100, 50, 9, 1, "passed"),
        (100, 50, 9, 0, "rejected"),
    ] {
        let mut chain = dao();
        chain
            .by(2)
            .ok(propose(json!({"quorum": quorum, "threshold": threshold})));
        assert_eq!(
            decide(&mut chain, yes, no),
            status,
            "quorum {quorum}, threshold {threshold}: {yes} to {no}"
        );
    }
}

#[test]
fn proposals_are_checked() {
    let mut chain = dao();
    chain.by(2);
    for (more, why) in [
        (json!({"description": ""}), "a proposal needs a description"),
        (
            json!({"kind": "war"}),
            "a proposal is of kind text, add_member, remove_member or transfer",
        ),
        (
            json!({"kind": "transfer", "amount": 1}),
            "the proposal needs a target",
        ),
        (
            json!({"kind": "add_member", "target": wallet(1).to_string()}),
            "a role is student, teacher or admin",
        ),
        (json!({"amount": -1}), "an amount is not negative"),
        (
            json!({"period": -1}),
            "the voting period is 1 to 1000000 blocks",
        ),
        (
            json!({"period": 1_000_001}),
            "the voting period is 1 to 1000000 blocks",
        ),
        (
            json!({"quorum": 19}),
            "the quorum is 20 to 100 percent of the members",
        ),
        (
            json!({"threshold": 100}),
            "the threshold is 50 to 99 percent of the votes",
        ),
    ] {
        assert_eq!(chain.fails(propose(more.clone())), why, "{more}");
    }
    assert_eq!(
        chain.by(STRANGER).fails(propose(json!({}))),
        "only a member proposes"
    );
    assert_eq!(chain.by(2).fails(execute()), "there is no such proposal");
    let role = json!({"action": "add_member", "wallet": wallet(7).to_string(), "role": "king"});
    assert_eq!(
        chain.by(ADMIN).fails(role),
        "a role is student, teacher or admin"
    );
}

#[test]
fn what_was_decided_is_done_once() {
    let target = wallet(50).to_string();
    let member = format!("dao/member/{target}");
    let mut chain = dao();
    chain.by(2).ok(propose(
        json!({"kind": "add_member", "target": target, "role": "teacher"}),
    ));
    assert_eq!(decide(&mut chain, 3, 0), "passed");
    assert_eq!(
        chain.record(&member),
        json!({"wallet": target, "role": "teacher"})
    );

    let mut chain = dao();
    chain.by(2).ok(propose(
        json!({"kind": "remove_member", "target": wallet(9).to_string()}),
    ));
    assert_eq!(decide(&mut chain, 3, 0), "passed");
    assert_eq!(
        chain.record(&format!("dao/member/{}", wallet(9))),
        Value::Null
    );

    let mut chain = dao();
    chain.by(2).ok(propose(
        json!({"kind": "add_member", "target": target, "role": "teacher"}),
    ));
    assert_eq!(decide(&mut chain, 1, 2), "rejected");
    assert_eq!(chain.record(&member), Value::Null);
}

#[test]
fn the_treasury_pays_what_was_decided() {
    let target = wallet(50).to_string();
    let balance =
        |chain: &Chain, owner: &str| Account::load(&chain.world, owner).unwrap().balance.get();
    let mut chain = dao();
    let funds = Account {
        balance: Credits::new(100).unwrap(),
        seq: Seq::ZERO,
    };
    funds
        .store(&mut chain.world, &wallet(ADMIN).to_string())
        .unwrap();
    chain.by(2).ok(propose(
        json!({"kind": "transfer", "target": target, "amount": 60}),
    ));
    for seed in 2..=4 {
        chain.by(seed).ok(vote(true));
    }
    chain.height += 11;
    assert_eq!(
        chain.fails(execute()),
        "insufficient credits: contract:dao has 0, want 60"
    );
    chain
        .by(ADMIN)
        .ok(json!({"action": "transfer", "to": "contract:dao", "amount": 70}));
    chain.ok(execute());
    assert_eq!(balance(&chain, &target), 60);
    assert_eq!(balance(&chain, "contract:dao"), 10);
    assert_eq!(chain.fails(execute()), "the proposal was executed already");
}

#[test]
fn a_vote_with_a_description_opens_a_plain_proposal() {
    let mut chain = Chain::embedded("dev", &[]);
    let open = |id: &str, vote: Value| json!({"action": "vote_proposal", "proposal": {"id": id, "description": "more books", "vote": vote}});
    for (i, (given, approve)) in [
        (Value::Null, true),
        (json!(true), true),
        (json!("yes"), true),
        (json!(false), false),
        (json!("no"), false),
    ]
    .into_iter()
    .enumerate()
    {
        let receipt = chain.ok(open(&format!("P{i}"), given));
        assert_eq!(receipt.events.len(), 2);
        let record = chain.record(&format!("dao/proposal/P{i}"));
        assert_eq!((record["yes"] == 1, record["no"] == 1), (approve, !approve));
        assert_eq!(record["closes"], 107);
    }
    assert_eq!(
        chain.fails(open("P9", json!("maybe"))),
        "a vote is yes or no"
    );
    let unknown = json!({"action": "vote_proposal", "proposal": {"id": "P9"}});
    assert_eq!(chain.fails(unknown), "there is no such proposal");
    let transfer = json!({"action": "vote_proposal", "proposal": {"id": "P9", "description": "x", "kind": "transfer"}});
    assert_eq!(
        chain.fails(transfer),
        "a vote opens only a plain text proposal: use propose"
    );
}

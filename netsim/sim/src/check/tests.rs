//! Each check can fail.

use std::time::Duration;

use lyceum_protocol::{Address, Mined, Miner, SecretKey};

use super::*;
use crate::cast::Cast;

const NODE: &str = "node1";

/// A chain of two blocks, what the checker knows of it, and its tips.
fn world() -> (Cast, Chain, Checker, Vec<Tip>) {
    let cast = Cast::new(1, Duration::from_secs(1), 1).unwrap();
    let mut chain = empty_chain(&cast.spec).unwrap();
    let mut checker = Checker::new(&chain.tip().unwrap());
    let mut tips = vec![chain.tip().unwrap()];
    for _ in 0..2 {
        let (hash, claims, line) = mine(&cast, &chain, tips.len() as u64);
        checker.mined(hash, &claims).unwrap();
        chain.import(&line, Timestamp::MAX).unwrap();
        tips.push(chain.tip().unwrap());
    }
    (cast, chain, checker, tips)
}

fn mine(cast: &Cast, chain: &Chain, second: u64) -> (BlockHash, BlockClaims, String) {
    let key = SecretKey::from_seed(&[3; 32]);
    let now = cast.spec.genesis_time.saturating_add(second * 1_000);
    let miner = Address::from_bytes(key.public());
    let template = chain.template(miner, [], now).unwrap();
    let search = Miner::plain(&template.claims, &key, &cast.spec).unwrap();
    let Mined::Sealed(sealed) = search.mine(1 << 20) else {
        panic!("an easy target");
    };
    let line = template.line(&sealed.token);
    (sealed.hash, template.claims, line)
}

#[test]
fn a_good_chain_passes() {
    let (cast, chain, mut checker, tips) = world();
    for tip in &tips {
        checker.follows(0, NODE, tip).unwrap();
    }
    replay(NODE, &cast.spec, &chain.store().reader()).unwrap();
}

#[test]
fn a_tip_that_nobody_mined_is_a_violation() {
    let (_, _, mut checker, tips) = world();
    let hash = BlockHash::of(b"elsewhere");
    let tip = Tip { hash, ..tips[1] };
    let violation = checker.follows(0, NODE, &tip).unwrap_err();
    assert!(
        matches!(violation, Violation::UnknownBlock { .. }),
        "{violation}"
    );
}

#[test]
fn a_block_that_follows_nothing_is_a_violation() {
    let (_, _, mut checker, tips) = world();
    let (cast, chain, _, _) = world();
    let (hash, claims, _) = mine(&cast, &chain, 9);
    let height = claims.height.next();
    let off = BlockClaims {
        height,
        ..claims.clone()
    };
    let violation = checker.mined(hash, &off).unwrap_err();
    assert!(
        matches!(violation, Violation::BrokenChain { .. }),
        "{violation}"
    );
    let parent = BlockHash::of(b"elsewhere");
    let violation = checker.mined(hash, &BlockClaims { parent, ..claims });
    assert!(matches!(violation, Err(Violation::BrokenChain { .. })));
    checker.follows(0, NODE, &tips[2]).unwrap();
}

#[test]
fn two_states_of_one_tip_are_a_violation() {
    let (_, _, mut checker, tips) = world();
    let state_root = StateRoot::ZERO;
    let tip = Tip {
        state_root,
        ..tips[2]
    };
    checker.follows(0, NODE, &tips[2]).unwrap();
    let violation = checker.follows(1, "node2", &tip).unwrap_err();
    assert!(
        matches!(violation, Violation::StateRoot { .. }),
        "{violation}"
    );
}

#[test]
fn a_tip_s_work_neither_shrinks_nor_is_another() {
    let (_, _, mut checker, tips) = world();
    checker.follows(0, NODE, &tips[2]).unwrap();
    checker.follows(1, "node2", &tips[1]).unwrap();
    let violation = checker.follows(0, NODE, &tips[1]).unwrap_err();
    assert!(
        matches!(violation, Violation::LessWork { .. }),
        "{violation}"
    );
    let work = tips[0].work;
    let tip = Tip { work, ..tips[2] };
    let violation = checker.follows(1, "node2", &tip).unwrap_err();
    assert!(matches!(violation, Violation::Work { .. }), "{violation}");
}

#[test]
fn a_chain_by_other_rules_is_a_violation() {
    let (_, chain, _, _) = world();
    // The same chain with another difficulty: no block of it is valid.
    let other = Cast::new(1, Duration::from_secs(2), 1).unwrap();
    let violation = replay(NODE, &other.spec, &chain.store().reader()).unwrap_err();
    assert!(
        matches!(violation, Violation::InvalidChain { .. }),
        "{violation}"
    );
}

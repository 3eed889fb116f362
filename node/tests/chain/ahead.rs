//! Runs in which a block's state root is wrong: it is found while blocks are executed that stand on it.

use lyceum_node::core::ChainError;
use lyceum_protocol::{BlockLine, ChainSpec, StateRoot};
use lyceum_storage::Durability;

use crate::forge::*;

/// The lines with a block of another state root at `wrong`, and those after it linked anew.
pub(crate) fn forged(spec: &ChainSpec, lines: &[String], wrong: usize) -> Vec<String> {
    let mut forged = lines[..wrong].to_vec();
    for (index, line) in lines.iter().enumerate().skip(wrong) {
        let mut claims = header(spec, line).claims().clone();
        if index == wrong {
            claims.state_root = StateRoot::from_bytes([7; 32]);
        }
        if let Some(parent) = forged.last() {
            claims.parent = hash(parent);
        }
        let token = mine_token(spec, &claims, 1);
        forged.push(line.replacen(BlockLine::new(line).token(), &token, 1));
    }
    forged
}

fn check_wrong_root(spec: &ChainSpec, wrong: usize) {
    let mut source = chain(spec);
    let lines = extend(&mut source, 1, 20);
    let forged = forged(spec, &lines, wrong);
    let mut chain = chain(spec);
    let run: Vec<&str> = forged.iter().map(String::as_str).collect();
    let run = chain.import_run(&run, now(), Durability::Buffered);
    assert_eq!((run.done, run.new), (wrong, wrong));
    let bytes: usize = lines[..wrong].iter().map(|line| line.len() + 1).sum();
    assert_eq!(run.bytes, bytes as u64);
    let Some(ChainError::Block(error)) = run.error else {
        panic!("{:?}", run.error)
    };
    assert_eq!(error.reason(), "state_root");
    let good: Vec<_> = lines[..wrong].iter().map(|line| hash(line)).collect();
    assert_eq!(run.change.connected, good);
    {
        // Neither the block nor those ahead of it left anything.
        let view = chain.store().read();
        let tip = view.tip().unwrap().unwrap();
        assert_eq!(tip.height.get(), wrong as u64);
        assert_eq!(view.state_root().unwrap(), tip.state_root);
        for line in &forged[wrong..] {
            assert!(view.block(&hash(line)).unwrap().is_none());
            assert!(!chain.tree().contains(&hash(line)));
        }
        let student = |index: usize| view.record(&format!("learning/student/S1-{index}"));
        assert!(wrong == 0 || student(wrong - 1).unwrap().is_some());
        assert!(student(wrong).unwrap().is_none());
    }
    // It is refused again, and the right blocks are taken.
    let again = chain.import_run(&[&forged[wrong]], now(), Durability::Buffered);
    assert!(matches!(again.error, Some(ChainError::Block(_))));
    let run: Vec<&str> = lines.iter().map(String::as_str).collect();
    let run = chain.import_run(&run, now(), Durability::Synced);
    assert!(run.error.is_none());
    assert_eq!(chain.tip().unwrap(), source.tip().unwrap());
}

#[test]
fn a_wrong_root_takes_back_what_ran_ahead() {
    let spec = spec_with(|fields| fields.segment_blocks = 64);
    for wrong in [0, 1, 9, 19] {
        check_wrong_root(&spec, wrong);
    }
}

/// With short segments a block further on is refused for its infohash, for it is of the right chain: that is not what is told.
#[test]
fn the_first_wrong_block_is_named_not_a_later_one() {
    for wrong in [1, 8, 10] {
        check_wrong_root(&spec(), wrong);
    }
}

//! A branch that parts deeper than can be undone.

use lyceum_node::core::{Chain, ChainError};
use lyceum_protocol::{BatchSeed, ChainSpec};
use lyceum_storage::{Options, Store, StoreError};

use crate::forge::*;

#[test]
fn a_branch_from_below_what_can_be_undone_is_not_followed() {
    let spec = spec();
    let options = Options {
        reorg_depth_max: 3,
        ..Options::default()
    };
    let open = |spec: &ChainSpec, genesis| Ok(Store::in_memory(spec, genesis, &options));
    let mut shallow = Chain::open(spec.clone(), open, BatchSeed::new([9; 32])).unwrap();
    for line in extend(&mut chain(&spec), 1, 5) {
        shallow.import(&line, now()).unwrap();
    }
    let before = shallow.tip().unwrap();
    let longer = extend(&mut chain(&spec), 2, 8);
    let refused = longer
        .iter()
        .filter_map(|line| shallow.import(line, now()).err());
    let refused: Vec<_> = refused.collect();
    assert!(
        matches!(
            refused.first(),
            Some(ChainError::Store(StoreError::TooDeep { kept: 3, .. }))
        ),
        "{refused:?}"
    );
    assert_eq!(shallow.tip().unwrap(), before);
    // The chain goes on from where it was.
    let next = next_line(&shallow, 1, 2_000, Vec::new());
    shallow.import(&next, now()).unwrap();
    assert_eq!(shallow.tip().unwrap().hash, hash(&next));
}

//! A holder that vouches for the chain's true segments, and serves other bytes over BitTorrent.

use std::sync::Arc;

use crate::child::eventually;
use crate::garbage::Garbage;
use crate::inside::{Inside, miner, runtime};
use crate::liar::{Home, Liar};
use crate::lies::WRONG_BYTES;
use crate::spec::late_spec;

#[test]
fn who_serves_wrong_bytes_is_banned_and_others_serve_the_right_ones() {
    let runtime = runtime();
    let spec = Arc::new(late_spec(|_| {}));
    let old = Inside::start(&runtime, &spec, Vec::new(), miner(1, 100_000));
    eventually("a chain grows", || (old.height() >= 100).then_some(()));
    // It mines no more, so that what is sealed stands still.
    let old = old.restart(&runtime, Vec::new(), None);
    let joiner = Inside::start(&runtime, &spec, Vec::new(), None);
    let loopback = ([127, 0, 0, 1], 0).into();
    let home = Home {
        spec: (*spec).clone(),
        lines: old.lines(),
        victims: vec![joiner.address()],
        listen: Vec::new(),
        garbage: Some(runtime.block_on(Garbage::start(loopback))),
    };
    let mut liar = Liar::start(&runtime, home, WRONG_BYTES.lie);
    let sealed = old.node.handle().reader.read().sealed_segments();
    let sealed = sealed.unwrap().get();
    assert!(sealed >= 10);
    let reason = eventually("the liar is banned", || {
        liar.act();
        joiner.bans().get(&liar.name()).cloned()
    });
    assert_eq!((reason.as_str(), joiner.height()), (WRONG_BYTES.reason, 0));
    assert!(liar.told.contains(&joiner.node.addresses().peer_id));
    let failures = joiner.metric("lyceum_segment_fetch_failures_total{reason=\"wrong_bytes\"}");
    assert!(failures >= Some(1.0), "{failures:?}");

    // It reads the ledger of the honest one, which can't be opened anew until it is gone.
    liar.stop(&runtime);
    let old = old.restart(&runtime, vec![joiner.address()], None);
    let tip = old.standing().tip;
    eventually("the joiner has the chain", || {
        (joiner.standing().tip == tip).then_some(())
    });
    assert_eq!(joiner.standing().state_root, old.standing().state_root);
    let want = (sealed * u64::from(spec.segment_blocks) - 1) as f64;
    let torrent = joiner.imported("torrent");
    assert!(torrent > 0.95 * want, "{torrent} of {want} by torrent");
    assert_eq!(joiner.bans().len(), 1);
    assert!(old.bans().is_empty());
    joiner.stop(&runtime);
    old.stop(&runtime);
}

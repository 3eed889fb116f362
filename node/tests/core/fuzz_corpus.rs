//! The fuzz targets of the node, run for a moment on random messages and events.

use lyceum_node::core::wire::{Boundary, Refusal, Request, Response, Wire as _};
use proptest::prelude::*;

#[path = "../../../fuzz/node_checks.rs"]
mod checks;

/// A sequence of events in the form that the fuzz target reads.
fn script(events: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut input = Vec::new();
    for (kind, bytes) in events {
        let bytes = &bytes[..bytes.len().min(255)];
        input.extend([*kind, u8::try_from(bytes.len()).unwrap()]);
        input.extend(bytes);
    }
    input
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..80),
        any::<u64>().prop_map(|index| Request::Activate(index).encode()),
        (any::<u64>(), any::<u32>())
            .prop_map(|(from, limit)| Request::Segments { from, limit }.encode()),
        prop::collection::vec(any::<[u8; 32]>(), 0..4)
            .prop_map(|ids| Request::Transactions(ids).encode()),
        Just(Response::Refused(Refusal::Busy).encode()),
        prop::collection::vec("[a-z.~]{0,20}", 0..4)
            .prop_map(|lines| Response::Blocks(lines).encode()),
        (any::<u64>(), "[a-z.]{0,20}", any::<u64>()).prop_map(|(index, token, length)| {
            let pieces = vec![0; 20];
            let boundary = Boundary {
                index,
                token,
                length,
                pieces,
            };
            Response::Segments(vec![boundary]).encode()
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn messages_have_one_spelling(message in message()) {
        checks::wire(&message);
    }

    #[test]
    fn events_in_any_order_are_survived(
        events in prop::collection::vec((any::<u8>(), message()), 0..60),
    ) {
        checks::core_events(&script(&events));
    }
}

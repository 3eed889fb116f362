//! The bytes of every column family: a change of them is a change of the schema, and needs a new number.

use lyceum_protocol::{Address, BlockClaims, BlockLine, SecretKey};

use super::miner::{ids_of, spec};
use super::{Family, dump};
use crate::schema::SCHEMA;
use crate::{ConnectBlock, Durability, Options, StateChanges, Store, state_root_of};

const WANT: &str = include_str!("snapshot.txt");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Six blocks, the first four sealed, and one side block.
fn store() -> Store {
    let spec = spec();
    let key = SecretKey::from_seed(&[7; 32]);
    let change = |path: &str, record: &str| {
        let record = (!record.is_empty()).then(|| record.to_owned());
        StateChanges::from([(path.to_owned(), record)])
    };
    let first = change("c/r/a", r#"{"n":1}"#);
    let mut header = spec.genesis(state_root_of(&first));
    let mut store = Store::in_memory(&spec, header.hash(), &Options::default());
    let changes = [
        first,
        change("c/r/b", r#"{"n":2}"#),
        change("c/r/b", ""),
        change("c/s/é", r#"{"n":3}"#),
        change("c/r/a", r#"{"n":4}"#),
        StateChanges::new(),
    ];
    for (number, changes) in changes.into_iter().enumerate() {
        if number > 0 {
            let claims = BlockClaims {
                miner: Address::from_bytes(key.public()),
                height: header.claims().height.next(),
                parent: header.hash(),
                ..header.claims().clone()
            };
            header = claims.sign(&key, &spec).unwrap();
        }
        let line = match number {
            4 => format!("{}~tx-0~tx-1", header.token()),
            _ => header.token().to_owned(),
        };
        let receipts = match number {
            4 => vec![b"zero".to_vec(), b"one".to_vec()],
            _ => Vec::new(),
        };
        let mut batch = store.begin();
        let block = ConnectBlock {
            header: &header,
            line: BlockLine::new(&line),
            ids: &ids_of(&line),
            changes,
            receipts: &receipts,
        };
        batch.connect(block).unwrap();
        batch.commit(Durability::Buffered).unwrap();
    }
    // A side block: another child of the last but one.
    let claims = BlockClaims {
        timestamp: header.claims().timestamp.saturating_add(1),
        ..header.claims().clone()
    };
    let side = claims.sign(&key, &spec).unwrap();
    let mut batch = store.begin();
    let line = BlockLine::new(side.token());
    let work = side.claims().work();
    batch.put_side_block(&side, line, work).unwrap();
    batch.commit(Durability::Buffered).unwrap();
    let index = store.sealable().unwrap().unwrap();
    store.seal(index, Durability::Synced).unwrap();
    store
}

#[test]
fn the_bytes_of_every_family_are_those_of_the_schema() {
    assert_eq!(
        SCHEMA, 2,
        "a new schema has new bytes: write snapshot.txt anew"
    );
    let store = store();
    let dump = dump(&store);
    for family in Family::ALL {
        let entries = dump.keys().filter(|(name, _)| *name == family.name());
        assert!(entries.count() > 0, "nothing in {}", family.name());
    }
    let got = dump
        .iter()
        .map(|((family, key), value)| format!("{family} {} {}\n", hex(key), hex(value)));
    let got: String = got.collect();
    if std::env::var_os("LYCEUM_WRITE_SNAPSHOT").is_some() {
        std::fs::write("src/tests/snapshot.txt", &got).unwrap();
        return;
    }
    for (got, want) in got.lines().zip(WANT.lines()) {
        assert_eq!(got, want);
    }
    assert_eq!(got.len(), WANT.len());
}

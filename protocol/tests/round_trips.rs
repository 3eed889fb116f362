//! What is written is read back as it was, and nothing that was changed on the way is.

#![allow(clippy::unwrap_used)]

use lyceum_protocol::{
    Address, Amount, Bits, BlockClaims, ChainSpec, Hash, Header, InfoHash, SecretKey, Transaction,
    TxBody, TxClaims, UserId, Wallet, check_transaction, json,
};
use proptest::prelude::*;
use serde_json::Value;

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn amount<Unit>() -> impl Strategy<Value = Amount<Unit>> {
    prop_oneof![Just(0), Just((1 << 53) - 1), 0..1_u64 << 53]
        .prop_map(|value| Amount::new(value).unwrap())
}

fn hash<Kind>() -> impl Strategy<Value = Hash<Kind>> {
    any::<[u8; 32]>().prop_map(Hash::from_bytes)
}

/// JSON as a token may hold it, a few levels deep.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-((1_i64 << 53) - 1)..1 << 53).prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn body() -> impl Strategy<Value = TxBody> {
    let object = || prop::collection::btree_map("[a-z]{1,6}", value(), 0..4);
    let object = || object().prop_map(|map| Value::Object(map.into_iter().collect()));
    let text = prop_oneof![
        prop::collection::vec(object(), 1..=16)
            .prop_map(|actions| format!("{{\"actions\":{}}}", Value::from(actions))),
        object().prop_map(|contract| format!("{{\"contract\":{contract}}}")),
    ];
    text.prop_map(|text| TxBody::parse(&text).unwrap())
}

fn transaction() -> impl Strategy<Value = TxClaims> {
    (amount(), 0..50_000_000_u64, amount(), body()).prop_map(|(seq, gas, fee, body)| TxClaims {
        sender: Address::from_bytes(key().public()),
        seq,
        gas: Amount::new(gas).unwrap(),
        fee,
        body,
    })
}

proptest! {
    #[test]
    fn transactions(claims in transaction()) {
        let spec = ChainSpec::dev();
        let made = claims.sign(&key(), &spec).unwrap();
        prop_assert_eq!(made.claims(), &claims);
        let read = check_transaction(made.token(), &spec).unwrap();
        prop_assert_eq!(&*read, &made);
        // A tree is the same however it is written.
        let tree = json::parse_strict(&json::canonical(&claims.body.to_value()), 16).unwrap();
        prop_assert_eq!(tree, claims.body.to_value());
    }

    #[test]
    fn blocks(
        (height, parent, timestamp) in (amount(), hash(), amount()), bits: u32,
        (tx_root, state_root) in (hash(), hash()), segment: Option<[u8; 20]>, nonce in amount(),
    ) {
        let Ok(bits) = Bits::new(bits) else { return Ok(()) };
        let claims = BlockClaims {
            miner: Address::from_bytes(key().public()),
            height, parent, timestamp, bits, tx_root, state_root,
            segment: segment.map(InfoHash::from_bytes),
            nonce,
        };
        let spec = ChainSpec::dev();
        let made = claims.sign(&key(), &spec).unwrap();
        prop_assert_eq!(made.claims(), &claims);
        prop_assert_eq!(Header::decode(made.token(), &spec).unwrap(), made);
    }

    #[test]
    fn wallets(user_id in r"[^\s\p{Cc}/]{1,16}", issued_at in 0..1_u64 << 53) {
        let user_id: UserId = user_id.parse().unwrap();
        let made = Wallet::create(&key(), &user_id, issued_at).unwrap();
        prop_assert_eq!((made.user_id(), made.issued_at()), (&user_id, issued_at));
        prop_assert_eq!(made.address(), Address::from_bytes(key().public()));
        prop_assert_eq!(Wallet::decode(made.token()).unwrap(), made);
    }

    #[test]
    fn a_token_with_any_one_character_changed_is_refused(claims in transaction(), at: prop::sample::Index, to in "[A-Za-z0-9_.=~ -]") {
        let spec = ChainSpec::dev();
        let made: Transaction = claims.sign(&key(), &spec).unwrap();
        let at = at.index(made.token().len());
        let mut changed = made.token().to_owned();
        changed.replace_range(at..=at, &to);
        prop_assume!(changed != made.token());
        prop_assert!(check_transaction(&changed, &spec).is_err(), "{}", changed);
    }
}

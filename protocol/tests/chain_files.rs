//! Chain files: the embedded ones, and what is refused, by the field's name.

#![allow(clippy::unwrap_used)]

use lyceum_protocol::{ChainSpec, ChainSpecError, Gas, GenesisContract};
use serde_json::{Map, Value, json};

fn dev() -> Map<String, Value> {
    serde_json::from_str(include_str!("../chains/dev.json")).unwrap()
}

fn refusal(field: &str, value: Value) -> ChainSpecError {
    let mut members = dev();
    members.insert(field.to_owned(), value);
    ChainSpec::parse(&Value::Object(members).to_string()).unwrap_err()
}

#[test]
fn the_embedded_chains_are_as_specified() {
    let (dev, public) = (ChainSpec::dev(), ChainSpec::public());
    assert_eq!(ChainSpec::embedded("dev"), Some(dev.clone()));
    assert_eq!(ChainSpec::embedded("public"), Some(public.clone()));
    assert_eq!(ChainSpec::embedded("main"), None);
    let shape = |spec: &ChainSpec| {
        (
            spec.block_interval_ms,
            spec.segment_blocks,
            spec.segment_depth,
            spec.open,
            spec.rendezvous,
        )
    };
    assert_eq!(shape(&dev), (2_000, 64, 6, true, false));
    assert_eq!(shape(&public), (15_000, 1_024, 100, false, true));
    assert_eq!(public.max_block_bytes, 1 << 20);
    let names: Vec<_> = dev.contracts.iter().collect();
    assert_eq!(
        names,
        ["learning", "dao", "course_management"]
            .map(GenesisContract::BuiltIn)
            .each_ref()
    );
    // 2 s at a few thousand attempts a second.
    let attempts: u64 = dev.limit_bits.target().work().get().to();
    assert!((2_000..10_000).contains(&attempts), "{attempts}");
}

#[test]
fn writing_and_reading_is_the_identity() {
    for spec in [ChainSpec::dev(), ChainSpec::public()] {
        assert_eq!(ChainSpec::parse(&spec.to_json()), Ok(spec));
    }
    let mut fields = (*ChainSpec::dev()).clone();
    fields.chain = "my-net-2".parse().unwrap();
    fields.alloc = [(
        "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"
            .parse()
            .unwrap(),
        "7".parse::<u64>()
            .map(|c| lyceum_protocol::Credits::new(c).unwrap())
            .unwrap(),
    )]
    .into();
    fields.admins = fields.alloc.keys().copied().collect();
    fields.bootnodes = vec!["/dns4/example.org/tcp/4001".to_owned()];
    fields.trackers = vec!["udp://tracker.example.org:6969".to_owned()];
    fields.contracts.push(GenesisContract::Inline(
        json!({"contract": "mine", "records": {}, "actions": {}}),
    ));
    let spec = ChainSpec::new(fields).unwrap();
    assert_eq!(ChainSpec::parse(&spec.to_json()), Ok(spec));
}

#[test]
fn a_bad_field_is_named_with_the_reason() {
    let did = "did:key:z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp";
    for (field, value) in [
        ("chain", json!("Dev")),
        ("chain", json!("ab")),
        ("chain", json!("a".repeat(33))),
        ("chain", json!("dev\n")),
        ("chain", json!(1)),
        ("genesis_time", json!(-1)),
        ("genesis_time", json!("2026-11-22")),
        ("block_interval_ms", json!(0)),
        ("block_interval_ms", json!(99)),
        ("block_interval_ms", json!(86_400_001)),
        ("half_life_ms", json!(0)),
        ("half_life_ms", json!(1_999)),
        ("half_life_ms", json!(4_294_967_296_u64)),
        ("initial_bits", json!("1f100001")),
        ("initial_bits", json!("1F100000")),
        ("initial_bits", json!("1f000000")),
        ("limit_bits", json!("ff100000")),
        ("limit_bits", json!(521_142_272)),
        ("segment_blocks", json!(0)),
        ("segment_blocks", json!(65_537)),
        ("segment_depth", json!(0)),
        ("max_tx_bytes", json!(511)),
        ("max_block_bytes", json!(65_536)),
        ("max_block_bytes", json!(16_777_217)),
        ("block_gas", json!(0)),
        ("min_gas_price", json!(-1)),
        ("subsidy", json!(null)),
        ("alloc", json!([])),
        ("alloc", json!({"student123": 1})),
        ("alloc", json!({did: -1})),
        (
            "alloc",
            json!({did: 9_007_199_254_740_991_u64, "did:key:z6MkjchhfUsD6mmvni8mCdXHw216Xrm9bQe2mBH1P5RDjVJG": 1}),
        ),
        ("contracts", json!(["nonesuch"])),
        ("contracts", json!(["dao", "dao"])),
        ("contracts", json!(["dao", {"contract": "dao"}])),
        ("contracts", json!([{"actions": {}}])),
        ("contracts", json!([1])),
        ("open", json!(1)),
        ("admins", json!(["root"])),
        ("admins", json!([did, did])),
        ("bootnodes", json!(["example.org:4001"])),
        ("bootnodes", json!(["/dns4/a b"])),
        ("trackers", json!(["ftp://example.org"])),
        ("trackers", json!([format!("http://{}", "a".repeat(512))])),
        ("rendezvous", json!("yes")),
    ] {
        match refusal(field, value.clone()) {
            ChainSpecError::Field { field: got, why } => {
                assert_eq!(got, field, "{value}");
                assert!(!why.is_empty());
            }
            other => panic!("{field}: {value}: {other:?}"),
        }
    }
}

#[test]
fn each_field_is_needed_and_no_other_is_known() {
    assert_eq!(
        refusal("colour", json!("red")),
        ChainSpecError::Unknown("colour".to_owned())
    );
    let fields = dev();
    assert_eq!(fields.len(), 20);
    for field in fields.keys() {
        let mut members = dev();
        members.remove(field);
        let text = Value::Object(members).to_string();
        match ChainSpec::parse(&text) {
            Err(ChainSpecError::Missing(name)) => assert_eq!(name, field),
            other => panic!("{field}: {other:?}"),
        }
    }
}

#[test]
fn a_text_that_is_no_chain_file_is_refused() {
    let reason = |text: &str| ChainSpec::parse(text).unwrap_err().reason();
    assert_eq!(reason(""), "json_syntax");
    assert_eq!(reason("[]"), "chain_file_not_object");
    assert_eq!(reason(&" ".repeat((4 << 20) + 1)), "chain_file_size");
    let twice = include_str!("../chains/dev.json").replacen('{', "{\"open\":false,", 1);
    assert_eq!(reason(&twice), "duplicate_member");
    let float = include_str!("../chains/dev.json").replacen("2000", "2e3", 1);
    assert_eq!(reason(&float), "float");
    assert_eq!(Gas::new(1 << 53).unwrap_err().0, 1 << 53);
}

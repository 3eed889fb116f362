//! The published vectors of ASERT, and the properties that make it a difficulty rule.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use lyceum_protocol::{Asert, Bits, BitsError, Target, U256};
use proptest::prelude::*;

/// Runs one file of `vectors/asert`; gives the number of rows.
fn run_file(path: &Path) -> usize {
    let text = std::fs::read_to_string(path).unwrap();
    let field = |name: &str| -> &str {
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("##   {name}: ")));
        line.unwrap().rsplit(' ').next().unwrap()
    };
    let hex = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).unwrap();
    let anchor_height: u64 = field("anchor height").parse().unwrap();
    let asert = Asert {
        anchor: Bits::new(hex(field("anchor nBits"))).unwrap(),
        anchor_parent_time: field("anchor ancestor time").parse().unwrap(),
        spacing: 600,
        half_life: 172_800,
        limit: Bits::new(0x1d00_ffff).unwrap(),
    };
    let rows = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    rows.map(|row| {
        let row: Vec<&str> = row.split_whitespace().collect();
        let [_, height, time, want] = row[..] else {
            panic!("a row of 4 columns: {row:?}")
        };
        let blocks = height.parse::<u64>().unwrap() - anchor_height;
        let bits = asert.next_bits(time.parse().unwrap(), blocks);
        assert_eq!(bits.get(), hex(want), "{}: {row:?}", path.display());
    })
    .count()
}

#[test]
fn the_published_vectors_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/asert");
    let rows: usize = (1..=10)
        .map(|run| run_file(&folder.join(format!("run{run:02}"))))
        .sum();
    assert_eq!(rows, 3_000);
}

#[test]
fn compact_form_has_edges() {
    let bits = |text: &str| text.parse::<Bits>();
    assert_eq!(
        bits("1d00ffff").unwrap().target().get(),
        U256::from(0xffff) << 208
    );
    assert_eq!(bits("1D00ffff"), Err(BitsError::Text));
    assert_eq!(bits("1d00fff"), Err(BitsError::Text));
    assert_eq!(bits("1d80ffff"), Err(BitsError::Negative));
    assert_eq!(bits("1d000000"), Err(BitsError::Zero));
    assert_eq!(bits("00ffffff"), Err(BitsError::Negative));
    assert_eq!(bits("007fffff"), Err(BitsError::Zero));
    assert_eq!(bits("0100ffff"), Err(BitsError::Zero));
    assert_eq!(bits("22000100"), Err(BitsError::Overflow));
    assert_eq!(
        bits("220000ff").unwrap().target().get(),
        U256::from(0xff) << 248
    );
    assert_eq!(
        Bits::of(Target::new(U256::MAX).unwrap()).to_string(),
        "2100ffff"
    );
    assert_eq!(
        Bits::of(Target::new(U256::from(0x80)).unwrap()).to_string(),
        "02008000"
    );
    assert_eq!(Target::new(U256::MAX).unwrap().work().get(), U256::ONE);
    assert_eq!(
        Target::new(U256::ONE).unwrap().work().get(),
        U256::ONE << 255
    );
}

proptest! {
    #[test]
    fn compact_form_round_trips(raw: u32) {
        if let Ok(bits) = Bits::new(raw) {
            let again = Bits::of(bits.target());
            prop_assert_eq!(again.target(), bits.target());
            prop_assert_eq!(Bits::of(again.target()), again);
        }
    }

    #[test]
    fn any_times_give_a_target_within_the_limit(
        anchor: u32, limit: u32, parent: i64, time: i64, blocks: u64, spacing in 1_u32.., half_life in 1_u32..,
    ) {
        let (Ok(anchor), Ok(limit)) = (Bits::new(anchor), Bits::new(limit)) else { return Ok(()) };
        let asert = Asert { anchor, anchor_parent_time: parent, spacing, half_life, limit };
        prop_assert!(asert.next_bits(time, blocks).target() <= limit.target());
    }

    #[test]
    fn later_is_easier(time in 0_i64..1 << 50, later in 0_i64..1 << 50, blocks in 0_u64..1 << 30) {
        let asert = Asert {
            anchor: Bits::new(0x1e10_0000).unwrap(),
            anchor_parent_time: 0,
            spacing: 15_000,
            half_life: 4_320_000,
            limit: Bits::new(0x1f10_0000).unwrap(),
        };
        let (a, b) = (asert.next_bits(time, blocks), asert.next_bits(time + later, blocks));
        prop_assert!(a.target() <= b.target());
    }
}

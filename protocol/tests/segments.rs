//! Segments: written, read back line by line, and refused with the line's number.

#![allow(clippy::unwrap_used)]

use lyceum_protocol::{
    Address, BlockClaims, ChainSpec, Header, Height, Metainfo, MetainfoBuilder, SecretKey,
    SegmentIndex, SegmentReader, StateRoot, segment_heights,
};

fn spec() -> ChainSpec {
    let mut fields = (*ChainSpec::dev()).clone();
    fields.segment_blocks = 4;
    fields.max_block_bytes = 3_000;
    fields.max_tx_bytes = 900;
    ChainSpec::new(fields).unwrap()
}

/// The block lines of the first two segments; none with work, since reading a segment does not ask for it.
fn lines(spec: &ChainSpec) -> Vec<String> {
    let key = SecretKey::from_seed(&[7; 32]);
    let mut headers = vec![spec.genesis(StateRoot::ZERO)];
    while headers.len() < 8 {
        let last: &Header = headers.last().unwrap();
        let claims = BlockClaims {
            miner: Address::from_bytes(key.public()),
            height: last.claims().height.next(),
            parent: last.hash(),
            ..last.claims().clone()
        };
        headers.push(claims.sign(&key, spec).unwrap());
    }
    let lines = headers
        .iter()
        .map(|header| format!("{}~a~b", header.token()));
    lines.collect()
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// The number of lines that are good, and the line and name of what stops the reading.
type Read = (usize, Option<(u32, &'static str)>);

fn read(spec: &ChainSpec, index: u64, text: &[u8]) -> Read {
    let reader = SegmentReader::new(spec, SegmentIndex::new(index).unwrap(), text).unwrap();
    let (mut good, mut error) = (0, None);
    for line in reader {
        match line {
            Ok(_) => good += 1,
            Err(refused) => error = Some((refused.line, refused.kind.reason())),
        }
    }
    (good, error)
}

#[test]
fn a_segment_reads_back() {
    let spec = spec();
    let lines = lines(&spec);
    for index in [0, 1] {
        let lines = &lines[index * 4..index * 4 + 4];
        let text = text(lines);
        let number = SegmentIndex::new(index as u64).unwrap();
        let reader = SegmentReader::new(&spec, number, text.as_bytes()).unwrap();
        let read: Vec<_> = reader.map(|line| line.unwrap()).collect();
        let again: String = read
            .iter()
            .map(|line| format!("{}\n", line.line.as_str()))
            .collect();
        assert_eq!(again, text, "decode, then encode, is the identity");
        let heights = read.iter().map(|line| line.header.claims().height);
        assert!(heights.eq(segment_heights(&spec, number)));
        assert!(read[0].line.transactions().eq(["a", "b"]));

        let mut whole = MetainfoBuilder::new(&spec.chain, number);
        whole.update(text.as_bytes());
        let mut by_line = MetainfoBuilder::new(&spec.chain, number);
        lines.iter().for_each(|line| by_line.update_line(line));
        let torrent = whole.finish();
        assert_eq!(torrent, by_line.finish());
        let from_pieces = |length, pieces: &[u8]| {
            Metainfo::from_pieces(&spec.chain, number, length, pieces.to_vec())
        };
        let again = from_pieces(torrent.length(), torrent.pieces());
        assert_eq!(again, Some(torrent.clone()));
        assert_eq!(from_pieces(torrent.length(), &[0; 40]), None);
        assert_eq!(from_pieces(0, &[0; 20]), None);
    }
}

#[test]
fn refusals_name_the_line() {
    let spec = spec();
    let good = lines(&spec);
    let change = |at: usize, line: &str| {
        let mut lines = good[..4].to_vec();
        lines[at] = line.to_owned();
        text(&lines)
    };
    let whole = text(&good[..4]);
    let cases: Vec<(String, Read)> = vec![
        (whole.clone(), (4, None)),
        (String::new(), (0, Some((1, "segment_missing_lines")))),
        (text(&good[..3]), (3, Some((4, "segment_missing_lines")))),
        (text(&good[..5]), (4, Some((5, "segment_surplus")))),
        (whole.clone() + "\n", (4, Some((5, "segment_surplus")))),
        (
            whole[..whole.len() - 1].to_owned(),
            (3, Some((4, "segment_line_feed"))),
        ),
        (whole.replacen('\n', "\r\n", 1), (4, None)),
        (change(1, ""), (1, Some((2, "token_parts")))),
        (change(1, "~"), (1, Some((2, "token_parts")))),
        (change(2, &good[3]), (2, Some((3, "height")))),
        (change(3, &"A".repeat(3_001)), (3, Some((4, "block_size")))),
        (change(3, &"A".repeat(3_000)), (3, Some((4, "token_parts")))),
        (text(&good[4..]), (0, Some((1, "height")))),
    ];
    for (at, (text, want)) in cases.into_iter().enumerate() {
        // A carriage return belongs to the last transaction's token, which the block's rules refuse, not the reader.
        assert_eq!(read(&spec, 0, text.as_bytes()), want, "case {at}");
    }
    let mut bytes = whole.into_bytes();
    let second = good[0].len() + 1;
    bytes[second] = 0xff;
    assert_eq!(read(&spec, 0, &bytes), (1, Some((2, "line_text"))));
    let mut other = lines(&spec);
    let key = SecretKey::from_seed(&[8; 32]);
    let genesis = spec.genesis(StateRoot::from_bytes([1; 32]));
    let claims = BlockClaims {
        miner: Address::from_bytes(key.public()),
        height: Height::new(1).unwrap(),
        parent: genesis.hash(),
        ..genesis.claims().clone()
    };
    other[1] = claims.sign(&key, &spec).unwrap().token().to_owned();
    assert_eq!(
        read(&spec, 0, text(&other[..4]).as_bytes()),
        (1, Some((2, "parent")))
    );
}

#[test]
fn a_segment_beyond_the_last_height_is_refused() {
    let spec = spec();
    let error = SegmentReader::new(&spec, SegmentIndex::MAX, b"").unwrap_err();
    assert_eq!(error.kind.reason(), "segment_index");
}

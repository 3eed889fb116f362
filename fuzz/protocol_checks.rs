//! What must hold for any bytes at all. The fuzz targets and the quick tests of `protocol` share these functions.
//!
//! No input panics, and what is accepted is written back exactly as it was read.

use std::sync::LazyLock;

use lyceum_protocol::{
    BatchSeed, BlockLine, ChainSpec, Header, SegmentIndex, SegmentReader, Timestamp, Token,
    Transaction, TxBody, Wallet, check_block, check_transaction,
};

static DEV: LazyLock<ChainSpec> = LazyLock::new(ChainSpec::dev);

/// A chain of segments of two blocks.
static SHORT: LazyLock<ChainSpec> = LazyLock::new(|| {
    let mut fields = (**DEV).clone();
    fields.segment_blocks = 2;
    ChainSpec::new(fields).expect("within bounds")
});

/// A JWS has one spelling.
pub(crate) fn token(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let Ok(token) = Token::decode(text) else {
        return;
    };
    let encode = |bytes: &[u8]| base64_simd::URL_SAFE_NO_PAD.encode_to_string(bytes);
    let (header, claims) = token.signing_input().split_once('.').expect("two parts");
    assert_eq!(claims, encode(token.claims_text().as_bytes()));
    let again = format!("{header}.{claims}.{}", encode(token.signature()));
    assert_eq!(again, text);
}

/// A transaction keeps its token; its body reads alone as it does inside.
pub(crate) fn transaction(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let checked = check_transaction(text, &DEV);
    let Ok(transaction) = Transaction::decode(text, &DEV) else {
        assert!(checked.is_err());
        return;
    };
    assert_eq!(transaction.token(), text);
    let (name, body) = match &transaction.claims().body {
        TxBody::Actions(body) => ("actions", body),
        TxBody::Contract(body) => ("contract", body),
    };
    let alone = TxBody::parse(&format!("{{\"{name}\":{body}}}"));
    assert_eq!(alone.as_ref(), Ok(&transaction.claims().body));
    assert!(!transaction.claims().body.to_value().is_null());
}

/// A wallet keeps its token.
pub(crate) fn wallet(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    if let Ok(wallet) = Wallet::decode(text) {
        assert_eq!(wallet.token(), text);
        assert_eq!(
            wallet.user_id().as_str().parse().as_ref(),
            Ok(wallet.user_id())
        );
    }
}

/// A block line is its tokens and what stands between them.
pub(crate) fn block_line(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let line = BlockLine::new(text);
    let mut again = line.token().to_owned();
    for transaction in line.transactions() {
        again.push('~');
        again.push_str(transaction);
    }
    assert_eq!(again, text);
    let refused = check_block(
        text,
        &DEV,
        |_| None,
        Timestamp::MAX,
        &BatchSeed::new([0; 32]),
    );
    assert!(refused.is_err(), "its parent is unknown");
    if let Ok(header) = Header::decode(line.token(), &DEV) {
        assert_eq!(header.token(), line.token());
        let claims = header.claims().to_json("dev");
        let value: serde_json::Value = serde_json::from_str(&claims).expect("claims are JSON");
        let token = Token::decode(header.token()).expect("it decoded before");
        let theirs: serde_json::Value =
            serde_json::from_str(token.claims_text()).expect("claims are JSON");
        assert_eq!(value, theirs, "the claims are what was read");
    }
}

/// A segment that reads to its end is its lines.
pub(crate) fn segment(input: &[u8]) {
    let reader = SegmentReader::new(&SHORT, SegmentIndex::ZERO, input).expect("0 is in range");
    let lines: Vec<_> = reader.collect();
    assert!(lines.len() <= 3, "two lines, and what comes after");
    let lines: Result<Vec<_>, _> = lines.into_iter().collect();
    if let Ok(lines) = lines {
        let again: String = lines
            .iter()
            .map(|line| format!("{}\n", line.line.as_str()))
            .collect();
        assert_eq!(again.as_bytes(), input);
    }
}

/// A chain file that is accepted is written and read back to the same chain.
pub(crate) fn chain_file(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    if let Ok(spec) = ChainSpec::parse(text) {
        assert_eq!(ChainSpec::parse(&spec.to_json()).as_ref(), Ok(&spec));
    }
}

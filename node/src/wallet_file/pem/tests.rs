use proptest::prelude::*;

use super::*;

/// A moment's work, where strength does not matter.
const CHEAP: Cost = Cost { n: 2, r: 1, p: 1 };

/// The two examples of RFC 8410 section 10.3: one key, the second time with its public key and an attribute.
const VERSION_1: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const VERSION_2: &str = "-----BEGIN PRIVATE KEY-----
MHICAQEwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
oB8wHQYKKoZIhvcNAQkJFDEPDA1DdXJkbGUgQ2hhaXJzgSEAGb9ECWmEzf6FQbrB
Z9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PRIVATE KEY-----
";

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

fn encrypted(cost: Cost) -> Zeroizing<String> {
    encode(&key(), Protection::Passphrase(&passphrase("open")), cost).unwrap()
}

fn plain(text: &str) -> SecretKey {
    match KeyFile::parse(text).unwrap() {
        KeyFile::Plain(key) => key,
        KeyFile::Encrypted(_) => panic!("encrypted"),
    }
}

fn reason(text: &str) -> &'static str {
    KeyFile::parse(text).unwrap_err().reason()
}

fn open(text: &str, with: &str) -> Result<SecretKey, KeyFileError> {
    match KeyFile::parse(text).unwrap() {
        KeyFile::Plain(_) => panic!("plain"),
        KeyFile::Encrypted(key) => key.open(&passphrase(with)),
    }
}

#[test]
fn the_rfc_example_is_read_and_written() {
    let key = plain(VERSION_1);
    assert_eq!(*encode_key(&key, Protection::Plain).unwrap(), VERSION_1);
    assert_eq!(
        plain(&VERSION_1.replace('\n', "\r\n")).public(),
        key.public()
    );
    assert_eq!(plain(VERSION_2).public(), key.public());
}

#[test]
fn a_public_key_in_the_file_must_be_the_right_one() {
    let document = |public| {
        let seed = [9; 32];
        let pair = KeypairBytes {
            secret_key: seed,
            public_key: Some(ed25519::pkcs8::PublicKeyBytes(public)),
        };
        let document = pair.to_pkcs8_der().unwrap();
        to_pem(&document, PrivateKeyInfoRef::PEM_LABEL).unwrap()
    };
    let good = document(key().public());
    assert_eq!(plain(&good).public(), key().public());
    assert_eq!(reason(&document([1; 32])), "key_public");
}

#[test]
fn a_passphrase_opens_what_it_closed() {
    let text = encrypted(CHEAP);
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    assert_eq!(open(&text, "open").unwrap().public(), key().public());
    for wrong in 0..300 {
        // About one in 256 of them finds the padding right by chance.
        let error = open(&text, &wrong.to_string()).unwrap_err();
        assert_eq!(error.reason(), "wrong_passphrase");
    }
    assert_ne!(*encrypted(CHEAP), *text, "salt and vector are drawn anew");
}

#[test]
fn what_would_take_too_long_is_refused_before_it_is_tried() {
    for (n, r, p) in [(1 << 19, 8, 1), (1 << 14, 8, 1_000), (1 << 40, 1, 1)] {
        let parameters = ScryptParams {
            salt: Salt::new([0; 16]).unwrap(),
            cost_parameter: n,
            block_size: r,
            parallelization: p,
            key_length: None,
        };
        let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
        let kdf = Kdf::Scrypt(parameters);
        assert_eq!(scheme(kdf, encryption), Err("key_cost"), "{n} {r} {p}");
    }
    let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [0; 16] };
    for (rounds, verdict) in [(2_048, Ok(())), (10_000_001, Err("key_cost"))] {
        let kdf = pbes2::Pbkdf2Params::hmac_sha256(rounds, &[0; 8]).unwrap();
        assert_eq!(scheme(kdf.into(), encryption), verdict);
    }
}

fn scheme(kdf: Kdf, encryption: pbes2::EncryptionScheme) -> Result<(), &'static str> {
    let scheme = EncryptionScheme::Pbes2(pbes2::Parameters { kdf, encryption });
    let document = pkcs8::EncryptedPrivateKeyInfoRef {
        encryption_algorithm: scheme,
        encrypted_data: pkcs8::der::asn1::OctetStringRef::new(&[0; 64]).unwrap(),
    };
    let document = SecretDocument::encode_msg(&document).unwrap();
    let text = to_pem(&document, EncryptedPrivateKeyInfoRef::PEM_LABEL).unwrap();
    let parsed = KeyFile::parse(&text);
    parsed.map(drop).map_err(|error| error.reason())
}

#[test]
fn what_is_no_key_is_named() {
    assert_eq!(reason(""), "not_pem");
    assert_eq!(reason("eyJhbGciOiJFZERTQSJ9.e30.AAAA\n"), "card_for_key");
    assert_eq!(reason(&VERSION_1[..60]), "not_pem");
    let public = VERSION_1.replace("PRIVATE", "PUBLIC");
    assert_eq!(reason(&public), "pem_label");
    let mixed = VERSION_1.replace("PRIVATE", "ENCRYPTED PRIVATE");
    assert_eq!(reason(&mixed), "key_pkcs8");
    // X25519: one digit of the algorithm's number differs.
    let other = VERSION_1.replace("BQYDK2Vw", "BQYDK2Vu");
    assert_eq!(reason(&other), "key_algorithm");
}

#[test]
fn errors_do_not_show_secrets() {
    let text = format!("{:?} {:?}", passphrase("open"), plain(VERSION_1));
    assert!(!text.contains("open") && !text.contains("212"), "{text}");
}

proptest! {
    #[test]
    fn no_file_panics(at in 0..400_usize, byte in any::<u8>(), cut in 0..400_usize) {
        let text = encrypted(CHEAP);
        let mut bytes = text.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(bytes.len().max(cut));
        if let Ok(text) = String::from_utf8(bytes)
            && let Ok(KeyFile::Encrypted(key)) = KeyFile::parse(&text) {
            // A changed file opens as another key at worst: CBC has no seal.
            let _ = key.open(&passphrase("open"));
        }
    }
}

//! `lyceum wallet` as its users see it, and against OpenSSL.

#![allow(clippy::unwrap_used)] // all of it is test code

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use lyceum_node::wallet_file::{PassphraseSource, load_key, read_card};
use lyceum_protocol::Address;
use serde_json::Value;
use tempfile::TempDir;

/// Runs `lyceum wallet` with its folder in `dir`.
fn wallet(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lyceum"));
    command.args(["wallet", arguments[0], "--dir"]).arg(dir);
    command.args(&arguments[1..]).current_dir(dir);
    command.env("LYCEUM_PASSPHRASE", "correct horse");
    command.output().unwrap()
}

fn good(dir: &Path, arguments: &[&str]) -> String {
    let output = wallet(dir, arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

fn json(dir: &Path, arguments: &[&str]) -> Value {
    let text = good(dir, &[arguments, &["--json"]].concat());
    serde_json::from_str(&text).unwrap()
}

/// What a command that fails with status 1 says.
fn failure(dir: &Path, arguments: &[&str]) -> String {
    let output = wallet(dir, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

/// Runs OpenSSL; `None` where it is not installed.
fn openssl(dir: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(dir)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no openssl program here");
        return None;
    };
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments:?}: {error}");
    Some(output.stdout)
}

/// The address of the public key that OpenSSL finds in a key file.
fn address_by_openssl(dir: &Path, file: &str) -> Option<String> {
    let pass = "pass:correct horse";
    let arguments = [
        "pkey", "-in", file, "-passin", pass, "-pubout", "-outform", "DER",
    ];
    let der = openssl(dir, &arguments)?;
    let key: &[u8; 32] = der.last_chunk().unwrap();
    Some(Address::from_bytes(*key).to_string())
}

#[test]
fn a_new_wallet_is_encrypted_private_and_never_overwritten() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("deep/wallets");
    fs::create_dir(home.path().join("deep")).unwrap();
    fs::create_dir(&dir).unwrap();
    let made = json(&dir, &["new", "alice", "--user-id", "student123"]);
    assert_eq!(made["user_id"], "student123");
    assert_eq!(made["encrypted"], true);
    let (key, card) = (dir.join("alice.pem"), dir.join("alice.jwt"));
    assert_eq!((mode(&key), mode(&card)), (0o600, 0o644));
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "no drafts are left");
    assert_eq!(made, json(&dir, &["show", "alice"]));

    let address = made["address"].as_str().unwrap();
    assert_eq!(read_card(&card).unwrap().address().to_string(), address);
    let source = PassphraseSource::Text("correct horse".to_owned().into());
    let loaded = load_key(&key, &source).unwrap();
    assert_eq!(Address::from_bytes(loaded.public()).to_string(), address);
    if let Some(found) = address_by_openssl(&dir, "alice.pem") {
        assert_eq!(found, address);
    }

    let before = fs::read(&key).unwrap();
    assert!(failure(&dir, &["new", "alice"]).contains("alice.pem: exists already"));
    fs::remove_file(&card).unwrap();
    assert!(failure(&dir, &["new", "alice"]).contains("alice.pem: exists already"));
    assert_eq!(fs::read(&key).unwrap(), before);
    assert!(failure(&dir, &["show", "alice"]).contains("alice.jwt: missing"));
}

#[test]
fn a_folder_is_made_for_its_owner_alone() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("not/there");
    let mut command = Command::new(env!("CARGO_BIN_EXE_lyceum"));
    command
        .args(["wallet", "new", "a", "--plain", "--dir"])
        .arg(&dir);
    assert!(command.output().unwrap().status.success());
    assert_eq!(mode(&dir), 0o700);
}

#[test]
fn a_plain_key_is_checked_against_its_card() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let alice = json(dir, &["new", "alice", "--plain"]);
    assert_eq!(alice["verified"], true);
    assert_eq!(alice["user_id"], "alice");
    if let Some(found) = address_by_openssl(dir, "alice.pem") {
        assert_eq!(found, alice["address"].as_str().unwrap());
    }
    assert_eq!(json(dir, &["show", "./alice.jwt"]), {
        let mut shown = alice.clone();
        shown["card"] = "./alice.jwt".into();
        shown["key"] = "./alice.pem".into();
        shown
    });
    good(dir, &["new", "bob", "--plain"]);
    fs::copy(dir.join("bob.jwt"), dir.join("alice.jwt")).unwrap();
    assert!(failure(dir, &["show", "alice"]).contains("alice.jwt: the card of did:key:z6Mk"));
    let list = json(dir, &["list"]);
    assert!(list[0]["error"].as_str().unwrap().contains("the card of"));
    assert_eq!(list[1]["name"], "bob");
    let text = good(dir, &["list"]);
    assert!(text.contains("alice  damaged: ") && text.contains("bob    did:key:z6Mk"));
}

#[test]
fn a_card_alone_is_shown_too() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    good(dir, &["new", "alice", "--plain"]);
    let card = good(dir, &["export", "alice"]);
    assert_eq!(card, fs::read_to_string(dir.join("alice.jwt")).unwrap());
    fs::remove_file(dir.join("alice.pem")).unwrap();
    assert_eq!(json(dir, &["show", "alice"])["key"], Value::Null);
    assert!(good(dir, &["list"]).ends_with("alice  card only\n"));
    assert!(failure(dir, &["show", "nobody"]).contains("no such wallet"));
    assert!(failure(dir, &["export", "alice", "--secret"]).contains("alice.pem: cannot be read"));
}

#[test]
fn keys_that_openssl_made_are_imported() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    let made = ["genpkey", "-algorithm", "ed25519", "-out", "plain-key"];
    if openssl(dir, &made).is_none() {
        return;
    }
    let closed = [
        "pkey",
        "-in",
        "plain-key",
        "-aes256",
        "-passout",
        "pass:correct horse",
        "-out",
        "closed-key",
    ];
    openssl(dir, &closed).unwrap();
    let want = address_by_openssl(dir, "plain-key").unwrap();
    let one = json(dir, &["import", "one", "plain-key", "--plain"]);
    assert_eq!(
        (one["address"].as_str(), &one["verified"]),
        (Some(&*want), &true.into())
    );
    let two = json(dir, &["import", "two", "closed-key", "--user-id", "größe"]);
    assert_eq!(
        (two["address"].as_str(), &two["encrypted"]),
        (Some(&*want), &true.into())
    );
    assert_eq!(two["user_id"], "größe");
    assert_eq!(address_by_openssl(dir, "two.pem").unwrap(), want);

    // A card that there is may be kept, if it is the key's.
    let three = json(
        dir,
        &["import", "three", "two.pem", "--plain", "--card", "two.jwt"],
    );
    assert_eq!(three["user_id"], "größe");
    good(dir, &["new", "other", "--plain"]);
    let error = failure(
        dir,
        &[
            "import",
            "four",
            "two.pem",
            "--plain",
            "--card",
            "other.jwt",
        ],
    );
    assert!(error.contains("other.jwt: the card of"), "{error}");

    fs::write(dir.join("wrong"), "battery staple\n").unwrap();
    let wrong = [
        "import",
        "four",
        "two.pem",
        "--plain",
        "--passphrase-file",
        "wrong",
    ];
    assert!(failure(dir, &wrong).contains("two.pem: the passphrase does not open it"));
    let other = ["genpkey", "-algorithm", "x25519", "-out", "x-key"];
    openssl(dir, &other).unwrap();
    assert!(failure(dir, &["import", "four", "x-key"]).contains("want Ed25519"));
    assert!(failure(dir, &["import", "four", "two.jwt"]).contains("give the .pem file"));
    assert!(!dir.join("four.pem").exists() && !dir.join("four.jwt").exists());
}

#[test]
fn a_key_is_exported_with_a_warning_only() {
    let dir = TempDir::new().unwrap();
    let dir = dir.path();
    fs::write(dir.join("pass"), "horse\r\nnot this").unwrap();
    good(dir, &["new", "alice", "--passphrase-file", "pass"]);
    let output = wallet(dir, &["export", "alice", "--secret"]);
    assert_eq!(output.stdout, fs::read(dir.join("alice.pem")).unwrap());
    assert!(
        output
            .stderr
            .starts_with(b"warning: this is the private key")
    );

    let plain = [
        "export",
        "alice",
        "--secret",
        "--plain",
        "--passphrase-file",
        "pass",
        "--out",
    ];
    good(dir, &[&plain[..], &["open.pem"]].concat());
    assert_eq!(mode(&dir.join("open.pem")), 0o600);
    let text = fs::read_to_string(dir.join("open.pem")).unwrap();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    let again = failure(dir, &["export", "alice", "--out", "open.pem"]);
    assert!(again.contains("open.pem: exists already"));
}

#[test]
fn without_terminal_or_passphrase_it_says_what_to_do() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("empty"), "").unwrap();
    let error = failure(dir.path(), &["new", "alice", "--passphrase-file", "empty"]);
    assert!(error.contains("the passphrase is empty"), "{error}");
    let error = failure(
        dir.path(),
        &["new", "alice", "--passphrase-file", "nowhere"],
    );
    assert!(
        error.contains("nowhere: the passphrase cannot be read"),
        "{error}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn wrong_usage_has_status_2() {
    let dir = TempDir::new().unwrap();
    for arguments in [
        &["new", ".hidden"][..],
        &["new", "../up"],
        &["new", "a b"],
        &["new", "a", "--user-id", "a/b"],
        &["export", "a", "--plain"],
        &["import", "a", "key", "--card", "c", "--user-id", "u"],
        &["steal"],
    ] {
        let status = wallet(dir.path(), arguments).status.code();
        assert_eq!(status, Some(2), "{arguments:?}");
    }
    assert!(json(dir.path(), &["list"]).as_array().unwrap().is_empty());
}

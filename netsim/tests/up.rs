//! What `netsim up` refuses before it starts anything.
#![allow(clippy::unwrap_used)] // all of it is test code

use std::process::{Command, Output};

fn up(arguments: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_netsim"));
    run.arg("up")
        .args(arguments)
        .env("LYCEUM_BIN", "/bin/false");
    run.output().unwrap()
}

#[test]
fn a_folder_that_is_in_use_and_too_many_miners_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("mine"), "precious").unwrap();
    let done = up(&["--dir", dir.path().to_str().unwrap()]);
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("not empty"));
    assert_eq!(std::fs::read(dir.path().join("mine")).unwrap(), b"precious");
    let done = up(&["--nodes", "1", "--miners", "2"]);
    assert_eq!(done.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&done.stderr).contains("--nodes 2"));
}

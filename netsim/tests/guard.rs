//! A child ends when its parent does, however that happens.
#![allow(clippy::unwrap_used)] // all of it is test code

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Is there such a process, other than one that only waits to be looked at?
fn is_alive(id: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id).join("stat"));
    let state = stat
        .ok()
        .and_then(|stat| stat.rsplit_once(')')?.1.trim_start().chars().next());
    state.is_some_and(|state| state != 'Z')
}

#[test]
fn a_guarded_child_ends_with_its_parent() {
    let script = format!(
        "'{}' guard $$ sleep 600 <&- >&- & echo $!; wait",
        env!("CARGO_BIN_EXE_netsim")
    );
    let mut parent = Command::new("sh")
        .args(["-c", &script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = String::new();
    BufReader::new(parent.stdout.take().unwrap())
        .read_line(&mut child)
        .unwrap();
    let child = child.trim();
    // It has become the program.
    let deadline = Instant::now() + Duration::from_secs(60);
    let comm = Path::new("/proc").join(child).join("comm");
    while std::fs::read_to_string(&comm).unwrap().trim() != "sleep" {
        assert!(Instant::now() < deadline, "the program was not run");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(is_alive(child));
    // SIGKILL: the parent can do nothing about its children.
    parent.kill().unwrap();
    parent.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while is_alive(child) {
        assert!(
            Instant::now() < deadline,
            "process {child} has outlived its parent"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn nothing_is_run_for_a_parent_that_is_gone() {
    let done = Command::new(env!("CARGO_BIN_EXE_netsim"))
        .args(["guard", "1", "echo", "run"])
        .output()
        .unwrap();
    assert!(!done.status.success());
    assert_eq!(done.stdout, b"");
}

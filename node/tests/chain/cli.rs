//! `lyceum chain` on a ledger on disk: what is imported is exported again, to the byte, and a bad line is named.

use std::path::Path;
use std::process::{Command, Output};

use crate::forge::*;

fn lyceum(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lyceum"));
    command.arg("chain").args(arguments);
    command.arg("--data-dir").arg(folder.join("data"));
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_chain_goes_in_and_comes_out_again() {
    let (spec, folder) = (spec(), tempfile::tempdir().unwrap());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("net.json"), spec.to_json()).unwrap();
    let mut source = chain(&spec);
    let lines = extend(&mut source, 1, 20);
    let genesis = source
        .store()
        .read()
        .line_at(lyceum_protocol::Height::ZERO)
        .unwrap()
        .unwrap();
    let whole: String = [vec![genesis], lines]
        .concat()
        .iter()
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(path("whole"), &whole).unwrap();
    let damaged = whole.lines().enumerate().map(|(at, line)| match at {
        7 => format!("{line}~x\n"),
        _ => format!("{line}\n"),
    });
    std::fs::write(path("damaged"), damaged.collect::<String>()).unwrap();

    let none = lyceum(folder.path(), &["verify"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(
        stderr(&none).contains("lyceum chain init"),
        "{}",
        stderr(&none)
    );
    let made = lyceum(
        folder.path(),
        &["init", "--chain", &path("net.json"), "--json"],
    );
    assert!(made.status.success(), "{}", stderr(&made));
    let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["genesis"], source.store().genesis().to_string());

    let refused = lyceum(folder.path(), &["import", &path("damaged")]);
    assert_eq!(refused.status.code(), Some(1));
    let error = stderr(&refused);
    assert!(error.contains("line 8: tx_root"), "{error}");
    let taken = lyceum(folder.path(), &["import", &path("whole")]);
    assert!(
        stderr(&taken).contains("21 lines, 14 new; height 20"),
        "{}",
        stderr(&taken)
    );

    let given = lyceum(folder.path(), &["export", "-"]);
    assert_eq!(String::from_utf8(given.stdout).unwrap(), whole);
    let verified = lyceum(folder.path(), &["verify"]);
    assert!(verified.status.success(), "{}", stderr(&verified));
    let tip = source.tip().unwrap();
    assert!(stderr(&verified).contains(&format!("tip {}, state {}", tip.hash, tip.state_root)));

    let other = lyceum(folder.path(), &["init", "--chain", "dev"]);
    assert_eq!(other.status.code(), Some(1));
    assert!(
        stderr(&other).contains("another chain"),
        "{}",
        stderr(&other)
    );
}

//! Programs of other people.

use std::process::{Command, Stdio};

/// Runs a script of `.ci`; what it prints.
pub(crate) fn ci(script: &str, arguments: &[&str]) -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let made = Command::new(format!("{folder}/../.ci/{script}"))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(made.status.success(), ".ci/{script} {arguments:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

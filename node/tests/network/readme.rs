//! The commands of README.md, run as they stand there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::child::{NodeProcess, command, lyceum};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The code of a section of the README, block by block.
fn blocks(section: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, after) = text.split_once(&format!("\n## {section}\n")).unwrap();
    let section = after.split("\n## ").next().unwrap();
    let mut blocks = vec![Vec::new()];
    for line in section.lines() {
        match line.strip_prefix("    ") {
            Some(code) => blocks.last_mut().unwrap().push(code.to_owned()),
            None if blocks.last().unwrap().is_empty() => {}
            None => blocks.push(Vec::new()),
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// A user with an empty home, who has the program at hand.
struct Reader {
    home: tempfile::TempDir,
}

impl Reader {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        Self { home }
    }

    fn shell(&self, line: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_lyceum")).parent().unwrap();
        let path = std::env::var("PATH").unwrap();
        // Without the environment's own settings, as all tests' commands.
        let clean = command(&[]);
        let mut shell = Command::new("sh");
        for (name, _) in clean.get_envs() {
            shell.env_remove(name);
        }
        shell
            .args(["-c", line])
            .env("PATH", format!("{}:{path}", program.display()))
            .env("HOME", self.home.path())
            .env_remove("XDG_DATA_HOME")
            .current_dir(root())
            .stdin(Stdio::null());
        shell
    }

    /// What a command prints that succeeds.
    fn run(&self, line: &str) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.shell(line).output().unwrap();
        let said = String::from_utf8_lossy(&stderr);
        assert!(status.success(), "{line}: {said}");
        String::from_utf8(stdout).unwrap()
    }
}

/// From a wallet to a certificate. The node's ports are the only thing that differs: others may use those of the README.
#[test]
fn the_worked_example_works() {
    let reader = Reader::new();
    let [path, node, client, alone, ledger] = blocks("Use it").try_into().unwrap();
    assert!(path[0].starts_with("export PATH="), "{path:?}");
    let mut start = reader.shell(&format!("exec {}", node[0]));
    start
        .env("LYCEUM_HTTP", "127.0.0.1:0")
        .env("LYCEUM_LISTEN", "/ip4/127.0.0.1/tcp/0")
        .env("LYCEUM_TORRENT_LISTEN", "127.0.0.1:0")
        .env("LYCEUM_LOG_FORMAT", "json");
    let node = NodeProcess::spawn(None, start);
    node.wait_for("node started");
    let there = |line: &String| {
        let line = line.replace("127.0.0.1:8650", &node.http);
        line.replace("tx send", &format!("tx send --http {}", node.http))
    };
    let said: Vec<_> = client.iter().map(|line| reader.run(&there(line))).collect();
    let at = client.iter().position(|line| line.contains("learning/nft"));
    let certificate: Value = serde_json::from_str(&said[at.unwrap()]).unwrap();
    assert_eq!(certificate["name"], "Certificate of completion");
    let sends = client.iter().filter(|line| line.contains("tx send"));
    assert_eq!(sends.count(), 4);
    assert!(said.last().unwrap().contains("dev"), "{said:?}");
    assert_eq!(node.end("INT").code(), Some(0));

    let said: Vec<_> = alone.iter().map(|line| reader.run(line)).collect();
    assert_eq!(said.len(), 3);
    assert!(said[0].starts_with("Hi"), "{said:?}");
    let result: Value = serde_json::from_str(&said[2]).unwrap();
    assert_eq!(result["ok"], true);
    check_ledger(&reader, &ledger);
}

/// The ledger of the node that ran, as a text and back. The files are the only thing that differs: they lie in the reader's home.
fn check_ledger(reader: &Reader, commands: &[String]) {
    let home = reader.home.path().display();
    for line in commands {
        let line = line.replace("/tmp/copy", &format!("{home}/copy"));
        reader.run(&line.replace("chain.jwts", &format!("{home}/chain.jwts")));
    }
    reader.run(&format!(
        "lyceum chain export --data-dir {home}/copy {home}/again.jwts"
    ));
    let [text, again] = ["chain.jwts", "again.jwts"]
        .map(|file| std::fs::read_to_string(reader.home.path().join(file)).unwrap());
    assert!(
        text.lines().count() > 4,
        "four transactions, one after the other, and genesis"
    );
    assert_eq!(text, again);
}

#[test]
fn the_public_chain_s_node_takes_its_options() {
    let reader = Reader::new();
    for block in blocks("Join the public network") {
        for line in block {
            let settings = reader.run(&format!("{line} --print-config"));
            assert!(settings.contains("chain = \"public\""), "{settings}");
        }
    }
}

/// Every file that the README names is there.
#[test]
fn links_lead_somewhere() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let links = text.split("](").skip(1);
    let links: Vec<_> = links.map(|rest| rest.split(')').next().unwrap()).collect();
    assert!(links.len() > 8, "{links:?}");
    for link in links.iter().filter(|link| !link.contains("://")) {
        assert!(root().join(link).exists(), "{link}");
    }
}

/// Liars are a program of the tests' own: this one has no way to lie.
#[test]
fn the_program_can_t_lie() {
    for words in [
        &["liar"][..],
        &["node", "--lie", "no-work"],
        &["node", "--liar"],
    ] {
        let output = lyceum(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
    let help = lyceum(&["node", "--help"]);
    assert!(!String::from_utf8(help.stdout).unwrap().contains("liar"));
}

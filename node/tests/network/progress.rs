//! How far a sync has come, as its user sees it: a bar on a terminal, log lines elsewhere.

use std::io::Read as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};

use crate::child::{NodeProcess, eventually, folder_of};
use crate::inside::{Inside, miner, runtime};
use crate::spec::late_spec;

/// Slow enough that the sync takes some seconds.
const RATE: [&str; 2] = ["--torrent-download-rate", "32768"];

/// A node on a terminal; killed when dropped.
struct OnTerminal {
    script: Child,
    pieces: mpsc::Receiver<String>,
}

impl OnTerminal {
    fn start(folder: &Path, bootnode: &str) -> Self {
        let script = format!("{}/tests/network/terminal.py", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new("python3");
        // Where there is none, nothing is drawn.
        command.env("TERM", "xterm");
        command.arg(script).arg(env!("CARGO_BIN_EXE_lyceum"));
        command.args(["node", "--http", "127.0.0.1:0", "--bootnode", bootnode]);
        command.arg("--chain").arg(folder.join("chain.json"));
        command.arg("--data-dir").arg(folder.join("data"));
        command.args(["--torrent-listen", "127.0.0.1:0"]);
        command.args(["--listen", "/ip4/127.0.0.1/tcp/0"]);
        let mut script = command
            .args(RATE)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut shown = script.stdout.take().unwrap();
        let (sender, pieces) = mpsc::channel();
        std::thread::spawn(move || {
            let mut piece = [0; 4_096];
            while let Ok(length @ 1..) = shown.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..length]).into_owned();
                print!("{text}");
                if sender.send(text).is_err() {
                    return;
                }
            }
        });
        Self { script, pieces }
    }

    /// Presses Ctrl-C, and waits for the end.
    fn interrupt(&mut self) -> ExitStatus {
        let pid = self.script.id().to_string();
        let sent = Command::new("kill").args(["-s", "TERM", &pid]).status();
        assert!(sent.unwrap().success());
        eventually("the node ends", || self.script.try_wait().unwrap())
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.script.kill();
        let _ = self.script.wait();
    }
}

/// The numbers of a bar such as `segments: 11 segments to come, 2 on their way, 0.1 MB/s, 32 blocks/s, 5 s left`.
fn bar(shown: &str) -> Option<[f64; 5]> {
    let (_, rest) = shown.rsplit_once("segments: ")?;
    let (missing, rest) = rest.split_once(" segments to come, ")?;
    let (active, rest) = rest.split_once(" on their way, ")?;
    let (megabytes, rest) = rest.split_once(" MB/s, ")?;
    let (blocks, rest) = rest.split_once(" blocks/s, ")?;
    let (seconds, _) = rest.split_once(" s left")?;
    let numbers = [missing, active, megabytes, blocks, seconds].map(str::parse);
    numbers
        .into_iter()
        .collect::<Result<Vec<f64>, _>>()
        .ok()?
        .try_into()
        .ok()
}

#[test]
fn a_sync_is_shown_on_a_terminal_and_logged_elsewhere() {
    let runtime = runtime();
    let spec = Arc::new(late_spec(|fields| {
        fields.segment_blocks = 16;
        fields.segment_depth = 4;
    }));
    let old = Inside::start(&runtime, &spec, Vec::new(), miner(1, 100_000));
    eventually("a chain grows", || (old.height() >= 300).then_some(()));
    let old = old.restart(&runtime, Vec::new(), None);
    let bootnode = old.address().to_string();

    let folder = folder_of(&spec);
    let logged = NodeProcess::start(
        folder.path(),
        &[&["--bootnode", &bootnode], &RATE[..]].concat(),
    );
    let line = logged.wait_for("syncing");
    assert!(["boundaries", "segments"].contains(&line["phase"].as_str().unwrap()));
    let (height, target) = (line["height"].as_u64(), line["target_height"].as_u64());
    assert!(height < target && target >= Some(300), "{line}");
    for member in [
        "segments_missing",
        "segments_active",
        "megabytes_per_second",
        "blocks_per_second",
    ] {
        assert!(line[member].is_number(), "{member}: {line}");
    }
    assert_eq!(logged.end("INT").code(), Some(0));

    let folder = folder_of(&spec);
    let mut node = OnTerminal::start(folder.path(), &bootnode);
    let mut shown = String::new();
    let [missing, _, _, blocks, seconds] = eventually("the bar", || {
        shown.extend(node.pieces.try_iter());
        bar(&shown)
    });
    assert!(missing >= 1.0 && blocks >= 1.0 && seconds >= 1.0);
    assert_eq!(node.interrupt().code(), Some(0));
    eventually("what it showed at last", || {
        shown.extend(node.pieces.try_iter());
        shown.contains("node stopped").then_some(())
    });
    // Text for people around the bar, no JSON.
    assert!(
        shown.contains("node started") && !shown.contains("{\""),
        "{shown}"
    );
}

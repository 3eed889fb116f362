//! `lyceum` as a child process.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use lyceum_protocol::ChainSpec;
use serde_json::Value;

/// Long enough for any machine; nothing waits so long where all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `look` gives something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The program, without any setting of the environment's.
pub(crate) fn command(arguments: &[&str]) -> Command {
    command_in(None, arguments)
}

/// The same, in a network namespace if one is named.
pub(crate) fn command_in(space: Option<&str>, arguments: &[&str]) -> Command {
    let program = env!("CARGO_BIN_EXE_lyceum");
    let mut command = match space {
        None => Command::new(program),
        Some(space) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", space, program]);
            command
        }
    };
    let own = std::env::vars_os().map(|(name, _)| name);
    for name in own.filter(|name| name.to_string_lossy().starts_with("LYCEUM_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    command
}

pub(crate) fn lyceum(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// The output of a command that succeeds.
pub(crate) fn good(arguments: &[&str]) -> String {
    let output = lyceum(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&good(arguments)).unwrap()
}

/// What a command says that ends with this status.
pub(crate) fn failure(status: i32, arguments: &[&str]) -> String {
    let output = lyceum(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{arguments:?}: {error}");
    error
}

/// A running `lyceum node`; killed when dropped.
pub(crate) struct NodeProcess {
    child: Child,
    /// The network namespace that it is in, if any.
    space: Option<String>,
    /// The API's address.
    pub(crate) http: String,
    /// Every log line, as it comes.
    pub(crate) lines: mpsc::Receiver<String>,
}

impl NodeProcess {
    /// Starts a node of the chain file in `folder`, on ports of loopback that the system chooses.
    pub(crate) fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::start_in(None, folder, arguments)
    }

    /// The same, in a network namespace if one is named.
    pub(crate) fn start_in(space: Option<&str>, folder: &Path, arguments: &[&str]) -> Self {
        let node = Self::open_in(space, folder, arguments);
        node.wait_for("node started");
        node
    }

    /// Starts a node, and waits until its API listens: its ledger may not be open yet.
    pub(crate) fn open_in(space: Option<&str>, folder: &Path, arguments: &[&str]) -> Self {
        let first = ["node", "--log-format", "json", "--http", "127.0.0.1:0"];
        let mut command = command_in(space, &first);
        command.args(["--chain"]).arg(folder.join("chain.json"));
        command.args(["--data-dir"]).arg(folder.join("data"));
        command.args(["--torrent-listen", "127.0.0.1:0"]);
        if !arguments.contains(&"--listen") {
            command.args(["--listen", "/ip4/127.0.0.1/tcp/0"]);
        }
        let mut child = command
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                // Shown where the test fails.
                println!("{line}");
                let _ = sender.send(line);
            }
        });
        let mut node = Self {
            child,
            space: space.map(ToOwned::to_owned),
            http: String::new(),
            lines,
        };
        let listening = node.wait_for("API listening");
        node.http = listening["http"].as_str().unwrap().to_owned();
        node
    }

    /// Waits for a log line, and gives it.
    pub(crate) fn wait_for(&self, message: &str) -> Value {
        eventually(message, || {
            let mut lines = std::iter::from_fn(|| self.lines.try_recv().ok());
            lines.find_map(|line| {
                let line: Value = serde_json::from_str(&line).ok()?;
                (line["message"] == message).then_some(line)
            })
        })
    }

    /// The answer of `lyceum status`.
    pub(crate) fn status(&self) -> Value {
        let arguments = ["status", "--json", "--http", &self.http];
        let output = command_in(self.space.as_deref(), &arguments)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn height(&self) -> u64 {
        self.status()["height"].as_u64().unwrap()
    }

    pub(crate) fn wait_for_height(&self, height: u64) {
        eventually("the chain grows", || {
            (self.height() >= height).then_some(())
        });
    }

    pub(crate) fn wait_for_peers(&self, peers: u64) {
        eventually("so many peers", || {
            (self.status()["peers"] == peers).then_some(())
        });
    }

    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status();
        assert!(sent.unwrap().success());
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> ExitStatus {
        eventually("the node ends", || self.child.try_wait().unwrap())
    }

    /// Sends a signal, and waits for the end.
    pub(crate) fn end(self, signal: &str) -> ExitStatus {
        self.signal(signal);
        self.ended()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder with a chain file in it.
pub(crate) fn folder_of(spec: &ChainSpec) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("chain.json"), spec.to_json()).unwrap();
    folder
}

pub(crate) fn text(path: PathBuf) -> String {
    path.to_str().unwrap().to_owned()
}

//! Child processes that never outlive netsim.
//!
//! Each child is started through `netsim guard`, which asks the kernel to end it when netsim ends, however that happens, and then becomes
//! the program itself. Children stand in process groups of their own, so that a Ctrl-C on the terminal reaches netsim alone, which stops
//! them in good order.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use rustix::process::{Pid, Signal, getppid, kill_process, set_parent_process_death_signal};

/// How long a child may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How often a stopping child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How much of the end of a log is shown when its process has failed, in lines.
const LOG_LINES_SHOWN: usize = 12;

/// `netsim guard`.
#[derive(Debug, Args)]
pub(crate) struct Guard {
    /// The parent; where another has taken its place already, the program does not start
    parent: i32,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

impl Guard {
    /// Becomes the program.
    pub(crate) fn run(self) -> anyhow::Result<bool> {
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let parent = getppid().map(Pid::as_raw_nonzero).map(i32::from);
        anyhow::ensure!(parent == Some(self.parent), "the parent is gone");
        let (program, arguments) = self.command.split_first().context("no program")?;
        let error = Command::new(program).args(arguments).exec();
        Err(error).with_context(|| format!("{}: cannot be run", Path::new(program).display()))
    }
}

/// A running child.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; what it prints goes to the end of the file `log`. `before` stands before it on the command line.
    ///
    /// To be called from the main thread: the kernel ends the child when the thread ends that started it.
    pub(crate) fn start(
        name: &str,
        before: &[OsString],
        program: &Path,
        arguments: &[OsString],
        log: &Path,
    ) -> anyhow::Result<Self> {
        let mut file = OpenOptions::new();
        let file = file.create(true).append(true).open(log);
        let file = file.with_context(|| format!("{}: cannot be written", log.display()))?;
        let netsim = std::env::current_exe().context("where is netsim's own program?")?;
        let mut command = Command::new(netsim);
        without_variables(&mut command);
        let child = command
            .arg("guard")
            .arg(std::process::id().to_string())
            .args(before)
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn();
        Ok(Self {
            name: name.to_owned(),
            child: child.with_context(|| format!("{name} cannot be started"))?,
            log: log.to_owned(),
        })
    }

    /// Fails if the process has ended, with what it printed last.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let said = std::fs::read(&self.log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n  ");
        anyhow::bail!(
            "{} has ended by itself ({}); the end of {}:\n  {last}",
            self.name,
            how(status),
            self.log.display()
        )
    }

    /// Asks it to stop.
    pub(crate) fn ask_to_stop(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it at once, and waits for it.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        // It fails only where there is no such child.
        let _ = self.child.wait();
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(id) = id {
            // The child is not yet waited for, so that its id is still its own; it may have ended, which is what we want.
            let _ = kill_process(id, signal);
        }
    }

    /// Waits for it to stop, and kills it where it takes too long.
    ///
    /// # Errors
    /// It had to be killed, or said that it failed.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + STOP_WITHIN;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let name = &self.name;
                anyhow::ensure!(status.success(), "{name} stopped with {}", how(status));
                return Ok(());
            }
            if Instant::now() >= deadline {
                self.kill();
                let (name, seconds) = (&self.name, STOP_WITHIN.as_secs());
                anyhow::bail!("{name} did not stop within {seconds} s, and was killed");
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// Keeps the user's own `LYCEUM_*` variables from a node's settings: they would have the last word.
pub(crate) fn without_variables(command: &mut Command) {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.as_encoded_bytes().starts_with(b"LYCEUM_")) {
        command.env_remove(name);
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no exit status".to_owned(),
    }
}

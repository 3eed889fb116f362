//! What `netsim up` and `netsim run` have in common: options, a folder, and how they end.

use std::fmt::Display;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::folder::Folder;
use crate::stop::Stop;
use crate::verdict::Verdict;

/// Options of both.
#[derive(Debug, Args)]
pub(crate) struct Common {
    /// What chance follows from: the same seed, the same calls, and the same faults of links
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Keep all files in this new or empty folder [default: a temporary one, deleted unless something went wrong]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
    /// The program `lyceum` [default: the one beside netsim]
    #[arg(long, value_name = "FILE", env = "LYCEUM_BIN")]
    lyceum: Option<PathBuf>,
    /// Print the result as JSON; progress goes to standard error
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a network is played.
#[derive(Debug, Clone)]
pub(crate) struct Stage {
    /// The program `lyceum`.
    pub(crate) lyceum: PathBuf,
    /// The folder, from the root.
    pub(crate) dir: PathBuf,
    /// Says whether the user has asked to stop.
    pub(crate) stop: Stop,
}

impl Common {
    /// Has `play` run a network, and prints what it gives; true where all went well. Elsewhere the folder stays.
    ///
    /// # Errors
    /// What `play` fails with, and where there is no `lyceum`, or no folder.
    pub(crate) fn perform<T: Serialize + Display + AsRef<Verdict>>(
        &self,
        play: impl FnOnce(Stage) -> anyhow::Result<T>,
    ) -> anyhow::Result<bool> {
        let stop = Stop::on_signals()?;
        let lyceum = self.lyceum.clone();
        let lyceum = find(lyceum, "lyceum", "lyceum-node", "--lyceum FILE")?;
        let folder = Folder::make(self.dir.clone())?;
        let dir = folder.path()?;
        let stage = Stage {
            lyceum,
            dir: dir.clone(),
            stop,
        };
        let played = match play(stage) {
            Ok(played) => played,
            Err(error) => {
                folder.keep();
                return Err(error.context(format!("see the logs in {}", dir.display())));
            }
        };
        match self.json {
            true => println!("{}", serde_json::to_string(&played)?),
            false => print!("\n{played}"),
        }
        let is_good = played.as_ref().is_good();
        if !is_good {
            folder.keep();
            eprintln!("what there is to see lies in {}", dir.display());
        }
        Ok(is_good)
    }
}

/// Finds a program: the one given, or the one beside netsim.
///
/// # Errors
/// There is none; it says how to build it.
pub(crate) fn find(
    given: Option<PathBuf>,
    beside: &str,
    package: &str,
    option: &str,
) -> anyhow::Result<PathBuf> {
    let path = match given {
        Some(path) => path,
        None => std::env::current_exe()?.with_file_name(beside),
    };
    let shown = path.display();
    anyhow::ensure!(
        path.exists(),
        "{shown}: no such program; build it with `cargo build -p {package}`, or say where it is with {option}"
    );
    // A child may run in another folder.
    std::fs::canonicalize(&path).with_context(|| shown.to_string())
}

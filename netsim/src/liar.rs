//! Byzantine peers: processes of `lyceum-liar`, an example of the node's crate, for the program `lyceum` can't lie.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::local::Local;
use crate::node::{Node, Place};
use crate::process::Process;
use crate::stage::find;
use crate::stop::Stop;

/// How long a liar may take to start.
const START_WITHIN: Duration = Duration::from_secs(60);
/// How often a starting liar is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Finds the program.
///
/// # Errors
/// It is not built.
pub(crate) fn find_liar(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let package = "lyceum-node --example lyceum-liar";
    find(given, "examples/lyceum-liar", package, "--liar FILE")
}

/// A peer that lies.
pub(crate) struct Liar {
    /// What it lies about, which is its name, too.
    pub(crate) name: String,
    place: Place,
    folder: PathBuf,
    process: Process,
}

/// What a liar says of itself: `liar.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Confession {
    /// Its name among libp2p's.
    peer_id: String,
    /// The peers that it has told a lie.
    told: BTreeSet<String>,
}

/// What became of a liar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// The honest nodes that it has lied to.
    pub told: BTreeSet<String>,
    /// Those that have banned it, with the reasons.
    pub banned_by: BTreeMap<String, String>,
}

impl Liar {
    /// Starts a liar, which lies to all of `victims`, and waits until it listens.
    ///
    /// # Errors
    /// Where it can't be started, or has ended by itself: there is no such lie.
    pub(crate) fn start(
        program: &Path,
        local: &Local,
        name: &str,
        place: Place,
        follow: SocketAddr,
        victims: &[Node],
        stop: &Stop,
    ) -> anyhow::Result<Self> {
        let folder = local.dir.join(name);
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{}: cannot be made", folder.display()))?;
        let mut arguments: Vec<OsString> = vec!["--chain".into(), local.chain_file.clone().into()];
        arguments.extend(["--folder".into(), folder.clone().into()]);
        let (p2p, torrent) = (place.ports.p2p, place.ports.torrent);
        let words = format!(
            "--follow {follow} --ip {} --port {p2p} --torrent-port {torrent}",
            place.host
        );
        arguments.extend(words.split(' ').map(OsString::from));
        let victims = victims.iter().filter_map(Node::multiaddress);
        arguments.extend(victims.flat_map(|victim| ["--victim".into(), victim.into()]));
        arguments.push(name.into());
        let log = folder.join("log");
        let process = Process::start(name, &place.before, program, &arguments, &log)?;
        let mut liar = Self {
            name: name.to_owned(),
            place,
            folder,
            process,
        };
        let deadline = Instant::now() + START_WITHIN;
        while !liar.confession_file().exists() {
            liar.process.check_alive()?;
            anyhow::ensure!(!stop.is_set(), "asked to stop");
            anyhow::ensure!(Instant::now() < deadline, "{name} does not start");
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(liar)
    }

    fn confession_file(&self) -> PathBuf {
        self.folder.join("liar.json")
    }

    fn confession(&self) -> anyhow::Result<Confession> {
        let path = self.confession_file();
        let text = std::fs::read(&path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }

    /// Where others find it.
    ///
    /// # Errors
    /// Where its file can't be read.
    pub(crate) fn multiaddress(&self) -> anyhow::Result<String> {
        Ok(self.place.multiaddress(&self.confession()?.peer_id))
    }

    /// Fails where it has ended by itself.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        self.process.check_alive()
    }

    /// Ends it.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Whom it has lied to, and who has banned it for that. `names` tells the honest nodes by their peer ids.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub(crate) fn expose(
        &self,
        nodes: &[Node],
        names: &BTreeMap<&str, &str>,
    ) -> anyhow::Result<Exposure> {
        let confession = self.confession()?;
        let told = confession.told.iter();
        let told = told.filter_map(|peer| names.get(peer.as_str()));
        let mut banned_by = BTreeMap::new();
        for node in nodes {
            let reason = node.bans()?.remove(&confession.peer_id);
            banned_by.extend(reason.map(|reason| (node.name.clone(), reason)));
        }
        Ok(Exposure {
            told: told.map(|name| (*name).to_owned()).collect(),
            banned_by,
        })
    }
}

impl Exposure {
    /// What is wrong with it: a liar that nobody has heard proves nothing, and whoever it lied to must have banned it.
    pub(crate) fn faults(&self, liar: &str) -> Vec<String> {
        if self.told.is_empty() {
            return vec![format!("{liar} has told nobody its lie")];
        }
        let told = self.told.iter();
        let trusting = told.filter(|node| !self.banned_by.contains_key(*node));
        trusting
            .map(|node| format!("{node} has not banned {liar}, which lied to it"))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_liar_that_somebody_trusts_or_nobody_hears_is_a_fault() {
        let [one, two, late] = ["node1", "node2", "late"].map(str::to_owned);
        let banned_by = [&one, &two, &late].map(|node| (node.clone(), "work".to_owned()));
        let mut exposure = Exposure {
            told: [one, two].into(),
            banned_by: banned_by.into(),
        };
        assert_eq!(exposure.faults("no-work"), Vec::<String>::new());
        exposure.banned_by.remove("node2");
        let faults = exposure.faults("no-work");
        assert_eq!(faults, ["node2 has not banned no-work, which lied to it"]);
        exposure.told.clear();
        assert_eq!(exposure.faults("no-work").len(), 1);
    }
}

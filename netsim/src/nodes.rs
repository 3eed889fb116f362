//! The nodes of a network, from their start to the verdict on them.

use std::collections::BTreeMap;

use crate::client::Client;
use crate::load::{Load, Tally, Targets};
use crate::local::Local;
use crate::node::{Node, Place, stop_all};
use crate::stage::Stage;
use crate::verdict::{Verdict, agree};
use crate::watch::{View, look};

/// The nodes, and what starts more of them.
pub(crate) struct Nodes {
    /// The network's files.
    pub(crate) local: Local,
    /// All that were started.
    pub(crate) all: Vec<Node>,
    /// The addresses that a new node starts from.
    pub(crate) bootnodes: Vec<String>,
    /// The nodes that transactions are handed in to.
    pub(crate) targets: Targets,
    stage: Stage,
}

impl Nodes {
    /// Makes the network's files, with nobody on it yet.
    ///
    /// # Errors
    /// Where a file can't be written, or `lyceum` fails.
    pub(crate) fn new(stage: Stage, miners: usize) -> anyhow::Result<Self> {
        Ok(Self {
            local: Local::create(&stage.dir, &stage.lyceum, miners)?,
            all: Vec::new(),
            bootnodes: Vec::new(),
            targets: Targets::default(),
            stage,
        })
    }

    /// Starts a node; the first one is waited for, since the others find it by its peer id, which it makes when it starts.
    ///
    /// # Errors
    /// Where a file can't be written, or the program can't be started.
    pub(crate) fn start(
        &mut self,
        name: &str,
        place: Place,
        miner: Option<usize>,
    ) -> anyhow::Result<&Node> {
        let (lyceum, local) = (&self.stage.lyceum, &self.local);
        let mut node = Node::start(lyceum, local, name, place, miner, &self.bootnodes)?;
        if self.bootnodes.is_empty() {
            node.wait_until_up(&self.stage.stop)?;
            self.bootnodes.extend(node.multiaddress());
        }
        self.all.push(node);
        Ok(&self.all[self.all.len() - 1])
    }

    /// Waits until all answer that have not been killed.
    ///
    /// # Errors
    /// One has ended, or takes too long, or the user has asked to stop.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        let mut up = self.all.iter_mut().filter(|node| node.is_up);
        up.try_for_each(|node| node.wait_until_up(&self.stage.stop))
    }

    /// Starts a load of calls, handed in to all nodes that there are.
    ///
    /// # Errors
    /// Where the system has no thread.
    pub(crate) fn load(&mut self, seed: u64, rate: f64) -> anyhow::Result<Load> {
        for node in &self.all {
            self.targets.add(node.client.clone());
        }
        let people = std::mem::take(&mut self.local.people);
        let targets = self.targets.clone();
        let mut load = Load::prepare(seed, rate, &self.local.spec, people, targets);
        load.begin()?;
        Ok(load)
    }

    /// Fails where a node has ended by itself.
    pub(crate) fn check_alive(&mut self) -> anyhow::Result<()> {
        let mut up = self.all.iter_mut().filter(|node| node.is_up);
        up.try_for_each(|node| node.process().check_alive())
    }

    /// Those that have not been killed, to be asked.
    pub(crate) fn clients(&self) -> Vec<(String, Client)> {
        let up = self.all.iter().filter(|node| node.is_up);
        up.map(|node| (node.name.clone(), node.client.clone()))
            .collect()
    }

    /// Asks those that have not been killed where they stand, and takes down who they are.
    pub(crate) fn look(&mut self) -> Vec<View> {
        let views = look(&self.clients());
        for (node, view) in self.all.iter_mut().filter(|node| node.is_up).zip(&views) {
            node.know(view);
        }
        views
    }

    /// Waits for the nodes to agree, and counts.
    ///
    /// # Errors
    /// One that agrees does not answer.
    pub(crate) fn judge(&mut self, tally: Tally) -> anyhow::Result<(Verdict, Vec<View>)> {
        let clients = self.clients();
        let mut verdict = Verdict::new(clients.len(), agree(&clients), tally);
        let views = self.look();
        if let (Some(common), Some((_, client))) = (&verdict.agreement, clients.first()) {
            verdict.transactions = client.count_transactions(common.height)?;
        }
        verdict.reorganisations = views.iter().map(View::reorganisations).sum();
        verdict.faults.extend(self.quarrels()?);
        if let Err(error) = self.check_alive() {
            verdict.faults.push(format!("{error:#}"));
        }
        Ok((verdict, views))
    }

    /// Who is called what, by peer id.
    pub(crate) fn names(&self) -> BTreeMap<&str, &str> {
        let named = self.all.iter();
        named
            .filter_map(|node| Some((node.peer_id()?, node.name.as_str())))
            .collect()
    }

    /// The bans of honest nodes by honest nodes: there must be none.
    fn quarrels(&self) -> anyhow::Result<Vec<String>> {
        let (names, mut quarrels) = (self.names(), Vec::new());
        for node in &self.all {
            for (peer, reason) in node.bans()? {
                if let Some(other) = names.get(peer.as_str()) {
                    quarrels.push(format!("{} has banned {other}: {reason}", node.name));
                }
            }
        }
        Ok(quarrels)
    }

    /// Stops all, in good order; gives what each did wrong.
    pub(crate) fn stop(&mut self) -> Vec<String> {
        let unclean = stop_all(&mut self.all);
        unclean.iter().map(|error| format!("{error:#}")).collect()
    }
}

//! The core's thread.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tracing::error;

use super::inbox::{Inbox, Input};
use super::notices::Announcer;
use super::outbox::Outbox;
use crate::clock;
use crate::core::{Action, ChainError, Core, Event, Notice, SubmitRefusal};
use crate::handle::{NodeCommand, Standing};
use crate::network::ReplyId;

use lyceum_protocol::TxId;

/// How long the core's thread answers what has come before a stop.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// Who waits for the fate of a transaction.
type Waiting = oneshot::Sender<Result<TxId, SubmitRefusal>>;

/// The core, with all that is needed to serve it.
pub(super) struct CoreThread {
    pub(super) core: Core,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    pub(super) announcer: Announcer,
    pub(super) standing: watch::Sender<Standing>,
    pub(super) runtime: Handle,
    pub(super) submitters: Submitters,
}

/// Those who wait for the fate of their transactions.
#[derive(Default)]
pub(super) struct Submitters {
    last: u64,
    waiting: BTreeMap<ReplyId, Waiting>,
}

impl Submitters {
    fn add(&mut self, reply: Waiting) -> ReplyId {
        self.last += 1;
        let id = ReplyId(self.last);
        self.waiting.insert(id, reply);
        id
    }
}

impl CoreThread {
    /// Runs until it is told to stop, then closes the ledger.
    ///
    /// # Errors
    /// [`ChainError`]: the node can't go on, or the ledger can't be closed.
    pub(super) fn run(mut self, first: Vec<Action>) -> Result<(), ChainError> {
        let served = self.perform_all(first).and_then(|()| self.serve());
        if let Err(error) = &served {
            error!(%error, "the node can't go on");
        }
        // Its threads end here, and mine nothing more.
        self.outbox.miner = None;
        let drained = served.and_then(|()| self.drain());
        let closed = self.core.into_chain().close();
        drained.and(closed)
    }

    fn serve(&mut self) -> Result<(), ChainError> {
        loop {
            match self.runtime.block_on(self.inbox.next()) {
                Input::Stop => return Ok(()),
                Input::Event(event) => self.step(*event)?,
                Input::Command(command) => self.answer(command)?,
            }
        }
    }

    /// Answers what was asked before the stop, and keeps what was mined.
    fn drain(&mut self) -> Result<(), ChainError> {
        let begun = Instant::now();
        self.inbox.commands.close();
        self.inbox.mined.close();
        while let Ok(mined) = self.inbox.mined.try_recv() {
            let (template, token) = (mined.template, mined.token);
            self.step(Event::Mined { template, token })?;
        }
        while let Ok(command) = self.inbox.commands.try_recv()
            && begun.elapsed() < DRAIN_MAX
        {
            self.answer(command)?;
        }
        Ok(())
    }

    fn step(&mut self, event: Event) -> Result<(), ChainError> {
        let is_tick = matches!(event, Event::Tick);
        let begun = Instant::now();
        let actions = self.core.step(clock::now(), event)?;
        let is_one_block =
            |action: &Action| matches!(action, Action::Notice(Notice::Tip { blocks: 1, .. }));
        if actions.iter().any(is_one_block) {
            self.announcer.metrics.block_validated(begun.elapsed());
        }
        self.perform_all(actions)?;
        if is_tick {
            self.count_attempts();
            self.show_standing()?;
        }
        Ok(())
    }

    fn perform_all(&mut self, actions: Vec<Action>) -> Result<(), ChainError> {
        let mut stands_elsewhere = false;
        for action in actions {
            match self.outbox.perform(action, &mut self.inbox.own) {
                None => {}
                Some(Action::Continue) => self.inbox.go_on_later(),
                Some(Action::Submitted { reply, result }) => {
                    if let Some(waiting) = self.submitters.waiting.remove(&reply) {
                        // Who asked may have gone.
                        let _ = waiting.send(result);
                    }
                }
                Some(Action::Notice(notice)) => {
                    stands_elsewhere |= self.announcer.tell(notice, clock::now());
                }
                Some(other) => error!(?other, "an action that nobody does"),
            }
        }
        match stands_elsewhere {
            true => self.show_standing(),
            false => Ok(()),
        }
    }

    fn answer(&mut self, command: NodeCommand) -> Result<(), ChainError> {
        // Whoever asked may have gone: an answer that nobody takes is dropped.
        match command {
            NodeCommand::Submit { token, reply } => {
                let reply = self.submitters.add(reply);
                self.step(Event::Submit { reply, token })?;
            }
            NodeCommand::Pending { id, reply } => {
                let _ = reply.send(self.core.mempool().transaction(&id).cloned());
            }
            NodeCommand::Mempool {
                after,
                limit,
                reply,
            } => {
                let pending = self.core.mempool().after(after).take(limit);
                let _ = reply.send(pending.cloned().collect());
            }
            NodeCommand::NextSeq { sender, reply } => {
                let _ = reply.send(self.core.next_seq(&sender)?);
            }
        }
        Ok(())
    }

    fn show_standing(&mut self) -> Result<(), ChainError> {
        let announcer = &mut self.announcer;
        let rate = announcer.meter.per_second(Instant::now());
        let standing = self.core.standing(rate, announcer.reorganisations)?;
        self.standing.send_replace(standing);
        Ok(())
    }

    fn count_attempts(&mut self) {
        if let Some(made) = self.outbox.new_attempts() {
            self.announcer.metrics.mining_attempts(made);
        }
    }
}

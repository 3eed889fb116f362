//! A steady load: calls are signed and handed in to the nodes in turn, at a set rate, until asked to stop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lyceum_protocol::ChainSpec;

use crate::client::{Answer, Client};
use crate::stop::Stop;
use crate::wallets::Person;

pub mod accounts;
pub mod calls;

use accounts::Accounts;
use calls::{Call, Calls};

/// How often the ledger is asked which transactions it has.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a sender's next transaction may be pending before it is handed in again, to another node.
const LOST_AFTER: Duration = Duration::from_secs(8);

/// What became of the load.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Transactions that a node took.
    pub taken: u64,
    /// Transactions that were handed in once more.
    pub again: u64,
    /// Those refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Those taken, by what they call.
    pub kinds: BTreeMap<&'static str, u64>,
}

impl Tally {
    /// A node took a call.
    pub fn take(&mut self, call: &Call) {
        self.taken += 1;
        *self.kinds.entry(call.kind).or_default() += 1;
    }

    /// A call was refused.
    pub fn refuse(&mut self, reason: &str) {
        *self.refused.entry(reason.to_owned()).or_default() += 1;
    }
}

/// The nodes that transactions are handed in to; more may come.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets(Arc<Mutex<Vec<Client>>>);

impl Targets {
    /// Hands in to this node too from now on.
    pub(crate) fn add(&self, client: Client) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(client);
    }

    /// The node whose turn it is.
    fn turn(&self, turn: usize) -> Option<Client> {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = turn.checked_rem(clients.len())?;
        clients.get(at).cloned()
    }
}

/// The load, at work in a thread of its own once it has begun.
pub(crate) struct Load {
    stop: Stop,
    tally: Arc<Mutex<Tally>>,
    pause: Duration,
    sender: Option<Sender>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// Makes it: `rate` calls a second.
    pub(crate) fn prepare(
        seed: u64,
        rate: f64,
        spec: &ChainSpec,
        people: Vec<Person>,
        targets: Targets,
    ) -> Self {
        let (stop, tally) = (Stop::default(), Arc::default());
        let sender = Sender {
            calls: Calls::new(seed, &people),
            accounts: Accounts::new(spec.clone(), people),
            started: Instant::now(),
            targets,
            turn: 0,
            tally: Arc::clone(&tally),
            stop: stop.clone(),
        };
        Self {
            stop,
            tally,
            pause: Duration::from_secs_f64(1.0 / rate),
            sender: Some(sender),
            thread: None,
        }
    }

    /// Starts it, once.
    ///
    /// # Errors
    /// Where the system has no thread.
    pub(crate) fn begin(&mut self) -> anyhow::Result<()> {
        let Some(sender) = self.sender.take() else {
            return Ok(());
        };
        let pause = self.pause;
        let thread = std::thread::Builder::new().name("load".to_owned());
        let thread = thread.spawn(move || sender.run(pause));
        self.thread = Some(thread.context("the load needs a thread")?);
        Ok(())
    }

    /// What became of it so far.
    pub(crate) fn tally(&self) -> Tally {
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Ends it.
    ///
    /// # Errors
    /// Where it ended by itself, by a fault of its own.
    pub(crate) fn stop(&mut self) -> anyhow::Result<Tally> {
        self.stop.set();
        if let Some(thread) = self.thread.take() {
            let end = thread.join();
            end.map_err(|_| anyhow::anyhow!("the load has ended by a fault of its own"))?;
        }
        Ok(self.tally())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.set();
    }
}

struct Sender {
    calls: Calls,
    accounts: Accounts,
    started: Instant,
    targets: Targets,
    turn: usize,
    tally: Arc<Mutex<Tally>>,
    stop: Stop,
}

impl Sender {
    fn run(mut self, pause: Duration) {
        let mut next = Instant::now();
        let mut look = next + LOOK_EVERY;
        while !self.stop.is_set() {
            let call = self.calls.draw();
            if self.accounts.has_room(call.sender) {
                self.send(&call);
            }
            if Instant::now() >= look {
                self.look_after();
                look = Instant::now() + LOOK_EVERY;
            }
            next = (next + pause).max(Instant::now());
            self.stop.sleep_until(next);
        }
    }

    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn target(&mut self) -> Option<Client> {
        self.turn += 1;
        self.targets.turn(self.turn)
    }

    /// Signs a call and hands it in. A refusal that is about the call leaves the `seq` to the next.
    fn send(&mut self, call: &Call) {
        let Some(client) = self.target() else { return };
        let Ok(token) = self.accounts.sign(call, self.turn) else {
            return self.count(|tally| tally.refuse("unsigned"));
        };
        match client.submit(&token) {
            Ok(Answer::Taken) => {
                let now = self.started.elapsed();
                self.accounts.taken(call.sender, token, now);
                self.count(|tally| tally.take(call));
            }
            Ok(Answer::Refused(reason)) => {
                if let Some(seq) = self.seq(&client, call.sender) {
                    self.accounts.refused(call.sender, seq);
                }
                self.count(|tally| tally.refuse(&reason));
            }
            Err(_) => self.count(|tally| tally.refuse("no_answer")),
        }
    }

    /// The `seq` of a sender's next transaction, by a node's ledger.
    fn seq(&self, client: &Client, sender: usize) -> Option<u64> {
        let address = self.accounts.person(sender).address;
        client.seq(&address.to_string()).ok()
    }

    /// Forgets what is in the chain, and hands in again what got lost.
    fn look_after(&mut self) {
        for sender in self.accounts.waiting() {
            if self.stop.is_set() {
                return;
            }
            let Some(client) = self.target() else { return };
            let Some(seq) = self.seq(&client, sender) else {
                continue;
            };
            let when = (self.started.elapsed(), LOST_AFTER);
            if let Some(token) = self.accounts.settle(sender, seq, when) {
                // The answer "it is pending already" is as good as any.
                let _ = client.submit(token);
                self.count(|tally| tally.again += 1);
            }
        }
    }
}

//! The load: the calls of `netsim run`'s people, in virtual time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lyceum_netsim::load::Tally;
use lyceum_netsim::load::accounts::Accounts;
use lyceum_netsim::load::calls::{Call, Calls};
use lyceum_netsim::wallets::Person;
use lyceum_protocol::ChainSpec;
use lyceum_storage::Reader;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::node::Order;

/// How often the ledger is asked which transactions it has, in block intervals.
const LOOK_EVERY: u32 = 2;
/// How long a sender's next transaction may be pending before it is handed in again, to another node, in block intervals.
const LOST_AFTER: u32 = 8;

/// A node that takes transactions.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) reader: Reader,
}

/// The nodes that transactions are handed in to, by their numbers. Clones are the same ones.
#[derive(Clone, Default)]
pub(crate) struct Targets(Arc<Mutex<BTreeMap<usize, Target>>>);

impl Targets {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, Target>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, number: usize, target: Target) {
        self.lock().insert(number, target);
    }

    pub(crate) fn remove(&self, number: usize) {
        self.lock().remove(&number);
    }

    /// The node whose turn it is.
    fn turn(&self, turn: usize) -> Option<Target> {
        let targets = self.lock();
        let at = turn.checked_rem(targets.len())?;
        targets.values().nth(at).cloned()
    }
}

/// The load at work.
pub(crate) struct Load {
    tally: Arc<Mutex<Tally>>,
    task: JoinHandle<()>,
}

impl Load {
    /// Starts it: `rate` calls a second.
    pub(crate) fn start(
        sim_seed: u64,
        rate: f64,
        spec: &Arc<ChainSpec>,
        people: Vec<Person>,
        targets: Targets,
    ) -> Self {
        let tally = Arc::default();
        let sender = Sender {
            calls: Calls::new(sim_seed, &people),
            accounts: Accounts::new(ChainSpec::clone(spec), people),
            started: Instant::now(),
            interval: Duration::from_millis(u64::from(spec.block_interval_ms)),
            targets,
            turn: 0,
            tally: Arc::clone(&tally),
        };
        let pause = Duration::from_secs_f64(1.0 / rate);
        let task = tokio::spawn(sender.run(pause));
        Self { tally, task }
    }

    /// Ends it, and says what became of it.
    pub(crate) fn stop(self) -> Tally {
        self.task.abort();
        self.tally
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

struct Sender {
    calls: Calls,
    accounts: Accounts,
    started: Instant,
    interval: Duration,
    targets: Targets,
    turn: usize,
    tally: Arc<Mutex<Tally>>,
}

impl Sender {
    async fn run(mut self, pause: Duration) {
        let mut next = Instant::now();
        let mut look = next;
        loop {
            next += pause;
            sleep_until(next).await;
            let call = self.calls.draw();
            if self.accounts.has_room(call.sender) {
                self.send(&call).await;
            }
            if Instant::now() >= look {
                self.look_after().await;
                look = Instant::now() + self.interval * LOOK_EVERY;
            }
        }
    }

    fn count(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn target(&mut self) -> Option<Target> {
        self.turn += 1;
        self.targets.turn(self.turn)
    }

    /// Signs a call and hands it in. A refusal that is about the call leaves the `seq` to the next.
    async fn send(&mut self, call: &Call) {
        let Some(target) = self.target() else { return };
        let Ok(token) = self.accounts.sign(call, self.turn) else {
            return self.count(|tally| tally.refuse("unsigned"));
        };
        match submit(&target, &token).await {
            Some(Ok(())) => {
                let now = self.started.elapsed();
                self.accounts.taken(call.sender, token, now);
                self.count(|tally| tally.take(call));
            }
            Some(Err(reason)) => {
                if let Some(seq) = seq_of(&target.reader, self.accounts.person(call.sender)) {
                    self.accounts.refused(call.sender, seq);
                }
                self.count(|tally| tally.refuse(reason));
            }
            None => self.count(|tally| tally.refuse("no_answer")),
        }
    }

    /// Forgets what is in the chain, and hands in again what got lost.
    async fn look_after(&mut self) {
        for sender in self.accounts.waiting() {
            let Some(target) = self.target() else { return };
            let Some(seq) = seq_of(&target.reader, self.accounts.person(sender)) else {
                continue;
            };
            let when = (self.started.elapsed(), self.interval * LOST_AFTER);
            if let Some(token) = self.accounts.settle(sender, seq, when) {
                // The answer "it is pending already" is as good as any.
                let _ = submit(&target, token).await;
                self.count(|tally| tally.again += 1);
            }
        }
    }
}

/// Hands a transaction in; `None` where the node is gone.
async fn submit(target: &Target, token: &str) -> Option<Result<(), &'static str>> {
    let (reply, answer) = oneshot::channel();
    let token = token.to_owned();
    let order = Order::Submit { token, reply };
    target.orders.send(order).await.ok()?;
    let answer = answer.await.ok()?;
    Some(answer.map(drop).map_err(|refusal| refusal.reason()))
}

/// The `seq` of somebody's next transaction, by a node's ledger; 0 where it does not know them.
fn seq_of(reader: &Reader, person: &Person) -> Option<u64> {
    let path = format!("credits/account/{}", person.address);
    let record = reader.read().record(&path).ok()?;
    let Some(record) = record else { return Some(0) };
    let record: serde_json::Value = serde_json::from_str(&record).ok()?;
    record["seq"].as_u64()
}

//! A steady load: calls are signed and handed in to the nodes in turn, at a set rate, until asked to stop.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lyceum_protocol::{ChainSpec, Credits, Gas, Seq, Transaction, TxBody, TxClaims};

use crate::client::{Answer, Client};
use crate::stop::Stop;
use crate::wallets::Person;

pub mod calls;

use calls::Calls;

/// Gas for any of the calls.
const GAS: u64 = 1_000_000;
/// How often the ledger is asked which transactions it has.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a sender's next transaction may be pending before it is handed in again, to another node.
const LOST_AFTER: Duration = Duration::from_secs(8);
/// The most pending transactions of a sender; nodes hold 64.
const PENDING_MAX: usize = 32;

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
            accounts: people.into_iter().map(Account::new).collect(),
            spec: spec.clone(),
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

/// A person, and what of theirs is pending.
struct Account {
    person: Person,
    next: u64,
    pending: VecDeque<Pending>,
}

struct Pending {
    seq: u64,
    token: String,
    since: Instant,
}

impl Account {
    fn new(person: Person) -> Self {
        let pending = VecDeque::new();
        Self {
            person,
            next: 0,
            pending,
        }
    }
}

struct Sender {
    calls: Calls,
    accounts: Vec<Account>,
    spec: ChainSpec,
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
            if self.accounts[call.sender].pending.len() < PENDING_MAX {
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
    fn send(&mut self, call: &calls::Call) {
        let Some(client) = self.target() else { return };
        let fee = 1 + self.turn as u64 % 9;
        let account = &mut self.accounts[call.sender];
        let seq = account.next;
        let signed = sign(
            &account.person,
            &self.spec,
            seq,
            fee,
            &call.body.to_string(),
        );
        let token = match signed {
            Ok(transaction) => transaction.token().to_owned(),
            Err(_) => {
                return self
                    .count(|tally| *tally.refused.entry("unsigned".to_owned()).or_default() += 1);
            }
        };
        match client.submit(&token) {
            Ok(Answer::Taken) => {
                account.next += 1;
                let since = Instant::now();
                account.pending.push_back(Pending { seq, token, since });
                self.count(|tally| {
                    tally.taken += 1;
                    *tally.kinds.entry(call.kind).or_default() += 1;
                });
            }
            Ok(Answer::Refused(reason)) => {
                // Perhaps it is there already; what the ledger says counts.
                if let Ok(seq) = client.seq(&account.person.address.to_string()) {
                    account.next = account.next.max(seq);
                }
                self.count(|tally| *tally.refused.entry(reason).or_default() += 1);
            }
            Err(_) => {
                self.count(|tally| *tally.refused.entry("no_answer".to_owned()).or_default() += 1)
            }
        }
    }

    /// Forgets what is in the chain, and hands in again what got lost: a reorganisation or a full mempool may drop a transaction, and all
    /// that follow it wait for it.
    fn look_after(&mut self) {
        for at in 0..self.accounts.len() {
            if self.accounts[at].pending.is_empty() || self.stop.is_set() {
                continue;
            }
            let Some(client) = self.target() else { return };
            let account = &mut self.accounts[at];
            let Ok(seq) = client.seq(&account.person.address.to_string()) else {
                continue;
            };
            while account
                .pending
                .front()
                .is_some_and(|pending| pending.seq < seq)
            {
                account.pending.pop_front();
                if let Some(first) = account.pending.front_mut() {
                    first.since = Instant::now();
                }
            }
            let Some(first) = account.pending.front_mut() else {
                continue;
            };
            if first.since.elapsed() >= LOST_AFTER {
                first.since = Instant::now();
                // The answer "it is pending already" is as good as any.
                let _ = client.submit(&first.token);
                self.count(|tally| tally.again += 1);
            }
        }
    }
}

/// Signs a call.
///
/// # Errors
/// Where its body is none.
pub fn sign(
    person: &Person,
    spec: &ChainSpec,
    seq: u64,
    fee: u64,
    body: &str,
) -> anyhow::Result<Transaction> {
    let claims = TxClaims {
        sender: person.address,
        seq: Seq::new(seq)?,
        gas: Gas::new(GAS)?,
        fee: Credits::new(fee)?,
        body: TxBody::parse(body)?,
    };
    Ok(claims.sign(&person.key, spec)?)
}

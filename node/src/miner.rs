//! The miner: threads that look for a signature that makes a block's hash meet its target.
//!
//! The core hands out templates, one at a time; a new one ends the search on the last. The first thread to seal a template's block reports it
//! ([`MinedBlock`]) and ends the search of all, so at most one block of a template comes out.

use std::num::{NonZeroU64, NonZeroUsize};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lyceum_protocol::{BlockClaims, ChainSpec, Mined, Miner, SecretKey};
use tokio::sync::mpsc;
use tracing::{error, warn};

/// Attempts between two looks at whether the template still holds: some 10 to 20 ms of work.
const BATCH_ATTEMPTS: u64 = 8_192;
/// How often a thread that is held to a rate wakes up: often enough that blocks come as evenly as from one that is not.
const BATCHES_PER_SECOND: u64 = 20;
/// How far a thread that was kept from the processor may catch up on its rate.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Sealed blocks that wait for the core. There is at most one of each template, so they are never more than a few.
pub const MINED_BLOCKS_LEN: usize = 16;

/// How to mine.
pub struct MinerConfig {
    /// Who signs the blocks, and is paid.
    pub key: SecretKey,
    /// How many threads.
    pub threads: NonZeroUsize,
    /// At most so many attempts a second, of all threads together; `None` for as many as they can make.
    pub rate: Option<NonZeroU64>,
}

/// A block that was sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinedBlock {
    /// The template's number, as it was given to [`MinerThreads::mine`].
    pub template: u64,
    /// The block's token.
    pub token: String,
}

/// The mining threads. Dropped, they stop and are joined.
pub struct MinerThreads {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

/// What the threads work on.
struct Desk {
    spec: Arc<ChainSpec>,
    key: SecretKey,
    order: Mutex<Order>,
    changed: Condvar,
    attempts: AtomicU64,
    mined: mpsc::Sender<MinedBlock>,
}

#[derive(Default)]
struct Order {
    job: Option<Arc<Job>>,
    is_closed: bool,
}

struct Job {
    template: u64,
    claims: BlockClaims,
    /// Sealed, or no longer wanted.
    is_over: AtomicBool,
}

impl MinerThreads {
    /// Starts the threads; they wait for [`MinerThreads::mine`]. Blocks that they seal come out of `mined`.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn start(
        config: MinerConfig,
        spec: Arc<ChainSpec>,
        mined: mpsc::Sender<MinedBlock>,
    ) -> std::io::Result<Self> {
        let desk = Arc::new(Desk {
            spec,
            key: config.key,
            order: Mutex::default(),
            changed: Condvar::new(),
            attempts: AtomicU64::new(0),
            mined,
        });
        let mut miner = Self {
            desk: Arc::clone(&desk),
            threads: Vec::new(),
        };
        for number in 0..config.threads.get() {
            let mut worker = Worker {
                desk: Arc::clone(&desk),
                pace: Pace::new(config.rate, config.threads),
            };
            let thread = std::thread::Builder::new().name(format!("miner-{number}"));
            miner.threads.push(thread.spawn(move || worker.run())?);
        }
        Ok(miner)
    }

    /// Mines on `claims` from now on, and on nothing before.
    pub fn mine(&self, template: u64, claims: BlockClaims) {
        let is_over = AtomicBool::new(false);
        self.desk.change(|order| {
            order.job = Some(Arc::new(Job {
                template,
                claims,
                is_over,
            }));
        });
    }

    /// Mines on nothing until the next template.
    pub fn pause(&self) {
        self.desk.change(|order| order.job = None);
    }

    /// Signatures tried since the start.
    pub fn attempts(&self) -> u64 {
        self.desk.attempts.load(Ordering::Relaxed)
    }
}

impl Drop for MinerThreads {
    fn drop(&mut self) {
        self.desk.change(|order| {
            order.job = None;
            order.is_closed = true;
        });
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                error!("a mining thread has panicked");
            }
        }
    }
}

impl Desk {
    /// Changes the order; whatever was being worked on is over.
    fn change(&self, change: impl FnOnce(&mut Order)) {
        let mut order = self.order();
        if let Some(job) = &order.job {
            job.is_over.store(true, Ordering::Relaxed);
        }
        change(&mut order);
        self.changed.notify_all();
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        // Nothing that holds the lock can panic halfway through a change.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a job to work on; `None` where there will be none.
    fn next_job(&self) -> Option<Arc<Job>> {
        let wait = self.changed.wait_while(self.order(), |order| {
            let is_open = |job: &Arc<Job>| !job.is_over.load(Ordering::Relaxed);
            !order.is_closed && !order.job.as_ref().is_some_and(is_open)
        });
        let order = wait.unwrap_or_else(PoisonError::into_inner);
        order.job.clone()
    }

    /// Sleeps until `due`, or until `job` is over.
    fn sleep(&self, due: Instant, job: &Job) {
        let Some(time) = due.checked_duration_since(Instant::now()) else {
            return;
        };
        let is_open = |_: &mut Order| !job.is_over.load(Ordering::Relaxed);
        // Why it woke up shows in the job.
        let _ = self.changed.wait_timeout_while(self.order(), time, is_open);
    }

    fn seal(&self, job: &Job, token: String) {
        if job.is_over.swap(true, Ordering::Relaxed) {
            return;
        }
        // Those that sleep on it need not.
        self.changed.notify_all();
        let template = job.template;
        if let Err(error) = self.mined.try_send(MinedBlock { template, token }) {
            warn!(template, %error, "a mined block is lost");
        }
    }
}

/// When the next batch is due, and how large it is.
struct Pace {
    batch: u64,
    /// A batch takes this long; `None` for as fast as can be.
    every: Option<Duration>,
    due: Instant,
}

impl Pace {
    fn new(rate: Option<NonZeroU64>, threads: NonZeroUsize) -> Self {
        let threads = threads.get() as u64;
        let batch = rate.map_or(BATCH_ATTEMPTS, |rate| {
            let batch = rate.get() / threads / BATCHES_PER_SECOND;
            batch.clamp(1, BATCH_ATTEMPTS)
        });
        let every = rate.map(|rate| {
            let seconds = batch.saturating_mul(threads) as f64 / rate.get() as f64;
            Duration::from_secs_f64(seconds)
        });
        Self {
            batch,
            every,
            due: Instant::now(),
        }
    }

    /// Counts a batch.
    fn advance(&mut self) {
        if let Some(every) = self.every {
            let least = Instant::now().checked_sub(CATCH_UP);
            self.due = least.map_or(self.due, |least| self.due.max(least)) + every;
        }
    }
}

struct Worker {
    desk: Arc<Desk>,
    pace: Pace,
}

impl Worker {
    fn run(&mut self) {
        while let Some(job) = self.desk.next_job() {
            if let Err(error) = self.work(&job) {
                error!(template = job.template, %error, "can't mine");
                job.is_over.store(true, Ordering::Relaxed);
            }
        }
    }

    fn work(&mut self, job: &Job) -> anyhow::Result<()> {
        let mut entropy = zeroize::Zeroizing::new([0; 32]);
        getrandom::fill(entropy.as_mut_slice())?;
        let mut miner = Miner::fast(&job.claims, &self.desk.key, &self.desk.spec, &entropy)?;
        loop {
            if self.pace.every.is_some() {
                self.desk.sleep(self.pace.due, job);
            }
            if job.is_over.load(Ordering::Relaxed) {
                return Ok(());
            }
            let before = miner.attempts();
            let mined = miner.mine(self.pace.batch);
            self.pace.advance();
            let after = match &mined {
                Mined::Sealed(block) => block.attempts,
                Mined::Unfinished(miner) => miner.attempts(),
            };
            let made = after - before;
            self.desk.attempts.fetch_add(made, Ordering::Relaxed);
            match mined {
                Mined::Unfinished(unfinished) => miner = unfinished,
                Mined::Sealed(block) => {
                    self.desk.seal(job, block.token);
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

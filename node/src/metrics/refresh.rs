//! The gauges, looked up at a scrape.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lyceum_protocol::{BlockHash, Height, Work};
use lyceum_storage::{LedgerView, StoreError};
use prometheus_client::metrics::gauge::Gauge;
use serde::Deserialize;

use super::families::{Direction, Families, Kind, PHASES, Process, SyncPhase};
use crate::handle::NodeHandle;

/// Unix time in milliseconds.
pub(crate) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or(Duration::ZERO).as_millis() as u64
}

/// Blocks whose receipts one scrape reads, some 0.1 s: a long sync is caught up with at later ones.
const EXECUTED_BLOCKS_MAX: u64 = 2_000;

pub(super) fn refresh(families: &Families, node: &NodeHandle, executed: &Mutex<Counted>) {
    standing(families, node);
    network(families, node);
    torrents(families, node);
    database(families, node);
    let mut executed = executed.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = count_executed(families, node, &mut executed) {
        tracing::warn!(%error, "the receipts can't be counted");
    }
}

/// Counted blocks that are remembered: a reorganisation that is deeper takes the blocks below for counted.
const COUNTED_HASHES_MAX: usize = 1_024;

/// How far the main chain's receipts are counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    last: Height,
    /// The last blocks that were counted, `last` at the end.
    hashes: VecDeque<BlockHash>,
}

impl Counted {
    /// All up to a height count as counted.
    pub(super) fn from(last: Height) -> Self {
        let hashes = VecDeque::new();
        Self { last, hashes }
    }

    /// Goes back below the blocks that are no longer on the main chain.
    fn unwind(&mut self, view: &LedgerView<'_>) -> Result<(), StoreError> {
        while let Some(hash) = self.hashes.back()
            && view.hash_at(self.last)?.as_ref() != Some(hash)
        {
            self.hashes.pop_back();
            self.last = Height::new(self.last.get() - 1).unwrap_or_default();
        }
        Ok(())
    }

    fn push(&mut self, hash: BlockHash) {
        self.last = self.last.next();
        self.hashes.push_back(hash);
        if self.hashes.len() > COUNTED_HASHES_MAX {
            self.hashes.pop_front();
        }
    }
}

/// The part of a stored receipt that is counted.
#[derive(Debug, Default, Deserialize)]
struct Executed {
    gas: u64,
    steps: u64,
}

/// Counts what the contracts of the main chain's blocks did that are not counted yet.
fn count_executed(
    families: &Families,
    node: &NodeHandle,
    counted: &mut Counted,
) -> Result<(), StoreError> {
    let view = node.reader.read();
    counted.unwind(&view)?;
    for _ in 0..EXECUTED_BLOCKS_MAX {
        let next = counted.last.next();
        let Some(hash) = view.hash_at(next)? else {
            break;
        };
        for receipt in view.receipts_at(next)? {
            // Written by this program: it can be read.
            let executed: Executed = serde_json::from_slice(&receipt).unwrap_or_default();
            families.machine.instructions.inc_by(executed.steps);
            families.machine.gas.inc_by(executed.gas);
        }
        counted.push(hash);
    }
    Ok(())
}

fn set(gauge: &Gauge, value: impl TryInto<i64>) {
    gauge.set(value.try_into().unwrap_or(i64::MAX));
}

fn standing(families: &Families, node: &NodeHandle) {
    let standing = node.standing.borrow().clone();
    let chain = &families.chain;
    set(&chain.height, standing.height.get());
    set(&chain.target_height, standing.target_height.get());
    chain.work.set(work(standing.work));
    let (now, tip) = (unix_millis(), standing.tip_timestamp.get());
    chain.tip_age.set(now.saturating_sub(tip) as f64 / 1e3);
    chain.tip_timestamp.set(tip as f64 / 1e3);
    let transactions = &families.transactions;
    set(&transactions.mempool, standing.mempool.transactions);
    set(&transactions.mempool_bytes, standing.mempool.bytes);
    set(&transactions.mempool_senders, standing.mempool.senders);
    for phase in PHASES {
        let gauge = families
            .network
            .phase
            .get_or_create(&SyncPhase::from(phase));
        gauge.set(i64::from(phase == standing.phase));
    }
    set(&families.segments.missing, standing.segments_missing);
    set(&families.segments.active, standing.segments_active);
    let mining = i64::from(standing.is_mining);
    families.machine.mining_active.set(mining);
}

/// Hashes; a float keeps its magnitude.
fn work(work: Work) -> f64 {
    let limbs = work.get().into_limbs();
    limbs
        .iter()
        .rev()
        .fold(0.0, |sum, limb| sum * 2_f64.powi(64) + *limb as f64)
}

fn network(families: &Families, node: &NodeHandle) {
    let (outbound, all, peers, addresses) = {
        let view = node.network.borrow();
        let outbound = view.peers.iter().filter(|peer| peer.is_outbound).count();
        let addresses = view.banned_addresses.len();
        (outbound, view.peers.len(), view.banned_peers, addresses)
    };
    let families = &families.network;
    for (direction, count) in [("inbound", all - outbound), ("outbound", outbound)] {
        set(
            &families.peers.get_or_create(&Direction { direction }),
            count,
        );
    }
    for (kind, count) in [("peer", peers), ("address", addresses)] {
        set(&families.bans_active.get_or_create(&Kind { kind }), count);
    }
}

fn torrents(families: &Families, node: &NodeHandle) {
    let view = node.torrents.borrow().clone();
    let families = &families.segments;
    let directions = [
        ("downloaded", view.downloaded_bytes),
        ("uploaded", view.uploaded_bytes),
    ];
    for (direction, bytes) in directions {
        let counter = families.torrent.get_or_create(&Direction { direction });
        // The engine counts; a scrape never takes it back.
        counter.inner().fetch_max(bytes, Ordering::Relaxed);
    }
    set(&families.swarms, view.live);
    set(&families.registered, view.registered);
}

fn database(families: &Families, node: &NodeHandle) {
    let sizes = node.reader.sizes();
    let parts = [
        ("disk", sizes.disk),
        ("write_buffers", sizes.write_buffers),
        ("cache", sizes.cache),
        ("tables", sizes.tables),
    ];
    for (kind, bytes) in parts {
        let gauge = families.machine.database.get_or_create(&Kind { kind });
        set(&gauge, bytes);
    }
    match node.reader.read().sealed_segments() {
        Ok(sealed) => set(&families.segments.sealed, sealed.get()),
        Err(error) => tracing::warn!(%error, "the sealed segments can't be counted"),
    }
}

/// What the system says of this process; where it says nothing, the metrics stay as they are.
pub(super) fn process(families: &Process) {
    let Ok(process) = procfs::process::Process::myself() else {
        return;
    };
    if let Ok(stat) = process.stat() {
        let ticks = procfs::ticks_per_second() as f64;
        let seconds = (stat.utime + stat.stime) as f64 / ticks;
        let cpu = families.cpu.inner();
        cpu.store(seconds.to_bits(), Ordering::Relaxed);
        set(&families.resident, stat.rss * procfs::page_size());
        set(&families.virtual_memory, stat.vsize);
        set(&families.threads, stat.num_threads);
        if let Ok(boot) = procfs::boot_time_secs() {
            let start = boot as f64 + stat.starttime as f64 / ticks;
            families.start_time.set(start);
        }
    }
    if let Ok(count) = process.fd_count() {
        set(&families.open_fds, count);
    }
    if let Ok(limits) = process.limits()
        && let procfs::process::LimitValue::Value(max) = limits.max_open_files.soft_limit
    {
        set(&families.max_fds, max);
    }
}

//! The BitTorrent side: what an idle registry costs, one joiner against bare TCP, and four joiners of one origin with a slow line.
//!
//! Prints ratios of one run, with the goal of each. `-- fast` runs one of them: `idle`, `fast` or `swarm`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use lyceum_node::core::schedule::{HeldSegments, fetches_at_once, next_fetch};
use lyceum_node::torrent::{
    RqbitSwarm, RunningTorrents, SegmentSwarm, TorrentConfig, TorrentEvent,
};
use lyceum_protocol::{ChainName, Metainfo, MetainfoBuilder, PIECE_BYTES, SegmentIndex};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

const REGISTERED: u64 = 10_000;
const LIVE: u64 = 100;
const IDLE: Duration = Duration::from_secs(20);
/// Here torrents sleep when the live ones have been looked at, not after a minute.
const SLEEP: Duration = Duration::from_secs(30);

const JOINERS: usize = 4;
const SEGMENTS: u64 = 32;
const SWARM_SEGMENT_BYTES: usize = 4 << 20;
/// The origin's line.
const ORIGIN_BPS: u32 = 12 << 20;
const FAST_SEGMENT_BYTES: usize = 16 << 20;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let named: Vec<_> = std::env::args().skip(1).collect();
    let wanted = |name: &str| {
        let mut names = named.iter().filter(|name| !name.starts_with("--"));
        names.clone().next().is_none() || names.any(|wanted| wanted == name)
    };
    // First, while the memory is still small.
    if wanted("idle") {
        runtime.block_on(idle(&folder.path().join("idle")));
    }
    if wanted("fast") {
        runtime.block_on(fast(&folder.path().join("fast")));
    }
    if wanted("swarm") {
        runtime.block_on(swarm(&folder.path().join("swarm")));
    }
}

fn chain() -> ChainName {
    "dev".parse().expect("a chain's name")
}

fn index(at: u64) -> SegmentIndex {
    SegmentIndex::new(at).expect("a small number")
}

async fn start(folder: &Path, upload_bps: Option<u32>) -> RunningTorrents {
    let mut config = TorrentConfig::new(
        chain(),
        folder.join("downloads"),
        ([127, 0, 0, 1], 0).into(),
    );
    config.upload_bps = upload_bps;
    config.sleep = SLEEP;
    RqbitSwarm::start(config).await.expect("an engine")
}

/// Writes a segment of random bytes.
fn write(folder: &Path, at: u64, length: usize) -> (Metainfo, PathBuf) {
    let mut content = vec![0; length];
    ChaCha8Rng::seed_from_u64(at).fill_bytes(&mut content);
    let mut builder = MetainfoBuilder::new(&chain(), index(at));
    builder.update(&content);
    let metainfo = builder.finish();
    let file = folder.join(metainfo.name());
    std::fs::write(&file, content).expect("a file");
    (metainfo, file)
}

/// Writes, registers and activates a chain's segments at a holder.
async fn hold(holder: &mut RunningTorrents, folder: &Path, length: usize) -> Vec<Metainfo> {
    let mut metainfos = Vec::new();
    for at in 0..SEGMENTS {
        let (metainfo, file) = write(folder, at, length);
        holder.swarm.register(index(at), metainfo.clone(), file);
        holder.swarm.activate(index(at));
        activated(holder).await;
        metainfos.push(metainfo);
    }
    metainfos
}

async fn activated(holder: &mut RunningTorrents) {
    match holder.events.recv().await {
        Some(TorrentEvent::Activated {
            is_seeded: true, ..
        }) => {}
        other => panic!("{other:?}"),
    }
}

/// Bytes of memory and seconds of processor time of this process.
fn usage() -> (f64, f64) {
    let me = procfs::process::Process::myself().expect("/proc");
    let stat = me.stat().expect("/proc/self/stat");
    let memory = stat.rss as f64 * procfs::page_size() as f64;
    let ticks = (stat.utime + stat.stime) as f64;
    (memory, ticks / procfs::ticks_per_second() as f64)
}

async fn idle(folder: &Path) {
    std::fs::create_dir_all(folder).expect("a folder");
    let (memory_before, _) = usage();
    let mut node = start(folder, None).await;
    for at in 0..REGISTERED {
        let (metainfo, file) = match at < LIVE {
            true => write(folder, at, 1_000),
            // As of 16 MiB; nobody asks for these.
            false => {
                let pieces = 64;
                let length = pieces * PIECE_BYTES as u64;
                let hashes = vec![at as u8; 20 * pieces as usize];
                let metainfo = Metainfo::from_pieces(&chain(), index(at), length, hashes);
                let metainfo = metainfo.expect("as many hashes as pieces");
                let file = folder.join(metainfo.name());
                (metainfo, file)
            }
        };
        node.swarm.register(index(at), metainfo, file);
    }
    for at in 0..LIVE {
        node.swarm.activate(index(at));
        activated(&mut node).await;
    }
    let live = |live: u64| {
        move |view: &lyceum_node::torrent::TorrentView| {
            view.registered == REGISTERED as usize && view.live == live as usize
        }
    };
    let mut tell = async |count: u64, what: &str| {
        node.view
            .wait_for(live(count))
            .await
            .expect("a running engine");
        let (memory, before) = usage();
        tokio::time::sleep(IDLE).await;
        let (_, after) = usage();
        println!(
            "{REGISTERED} segments registered, {what}: {:.1} MiB (goal 64), {:.2} % of a core (goal 1)",
            (memory - memory_before) / f64::from(1 << 20),
            100.0 * (after - before) / IDLE.as_secs_f64()
        );
    };
    tell(LIVE, "100 live").await;
    tell(0, "nobody asks").await;
    node.stop.stop().await;
}

/// The same bytes over bare TCP, written and hashed; how long that takes, and the processor's time.
fn bare(folder: &Path, bytes: usize, sync: bool) -> (Duration, f64) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("a port");
    let mut content = vec![0; PIECE_BYTES];
    ChaCha8Rng::seed_from_u64(0).fill_bytes(&mut content);
    let (started, (_, cpu)) = (Instant::now(), usage());
    let sender = std::thread::spawn(move || {
        let mut stream = TcpStream::connect(addr).expect("a connection");
        for _ in 0..bytes / PIECE_BYTES {
            stream.write_all(&content).expect("a reader");
        }
    });
    let (mut stream, _) = listener.accept().expect("a connection");
    let mut file = File::create(folder.join("bare")).expect("a file");
    let mut builder = MetainfoBuilder::new(&chain(), index(0));
    let mut buffer = vec![0; PIECE_BYTES];
    let mut got = 0;
    loop {
        let count = stream.read(&mut buffer).expect("a sender");
        if count == 0 {
            break;
        }
        file.write_all(&buffer[..count]).expect("space");
        builder.update(&buffer[..count]);
        got += count;
    }
    builder.finish();
    if sync {
        file.sync_all().expect("a disk");
    }
    sender.join().expect("a sender");
    assert_eq!(got, bytes);
    (started.elapsed(), usage().1 - cpu)
}

async fn fast(folder: &Path) {
    let (holding, joining) = (folder.join("holder"), folder.join("joiner"));
    std::fs::create_dir_all(&holding).expect("a folder");
    std::fs::create_dir_all(&joining).expect("a folder");
    let mut holder = start(&holding, None).await;
    let metainfos = hold(&mut holder, &holding, FAST_SEGMENT_BYTES).await;
    let mut joiner = start(&joining, None).await;
    let bytes = SEGMENTS as usize * FAST_SEGMENT_BYTES;
    let (bare_before, cpu_before) = bare(folder, bytes, false);
    let (synced, _) = bare(folder, bytes, true);

    let (_, cpu) = usage();
    let started = Instant::now();
    let at_once = fetches_at_once(FAST_SEGMENT_BYTES as u64);
    let (mut next, mut ended) = (0, 0);
    while ended < metainfos.len() {
        while next < metainfos.len() && next - ended < at_once {
            let metainfo = metainfos[next].clone();
            let holders = vec![holder.listen];
            joiner.swarm.fetch(index(next as u64), metainfo, holders);
            next += 1;
        }
        match joiner.events.recv().await {
            Some(TorrentEvent::Fetched { .. }) => ended += 1,
            other => panic!("{other:?}"),
        }
    }
    let took = started.elapsed();
    let cpu = usage().1 - cpu;
    let (bare_after, cpu_after) = bare(folder, bytes, false);
    let bare = (bare_before + bare_after) / 2;
    let cpu_bare = (cpu_before + cpu_after) / 2.0;
    let a_gib = bytes as f64 / f64::from(1 << 30);
    let speed = |time: Duration| bytes as f64 / 1e6 / time.as_secs_f64();
    println!(
        "one joiner: {:.0} MB/s, {:.1} CPU s/GiB for both; bare TCP + write + SHA-1 {:.0} MB/s, {:.1} CPU s/GiB: {:.2} of it (goal 0.5), {:.2} of it with a sync",
        speed(took),
        cpu / a_gib,
        speed(bare),
        cpu_bare / a_gib,
        bare.as_secs_f64() / took.as_secs_f64(),
        synced.as_secs_f64() / took.as_secs_f64(),
    );
    holder.stop.stop().await;
    joiner.stop.stop().await;
}

/// What the peers of a swarm say of themselves: where they listen, and what they lack.
type Statuses = Arc<Mutex<BTreeMap<usize, (SocketAddr, BTreeSet<u64>)>>>;

async fn swarm(folder: &Path) {
    let holding = folder.join("origin");
    std::fs::create_dir_all(&holding).expect("a folder");
    let mut origin = start(&holding, Some(ORIGIN_BPS)).await;
    let metainfos = Arc::new(hold(&mut origin, &holding, SWARM_SEGMENT_BYTES).await);
    let statuses = Statuses::default();
    let tell = |peer, listen, lacked| {
        let mut statuses = statuses.lock().expect("no panic elsewhere");
        statuses.insert(peer, (listen, lacked));
    };
    tell(0, origin.listen, BTreeSet::new());
    let mut joiners = Vec::new();
    for me in 1..=JOINERS {
        let place = folder.join(format!("joiner-{me}"));
        std::fs::create_dir_all(&place).expect("a folder");
        let running = start(&place, None).await;
        tell(me, running.listen, (0..SEGMENTS).collect());
        joiners.push((me, place, running));
    }
    let started = Instant::now();
    let joins = joiners.into_iter().map(|(me, place, running)| {
        tokio::spawn(join(
            me,
            place,
            running,
            metainfos.clone(),
            statuses.clone(),
        ))
    });
    let joins: Vec<_> = joins.collect();
    let mut ended = Vec::new();
    for join in joins {
        ended.push(join.await.expect("a joiner"));
    }
    let took = ended.iter().map(|(at, _)| *at - started).max();
    let took = took.expect("some joiners").as_secs_f64();
    // The counter is renewed twice a second.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let chain_bytes = SEGMENTS as f64 * SWARM_SEGMENT_BYTES as f64;
    let uploaded = origin.view.borrow().uploaded_bytes as f64;
    let ideal = chain_bytes / f64::from(ORIGIN_BPS);
    println!(
        "{JOINERS} joiners of {SEGMENTS} segments: the origin sent {:.2} chains (goal 1.6), {took:.1} s, {:.2} of the ideal time (goal 1.8)",
        uploaded / chain_bytes,
        took / ideal
    );
    for (_, running) in ended {
        running.stop.stop().await;
    }
    origin.stop.stop().await;
}

/// Joins as a node does: asks the schedule, pulls, and seeds what it has pulled. Goes on to seed after it is done.
async fn join(
    me: usize,
    place: PathBuf,
    mut node: RunningTorrents,
    metainfos: Arc<Vec<Metainfo>>,
    statuses: Statuses,
) -> (Instant, RunningTorrents) {
    let mut rng = ChaCha8Rng::seed_from_u64(me as u64);
    let mut missing: BTreeSet<_> = (0..SEGMENTS).map(index).collect();
    let mut active: BTreeMap<SegmentIndex, Vec<usize>> = BTreeMap::new();
    let at_once = fetches_at_once(SWARM_SEGMENT_BYTES as u64);
    let mut look = tokio::time::interval(Duration::from_millis(100));
    while !missing.is_empty() {
        let (listens, held): (BTreeMap<_, _>, BTreeMap<_, _>) = {
            let statuses = statuses.lock().expect("no panic elsewhere");
            let others = statuses.iter().filter(|(peer, _)| **peer != me);
            let split = |(peer, (listen, lacked)): (&usize, &(SocketAddr, BTreeSet<u64>))| {
                let held = HeldSegments::new(SEGMENTS, lacked.iter().copied());
                ((*peer, *listen), (*peer, held))
            };
            others.map(split).unzip()
        };
        let wanted = || missing.iter().copied();
        let nobody = BTreeSet::new();
        while let Some(next) = next_fetch(wanted(), &held, &nobody, &active, at_once, &mut rng) {
            let holders = next.holders.iter().map(|peer| listens[peer]).collect();
            let metainfo = metainfos[next.index.get() as usize].clone();
            node.swarm.fetch(next.index, metainfo, holders);
            active.insert(next.index, next.holders);
        }
        let event = tokio::select! {
            event = node.events.recv() => event.expect("a running engine"),
            _ = look.tick() => continue,
        };
        match event {
            TorrentEvent::Fetched { index, file, .. } => {
                let metainfo = metainfos[index.get() as usize].clone();
                let to = place.join(metainfo.name());
                std::fs::rename(file, &to).expect("the same disk");
                node.swarm.register(index, metainfo, to);
                node.swarm.activate(index);
                active.remove(&index);
                missing.remove(&index);
            }
            TorrentEvent::Activated { index, is_seeded } => {
                assert!(is_seeded);
                let mut statuses = statuses.lock().expect("no panic elsewhere");
                statuses
                    .get_mut(&me)
                    .expect("my own")
                    .1
                    .remove(&index.get());
            }
            other => panic!("{other:?}"),
        }
    }
    let ended = Instant::now();
    // The last ones are still to be told, or those that wait for them would ask the origin.
    for _ in 0..at_once {
        if let Ok(Some(TorrentEvent::Activated { index, .. })) =
            tokio::time::timeout(Duration::from_secs(1), node.events.recv()).await
        {
            let mut statuses = statuses.lock().expect("no panic elsewhere");
            statuses
                .get_mut(&me)
                .expect("my own")
                .1
                .remove(&index.get());
        }
    }
    (ended, node)
}

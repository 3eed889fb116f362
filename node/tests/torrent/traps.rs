//! One test for each trap of the engine that STACK.md lists. The first, a torrent whose length is a multiple of the piece length, is tested
//! with libtorrent; the poke of the second in `torrent/front.rs`; the least cap in `torrent/config.rs`. In `engine.rs` are two of them as they are
//! without us; in `faults.rs` peers that come later, and the bounds of connections.

use std::os::unix::fs::FileExt;

use lyceum_node::torrent::{TorrentEvent, TorrentView};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::fake::{Fake, greet, handshake};
use super::node::{Node, PIECE, index, read, segment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failed_handshakes_hold_up_nobody() {
    let mut node = Node::start().await;
    let (content, metainfo, _) = node.hold(0, PIECE);
    assert!(node.activate(0).await);
    let mut open = Vec::new();
    for at in 0..30_u8 {
        let mut stream = TcpStream::connect(node.listen()).await.unwrap();
        let bytes = match at % 4 {
            0 => Vec::new(),
            1 => vec![at; 68],
            2 => handshake(&[at; 20]),
            _ => handshake(metainfo.info_hash().as_bytes())[..40].to_vec(),
        };
        stream.write_all(&bytes).await.unwrap();
        open.push(stream);
    }
    let mut other = Node::start().await;
    other.fetch(0, &metainfo, &[node.listen()]);
    assert_eq!(read(&other.fetched(0).await.0), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_is_no_holder() {
    let (content, metainfo) = segment(0, 2 * PIECE);
    let chunks = 20;
    let fake = Fake { content, chunks }.serve(&metainfo).await;
    let mut node = Node::start().await;
    node.fetch(0, &metainfo, &[fake]);
    let has_some = |view: &TorrentView| view.fetches.iter().any(|fetch| fetch.got > 0);
    node.view(has_some).await;
    assert!(
        !greet(node.listen(), &metainfo).await,
        "empty leechers never trade"
    );
    assert!(!node.activate(0).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_noticed_when_a_segment_wakes() {
    let mut node = Node::start_with(|config| config.live_max = 1).await;
    let (content, _, file) = node.hold(0, 5 * PIECE);
    node.hold(1, 10);
    assert!(node.activate(0).await && node.activate(1).await);
    let times = std::fs::metadata(&file).unwrap();
    let damaged = std::fs::OpenOptions::new().write(true).open(&file).unwrap();
    damaged
        .write_all_at(&[!content[4 * PIECE + 9]], 4 * PIECE as u64 + 9)
        .unwrap();
    damaged.set_modified(times.modified().unwrap()).unwrap();
    node_is_damaged(&mut node).await;

    // Too long or too short is damage, too.
    for length in [4 * PIECE, 6 * PIECE] {
        let (_, _, file) = node.hold(0, 5 * PIECE);
        let damaged = std::fs::OpenOptions::new().write(true).open(file).unwrap();
        damaged.set_len(length as u64).unwrap();
        node_is_damaged(&mut node).await;
    }
}

async fn node_is_damaged(node: &mut Node) {
    use lyceum_node::torrent::SegmentSwarm;
    node.running.swarm.activate(index(0));
    let event = node.event().await;
    assert!(
        matches!(event, TorrentEvent::Damaged { index: at } if at == index(0)),
        "{event:?}"
    );
    let event = node.event().await;
    let is_refused = matches!(
        event,
        TorrentEvent::Activated {
            is_seeded: false,
            ..
        }
    );
    assert!(is_refused, "{event:?}");
    assert!(!node.activate(0).await, "it is not registered any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_file_is_opened_for_reading_only() {
    let mut node = Node::start().await;
    let (_, _, file) = node.hold(0, PIECE);
    assert!(node.activate(0).await);
    let file = file.canonicalize().unwrap();
    let mut found = 0;
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        if std::fs::read_link(entry.path()).is_ok_and(|path| path == file) {
            let facts = format!("/proc/self/fdinfo/{}", entry.file_name().display());
            let facts = std::fs::read_to_string(facts).unwrap();
            let flags = facts.lines().find_map(|line| line.strip_prefix("flags:"));
            let flags = u32::from_str_radix(flags.unwrap().trim(), 8).unwrap();
            assert_eq!(flags & 3, 0, "O_RDONLY");
            found += 1;
        }
    }
    assert_eq!(found, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiny_cap_still_serves() {
    let mut node = Node::start_with(|config| {
        config.upload_bps = Some(1);
        config.download_bps = Some(1);
    })
    .await;
    let (content, metainfo, _) = node.hold(0, 40_000);
    assert!(node.activate(0).await);
    let mut other = Node::start_with(|config| config.download_bps = Some(1)).await;
    other.fetch(0, &metainfo, &[node.listen()]);
    assert_eq!(read(&other.fetched(0).await.0), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_end_of_a_pull_is_missed() {
    let (mut node, mut other) = (Node::start().await, Node::start().await);
    let count = 40;
    let mut metainfos = Vec::new();
    for at in 0..count {
        metainfos.push(node.hold(at, 100 + at as usize).1);
        assert!(node.activate(at).await);
    }
    for (at, metainfo) in metainfos.iter().enumerate() {
        other.fetch(at as u64, metainfo, &[node.listen()]);
    }
    for _ in 0..count {
        let event = other.event().await;
        assert!(matches!(event, TorrentEvent::Fetched { .. }), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_peer_id_is_not_passed_on() {
    let mut node = Node::start().await;
    let (_, metainfo, _) = node.hold(0, PIECE);
    assert!(node.activate(0).await);
    let mut stream = TcpStream::connect(node.listen()).await.unwrap();
    let hello = handshake(metainfo.info_hash().as_bytes());
    stream.write_all(&hello).await.unwrap();
    let mut theirs = [0; 68];
    stream.read_exact(&mut theirs).await.unwrap();
    assert_eq!(&theirs[48..51], b"-LY");
    let mut stream = TcpStream::connect(node.listen()).await.unwrap();
    stream
        .write_all(&[&hello[..48], &theirs[48..]].concat())
        .await
        .unwrap();
    assert!(stream.read_exact(&mut theirs).await.is_err());
    assert!(greet(node.listen(), &metainfo).await);
}

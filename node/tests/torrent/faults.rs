//! Holders that lie, stall or are not there; pulls that are not wanted any more.

use std::net::SocketAddr;
use std::time::Duration;

use lyceum_node::torrent::{FetchFailure, SegmentSwarm, TorrentConfig, TorrentEvent};

use super::fake::{Fake, greet};
use super::node::{Node, PIECE, index, read, segment};

fn impatient(config: &mut TorrentConfig) {
    config.stall = Duration::from_millis(1_500);
}

async fn failed(node: &mut Node, at: u64) -> (FetchFailure, Vec<SocketAddr>) {
    match node.event().await {
        TorrentEvent::FetchFailed {
            index: got,
            failure,
            culprits,
        } if got == index(at) => (failure, culprits),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_of_wrong_bytes_is_named() {
    let (mut content, metainfo) = segment(0, 2 * PIECE + 9);
    content[PIECE + 3] ^= 1;
    let chunks = usize::MAX;
    let liar = Fake { content, chunks }.serve(&metainfo).await;
    let mut node = Node::start().await;
    node.fetch(0, &metainfo, &[liar]);
    assert_eq!(
        failed(&mut node, 0).await,
        (FetchFailure::WrongBytes, vec![liar])
    );

    // What was right stays, and the wrong piece is pulled anew.
    let mut honest = Node::start().await;
    let (content, _, _) = honest.hold(0, 2 * PIECE + 9);
    assert!(honest.activate(0).await);
    node.fetch(0, &metainfo, &[honest.listen()]);
    let (file, from) = node.fetched(0).await;
    assert_eq!((read(&file), from), (content, vec![honest.listen()]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_pull_goes_on_with_another_holder() {
    let (content, metainfo) = segment(0, 3 * PIECE);
    // One whole piece, and some of the next.
    let chunks = PIECE / 16_384 + 3;
    let fake = Fake { content, chunks }.serve(&metainfo).await;
    let mut node = Node::start_with(impatient).await;
    node.fetch(0, &metainfo, &[fake]);
    assert_eq!(failed(&mut node, 0).await, (FetchFailure::Stalled, vec![]));
    let before = (chunks * 16_384) as u64;
    node.view(|view| view.downloaded_bytes == before).await;

    let mut holder = Node::start().await;
    let (content, _, _) = holder.hold(0, 3 * PIECE);
    assert!(holder.activate(0).await);
    node.fetch(0, &metainfo, &[holder.listen()]);
    assert_eq!(read(&node.fetched(0).await.0), content);
    // Peers can't be added to a torrent that runs, so it is a new one: it keeps the pieces that had come.
    let view = node.view(|view| view.downloaded_bytes >= before + 2 * PIECE as u64);
    assert_eq!(view.await.downloaded_bytes, before + 2 * PIECE as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_not_there_is_unreachable() {
    let (_, metainfo) = segment(0, PIECE);
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = gone.local_addr().unwrap();
    drop(gone);
    let mut node = Node::start().await;
    node.fetch(0, &metainfo, &[addr]);
    assert_eq!(
        failed(&mut node, 0).await,
        (FetchFailure::Unreachable, vec![])
    );
    node.fetch(1, &segment(1, PIECE).1, &[]);
    assert_eq!(
        failed(&mut node, 1).await,
        (FetchFailure::Unreachable, vec![])
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_is_gone_is_the_engines_failure() {
    let (_, metainfo) = segment(0, PIECE);
    let mut node = Node::start().await;
    std::fs::remove_dir(node.path("downloads")).unwrap();
    node.fetch(0, &metainfo, &[([127, 0, 0, 1], 1).into()]);
    assert_eq!(failed(&mut node, 0).await, (FetchFailure::Engine, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_pull_ends_without_a_word() {
    let (content, metainfo) = segment(0, 2 * PIECE);
    let chunks = 20;
    let fake = Fake { content, chunks }.serve(&metainfo).await;
    let mut node = Node::start().await;
    node.fetch(0, &metainfo, &[fake]);
    let has_some = |view: &lyceum_node::torrent::TorrentView| {
        view.fetches.iter().any(|fetch| fetch.got == PIECE as u64)
    };
    let view = node.view(has_some).await;
    assert_eq!(
        (view.fetches[0].index, view.fetches[0].length),
        (index(0), 2 * PIECE as u64)
    );
    assert!(node.part(&metainfo).exists());
    node.running.swarm.cancel(index(0));
    node.view(|view| view.fetches.is_empty() && view.live == 0)
        .await;
    assert!(!node.part(&metainfo).exists());

    // The next event is the next pull's, though it starts while the last one is being ended.
    let mut holder = Node::start().await;
    let (content, _, _) = holder.hold(0, 2 * PIECE);
    assert!(holder.activate(0).await);
    node.fetch(0, &metainfo, &[fake]);
    node.running.swarm.cancel(index(0));
    node.fetch(0, &metainfo, &[holder.listen()]);
    assert_eq!(read(&node.fetched(0).await.0), content);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_run_has_pulled_is_found_again() {
    let mut node = Node::start().await;
    let (content, metainfo) = segment(0, PIECE + 1);
    let downloads = node.path("downloads");
    std::fs::write(downloads.join(metainfo.name()), &content).unwrap();
    let config = TorrentConfig::new(super::node::chain(), downloads, ([127, 0, 0, 1], 0).into());
    node.running = lyceum_node::torrent::RqbitSwarm::start(config)
        .await
        .unwrap();
    node.fetch(0, &metainfo, &[]);
    let (file, from) = node.fetched(0).await;
    assert_eq!((read(&file), from), (content, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_gets_a_quarter_of_the_connections() {
    let mut node = Node::start_with(|config| config.connections_max = 8).await;
    let (_, metainfo, _) = node.hold(0, 10);
    assert!(node.activate(0).await);
    let silent = || tokio::net::TcpStream::connect(node.listen());
    let held = [silent().await.unwrap(), silent().await.unwrap()];
    assert!(!greet(node.listen(), &metainfo).await);
    drop(held);
    // It takes a moment until they are seen to be gone.
    while !greet(node.listen(), &metainfo).await {}
}

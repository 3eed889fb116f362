//! What is registered, woken and put to sleep.

use lyceum_node::torrent::{SegmentSwarm, TorrentEvent};

use super::fake::greet;
use super::node::{Node, PIECE, index, read, segment};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_engines_serve_each_other() {
    let (mut one, mut two) = (Node::start().await, Node::start().await);
    let (first, first_meta, _) = one.hold(0, 3 * PIECE + 7);
    let (second, second_meta, _) = two.hold(1, 86);
    assert!(one.activate(0).await && two.activate(1).await);
    one.fetch(1, &second_meta, &[two.listen()]);
    two.fetch(0, &first_meta, &[one.listen()]);
    let (file, from) = one.fetched(1).await;
    assert_eq!((read(&file), from), (second, vec![two.listen()]));
    let (file, from) = two.fetched(0).await;
    assert_eq!((read(&file), from), (first.clone(), vec![one.listen()]));
    assert!(!two.part(&first_meta).exists());

    // What was pulled is seeded from its final place.
    let place = two.path(first_meta.name());
    std::fs::rename(file, &place).unwrap();
    two.running
        .swarm
        .register(index(0), first_meta.clone(), place);
    assert!(two.activate(0).await);
    let mut three = Node::start().await;
    three.fetch(0, &first_meta, &[two.listen()]);
    assert_eq!(read(&three.fetched(0).await.0), first);

    let view = two.view(|view| view.uploaded_bytes >= 86 + first.len() as u64);
    let view = view.await;
    assert_eq!((view.registered, view.live), (2, 2));
    assert_eq!(view.downloaded_bytes, first.len() as u64);
    assert_eq!(view.fetches, []);
    three.running.stop.stop().await;
    assert!(
        tokio::net::TcpStream::connect(three.running.listen)
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_registered_is_not_seeded() {
    let mut node = Node::start().await;
    assert!(!node.activate(0).await);
    let (_, metainfo, _) = node.hold(0, PIECE);
    assert!(node.activate(0).await);
    assert!(greet(node.listen(), &metainfo).await);
    node.running.swarm.unregister(index(0));
    assert!(!node.activate(0).await);
    assert!(!greet(node.listen(), &metainfo).await);
    assert!(
        !greet(node.listen(), &segment(9, 10).1).await,
        "never heard of"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_segment_of_the_same_number_takes_its_place() {
    let mut node = Node::start().await;
    let (_, before, _) = node.hold(0, PIECE);
    assert!(node.activate(0).await);
    // After a reorganisation past it.
    let (_, after, _) = node.hold(0, PIECE + 1);
    assert!(node.activate(0).await);
    assert!(greet(node.listen(), &after).await);
    assert!(!greet(node.listen(), &before).await);
    assert_eq!(node.view(|view| view.live == 1).await.registered, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_least_recently_used_sleeps_and_wakes_again() {
    let mut node = Node::start_with(|config| config.live_max = 2).await;
    let mut contents = Vec::new();
    for at in 0..5 {
        contents.push(node.hold(at, 1_000 + at as usize));
        assert!(node.activate(at).await);
        assert!(node.activate(0).await, "the first is used again and again");
    }
    let view = node.view(|view| view.registered == 5 && view.live == 2);
    let before = view.await.uploaded_bytes;
    let mut other = Node::start().await;
    let mut sum = before;
    for (at, (content, metainfo, _)) in contents.iter().enumerate() {
        let at = at as u64;
        assert!(node.activate(at).await);
        other.fetch(at, metainfo, &[node.listen()]);
        assert_eq!(&read(&other.fetched(at).await.0), content);
        sum += content.len() as u64;
    }
    // The count outlives the torrents that were put to sleep.
    let view = node.view(|view| view.uploaded_bytes == sum).await;
    assert_eq!(view.live, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_handshake_wakes_a_segment() {
    let mut node = Node::start_with(|config| config.live_max = 1).await;
    let (_, first, _) = node.hold(0, 2 * PIECE);
    let (_, second, file) = node.hold(1, PIECE);
    assert!(greet(node.listen(), &first).await);
    assert_eq!(node.view(|view| view.live == 1).await.registered, 2);
    // Another that is wanted now does not lose its place to a stranger; the core's word counts more.
    assert!(!greet(node.listen(), &second).await);
    assert!(greet(node.listen(), &first).await);
    assert!(node.activate(1).await);
    assert!(greet(node.listen(), &second).await);
    assert!(!greet(node.listen(), &first).await);

    std::fs::remove_file(file).unwrap();
    node.running.swarm.unregister(index(1));
    node.running
        .swarm
        .register(index(1), second.clone(), node.path(second.name()));
    assert!(!greet(node.listen(), &second).await);
    let event = node.event().await;
    assert!(
        matches!(event, TorrentEvent::Damaged { index: at } if at == index(1)),
        "{event:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_asked_sleeps_and_wakes_again() {
    let mut seed =
        Node::start_with(|config| config.sleep = std::time::Duration::from_millis(600)).await;
    let (text, metainfo, _) = seed.hold(0, 300_000);
    assert!(seed.activate(0).await);
    seed.view(|view| view.live == 1).await;
    seed.view(|view| view.live == 0).await;
    let mut joiner = Node::start().await;
    let listen = seed.listen();
    joiner.fetch(0, &metainfo, &[listen]);
    let (file, _) = joiner.fetched(0).await;
    assert_eq!(read(&file), text);
}

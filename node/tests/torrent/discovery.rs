//! Trackers, where a node is told to use them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::libtorrent::pull;
use super::node::{Node, PIECE, read, segment};
use super::tracker::Tracker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_finds_us_by_the_tracker() {
    let tracker = Tracker::start().await;
    let trackers = [tracker.url.clone()];
    // It has no tracker, and comes first: if it announced itself, the other's announcement would not be alone.
    let mut quiet = Node::start().await;
    quiet.hold(0, PIECE + 5);
    assert!(quiet.activate(0).await);
    let mut node = Node::start_with(|config| config.trackers = trackers.to_vec()).await;
    let (content, metainfo, _) = node.hold(0, PIECE + 5);
    assert!(node.activate(0).await);
    let magnet = metainfo.magnet(&trackers, &[]);
    let folder = node.path("libtorrent");
    std::fs::create_dir(&folder).unwrap();
    let job = json!({ "work": "pull", "source": { "magnet": magnet }, "folder": folder });
    assert_eq!(pull(job).await, json!({ "whole": true }));
    assert_eq!(read(&folder.join(metainfo.name())), content);
    let announced = tracker.announced();
    assert_eq!(announced.len(), 1);
    let ports = &announced[&metainfo.info_hash()];
    assert!(ports.contains(&node.listen().port()) && !ports.contains(&quiet.listen().port()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_finds_holders_by_the_tracker_alone_where_it_may() {
    let tracker = Tracker::start().await;
    let with = |config: &mut lyceum_node::torrent::TorrentConfig| {
        config.trackers = vec![tracker.url.clone()];
    };
    let (mut holder, mut joiner) = (Node::start_with(with).await, Node::start_with(with).await);
    let (content, metainfo, _) = holder.hold(0, 300);
    assert!(holder.activate(0).await);
    let announced = async {
        while tracker.announced().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let announced = tokio::time::timeout(super::node::PATIENCE, announced).await;
    assert!(announced.is_ok(), "what is live is announced");
    joiner.fetch(0, &metainfo, &[]);
    let (file, from) = joiner.fetched(0).await;
    assert_eq!((read(&file), from), (content, vec![holder.listen()]));

    // Without trackers nobody is asked, and nothing is announced.
    let mut quiet = Node::start().await;
    let (_, other) = segment(1, 300);
    quiet.hold(1, 300);
    assert!(quiet.activate(1).await);
    quiet.fetch(0, &metainfo, &[]);
    assert!(matches!(
        quiet.event().await,
        lyceum_node::torrent::TorrentEvent::FetchFailed { .. }
    ));
    assert!(!tracker.announced().contains_key(&other.info_hash()));
    let ports = BTreeSet::from([holder.listen().port(), joiner.listen().port()]);
    let all = BTreeMap::from([(metainfo.info_hash(), ports)]);
    assert_eq!(tracker.announced(), all);
}

//! Gossip, and the verdicts on it.

use std::time::Duration;

use libp2p::PeerId;
use libp2p::gossipsub::MessageId;
use tokio::time::sleep;

use super::node::Node;
use crate::network::{GossipVerdict, NetworkCommand, NetworkEvent, Topic};

/// Ends with the message at a node that is sent to it until it comes: gossip needs a moment to get going.
async fn pass(from: &Node, to: &mut Node, topic: Topic, data: &[u8]) -> (MessageId, PeerId) {
    let publish = async {
        loop {
            from.command(NetworkCommand::Publish {
                topic,
                data: data.to_vec(),
            })
            .await;
            sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        heard = heard(to, topic, data) => heard,
        () = publish => unreachable!("it goes on for ever"),
    }
}

async fn heard(at: &mut Node, wanted: Topic, content: &[u8]) -> (MessageId, PeerId) {
    at.until("the message", |event| match event {
        NetworkEvent::Gossip {
            topic,
            from,
            id,
            data,
        } if *topic == wanted && data == content => Some((id.clone(), *from)),
        _ => None,
    })
    .await
}

async fn judge(at: &Node, (id, from): (MessageId, PeerId), verdict: GossipVerdict) {
    at.command(NetworkCommand::Verdict { id, from, verdict })
        .await;
}

/// Three in a row: the ends refuse each other.
async fn row() -> [Node; 3] {
    let mut middle = Node::start(|_| {}).await;
    let addresses = middle.addresses();
    let (mut first, mut last) = (Node::start(|_| {}).await, Node::start(|_| {}).await);
    for (one, other) in [(&first, last.id()), (&last, first.id())] {
        let (peer, duration) = (other, Duration::from_secs(3_600));
        one.command(NetworkCommand::Ban {
            peer,
            duration,
            reason: "test",
        })
        .await;
    }
    for end in [&mut first, &mut last] {
        end.command(NetworkCommand::Dial(addresses[0].clone()))
            .await;
        end.connected(middle.id()).await;
        middle.connected(end.id()).await;
    }
    [first, middle, last]
}

#[tokio::test]
async fn a_transaction_that_nobody_heard_is_gossiped_once_somebody_is_there() {
    let alone = Node::start(|_| {}).await;
    let (topic, data) = (Topic::Transaction, b"early".to_vec());
    alone.command(NetworkCommand::Publish { topic, data }).await;
    let mut late = Node::start(|_| {}).await;
    let address = alone.addresses()[0].clone();
    late.command(NetworkCommand::Dial(address)).await;
    let (_, from) = heard(&mut late, topic, b"early").await;
    assert_eq!(from, alone.id());
}

#[tokio::test]
async fn only_what_is_accepted_is_relayed() {
    let [first, mut middle, mut last] = row().await;
    for topic in [Topic::Block, Topic::Transaction] {
        let bad = pass(&first, &mut middle, topic, b"rejected").await;
        judge(&middle, bad, GossipVerdict::Reject).await;
        let early = pass(&first, &mut middle, topic, b"ignored").await;
        judge(&middle, early, GossipVerdict::Ignore).await;
        let good = pass(&first, &mut middle, topic, b"accepted").await;
        assert_eq!(good.1, first.id());
        judge(&middle, good, GossipVerdict::Accept).await;
        let (_, from) = heard(&mut last, topic, b"accepted").await;
        assert_eq!(from, middle.id());
    }
    let is_other = |event: &NetworkEvent| matches!(event, NetworkEvent::Gossip { .. });
    assert!(!last.was_told(is_other));
}

#[tokio::test]
async fn who_sends_what_is_rejected_is_reported() {
    let mut one = Node::start(|_| {}).await;
    let liar = Node::start(|_| {}).await;
    liar.command(NetworkCommand::Dial(one.addresses()[0].clone()))
        .await;
    one.connected(liar.id()).await;
    let honest = pass(&liar, &mut one, Topic::Block, b"good").await;
    judge(&one, honest, GossipVerdict::Accept).await;
    for lie in [b"lie 1", b"lie 2"] {
        let lie = pass(&liar, &mut one, Topic::Block, lie).await;
        judge(&one, lie, GossipVerdict::Reject).await;
    }
    assert_eq!(one.misbehaved(liar.id()).await, "gossip_score");
}

#[tokio::test]
async fn a_message_of_the_largest_size_passes_and_a_larger_one_is_a_fault() {
    let mut one = Node::start(|config| config.tx_bytes_max = 100).await;
    let other = Node::start(|_| {}).await;
    other
        .command(NetworkCommand::Dial(one.addresses()[0].clone()))
        .await;
    one.connected(other.id()).await;
    let largest = crate::core::wire::ANNOUNCEMENT_BYTES_MAX;
    // Several at once fill gossipsub's buffer.
    let blocks: Vec<_> = (1..4_u8).map(|fill| vec![fill; largest]).collect();
    for data in &blocks {
        pass(&other, &mut one, Topic::Block, data).await;
    }
    pass(&other, &mut one, Topic::Transaction, &[7; 100]).await;
    let publish = NetworkCommand::Publish {
        topic: Topic::Transaction,
        data: vec![7; 101],
    };
    other.command(publish).await;
    assert_eq!(one.misbehaved(other.id()).await, "oversized_gossip");
}

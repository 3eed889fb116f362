//! Bans.

use std::time::Duration;

use super::node::Node;
use super::stranger::{Answer, Stranger, framed};
use crate::core::wire::{Request, Wire as _};
use crate::network::{NetworkCommand, NetworkConfig, NetworkEvent};

const REFUSED: &str = "libp2p_swarm_connections_incoming_error_total";

fn ban(node: &Node, seconds: u64) -> NetworkCommand {
    let (peer, duration) = (node.id(), Duration::from_secs(seconds));
    NetworkCommand::Ban {
        peer,
        duration,
        reason: "work",
    }
}

#[tokio::test]
async fn the_banned_are_out_even_after_a_restart_and_nobody_else_is() {
    let mut one = Node::start(|_| {}).await;
    let bootnodes = one.addresses();
    let with = |config: &mut NetworkConfig| config.bootnodes = bootnodes.clone();
    let mut liar = Node::start(with).await;
    one.connected(liar.id()).await;
    liar.connected(one.id()).await;

    one.command(ban(&liar, 3_600)).await;
    one.disconnected(liar.id()).await;
    liar.disconnected(one.id()).await;
    assert_eq!(
        one.metric("lyceum_network_bans_total{reason=\"work\"}"),
        1.0
    );
    one.metric_above(REFUSED, one.metric(REFUSED)).await;

    let listen = one.network.view.borrow().listen.clone();
    let folder = one.stop().await;
    let mut one = Node::start_in(folder, |config| config.listen = listen).await;
    let view = one.view(|view| view.banned_peers == 1).await;
    // Loopback is never banned: the whole machine would be.
    assert!(view.banned_addresses.is_empty());
    one.metric_above(REFUSED, 0.0).await;
    // Nor does it dial whom it banned.
    one.command(NetworkCommand::Dial(liar.addresses()[0].clone()))
        .await;
    let mut honest = Node::start(with).await;
    one.connected(honest.id()).await;
    honest.connected(one.id()).await;
    let liar_id = liar.id();
    let is_liar = |event: &NetworkEvent| matches!(event, NetworkEvent::Connected { peer, .. } if *peer == liar_id);
    assert!(!one.was_told(is_liar));
}

#[tokio::test]
async fn a_ban_ends() {
    let mut one = Node::start(|_| {}).await;
    let bootnodes = one.addresses();
    let mut peer = Node::start(|config| config.bootnodes = bootnodes).await;
    peer.connected(one.id()).await;
    one.connected(peer.id()).await;
    one.command(ban(&peer, 1)).await;
    one.disconnected(peer.id()).await;
    one.view(|view| view.banned_peers == 0).await;
    one.connected(peer.id()).await;
    peer.connected(one.id()).await;
}

#[tokio::test]
async fn a_peer_that_does_not_say_its_chain_is_dropped_with_what_it_sent() {
    let mut one = Node::start(|_| {}).await;
    let stranger = Stranger::start("another", Answer::Silence, &one.addresses()[0]).await;
    stranger.send(framed(&Request::Activate(7).encode())).await;
    one.metric_above("lyceum_network_strangers_total", 0.0)
        .await;
    assert!(!one.was_told(|_| true));
}

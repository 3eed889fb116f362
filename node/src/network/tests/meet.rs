//! Networks find each other, and those of other chains don't.

use std::time::Duration;

use libp2p::PeerId;
use lyceum_protocol::BlockHash;
use mainline::Testnet;

use super::node::{Node, QUIC, TCP};
use crate::core::wire::{Request, Status};
use crate::network::{Mainline, NetworkCommand, NetworkEvent, NetworkSender, RequestId};

/// Longer than any test.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test]
async fn three_meet_through_one_bootnode() {
    let mut boot = Node::start(|_| {}).await;
    let bootnodes = boot.addresses();
    let with = |config: &mut crate::network::NetworkConfig| config.bootnodes = bootnodes.clone();
    let mut one = Node::start(with).await;
    let mut two = Node::start(with).await;
    let (one_id, two_id) = (one.id(), two.id());
    one.connected(boot.id()).await;
    two.connected(boot.id()).await;
    boot.connected(one_id).await;
    boot.connected(two_id).await;
    // Nobody told them of each other but Kademlia.
    one.connected(two_id).await;
    two.connected(one_id).await;
    let view = one.view(|view| view.peers.len() == 2).await;
    let seen = view
        .peers
        .iter()
        .find(|peer| peer.peer == boot.id())
        .unwrap();
    assert_eq!(seen.agent, format!("lyceum/{}", env!("CARGO_PKG_VERSION")));
    assert!(seen.is_outbound);
    one.view(|view| view.peers.iter().all(|peer| peer.ping.is_some()))
        .await;
    assert!(one.metric("libp2p_swarm_connections_established") >= 2.0);
    assert!(one.metric("libp2p_bandwidth_bytes") > 0.0);
}

#[tokio::test]
async fn two_meet_through_a_bootnode_that_has_a_name() {
    let boot = Node::start(|_| {}).await;
    let named = boot.addresses().into_iter().map(|address| {
        let text = address.to_string();
        text.replace("/ip4/127.0.0.1/", "/dns4/localhost/")
            .parse()
            .unwrap()
    });
    let bootnodes: Vec<libp2p::Multiaddr> = named.collect();
    assert!(
        bootnodes
            .iter()
            .all(|address| address.to_string().starts_with("/dns4/"))
    );
    let with = |config: &mut crate::network::NetworkConfig| config.bootnodes = bootnodes.clone();
    let mut one = Node::start(with).await;
    let mut two = Node::start(with).await;
    let (one_id, two_id) = (one.id(), two.id());
    one.connected(two_id).await;
    two.connected(one_id).await;
    let is_by_ip = |address: &libp2p::Multiaddr| address.to_string().starts_with("/ip4/127.0.0.1/");
    one.view(|view| view.peers.iter().all(|peer| is_by_ip(&peer.address)))
        .await;
}

#[tokio::test]
async fn a_network_connects_by_quic_alone() {
    let mut one = Node::start(|config| config.listen = vec![QUIC.parse().unwrap()]).await;
    let bootnodes = one.addresses();
    let mut two = Node::start(|config| config.bootnodes = bootnodes).await;
    two.connected(one.id()).await;
    one.connected(two.id()).await;
    let view = two.view(|view| !view.peers.is_empty()).await;
    assert!(view.peers[0].address.to_string().contains("/quic-v1"));
}

#[tokio::test]
async fn another_chain_is_dropped_and_never_told_of() {
    let mut ours = Node::start(|_| {}).await;
    let bootnodes = ours.addresses();
    let theirs = Node::start(|config| {
        config.chain = "another".parse().unwrap();
        config.bootnodes = bootnodes;
    });
    let mut theirs = theirs.await;
    ours.metric_above("lyceum_network_strangers_total", 0.0)
        .await;
    // It comes again, and is dropped again.
    ours.metric_above("lyceum_network_strangers_total", 1.0)
        .await;
    let is_connected = |event: &NetworkEvent| matches!(event, NetworkEvent::Connected { .. });
    assert!(!ours.was_told(is_connected) && !theirs.was_told(is_connected));
    assert!(ours.network.view.borrow().peers.is_empty());
}

#[tokio::test]
async fn providers_are_found() {
    let boot = Node::start(|_| {}).await;
    let bootnodes = boot.addresses();
    let with = |config: &mut crate::network::NetworkConfig| config.bootnodes = bootnodes.clone();
    let (mut holder, mut seeker) = (Node::start(with).await, Node::start(with).await);
    // Said before anybody is connected: it must not be lost.
    let key = vec![7; 20];
    holder.command(NetworkCommand::Provide(key.clone())).await;
    holder.connected(boot.id()).await;
    seeker.connected(boot.id()).await;
    let told = "libp2p_kad_inbound_requests_total{request=\"AddProvider\"}";
    boot.metric_above(told, 0.0).await;
    seeker
        .command(NetworkCommand::FindProviders(key.clone()))
        .await;
    let (holder_id, wanted) = (holder.id(), key.clone());
    seeker
        .until("the provider", |event| match event {
            NetworkEvent::Providers { key, peers } if *key == wanted => {
                peers.contains(&holder_id).then_some(())
            }
            _ => None,
        })
        .await;
}

#[tokio::test]
async fn a_provider_that_is_in_no_routing_table_is_dialled() {
    let boot = Node::start(|_| {}).await;
    let bootnodes = boot.addresses();
    let mut holder = Node::start(|config| {
        config.discovery.kad_client = true;
        config.bootnodes = bootnodes.clone();
        // It dials nobody else.
        config.limits.outbound = 1;
    })
    .await;
    holder.connected(boot.id()).await;
    let (key, other) = (vec![7; 20], vec![8; 20]);
    for key in [&key, &other] {
        holder.command(NetworkCommand::Provide(key.clone())).await;
    }
    let told = "libp2p_kad_inbound_requests_total{request=\"AddProvider\"}";
    boot.metric_above(told, 1.0).await;
    let mut seeker = Node::start(|config| config.bootnodes = bootnodes).await;
    seeker.connected(boot.id()).await;
    // However often it looks for peers, it does not hear of the holder.
    let seeks = "libp2p_kad_query_result_num_requests_count{type=\"Bootstrap\"}";
    seeker.metric_above(seeks, 3.0).await;
    let holder_id = holder.id();
    let is_holder = |event: &NetworkEvent| matches!(event, NetworkEvent::Connected { peer, .. } if *peer == holder_id);
    assert!(!seeker.was_told(is_holder));
    seeker
        .command(NetworkCommand::FindProviders(key.clone()))
        .await;
    seeker.connected(holder_id).await;
    assert_eq!(seeker.metric("lyceum_network_provider_searches_total"), 1.0);
    assert!(seeker.metric("lyceum_network_providers_found_total") >= 1.0);
}

#[tokio::test]
async fn there_is_a_limit_to_connections() {
    let mut host = Node::start(|config| config.limits.inbound = 2).await;
    let bootnodes = host.addresses();
    let guest = |config: &mut crate::network::NetworkConfig| config.bootnodes = bootnodes.clone();
    let mut guests = [Node::start(guest).await, Node::start(guest).await];
    for guest in &mut guests {
        guest.connected(host.id()).await;
        host.connected(guest.id()).await;
    }
    // One that can't be reached, so that the host can't dial it either.
    let mut late = Node::start(|config| {
        config.bootnodes = bootnodes.clone();
        config.listen = vec![];
    })
    .await;
    host.metric_above("libp2p_swarm_connections_incoming_error_total", 2.0)
        .await;
    assert_eq!(host.network.view.borrow().peers.len(), 2);
    assert!(
        !late
            .network
            .view
            .borrow()
            .peers
            .iter()
            .any(|peer| peer.peer == host.id())
    );
    let host_id = host.id();
    let is_host = |event: &NetworkEvent| matches!(event, NetworkEvent::Connected { peer, .. } if *peer == host_id);
    assert!(!late.was_told(is_host));
    // A place that is given up is taken.
    let [first, _second] = guests;
    let first_id = first.id();
    first.stop().await;
    host.disconnected(first_id).await;
    late.connected(host_id).await;
}

async fn ask_where_they_stand(commands: NetworkSender, peers: Vec<PeerId>) {
    let status = Status {
        genesis: [0; 32],
        tip: [0; 32],
        height: 0,
        work: [0; 32],
        segments: 0,
        missing: Vec::new(),
        torrent: None,
    };
    for number in 0.. {
        for peer in &peers {
            commands.try_send(NetworkCommand::Request {
                peer: *peer,
                id: RequestId(number),
                request: Request::Status(status.clone()),
            });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn where_there_are_many_some_are_let_go() {
    let mut host = Node::start(|config| {
        // Of 27 peers at most for long, gossip's two meshes hold 24.
        config.limits.established = 36;
        config.timing.young = Duration::from_millis(500);
    })
    .await;
    let bootnodes = host.addresses();
    let mut guests = Vec::new();
    for _ in 0..30 {
        let guest = Node::start(|config| {
            config.bootnodes = bootnodes.clone();
            // They know the host alone, and don't come back.
            config.discovery.kad_client = true;
            (config.timing.redial_min, config.timing.seek) = (PATIENCE, PATIENCE);
        });
        guests.push(guest.await);
    }
    let let_go = |event: &NetworkEvent| match event {
        NetworkEvent::Disconnected { peer } => Some(*peer),
        _ => None,
    };
    // Where everybody stands is asked all the time, and keeps nobody.
    let questions = tokio::spawn(ask_where_they_stand(
        host.network.commands.clone(),
        guests.iter().map(Node::id).collect(),
    ));
    let gone = host.until("one that is let go", let_go).await;
    questions.abort();
    let guest = guests.iter_mut().find(|guest| guest.id() == gone).unwrap();
    guest.disconnected(host.id()).await;
    let view = host.view(|view| view.peers.len() <= 27).await;
    assert!(view.peers.len() >= 20);
    let let_go = host.metric("lyceum_network_surplus_total");
    assert!((3.0..=10.0).contains(&let_go), "{let_go}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_an_error() {
    let node = Node::start(|_| {}).await;
    let taken = node.network.view.borrow().listen.clone();
    let folder = tempfile::tempdir().unwrap();
    let mut config = super::node::config(folder.path());
    config.listen = taken;
    // Port reuse lets two sockets of one user listen there, so take an address that nobody can have.
    config.listen.push("/ip4/192.0.2.1/tcp/1".parse().unwrap());
    let mut registry = prometheus_client::registry::Registry::default();
    let error = crate::network::start(config, &mut registry).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("can't listen on /ip4/192.0.2.1/tcp/1: "),
        "{error}"
    );
}

#[tokio::test]
async fn nodes_meet_on_the_mainline_dht() {
    let testnet = tokio::task::spawn_blocking(|| Testnet::builder(5).build().unwrap());
    let testnet = testnet.await.unwrap();
    let bootstrap = Some(testnet.bootstrap.clone());
    let mainline = Mainline {
        bootstrap,
        is_local: true,
    };
    let with = |config: &mut crate::network::NetworkConfig| {
        config.listen = vec![TCP.parse().unwrap()];
        config.discovery.mainline = Some(mainline.clone());
    };
    let (mut one, mut two) = (Node::start(with).await, Node::start(with).await);
    // Meets nobody: it is on another chain of the same name.
    let mut other = Node::start(|config| {
        with(config);
        config.genesis = BlockHash::of(b"another genesis");
    })
    .await;
    one.connected(two.id()).await;
    two.connected(one.id()).await;
    assert!(!other.was_told(|event| matches!(event, NetworkEvent::Connected { .. })));
}

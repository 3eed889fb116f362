//! Who can't be reached: flags, AutoNAT, relays, and limits of memory.

use std::time::Duration;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use prometheus_client::registry::Registry;

use super::node::{Node, config};
use crate::core::wire::Request;
use crate::network::behaviour::swarm;
use crate::network::{Discovery, NetworkCommand, NetworkConfig, NetworkEvent, RequestId};

#[tokio::test]
async fn each_flag_switches_its_own_behaviour_on() {
    type Switch = fn(&mut Discovery);
    let switches: [(Switch, &[&str]); 6] = [
        (|_| {}, &[]),
        (|flags| flags.mdns = true, &["mdns"]),
        (|flags| flags.upnp = true, &["upnp"]),
        (|flags| flags.autonat = true, &["autonat"]),
        // Hole punching needs a relay, and is of use for nothing else.
        (
            |flags| flags.relay_client = true,
            &["dcutr", "relay client"],
        ),
        (|flags| flags.relay_server = true, &["relay server"]),
    ];
    for (switch, want) in switches {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(folder.path());
        switch(&mut config.discovery);
        let swarm = swarm(&config, &mut Registry::default()).unwrap();
        let parts = swarm.behaviour();
        let states = [
            ("autonat", parts.autonat.is_enabled()),
            ("dcutr", parts.dcutr.is_enabled()),
            ("mdns", parts.mdns.is_enabled()),
            ("relay client", parts.relay_client.is_enabled()),
            ("relay server", parts.relay_server.is_enabled()),
            ("upnp", parts.upnp.is_enabled()),
        ];
        let on = states.iter().filter(|(_, is_on)| *is_on);
        assert_eq!(on.map(|(name, _)| *name).collect::<Vec<_>>(), want);
    }
}

fn circuit_of(node: &Node) -> Option<Multiaddr> {
    let listen = node.network.view.borrow().listen.clone();
    let is_circuit = |address: &Multiaddr| address.iter().any(|part| part == Protocol::P2pCircuit);
    listen.into_iter().find(is_circuit)
}

/// Asks AutoNAT, of peers on this machine as well, and soon.
fn curious(config: &mut NetworkConfig) {
    config.discovery.autonat = true;
    config.discovery.autonat_private = true;
    // A try is over, its connection too, before the next.
    config.timing.idle = Duration::from_millis(500);
    config.timing.reach_first = Duration::from_millis(500);
    config.timing.reach = Duration::from_secs(2);
}

/// A node that relays: it has learnt from the other, which has dialled it, that it can be reached.
async fn relay() -> (Node, Node) {
    let mut witness = Node::start(curious).await;
    let bootnodes = witness.addresses();
    let relay = Node::start(|config| {
        curious(config);
        config.discovery.relay_server = true;
        config.bootnodes = bootnodes;
    })
    .await;
    witness.connected(relay.id()).await;
    // Nobody is told that it relays before.
    relay
        .metric_above("lyceum_network_reachable{status=\"public\"}", 0.0)
        .await;
    (relay, witness)
}

/// A node learns that it can't be reached, so it is relayed; another reaches that one.
#[tokio::test]
async fn who_cannot_be_reached_is_reached_by_a_relay() {
    let (relay, witness) = relay().await;
    let bootnodes = [witness.addresses(), relay.addresses()].concat();
    let mut hidden = Node::start(|config| {
        curious(config);
        config.discovery.relay_client = true;
        config.listen = Vec::new();
        config.bootnodes = bootnodes;
    })
    .await;
    hidden.connected(relay.id()).await;
    let reached = hidden.view(|view| {
        let mut parts = view.listen.iter().flat_map(Multiaddr::iter);
        parts.any(|part| part == Protocol::P2pCircuit)
    });
    reached.await;
    assert_eq!(
        hidden.metric("lyceum_network_reachable{status=\"private\"}"),
        1.0
    );

    // One that can't be dialled either.
    let mut third = Node::start(|config| {
        config.discovery.relay_client = true;
        config.listen = Vec::new();
    })
    .await;
    let circuit = circuit_of(&hidden).unwrap();
    let circuit = circuit.with_p2p(hidden.id()).unwrap();
    third.command(NetworkCommand::Dial(circuit)).await;
    third.connected(hidden.id()).await;
    hidden.connected(third.id()).await;
    let view = third.network.view.borrow().clone();
    let seen = view.peers.iter().find(|peer| peer.peer == hidden.id());
    let address = seen.unwrap().address.to_string();
    assert!(
        address.contains(&format!("{}/p2p-circuit", relay.id())),
        "{address}"
    );
}

/// Two that have met by a relay go on without it.
#[tokio::test]
async fn a_relayed_connection_becomes_a_direct_one() {
    let (relay, _witness) = relay().await;
    let circuit = relay.addresses()[0].clone().with(Protocol::P2pCircuit);
    let mut hidden = Node::start(|config| {
        config.discovery.relay_client = true;
        config.listen.push(circuit);
    })
    .await;
    let mut third = Node::start(|config| config.discovery.relay_client = true).await;
    let circuit = circuit_of(&hidden).unwrap();
    let circuit = circuit.with_p2p(hidden.id()).unwrap();
    third.command(NetworkCommand::Dial(circuit)).await;
    third.connected(hidden.id()).await;
    hidden.connected(third.id()).await;
    let succeeded = "libp2p_dcutr_events_total{event=\"DirectConnectionUpgradeSucceeded\"}";
    third.metric_above(succeeded, 0.0).await;
    let ids = [hidden.id(), third.id()];
    for (node, other) in [&mut third, &mut hidden].into_iter().zip(ids) {
        node.view(|view| {
            let mut peers = view.peers.iter().filter(|peer| peer.peer == other);
            peers.any(|peer| peer.address.to_string().starts_with("/ip4/127.0.0.1/"))
        })
        .await;
    }
}

#[tokio::test]
async fn above_the_limit_of_memory_nobody_is_let_in() {
    let mut host = Node::start(|config| config.limits.memory_share = 1e-9).await;
    let bootnodes = host.addresses();
    let mut guest = Node::start(|config| {
        config.bootnodes = bootnodes;
        // The host can't dial it either.
        config.listen = Vec::new();
    })
    .await;
    let refused = "libp2p_swarm_connections_incoming_error_total";
    // It comes again, and is refused again.
    host.metric_above(refused, 1.0).await;
    let is_connected = |event: &NetworkEvent| matches!(event, NetworkEvent::Connected { .. });
    assert!(!guest.was_told(is_connected));
    // Nor does such a node dial; once it has answered what it was told later, it has not.
    let mut other = Node::start(|_| {}).await;
    host.command(NetworkCommand::Dial(other.addresses()[0].clone()))
        .await;
    let (peer, id) = (PeerId::random(), RequestId(1));
    let request = Request::Activate(1);
    host.command(NetworkCommand::Request { peer, id, request })
        .await;
    host.take("the answer", |event| {
        matches!(event, NetworkEvent::Response { .. })
    })
    .await;
    assert!(!other.was_told(is_connected));
    assert!(host.network.view.borrow().peers.is_empty());
}

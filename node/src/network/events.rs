//! What the swarm tells.

use libp2p::swarm::{ConnectionId, SwarmEvent};
use libp2p::{Multiaddr, PeerId, gossipsub, identify, ping, relay};

use super::address::{is_of_known_kind, is_relayed};
use super::behaviour::BehaviourEvent;
use super::peers::{HELD_MAX, shown_agent};
use super::task::Task;
use super::{GossipVerdict, NetworkCommand, NetworkEvent};

impl Task {
    pub(super) fn command(&mut self, command: NetworkCommand) {
        match command {
            NetworkCommand::Publish { topic, data } => self.publish(topic, data),
            NetworkCommand::Verdict { id, from, verdict } => self.verdict(&id, &from, verdict),
            NetworkCommand::Request { peer, id, request } => self.request(peer, id, request),
            NetworkCommand::Respond { reply, response } => self.respond(reply, response),
            NetworkCommand::Ban {
                peer,
                duration,
                reason,
            } => self.ban(peer, duration, reason),
            NetworkCommand::Provide(key) => self.provide(key),
            NetworkCommand::StopProviding(key) => self.stop_providing(key),
            NetworkCommand::FindProviders(key) => self.find_providers(key),
            NetworkCommand::Dial(address) => self.dial(address),
        }
    }

    pub(super) fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            SwarmEvent::ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            } => {
                let gate = &self.swarm.behaviour().gate;
                let address = gate.resolved(&peer_id, endpoint.get_remote_address());
                let end = (address, endpoint.is_dialer());
                self.peers.connect(peer_id, connection_id, end);
                self.bootnodes.reached(connection_id, peer_id);
            }
            SwarmEvent::ConnectionClosed {
                peer_id,
                connection_id,
                ..
            } => {
                self.closed(peer_id, connection_id);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.is_view_old = true;
            }
            SwarmEvent::ListenerClosed { addresses, .. } => {
                if addresses.is_empty() || addresses.iter().any(is_relayed) {
                    self.is_relayed = false;
                }
                self.is_view_old = true;
            }
            SwarmEvent::ExpiredListenAddr { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. } => self.is_view_old = true,
            SwarmEvent::OutgoingConnectionError { error, .. } => {
                tracing::debug!(%error, "dial failed");
            }
            _ => {}
        }
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Identify(event) => {
                self.count_identified(&event);
                if let identify::Event::Received { peer_id, info, .. } = event {
                    self.identified(peer_id, info);
                }
            }
            BehaviourEvent::Ping(event) => {
                self.metrics_of(&event);
                self.pinged(&event);
            }
            BehaviourEvent::Gossip(event) => {
                self.metrics_of(&event);
                if let gossipsub::Event::Message {
                    propagation_source,
                    message_id,
                    message,
                } = event
                {
                    self.gossiped(propagation_source, message_id, message);
                }
            }
            BehaviourEvent::Kad(event) => {
                self.metrics_of(&event);
                self.kad_event(event);
            }
            BehaviourEvent::Sync(event) => self.exchange_event(event),
            BehaviourEvent::Mdns(event) => self.mdns_event(event),
            BehaviourEvent::Autonat(event) => self.autonat_event(event),
            BehaviourEvent::Upnp(event) => tracing::info!(?event, "UPnP"),
            BehaviourEvent::RelayClient(event) => tracing::info!(?event, "relay"),
            BehaviourEvent::RelayServer(event) => self.metrics_of(&event),
            BehaviourEvent::Dcutr(event) => self.metrics_of(&event),
        }
    }

    /// Kinds of addresses become labels: those of known kinds alone, for a peer can make any up.
    fn count_identified(&self, event: &identify::Event) {
        let identify::Event::Received {
            connection_id,
            peer_id,
            info,
        } = event
        else {
            return self.metrics_of(event);
        };
        let mut info = info.clone();
        info.listen_addrs.retain(is_of_known_kind);
        if !is_of_known_kind(&info.observed_addr) {
            info.observed_addr = Multiaddr::empty();
        }
        self.metrics_of(&identify::Event::Received {
            connection_id: *connection_id,
            peer_id: *peer_id,
            info,
        });
    }

    fn metrics_of<E>(&self, event: &E)
    where
        libp2p::metrics::Metrics: libp2p::metrics::Recorder<E>,
    {
        libp2p::metrics::Recorder::record(&self.metrics, event);
    }

    /// A peer says what it is. Those of our chain are told of now, with what they sent before; others are dropped.
    fn identified(&mut self, id: PeerId, info: identify::Info) {
        if info.protocol_version != self.names.identify {
            tracing::debug!(peer = %id, theirs = shown_agent(&info.protocol_version), "another chain");
            return self.drop_stranger(id);
        }
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        peer.agent = shown_agent(&info.agent_version);
        peer.is_relay = info.protocols.contains(&relay::HOP_PROTOCOL_NAME);
        let is_new = !std::mem::replace(&mut peer.is_confirmed, true);
        let held = std::mem::take(&mut peer.held);
        let link = peer
            .address()
            .map(|(address, is_outbound)| (address.clone(), is_outbound));
        let is_router = info.protocols.contains(&self.names.kad);
        self.learn(id, &info.listen_addrs, is_router);
        if let Some((address, is_outbound)) = link.filter(|_| is_new) {
            self.bootnodes.confirmed(&id);
            let peer = id;
            self.outbox.tell(NetworkEvent::Connected {
                peer,
                address,
                is_outbound,
            });
        }
        for event in held {
            match event {
                NetworkEvent::Misbehaved { .. } => self.outbox.tell(event),
                event => self.offer(id, event),
            }
        }
        self.is_view_old = true;
        self.be_relayed();
    }

    fn closed(&mut self, id: PeerId, connection: ConnectionId) {
        let Some(peer) = self.peers.disconnect(&id, connection) else {
            return;
        };
        for event in peer.held {
            self.turn_down(event);
        }
        if peer.is_confirmed {
            self.outbox.tell(NetworkEvent::Disconnected { peer: id });
            self.is_view_old = true;
        }
    }

    fn pinged(&mut self, event: &ping::Event) {
        let Some(peer) = self.peers.get_mut(&event.peer) else {
            return;
        };
        match &event.result {
            Ok(time) => {
                peer.ping = Some(*time);
                self.is_view_stale = true;
            }
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(peer = %event.peer, %error, "no answer to a ping");
                self.swarm.close_connection(event.connection);
            }
        }
    }

    fn gossiped(&mut self, from: PeerId, id: gossipsub::MessageId, message: gossipsub::Message) {
        let Some(topic) = self.names.named(&message.topic) else {
            return self.verdict(&id, &from, GossipVerdict::Ignore);
        };
        if message.data.len() > self.config.gossip_bytes_max(topic) {
            self.verdict(&id, &from, GossipVerdict::Reject);
            return self.misbehaved(from, "oversized_gossip");
        }
        let data = message.data;
        self.offer(
            from,
            NetworkEvent::Gossip {
                topic,
                from,
                id,
                data,
            },
        );
    }

    /// Tells of a fault, once the peer is known to the rest of the node.
    pub(super) fn misbehaved(&mut self, id: PeerId, reason: &'static str) {
        let Some(peer) = self.peers.get_mut(&id) else {
            return;
        };
        let event = NetworkEvent::Misbehaved { peer: id, reason };
        if peer.is_confirmed {
            self.outbox.tell(event);
        } else if peer.held.len() < HELD_MAX {
            peer.held.push(event);
        } else {
            self.disconnect(id);
        }
    }
}

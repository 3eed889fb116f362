//! What the swarm is made of.

use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, Transport as _};
use libp2p::core::upgrade::Version;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::request_response::ProtocolSupport;
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, Swarm, SwarmBuilder, allow_block_list, autonat, connection_limits, dcutr, dns,
    identify, kad, mdns, memory_connection_limits, noise, ping, quic, relay, request_response, tcp,
    upnp, yamux,
};
use prometheus_client::registry::Registry;

use super::codec::SyncCodec;
use super::config::{Limits, NetworkConfig};
use super::dialled::Dialled;
use super::gate::Gate;
use super::gossip::{Gossip, gossip};
use super::{NetworkError, PROVIDED_MAX};

/// Requests in both directions that one connection carries at once; a request takes up to 256 KiB.
pub(super) const STREAMS_MAX: usize = 16;
/// Provider records are forgotten after a day, and told anew every hour: peers come and go, and there is one each hour that knows.
const PROVIDER_TTL: Duration = Duration::from_secs(24 * 3_600);
const PROVIDER_REPUBLISH: Duration = Duration::from_secs(3_600);
/// A query of Kademlia gives up after this.
const KAD_TIMEOUT: Duration = Duration::from_secs(20);
/// Addresses that identify remembers; Kademlia keeps its own.
const IDENTIFY_CACHE_LEN: usize = 256;

/// What the swarm is made of. Those that refuse come first: no other part sees a connection that they refused.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) limits: connection_limits::Behaviour,
    pub(super) memory: memory_connection_limits::Behaviour,
    pub(super) blocked: allow_block_list::Behaviour<allow_block_list::BlockedPeers>,
    pub(super) gate: Gate,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) gossip: Gossip,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) sync: request_response::Behaviour<SyncCodec>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) upnp: Toggle<upnp::tokio::Behaviour>,
    pub(super) autonat: Toggle<autonat::Behaviour>,
    pub(super) relay_client: Toggle<relay::client::Behaviour>,
    pub(super) relay_server: Toggle<relay::Behaviour>,
    pub(super) dcutr: Toggle<dcutr::Behaviour>,
}

/// Builds the swarm: TCP and QUIC, names by DNS, relayed connections.
pub(super) fn swarm(
    config: &NetworkConfig,
    registry: &mut Registry,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let dialled = Dialled::default();
    let transport = transport(config, dialled.clone())?;
    let builder = SwarmBuilder::with_existing_identity(config.identity.clone()).with_tokio();
    let Ok(builder) = builder.with_other_transport(|_| transport);
    let builder = builder
        .with_relay_client(noise::Config::new, yamux::Config::default)
        .map_err(no_noise)?
        .with_bandwidth_metrics(registry);
    let mut parts = behaviour(config, registry, dialled)?;
    let is_relayed = config.discovery.relay_client;
    let Ok(builder) = builder.with_behaviour(|_, relay_client| {
        parts.relay_client = is_relayed.then_some(relay_client).into();
        parts
    });
    let idle = config.timing.idle;
    Ok(builder
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(idle))
        .build())
}

fn no_noise(error: noise::Error) -> NetworkError {
    NetworkError::Transport(error.to_string())
}

/// TCP and QUIC under names of DNS. Where each dial has led is noted below the names.
fn transport(
    config: &NetworkConfig,
    dialled: Dialled,
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, NetworkError> {
    let noise = noise::Config::new(&config.identity).map_err(no_noise)?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true))
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(&config.identity))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let both = tcp.or_transport(quic).map(move |either, end| {
        let (peer, muxer) = either.into_inner();
        dialled.note(peer, &end);
        (peer, muxer)
    });
    let named = dns::tokio::Transport::system(both).map_err(NetworkError::Dns)?;
    Ok(named.boxed())
}

/// Builds the swarm over a transport that is given.
pub(super) fn swarm_over(
    transport: Boxed<(PeerId, StreamMuxerBox)>,
    config: &NetworkConfig,
    registry: &mut Registry,
) -> Result<Swarm<Behaviour>, NetworkError> {
    let parts = behaviour(config, registry, Dialled::default())?;
    let builder = SwarmBuilder::with_existing_identity(config.identity.clone()).with_tokio();
    let Ok(builder) = builder.with_other_transport(|_| transport);
    let Ok(builder) = builder.with_behaviour(|_| parts);
    let idle = config.timing.idle;
    Ok(builder
        .with_swarm_config(|swarm| swarm.with_idle_connection_timeout(idle))
        .build())
}

/// All of it but the relay client, which comes with the transport.
fn behaviour(
    config: &NetworkConfig,
    registry: &mut Registry,
    dialled: Dialled,
) -> Result<Behaviour, NetworkError> {
    let (me, key) = (
        config.identity.public().to_peer_id(),
        config.identity.public(),
    );
    let (names, discovery) = (config.names(), &config.discovery);
    let identify = identify::Config::new(names.identify.clone(), key)
        .with_agent_version(config.agent.clone())
        .with_push_listen_addr_updates(true)
        .with_cache_size(IDENTIFY_CACHE_LEN);
    let sync = request_response::Config::default()
        .with_request_timeout(config.timing.request)
        .with_max_concurrent_streams(STREAMS_MAX);
    let mdns = discovery
        .mdns
        .then(|| mdns::tokio::Behaviour::new(mdns::Config::default(), me));
    Ok(Behaviour {
        limits: connection_limits::Behaviour::new(connection_limits(&config.limits)),
        memory: memory_connection_limits::Behaviour::with_max_percentage(
            config.limits.memory_share,
        ),
        blocked: allow_block_list::Behaviour::default(),
        gate: Gate::new(config.limits.per_ip, dialled),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(config.timing.ping)),
        gossip: gossip(config, registry)?,
        kad: kademlia(config, me),
        sync: request_response::Behaviour::new([(names.sync, ProtocolSupport::Full)], sync),
        mdns: mdns.transpose().map_err(NetworkError::Mdns)?.into(),
        upnp: discovery.upnp.then(upnp::tokio::Behaviour::default).into(),
        autonat: discovery
            .autonat
            .then(|| autonat::Behaviour::new(me, autonat_config(config)))
            .into(),
        relay_client: None.into(),
        relay_server: discovery
            .relay_server
            .then(|| relay::Behaviour::new(me, relay::Config::default()))
            .into(),
        dcutr: discovery
            .relay_client
            .then(|| dcutr::Behaviour::new(me))
            .into(),
    })
}

fn connection_limits(limits: &Limits) -> connection_limits::ConnectionLimits {
    connection_limits::ConnectionLimits::default()
        .with_max_pending_incoming(Some(limits.pending_inbound))
        .with_max_pending_outgoing(Some(limits.pending_outbound))
        .with_max_established_incoming(Some(limits.inbound))
        .with_max_established_outgoing(Some(limits.outbound))
        .with_max_established(Some(limits.established))
        .with_max_established_per_peer(Some(limits.per_peer))
}

fn autonat_config(config: &NetworkConfig) -> autonat::Config {
    autonat::Config {
        boot_delay: config.timing.reach_first,
        retry_interval: config.timing.reach,
        // One peer may be asked again as soon as anybody may: in a small network there is nobody else.
        throttle_server_period: config.timing.reach,
        only_global_ips: !config.discovery.autonat_private,
        ..autonat::Config::default()
    }
}

/// Provider records alone, and nobody in the routing table but those whom identify has shown to speak this protocol. Unless told
/// otherwise, we answer until AutoNAT says that we can't be reached.
fn kademlia(config: &NetworkConfig, me: PeerId) -> kad::Behaviour<MemoryStore> {
    let mut kad = kad::Config::new(config.names().kad);
    kad.set_query_timeout(KAD_TIMEOUT)
        .disjoint_query_paths(true)
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_provider_record_ttl(Some(PROVIDER_TTL))
        .set_provider_publication_interval(Some(PROVIDER_REPUBLISH));
    let store = MemoryStoreConfig {
        max_records: 0,
        max_provided_keys: PROVIDED_MAX,
        ..MemoryStoreConfig::default()
    };
    let store = MemoryStore::with_config(me, store);
    let mut kad = kad::Behaviour::with_config(me, store, kad);
    kad.set_mode(Some(match config.discovery.kad_client {
        true => kad::Mode::Client,
        false => kad::Mode::Server,
    }));
    kad
}

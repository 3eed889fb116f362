//! How gossip is set up: who is believed, what is bounded.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use libp2p::gossipsub::{
    self, ConfigBuilder, IdentityTransform, Message, MessageAuthenticity, MessageId,
    PeerScoreParams, PeerScoreThresholds, TopicScoreParams, ValidationMode,
    WhitelistSubscriptionFilter, score_parameter_decay_with_base,
};
use prometheus_client::registry::Registry;
use sha2::{Digest as _, Sha256};

use super::config::NetworkConfig;
use super::{NetworkError, Topic};
use crate::core::wire::ANNOUNCEMENT_BYTES_MAX;

pub(super) type Gossip = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// Room for a second message and control messages in gossipsub's read buffer, all of which it compares with its limit.
const READ_BUFFER_BYTES: usize = 512 << 10;
/// Heartbeats for which a message is kept: it must outlast its judgement.
const HISTORY_LEN: usize = 12;
/// Messages that wait for a slow peer; the largest is 1 MiB, and shared among peers.
const PEER_QUEUE_LEN: usize = 256;
/// Control messages to a peer in one frame.
const CONTROL_MESSAGES_MAX: usize = 600;
/// A duplicate of a message is known for so long: transactions come back for longer than blocks.
const DUPLICATE_CACHE: Duration = Duration::from_secs(120);
/// From this size on, peers are told that a message is here already.
const IDONTWANT_BYTES_MIN: usize = 1_000;

/// Below this score, no gossip with a peer; below the second, nothing is published to it; below the third it isn't heard.
const GOSSIP_SCORE: f64 = -500.0;
const PUBLISH_SCORE: f64 = -1_000.0;
/// Whoever falls below is reported as misbehaving.
pub(super) const GRAYLIST_SCORE: f64 = -2_500.0;
/// Faults are forgotten within this time.
const FAULT_DECAY: Duration = Duration::from_secs(3_600);
/// How often scores decay.
const DECAY_INTERVAL: Duration = Duration::from_secs(10);
/// What is less is nothing.
const DECAY_TO_ZERO: f64 = 0.01;

const TOPICS: [Topic; 2] = [Topic::Block, Topic::Transaction];

/// The id of a message: nothing but its topic and content decide, so the same content is the same message whoever sends it.
fn message_id(message: &Message) -> MessageId {
    let topic = message.topic.as_str().as_bytes();
    let mut hash = Sha256::new();
    hash.update(b"lyceum gossip");
    hash.update((topic.len() as u64).to_be_bytes());
    hash.update(topic);
    hash.update(&message.data);
    MessageId::new(&hash.finalize()[..20])
}

/// Sets gossip up, subscribed to both topics. Its own metrics go beside libp2p's others.
pub(super) fn gossip(
    config: &NetworkConfig,
    registry: &mut Registry,
) -> Result<Gossip, NetworkError> {
    let names = config.names();
    let longest = ANNOUNCEMENT_BYTES_MAX.max(config.tx_bytes_max);
    let built = ConfigBuilder::default()
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        .max_transmit_size(longest + READ_BUFFER_BYTES)
        .max_control_messages_sent(CONTROL_MESSAGES_MAX)
        .connection_handler_queue_len(PEER_QUEUE_LEN)
        .duplicate_cache_time(DUPLICATE_CACHE)
        .idontwant_message_size_threshold(IDONTWANT_BYTES_MIN)
        .mesh_n(8)
        .mesh_n_low(6)
        .mesh_n_high(12)
        .mesh_outbound_min(3)
        .gossip_lazy(6)
        .history_length(HISTORY_LEN)
        .heartbeat_initial_delay(config.timing.heartbeat)
        .heartbeat_interval(config.timing.heartbeat)
        .flood_publish(false)
        .build();
    let built = built.map_err(|error| NetworkError::Gossip(error.to_string()))?;
    let topics: Vec<_> = TOPICS.iter().map(|topic| names.topic(*topic)).collect();
    let filter = WhitelistSubscriptionFilter(topics.iter().map(|topic| topic.hash()).collect());
    let author = MessageAuthenticity::Anonymous;
    let gossip = Gossip::new_with_subscription_filter(author, built, filter);
    let gossip = gossip.map_err(|error| NetworkError::Gossip(error.to_owned()))?;
    let mut gossip = gossip.with_metrics(
        registry.sub_registry_with_prefix("libp2p_gossipsub"),
        metrics(),
    );
    let scores = TOPICS
        .iter()
        .map(|topic| (names.topic(*topic).hash(), topic_score(*topic)));
    let scored = gossip.with_peer_score(peer_score(scores.collect()), thresholds());
    scored.map_err(NetworkError::Gossip)?;
    for topic in topics {
        let subscribed = gossip.subscribe(topic);
        subscribed.map_err(|error| NetworkError::Gossip(error.to_string()))?;
    }
    Ok(gossip)
}

/// Topics label the metrics: ours alone, so that no peer makes up labels.
fn metrics() -> gossipsub::MetricsConfig {
    let mut config = gossipsub::MetricsConfig {
        max_topics: TOPICS.len(),
        max_never_subscribed_topics: 0,
        ..gossipsub::MetricsConfig::default()
    };
    config.buckets_using_scoring_thresholds(&thresholds());
    config
}

fn decay(time: Duration) -> f64 {
    score_parameter_decay_with_base(time, DECAY_INTERVAL, DECAY_TO_ZERO)
}

fn thresholds() -> PeerScoreThresholds {
    PeerScoreThresholds {
        gossip_threshold: GOSSIP_SCORE,
        publish_threshold: PUBLISH_SCORE,
        graylist_threshold: GRAYLIST_SCORE,
        accept_px_threshold: 0.0,
        // Half of what a peer earns within minutes of good work.
        opportunistic_graft_threshold: 5.0,
    }
}

/// How a peer is scored over all.
///
/// What can be earned is small (at most 50, by `topic_score_cap`) beside what faults cost, so nobody can save up for a lie.
/// - P6, peers at one IP: from the ninth on, -10 times the square of how many too many: 16 at one IP have -640, and get no gossip.
///   Loopback is exempt, since a local test network shares it.
/// - P7, broken promises (GRAFT within its backoff, IHAVE without its message): the first six an hour are free, then -10 times the
///   square: 14 give -640.
/// - Slow peers keep the default's small penalty: being slow is no fault.
fn peer_score(topics: HashMap<gossipsub::TopicHash, TopicScoreParams>) -> PeerScoreParams {
    let loopback = [
        IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(Ipv6Addr::LOCALHOST),
    ];
    PeerScoreParams {
        topics,
        topic_score_cap: 50.0,
        app_specific_weight: 0.0,
        ip_colocation_factor_weight: -10.0,
        ip_colocation_factor_threshold: 8.0,
        ip_colocation_factor_whitelist: HashSet::from(loopback),
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: decay(FAULT_DECAY),
        decay_interval: DECAY_INTERVAL,
        decay_to_zero: DECAY_TO_ZERO,
        retain_score: FAULT_DECAY,
        ..PeerScoreParams::default()
    }
}

/// How a peer is scored by a topic.
///
/// - P1, time in the mesh: at most 3, after 5 minutes. P2, news first: 1 each, at most 20, forgotten within 10 minutes.
/// - P3 and P3b, too few messages, are off: blocks are rare and come by chance, and nobody owes us transactions.
/// - P4, rejected messages: -1000 times the square of their number for blocks, so the second within the hour puts a peer off the
///   list; -100 times for transactions, so the fifth does, at which the core's own count bans it as well.
fn topic_score(topic: Topic) -> TopicScoreParams {
    let invalid = match topic {
        Topic::Block => -1_000.0,
        Topic::Transaction => -100.0,
    };
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.01,
        time_in_mesh_quantum: Duration::from_secs(1),
        time_in_mesh_cap: 300.0,
        first_message_deliveries_weight: 1.0,
        first_message_deliveries_decay: decay(Duration::from_secs(600)),
        first_message_deliveries_cap: 20.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: invalid,
        invalid_message_deliveries_decay: decay(FAULT_DECAY),
        ..TopicScoreParams::default()
    }
}

#[cfg(test)]
mod tests {
    use libp2p::gossipsub::TopicHash;

    use super::*;

    fn id(topic: &str, data: &[u8], sequence_number: Option<u64>) -> MessageId {
        let (topic, data) = (TopicHash::from_raw(topic), data.to_vec());
        message_id(&Message {
            source: None,
            data,
            sequence_number,
            topic,
        })
    }

    #[test]
    fn a_message_is_its_topic_and_content() {
        assert_eq!(id("a", b"bc", None), id("a", b"bc", Some(7)));
        assert_ne!(id("a", b"bc", None), id("ab", b"c", None));
        assert_ne!(id("a", b"bc", None), id("a", b"cb", None));
        assert_eq!(id("a", b"bc", None).0.len(), 20);
    }

    #[test]
    fn scores_are_what_their_comments_say() {
        let faults = |topic, n: f64| topic_score(topic).invalid_message_deliveries_weight * n * n;
        assert!(faults(Topic::Block, 1.0) >= PUBLISH_SCORE);
        assert!(faults(Topic::Block, 2.0) < GRAYLIST_SCORE);
        assert!(faults(Topic::Transaction, 4.0) > GRAYLIST_SCORE);
        assert!(faults(Topic::Transaction, 5.0) <= GRAYLIST_SCORE);
        peer_score(HashMap::new()).validate().unwrap();
        thresholds().validate().unwrap();
        TOPICS
            .iter()
            .for_each(|topic| topic_score(*topic).validate().unwrap());
    }
}

//! What the network counts, beside libp2p's own metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// A word out of a fixed set.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Kind {
    pub(super) kind: &'static str,
}

/// The reason of a ban.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
}

/// The network's counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    pub(super) commands_dropped: Counter,
    pub(super) events_dropped: Family<Kind, Counter>,
    pub(super) bans: Family<Reason, Counter>,
    pub(super) strangers: Counter,
}

impl Counters {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let counters = Self::default();
        let registry = registry.sub_registry_with_prefix("lyceum_network");
        registry.register(
            "commands_dropped",
            "Commands to the network that found its queue full",
            counters.commands_dropped.clone(),
        );
        registry.register(
            "events_dropped",
            "Gossip and requests that nobody had time for",
            counters.events_dropped.clone(),
        );
        registry.register("bans", "Peers banned, by reason", counters.bans.clone());
        registry.register(
            "strangers",
            "Peers dropped since they are on another chain, or don't say on which",
            counters.strangers.clone(),
        );
        counters
    }

    pub(super) fn drop_event(&self, kind: &'static str) {
        self.events_dropped.get_or_create(&Kind { kind }).inc();
    }
}

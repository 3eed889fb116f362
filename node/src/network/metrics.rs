//! What the network counts, beside libp2p's own metrics.

use libp2p::autonat::NatStatus;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
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

/// Whether peers can reach us, as AutoNAT says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reach {
    status: &'static str,
}

impl From<&NatStatus> for Reach {
    fn from(status: &NatStatus) -> Self {
        let status = match status {
            NatStatus::Public(_) => "public",
            NatStatus::Private => "private",
            NatStatus::Unknown => "unknown",
        };
        Self { status }
    }
}

const REACHES: [Reach; 3] = [
    Reach { status: "unknown" },
    Reach { status: "public" },
    Reach { status: "private" },
];

/// The network's counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Counters {
    pub(super) commands_dropped: Counter,
    pub(super) events_dropped: Family<Kind, Counter>,
    pub(super) bans: Family<Reason, Counter>,
    pub(super) strangers: Counter,
    pub(super) surplus: Counter,
    pub(super) searches: Counter,
    pub(super) providers: Counter,
    reachable: Family<Reach, Gauge>,
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
        registry.register(
            "surplus",
            "Peers let go since there were many",
            counters.surplus.clone(),
        );
        registry.register(
            "provider_searches",
            "Searches for those who provide a segment",
            counters.searches.clone(),
        );
        registry.register(
            "providers_found",
            "Providers that such searches told of",
            counters.providers.clone(),
        );
        registry.register(
            "reachable",
            "1 for what AutoNAT says of whether peers can reach this node, 0 for the rest",
            counters.reachable.clone(),
        );
        counters.reach(Reach::from(&NatStatus::Unknown));
        for kind in ["gossip", "request"] {
            let _at_zero = counters.events_dropped.get_or_create(&Kind { kind });
        }
        counters
    }

    pub(super) fn reach(&self, status: Reach) {
        for other in REACHES {
            let gauge = self.reachable.get_or_create(&other);
            gauge.set(i64::from(other == status));
        }
    }

    pub(super) fn drop_event(&self, kind: &'static str) {
        self.events_dropped.get_or_create(&Kind { kind }).inc();
    }
}

//! What Prometheus is served, against METRICS.md and against what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use libp2p::PeerId;
use lyceum_node::core::{DropCause, Notice, Phase, Source};
use lyceum_node::metrics::{Exposition, Metrics};
use lyceum_node::network::{Network, NetworkCommand, NetworkConfig, NetworkEvent, Timing, Topic};
use lyceum_protocol::{
    BlockHash, Height, MetainfoBuilder, SegmentIndex, StateRoot, Timestamp, TxId,
};
use prometheus_client::registry::Registry;

use crate::forge;
use crate::world::World;

/// Everything that can happen, twice over.
pub(crate) fn touch(metrics: &Metrics) {
    let spec = forge::spec();
    let index = SegmentIndex::ZERO;
    let notices = || {
        let (id, reason) = (TxId::ZERO, "x");
        [
            Notice::Tip {
                height: Height::ZERO,
                hash: BlockHash::ZERO,
                state_root: StateRoot::ZERO,
                timestamp: Timestamp::ZERO,
                blocks: 3,
                transactions: 7,
                disconnected: 2,
                source: Source::Gossip,
            },
            Notice::Imported {
                source: Source::Torrent,
                blocks: 5,
            },
            Notice::BlockRejected {
                reason,
                from: Some(PeerId::random()),
            },
            Notice::Pending(forge::register(&spec, 1, 0)),
            Notice::TransactionRejected { reason },
            Notice::Dropped {
                id,
                cause: DropCause::Replaced,
            },
            Notice::Sealed {
                index,
                metainfo: MetainfoBuilder::new(&spec.chain, index).finish(),
            },
            Notice::Unsealed(index),
            Notice::FetchFailed { index, reason },
            Notice::FellBack { index, reason },
            Notice::Mined(BlockHash::ZERO),
            Notice::Phase(Phase::Blocks),
            Notice::Stalled {
                peer: PeerId::random(),
            },
            Notice::Peers(4),
        ]
    };
    notices()
        .iter()
        .chain(&notices())
        .for_each(|notice| metrics.observe(notice));
    for _ in 0..2 {
        metrics.block_validated(Duration::from_millis(3));
        metrics.block_propagated(Duration::from_millis(40));
        metrics.mining_attempts(1_000);
        metrics.banned("bad_work");
        metrics.channel_dropped("x");
    }
}

/// A family: type, help, labels.
type Family = (String, String, BTreeSet<String>);

fn families(text: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut help = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ').unwrap().1;
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let family = (kind.to_owned(), help.to_owned(), BTreeSet::new());
            assert_eq!(
                families.insert(name.to_owned(), family),
                None,
                "{name} comes once"
            );
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["", "_bucket", "_sum", "_count"].iter().find_map(|suffix| {
                name.strip_suffix(suffix)
                    .filter(|name| families.contains_key(*name))
            });
            let family = families.get_mut(family.expect(line)).unwrap();
            let labels = line
                .split_once('{')
                .map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
            let labels = labels
                .split(',')
                .filter_map(|label| label.split_once('='))
                .map(|(name, _)| name.to_owned());
            family.2.extend(labels.filter(|name| name != "le"));
        }
    }
    families
}

/// A row of the table: ours with the labels, for those are ours to bound.
fn row(name: &str, (kind, help, labels): &Family) -> String {
    let help = help.trim_end_matches('.');
    if name.starts_with("libp2p_") {
        return format!("| `{name}` | {kind} | {help} |");
    }
    let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{name}` | {kind} | {} | {help} |", labels.join(", "))
}

/// The rows of METRICS.md whose metrics have this prefix.
fn described(prefix: &str) -> Vec<&'static str> {
    let start = format!("| `{prefix}");
    let lines = include_str!("../../METRICS.md").lines();
    lines.filter(|line| line.starts_with(&start)).collect()
}

fn network(world: &World, folder: &Path, registry: &mut Registry) -> Network {
    let genesis = world.core.lock().unwrap().chain.store().genesis();
    let identity = libp2p::identity::Keypair::generate_ed25519();
    let config = NetworkConfig {
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()],
        timing: Timing::local(),
        ..NetworkConfig::new(&world.spec, genesis, identity, folder)
    };
    lyceum_node::network::start(config, registry).unwrap()
}

/// Has a node's network meet another, gossip, and ban somebody; gives the other one, and what serves it.
fn touch_network(world: &World, folder: &Path) -> [Network; 2] {
    world.runtime.block_on(async {
        let ours = world
            .metrics
            .register(|registry| network(world, folder, registry));
        let mut theirs = network(world, folder, &mut Registry::default());
        let mut view = ours.view.clone();
        let view = view.wait_for(|view| !view.listen.is_empty()).await.unwrap();
        let dial = NetworkCommand::Dial(view.listen[0].clone());
        drop(view);
        assert!(theirs.commands.send(dial).await);
        while !matches!(
            theirs.events.recv().await,
            Some(NetworkEvent::Connected { .. })
        ) {}
        let ban = NetworkCommand::Ban {
            peer: PeerId::random(),
            duration: Duration::from_secs(60),
            reason: "work",
        };
        assert!(ours.commands.send(ban).await);
        // Gossip needs a moment to get going.
        loop {
            let (topic, data) = (Topic::Block, b"news".to_vec());
            let news = NetworkCommand::Publish { topic, data };
            assert!(theirs.commands.send(news).await);
            tokio::time::sleep(Duration::from_millis(50)).await;
            let text = world
                .metrics
                .expose(Some(&world.node), Exposition::Prometheus);
            let families = families(&text);
            let all = [
                "libp2p_gossipsub_messages_total",
                "libp2p_ping_rtt_seconds",
                "lyceum_network_bans_total",
            ];
            if all.iter().all(|name| families.contains_key(*name))
                && text.contains("libp2p_gossipsub_messages_total 1")
            {
                return [ours, theirs];
            }
        }
    })
}

#[test]
fn metrics_md_describes_what_is_served() {
    let world = World::new();
    touch(&world.metrics);
    let folder = tempfile::tempdir().unwrap();
    let networks = touch_network(&world, folder.path());
    world.get("/metrics");
    let answer = world.get("/metrics");
    assert_eq!(answer.kind, "text/plain; version=0.0.4; charset=utf-8");
    let (theirs, ours): (Vec<_>, Vec<_>) = families(answer.text())
        .into_iter()
        .partition(|(name, _)| name.starts_with("libp2p_"));
    let rows = |families: &[(String, Family)]| -> Vec<String> {
        let rows = families.iter().map(|(name, family)| row(name, family));
        rows.collect()
    };
    let (ours, theirs) = (rows(&ours), rows(&theirs));
    assert_eq!(
        described("lyceum_"),
        ours,
        "METRICS.md should be:\n{}",
        ours.join("\n")
    );
    // Some of libp2p's come with events that are rare.
    let known = described("libp2p_");
    let unknown: Vec<_> = theirs
        .iter()
        .filter(|row| !known.contains(&row.as_str()))
        .collect();
    assert!(unknown.is_empty(), "METRICS.md lacks {unknown:#?}");
    assert!(theirs.len() >= 30, "{theirs:#?}");
    let sorted: BTreeSet<_> = known.iter().collect();
    assert!(known.iter().eq(sorted), "each comes once, in order");
    for network in networks {
        world.runtime.block_on(network.shutdown());
    }
}

#[test]
fn what_happened_is_counted() {
    let world = World::new();
    touch(&world.metrics);
    let answer = world.get("/metrics");
    for want in [
        "lyceum_chain_height 10",
        "lyceum_blocks_imported_total{source=\"torrent\"} 10",
        "lyceum_blocks_imported_total{source=\"mined\"} 0",
        "lyceum_blocks_rejected_total{reason=\"x\"} 2",
        "lyceum_transactions_included_total 14",
        "lyceum_transactions_dropped_total{reason=\"replaced\"} 2",
        "lyceum_reorganisations_total 2",
        "lyceum_reorganisation_depth_blocks_sum 4.0",
        "lyceum_block_validation_seconds_count 2",
        "lyceum_block_propagation_seconds_bucket{le=\"0.032\"} 0",
        "lyceum_block_propagation_seconds_bucket{le=\"0.064\"} 2",
        "lyceum_vm_instructions_total 0",
        "lyceum_vm_gas_total 0",
        "lyceum_mining_attempts_total 2000",
        "lyceum_peers{direction=\"outbound\"} 2",
        "lyceum_peers{direction=\"inbound\"} 1",
        "lyceum_bans_total{reason=\"bad_work\"} 2",
        "lyceum_bans_active{kind=\"address\"} 1",
        "lyceum_torrent_bytes_total{direction=\"uploaded\"} 22",
        "lyceum_segments_sealed 2",
        "lyceum_sync_phase{phase=\"following\"} 1",
        "lyceum_sync_phase{phase=\"waiting\"} 0",
        "lyceum_channel_dropped_total{channel=\"x\"} 2",
    ] {
        assert!(
            answer.text().contains(&format!("{want}\n")),
            "{want}\n{}",
            answer.text()
        );
    }
    let value = |name: &str| -> f64 {
        let line = answer
            .text()
            .lines()
            .find(|line| line.starts_with(&format!("{name} ")));
        line.unwrap().split_once(' ').unwrap().1.parse().unwrap()
    };
    let tip = world.node.reader.read().tip().unwrap().unwrap();
    let work: f64 = tip.work.to_string().parse().unwrap();
    assert_eq!(value("lyceum_chain_work"), work);
    assert!(value("lyceum_process_resident_memory_bytes") > 1e6);
    assert!(value("lyceum_process_open_fds") > 3.0);
    assert!(value("lyceum_process_start_time_seconds") > 1.6e9);
}

#[test]
fn what_contracts_did_since_the_start_is_counted() {
    let world = World::new();
    world.get("/metrics");
    let (mut gas, mut steps) = (0, 0);
    for seq in 0..2 {
        let call = forge::register(&world.spec, 3, seq);
        let taken = world.post("/api/v1/txs", "application/jwt", call.token().as_bytes());
        assert_eq!(taken.status, 202);
        world.mine();
        let receipt = world.json(taken.header("location"))["receipt"].clone();
        gas += receipt["gas"].as_u64().unwrap();
        steps += receipt["steps"].as_u64().unwrap();
    }
    assert!(steps > 0 && gas > steps);
    for _ in 0..2 {
        let answer = world.get("/metrics");
        for want in [
            format!("lyceum_vm_instructions_total {steps}\n"),
            format!("lyceum_vm_gas_total {gas}\n"),
        ] {
            assert!(answer.text().contains(&want), "{want}{}", answer.text());
        }
    }
}

#[test]
fn prometheus_is_served_openmetrics_and_libp2ps_metrics_beside_ours() {
    let world = World::new();
    let accept = [(
        "accept",
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4",
    )];
    let open = world.get_with("/metrics", &accept);
    assert_eq!(
        open.kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.text().ends_with("# EOF\n"));
    assert!(open.text().contains("# TYPE lyceum_build info\n"));

    let metrics = Metrics::new();
    let _theirs = metrics.register(libp2p::metrics::Metrics::new);
    let text = metrics.expose(Some(&world.node), Exposition::Prometheus);
    let prefixes: BTreeSet<_> = families(&text)
        .into_keys()
        .map(|name| name.split('_').next().unwrap().to_owned())
        .collect();
    assert_eq!(prefixes, ["libp2p", "lyceum"].map(ToOwned::to_owned).into());
}

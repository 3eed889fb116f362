//! What there is to say in the end.

use std::collections::BTreeMap;

use lyceum_netsim::load::Tally;
use lyceum_netsim::run::report::{Point, Report, Sample};
use lyceum_netsim::verdict::{Agreement, Verdict};
use lyceum_protocol::{BlockLine, Height};
use lyceum_storage::Tip;

use super::Play;
use crate::check::Violation;
use crate::report::{Percentiles, Share, SimReport, histogram, unmet};
use crate::wire::Host;

impl Play {
    /// Looks at the nodes, and remembers.
    pub(super) fn sample(&mut self) -> anyhow::Result<()> {
        let second = self.world.started.elapsed().as_secs_f64();
        let (mut best, mut nodes) = (0, BTreeMap::new());
        for (number, tip) in self.tips()? {
            let (uploaded, downloaded) = self.bytes(number)?;
            let watch = self.world.watch();
            let figures = watch.nodes.get(&number);
            let height = tip.height.get();
            best = best.max(height);
            let point = Point {
                height,
                reorganisations: figures.map_or(0, |figures| figures.reorganisations),
                uploaded,
                downloaded,
            };
            nodes.insert(self.names[number].clone(), point);
        }
        self.samples.push(Sample {
            second,
            best,
            nodes,
        });
        Ok(())
    }

    /// What a node has sent and taken by BitTorrent, of all its runs.
    fn bytes(&self, number: usize) -> anyhow::Result<(u64, u64)> {
        let (up, down) = self.world.swarm.bytes(Host(u16::try_from(number)?));
        let watch = self.world.watch();
        let before = watch.nodes.get(&number);
        let before = before.map_or((0, 0), |figures| (figures.uploaded, figures.downloaded));
        Ok((up + before.0, down + before.1))
    }

    pub(super) async fn judge(
        mut self,
        agreed: Option<Tip>,
        tally: Tally,
    ) -> anyhow::Result<SimReport> {
        self.blame_the_ended().await;
        self.sample()?;
        self.replay()?;
        let agreement = match &agreed {
            Some(tip) => Ok(agreement(tip)),
            None => Err(self.standings()?),
        };
        let mut verdict = Verdict::new(self.running.len(), agreement, tally);
        if let Some(tip) = &agreed {
            verdict.transactions = self.transactions(tip.height)?;
        }
        let simulated_seconds = self.world.started.elapsed().as_secs_f64();
        verdict.seconds = simulated_seconds;
        let shares = self.names.iter().enumerate().map(|(number, name)| {
            let (uploaded, downloaded) = self.bytes(number)?;
            let watch = self.world.watch();
            let figures = watch.nodes.get(&number);
            let by_torrent = figures.and_then(|figures| figures.blocks_by_source.get("torrent"));
            Ok(Share {
                name,
                by_torrent: by_torrent.copied().unwrap_or(0),
                uploaded,
                downloaded,
            })
        });
        let shares: Vec<_> = shares.collect::<anyhow::Result<_>>()?;
        let mut watch = self.world.watch();
        let all = watch.nodes.values();
        verdict.reorganisations = all.map(|figures| figures.reorganisations).sum();
        if let Some(violation) = &watch.violation {
            verdict.faults.push(violation.to_string());
        }
        verdict
            .faults
            .extend(unmet(&self.scenario, &verdict, &shares));
        let by_source = watch.nodes.iter().map(|(number, figures)| {
            let sources = figures.blocks_by_source.iter();
            let sources = sources.map(|(source, blocks)| ((*source).to_owned(), *blocks));
            (self.names[*number].clone(), sources.collect())
        });
        let faults = self.scenario.at.iter();
        let faults = faults.map(|at| (at.second, format!("{:?}", at.fault)));
        let (packets, packets_lost) = self.world.wire.packets();
        let report = Report {
            scenario: self.sim.scenario.clone(),
            about: self.scenario.about.clone(),
            faults: faults.collect(),
            verdict,
            samples: std::mem::take(&mut self.samples),
            blocks_by_source: by_source.collect(),
            propagation: histogram(&watch.propagation),
            liars: BTreeMap::new(),
            packets,
            packets_lost,
        };
        let bans = watch.nodes.values().map(|figures| figures.bans).sum();
        Ok(SimReport {
            report,
            sim_seed: self.sim.sim_seed,
            trace_events: watch.trace.events(),
            trace_hash: watch.trace.finish()?,
            simulated_seconds,
            wall_seconds: self.begun.elapsed().as_secs_f64(),
            blocks_mined: watch.blocks(),
            propagation_ms: Percentiles::of(watch.propagation.clone()),
            bans,
        })
    }

    /// A node that has ended by itself is a fault of its own.
    async fn blame_the_ended(&mut self) {
        let over = self.running.iter().filter(|(_, node)| node.is_over());
        let over: Vec<usize> = over.map(|(number, _)| *number).collect();
        for number in over {
            let Some(node) = self.running.remove(&number) else {
                continue;
            };
            let why = match node.kill().await {
                Ok(_) => "without a reason".to_owned(),
                Err(error) => format!("{error:#}"),
            };
            let node = self.names[number].clone();
            self.world.watch().note(Err(Violation::Ended { node, why }));
        }
    }

    /// Where each node stands.
    fn standings(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let tips = self.tips()?.into_iter().map(|(number, tip)| {
            let Tip {
                height,
                hash,
                state_root,
                ..
            } = tip;
            let text = format!("height {height}, tip {hash}, state {state_root}");
            (self.names[number].clone(), text)
        });
        Ok(tips.collect())
    }

    /// Transactions in the chain that all agree on.
    fn transactions(&self, last: Height) -> anyhow::Result<u64> {
        let Some(node) = self.running.values().next() else {
            return Ok(0);
        };
        let view = node.reader.read();
        let (mut height, mut count) = (Height::ZERO, 0);
        while height < last {
            height = height.next();
            let line = view.line_at(height)?.unwrap_or_default();
            count += BlockLine::new(&line).transactions().count() as u64;
        }
        Ok(count)
    }
}

fn agreement(tip: &Tip) -> Agreement {
    Agreement {
        height: tip.height.get(),
        hash: tip.hash.to_string(),
        state_root: tip.state_root.to_string(),
    }
}

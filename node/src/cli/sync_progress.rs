//! How far a node's sync has come: a bar on a terminal, a line now and then otherwise.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use tracing::info;

use crate::core::Phase;
use crate::handle::{NodeHandle, Standing};

/// How often the bar is drawn.
const DRAW: Duration = Duration::from_millis(250);
/// How often a line is logged, where there is no bar; the first one at once.
const LOG: Duration = Duration::from_secs(10);

/// Watches a node's sync.
pub(super) struct SyncProgress {
    node: NodeHandle,
    bar: Option<ProgressBar>,
    logged: Option<Instant>,
    /// When bytes of segments were last counted, and how many they were.
    counted: (Instant, u64),
    bytes_per_second: f64,
}

impl SyncProgress {
    pub(super) fn new(node: NodeHandle, bar: Option<ProgressBar>) -> Self {
        Self {
            node,
            bar,
            logged: None,
            counted: (Instant::now(), 0),
            bytes_per_second: 0.0,
        }
    }

    pub(super) async fn run(mut self) {
        let style = "{msg} {wide_bar} {pos}/{len}";
        if let Some(bar) = &self.bar {
            let style = ProgressStyle::with_template(style).expect("a template of ours");
            bar.set_style(style);
        }
        loop {
            tokio::time::sleep(DRAW).await;
            let standing = self.node.standing.borrow().clone();
            self.count_bytes();
            self.show(&standing);
        }
    }

    /// Follows the rate of bytes, over some seconds.
    fn count_bytes(&mut self) {
        let (at, before) = self.counted;
        let bytes = self.node.torrents.borrow().downloaded_bytes;
        let time = at.elapsed().as_secs_f64();
        let rate = bytes.saturating_sub(before) as f64 / time.max(0.01);
        self.bytes_per_second += (rate - self.bytes_per_second) * 0.2;
        self.counted = (Instant::now(), bytes);
    }

    fn show(&mut self, standing: &Standing) {
        let phase = match standing.phase {
            Phase::Waiting | Phase::Following => None,
            Phase::Boundaries => Some("boundaries"),
            Phase::Segments => Some("segments"),
            Phase::Blocks => Some("blocks"),
        };
        let (height, target) = (standing.height.get(), standing.target_height.get());
        let Some(phase) = phase.filter(|_| height < target) else {
            if let Some(bar) = &self.bar {
                bar.set_draw_target(indicatif::ProgressDrawTarget::hidden());
            }
            return;
        };
        let rate = standing.blocks_per_second;
        let eta = (rate > 0.0).then(|| ((target - height) as f64 / rate).ceil() as u64);
        let megabytes = self.bytes_per_second / 1e6;
        let (missing, active) = (standing.segments_missing, standing.segments_active);
        if let Some(bar) = &self.bar {
            if bar.is_hidden() {
                bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
            }
            let eta = eta.map_or("?".to_owned(), |eta| format!("{eta} s"));
            bar.set_length(target);
            bar.set_position(height);
            bar.set_message(format!(
                "{phase}: {missing} segments to come, {active} on their way, {megabytes:.1} MB/s, {rate:.0} blocks/s, {eta} left"
            ));
        } else if self.logged.is_none_or(|at| at.elapsed() >= LOG) {
            self.logged = Some(Instant::now());
            info!(
                phase,
                height,
                // A field named `target` would be lost among those of the log itself.
                target_height = target,
                segments_missing = missing,
                segments_active = active,
                megabytes_per_second = (megabytes * 10.0).round() / 10.0,
                blocks_per_second = rate.round(),
                eta_seconds = eta,
                "syncing"
            );
        }
    }
}

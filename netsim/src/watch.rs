//! What the nodes do, looked at all at once.

use crate::client::{Client, Status};
use crate::metrics::{Metrics, name};

/// A node as it was when last looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    /// What it is called here.
    pub(crate) name: String,
    /// Where it stands; `None` where it gave no answer.
    pub(crate) status: Option<Status>,
    /// What it counts.
    pub(crate) metrics: Metrics,
}

impl View {
    /// Its height, if it answered.
    pub(crate) fn height(&self) -> Option<u64> {
        self.status.as_ref().map(|status| status.height)
    }

    /// Reorganisations since its start.
    pub(crate) fn reorganisations(&self) -> u64 {
        self.metrics.sum(name::REORGANISATIONS) as u64
    }

    /// Bytes over BitTorrent in one direction, `downloaded` or `uploaded`.
    pub(crate) fn torrent_bytes(&self, direction: &str) -> u64 {
        let by = self.metrics.by(name::TORRENT_BYTES, "direction");
        by.get(direction).map_or(0, |bytes| *bytes as u64)
    }
}

/// Looks at every node at once, so that a slow one holds up no other.
pub(crate) fn look(nodes: &[(String, Client)]) -> Vec<View> {
    std::thread::scope(|scope| {
        let looks: Vec<_> = nodes
            .iter()
            .map(|(name, client)| {
                scope.spawn(|| View {
                    name: name.clone(),
                    status: client.status().ok(),
                    metrics: client.metrics().unwrap_or_default(),
                })
            })
            .collect();
        let views = looks.into_iter().zip(nodes);
        let views = views.map(|(look, (name, _))| {
            look.join().unwrap_or_else(|_| View {
                name: name.clone(),
                ..View::default()
            })
        });
        views.collect()
    })
}

/// The greatest height of all, and who has it.
pub(crate) fn best(views: &[View]) -> Option<(usize, u64)> {
    let heights = views.iter().enumerate();
    let heights = heights.filter_map(|(at, view)| Some((at, view.height()?)));
    heights.max_by_key(|(at, height)| (*height, std::cmp::Reverse(*at)))
}

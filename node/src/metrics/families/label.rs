//! Labels. Each takes few values, all of them named in this program.

use prometheus_client::encoding::EncodeLabelSet;

use crate::core::{Phase, Source};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct Reason {
    pub(in crate::metrics) reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct BlockSource {
    source: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct Direction {
    pub(in crate::metrics) direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct Channel {
    pub(in crate::metrics) channel: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct Kind {
    pub(in crate::metrics) kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct Status {
    pub(in crate::metrics) status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct SyncPhase {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(in crate::metrics) struct Build {
    pub(in crate::metrics) version: &'static str,
}

/// Every phase, for a gauge that is 1 at one of them.
pub(in crate::metrics) const PHASES: [Phase; 5] = [
    Phase::Waiting,
    Phase::Boundaries,
    Phase::Segments,
    Phase::Blocks,
    Phase::Following,
];
/// Every source, so that each is counted from 0.
pub(in crate::metrics) const SOURCES: [Source; 4] =
    [Source::Gossip, Source::Sync, Source::Torrent, Source::Mined];

impl From<Source> for BlockSource {
    fn from(source: Source) -> Self {
        let source = source.name();
        Self { source }
    }
}

impl From<Phase> for SyncPhase {
    fn from(phase: Phase) -> Self {
        let phase = phase.name();
        Self { phase }
    }
}

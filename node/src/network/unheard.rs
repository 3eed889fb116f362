//! Transactions that nobody was there to hear: they are gossiped as soon as somebody is.

use std::collections::VecDeque;
use std::time::Duration;

use libp2p::gossipsub::PublishError;
use tokio::time::Instant;

use super::Topic;
use super::task::Task;

/// The most transactions kept, the oldest go first: with the longest ones 16 MiB, with usual ones 128 KiB.
const KEPT_MAX: usize = 256;
/// After so long whoever sent one has seen to it.
const KEPT_FOR: Duration = Duration::from_secs(600);

/// What waits for peers, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Unheard(VecDeque<(Instant, Vec<u8>)>);

impl Unheard {
    fn keep(&mut self, since: Instant, data: Vec<u8>) {
        if self.0.len() == KEPT_MAX {
            self.0.pop_front();
        }
        self.0.push_back((since, data));
    }

    /// Takes all that are not too old.
    fn take(&mut self, now: Instant) -> Vec<(Instant, Vec<u8>)> {
        let all = std::mem::take(&mut self.0).into_iter();
        all.filter(|(since, _)| now.saturating_duration_since(*since) < KEPT_FOR)
            .collect()
    }
}

impl Task {
    /// Gossips; a transaction that nobody hears waits for peers. A block need not: whoever connects asks where we stand.
    pub(super) fn publish(&mut self, topic: Topic, data: Vec<u8>) {
        self.publish_since(Instant::now(), topic, data);
    }

    fn publish_since(&mut self, since: Instant, topic: Topic, data: Vec<u8>) {
        let hash = self.names.topic(topic).hash();
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        let Err(error) = gossip.publish(hash, data.clone()) else {
            return;
        };
        tracing::debug!(%error, "not gossiped");
        let is_alone = matches!(error, PublishError::NoPeersSubscribedToTopic);
        if is_alone && topic == Topic::Transaction {
            self.unheard.keep(since, data);
        }
    }

    /// Gossips what nobody has heard, if there is somebody now.
    pub(super) fn publish_unheard(&mut self, now: Instant) {
        if self.unheard.0.is_empty() || self.peers.confirmed().next().is_none() {
            return;
        }
        for (since, data) in self.unheard.take(now) {
            self.publish_since(since, Topic::Transaction, data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_grows_old() {
        let (mut unheard, start) = (Unheard::default(), Instant::now());
        for number in 0..=KEPT_MAX {
            unheard.keep(start, number.to_be_bytes().to_vec());
        }
        unheard.keep(start + KEPT_FOR, b"late".to_vec());
        assert_eq!(unheard.0.len(), KEPT_MAX);
        assert_eq!(unheard.0[0].1, 2_usize.to_be_bytes());
        let late = unheard.take(start + KEPT_FOR);
        assert_eq!(late, [(start + KEPT_FOR, b"late".to_vec())]);
        assert!(unheard.take(start).is_empty());
    }
}

//! What waits to be told to the rest of the node.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use super::NetworkEvent;

/// So many may wait beyond the channel's own length before gossip and requests are dropped.
const BACKLOG_LEN: usize = 256;
/// So many before nothing is taken from the peers any more.
const BACKLOG_FULL: usize = 4_096;

/// Events on their way out. Telling never waits, so that the network goes on taking commands from somebody who is slow to listen.
#[derive(Debug)]
pub(super) struct Outbox {
    events: mpsc::Sender<NetworkEvent>,
    backlog: VecDeque<NetworkEvent>,
}

impl Outbox {
    pub(super) fn new(events: mpsc::Sender<NetworkEvent>) -> Self {
        let backlog = VecDeque::new();
        Self { events, backlog }
    }

    /// Tells what must not be lost.
    pub(super) fn tell(&mut self, event: NetworkEvent) {
        if !self.backlog.is_empty() {
            return self.backlog.push_back(event);
        }
        match self.events.try_send(event) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(event)) => self.backlog.push_back(event),
        }
    }

    /// Tells what may be lost; gives it back where too much waits.
    #[must_use = "what is given back still needs its end"]
    pub(super) fn offer(&mut self, event: NetworkEvent) -> Option<NetworkEvent> {
        if self.backlog.len() >= BACKLOG_LEN {
            return Some(event);
        }
        self.tell(event);
        None
    }

    pub(super) fn is_full(&self) -> bool {
        self.backlog.len() >= BACKLOG_FULL
    }

    /// Ends once there is room for what waits longest; never where nothing waits, or nobody listens. Safe to cancel.
    pub(super) async fn drain(&mut self) {
        if self.backlog.is_empty() {
            return std::future::pending().await;
        }
        let Ok(room) = self.events.reserve().await else {
            return std::future::pending().await;
        };
        if let Some(event) = self.backlog.pop_front() {
            room.send(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use libp2p::PeerId;

    use super::*;

    fn event() -> NetworkEvent {
        let peer = PeerId::random();
        NetworkEvent::Disconnected { peer }
    }

    #[tokio::test]
    async fn nothing_that_matters_is_lost_and_the_order_stays() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        let peers: Vec<_> = (0..BACKLOG_LEN + 1).map(|_| PeerId::random()).collect();
        for peer in &peers {
            outbox.tell(NetworkEvent::Disconnected { peer: *peer });
        }
        assert!(outbox.offer(event()).is_some());
        for expected in &peers {
            let event = receiver.recv().await;
            let Some(NetworkEvent::Disconnected { peer }) = event else {
                panic!("{event:?}");
            };
            assert_eq!(peer, *expected);
            if !outbox.backlog.is_empty() {
                outbox.drain().await;
            }
        }
        assert!(outbox.offer(event()).is_none());
    }

    #[test]
    fn a_backlog_is_full_some_time() {
        let (sender, _receiver) = mpsc::channel(1);
        let mut outbox = Outbox::new(sender);
        (0..BACKLOG_FULL).for_each(|_| outbox.tell(event()));
        assert!(!outbox.is_full());
        outbox.tell(event());
        assert!(outbox.is_full());
    }
}

//! What comes to the core: which event is next.

use std::collections::VecDeque;
use std::time::Duration;

use libp2p::multiaddr::Protocol;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::core::Event;
use crate::handle::NodeCommand;
use crate::miner::MinedBlock;
use crate::network::NetworkEvent;
use crate::torrent::TorrentEvent;

/// How often the core is told that time has passed.
const TICK: Duration = Duration::from_millis(250);
/// After so many other events, what the core has left undone goes on, even if more wait: none of them can starve it.
const EVENTS_BETWEEN_CONTINUES: u32 = 32;

/// Something for the core's thread.
#[derive(Debug)]
pub(super) enum Input {
    /// An event of the core's.
    Event(Box<Event>),
    /// A question that the core's thread answers.
    Command(NodeCommand),
    /// Stop.
    Stop,
}

/// Everything that comes to the core's thread.
pub(super) struct Inbox {
    pub(super) stop: CancellationToken,
    pub(super) commands: mpsc::Receiver<NodeCommand>,
    pub(super) network: mpsc::Receiver<NetworkEvent>,
    pub(super) torrents: mpsc::Receiver<TorrentEvent>,
    pub(super) mined: mpsc::Receiver<MinedBlock>,
    /// Ends of file work.
    pub(super) files: mpsc::Receiver<Event>,
    /// Events that the core's own thread makes. They wait for the next tick, so that what fails at once is not tried again at once, for ever.
    pub(super) own: VecDeque<Event>,
    /// How many of them are due.
    own_due: usize,
    tick: Interval,
    is_unfinished: bool,
    since_continue: u32,
}

/// The channels of an inbox.
pub(super) struct Receivers {
    pub(super) commands: mpsc::Receiver<NodeCommand>,
    pub(super) network: mpsc::Receiver<NetworkEvent>,
    pub(super) torrents: mpsc::Receiver<TorrentEvent>,
    pub(super) mined: mpsc::Receiver<MinedBlock>,
    pub(super) files: mpsc::Receiver<Event>,
}

impl Inbox {
    /// Made within a runtime, for its timer.
    pub(super) fn new(stop: CancellationToken, receivers: Receivers) -> Self {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self {
            stop,
            commands: receivers.commands,
            network: receivers.network,
            torrents: receivers.torrents,
            mined: receivers.mined,
            files: receivers.files,
            own: VecDeque::new(),
            own_due: 0,
            tick,
            is_unfinished: false,
            since_continue: 0,
        }
    }

    /// The core wants to go on with something, after what else has come.
    pub(super) fn go_on_later(&mut self) {
        self.is_unfinished = true;
    }

    /// The next input. Cancel-safe.
    pub(super) async fn next(&mut self) -> Input {
        if self.stop.is_cancelled() {
            return Input::Stop;
        }
        if let Some(due) = self.own_due.checked_sub(1) {
            self.own_due = due;
            if let Some(event) = self.own.pop_front() {
                return Input::Event(Box::new(event));
            }
        }
        if self.is_unfinished && self.since_continue >= EVENTS_BETWEEN_CONTINUES {
            return self.go_on();
        }
        let is_unfinished = self.is_unfinished;
        let input = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Input::Stop,
            _ = self.tick.tick() => {
                self.own_due = self.own.len();
                Input::Event(Box::new(Event::Tick))
            }
            input = received(
                &mut self.commands,
                &mut self.network,
                &mut self.torrents,
                &mut self.mined,
                &mut self.files,
            ) => input,
            () = std::future::ready(()), if is_unfinished => return self.go_on(),
        };
        self.since_continue += 1;
        input
    }

    fn go_on(&mut self) -> Input {
        self.is_unfinished = false;
        self.since_continue = 0;
        Input::Event(Box::new(Event::Continue))
    }
}

/// Whatever comes first; of several, any.
async fn received(
    commands: &mut mpsc::Receiver<NodeCommand>,
    network: &mut mpsc::Receiver<NetworkEvent>,
    torrents: &mut mpsc::Receiver<TorrentEvent>,
    mined: &mut mpsc::Receiver<MinedBlock>,
    files: &mut mpsc::Receiver<Event>,
) -> Input {
    let event = tokio::select! {
        Some(command) = commands.recv() => return Input::Command(command),
        Some(event) = network.recv() => from_network(event),
        Some(event) = torrents.recv() => from_torrents(event),
        Some(MinedBlock { template, token }) = mined.recv() => Event::Mined { template, token },
        Some(event) = files.recv() => event,
        // All are closed: only the clock and the stop are left.
        else => std::future::pending().await,
    };
    Input::Event(Box::new(event))
}

fn from_network(event: NetworkEvent) -> Event {
    match event {
        NetworkEvent::Connected { peer, address, .. } => {
            let ip = address.iter().find_map(|protocol| match protocol {
                Protocol::Ip4(ip) => Some(ip.into()),
                Protocol::Ip6(ip) => Some(ip.into()),
                _ => None,
            });
            Event::Connected { peer, ip }
        }
        NetworkEvent::Disconnected { peer } => Event::Disconnected(peer),
        NetworkEvent::Gossip {
            topic,
            from,
            id,
            data,
        } => Event::Gossip {
            topic,
            from,
            id,
            data,
        },
        NetworkEvent::Request {
            peer,
            reply,
            request,
        } => Event::Request {
            peer,
            reply,
            request,
        },
        NetworkEvent::Response { peer, id, result } => Event::Response { peer, id, result },
        NetworkEvent::Misbehaved { peer, reason } => Event::Misbehaved { peer, reason },
        NetworkEvent::Providers { key, peers } => Event::Providers { key, peers },
    }
}

fn from_torrents(event: TorrentEvent) -> Event {
    match event {
        TorrentEvent::Activated { index, is_seeded } => Event::Activated { index, is_seeded },
        TorrentEvent::Fetched { index, file, from } => Event::Fetched { index, file, from },
        TorrentEvent::FetchFailed {
            index,
            failure,
            culprits,
        } => Event::FetchFailed {
            index,
            failure,
            culprits,
        },
        TorrentEvent::Damaged { index } => Event::SegmentDamaged(index),
    }
}

//! The task that owns the swarm.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt as _;
use libp2p::metrics::{Metrics, Recorder as _};
use libp2p::{Multiaddr, PeerId, Swarm, gossipsub};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::address::{is_bannable, network_of};
use super::bans::BanList;
use super::behaviour::Behaviour;
use super::config::{Names, NetworkConfig};
use super::dial::Bootnodes;
use super::discovery::Provisions;
use super::exchange::Exchange;
use super::gossip::GRAYLIST_SCORE;
use super::metrics::{Counters, Reason};
use super::outbox::Outbox;
use super::peers::{HELD_MAX, Peers};
use super::unheard::Unheard;
use super::{GossipVerdict, NetworkCommand, NetworkEvent, NetworkView};
use crate::core::wire::{Refusal, Response};

/// All that the network knows.
pub(super) struct Task {
    pub(super) swarm: Swarm<Behaviour>,
    pub(super) config: NetworkConfig,
    pub(super) names: Names,
    pub(super) outbox: Outbox,
    pub(super) peers: Peers,
    pub(super) exchange: Exchange,
    pub(super) provisions: Provisions,
    pub(super) bootnodes: Bootnodes,
    pub(super) unheard: Unheard,
    pub(super) bans: BanList,
    pub(super) counters: Counters,
    pub(super) metrics: Metrics,
    /// Has something changed that is to be shown at once, or soon?
    pub(super) is_view_old: bool,
    pub(super) is_view_stale: bool,
    pub(super) next_seek: Instant,
    /// Does AutoNAT say that nobody can reach us?
    pub(super) is_private: bool,
    pub(super) is_relayed: bool,
    are_bans_old: bool,
    bans_writer: Option<JoinHandle<()>>,
    view: watch::Sender<NetworkView>,
}

/// Where the task's orders come from.
pub(super) struct Inputs {
    pub(super) commands: mpsc::Receiver<NetworkCommand>,
    pub(super) found: mpsc::Receiver<Multiaddr>,
    pub(super) stop: CancellationToken,
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

impl Task {
    pub(super) fn new(
        swarm: Swarm<Behaviour>,
        config: NetworkConfig,
        events: mpsc::Sender<NetworkEvent>,
        view: watch::Sender<NetworkView>,
        (counters, metrics): (Counters, Metrics),
    ) -> Self {
        let (now, timing) = (Instant::now(), &config.timing);
        let (redial_min, redial_max) = (timing.redial_min, timing.redial_max);
        let bootnodes = Bootnodes::new(config.bootnodes.clone(), now, redial_min, redial_max);
        let mut task = Self {
            swarm,
            names: config.names(),
            outbox: Outbox::new(events),
            peers: Peers::default(),
            exchange: Exchange::default(),
            provisions: Provisions::default(),
            bootnodes,
            unheard: Unheard::default(),
            bans: BanList::load(&config.folder, unix_now()),
            counters,
            metrics,
            is_view_old: true,
            is_view_stale: false,
            next_seek: now,
            is_private: false,
            is_relayed: false,
            are_bans_old: false,
            bans_writer: None,
            view,
            config,
        };
        let behaviour = task.swarm.behaviour_mut();
        for peer in task.bans.peers() {
            behaviour.blocked.block_peer(*peer);
        }
        for ip in task.bans.addresses() {
            behaviour.gate.ban(*ip);
        }
        task
    }

    pub(super) async fn run(mut self, mut inputs: Inputs) {
        let mut tick = tokio::time::interval(self.config.timing.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Whatever ends this task ends what serves it.
        let _ends = inputs.stop.clone().drop_guard();
        loop {
            let is_full = self.outbox.is_full();
            tokio::select! {
                biased;
                () = inputs.stop.cancelled() => break,
                _ = tick.tick() => self.tick(),
                () = self.outbox.drain() => {}
                command = inputs.commands.recv() => match command {
                    Some(command) => self.command(command),
                    None => break, // nobody is left who could stop it
                },
                Some(address) = inputs.found.recv() => self.dial(address),
                event = self.swarm.select_next_some(), if !is_full => {
                    self.metrics.record(&event);
                    self.swarm_event(event);
                }
            }
            if self.is_view_old {
                self.show();
            }
        }
        self.finish().await;
    }

    /// Writes the bans down a last time.
    async fn finish(mut self) {
        if let Some(writer) = self.bans_writer.take() {
            let _ = writer.await;
        }
        if self.are_bans_old {
            self.write_bans();
        }
        if let Some(writer) = self.bans_writer.take() {
            let _ = writer.await;
        }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.forgive();
        if self.are_bans_old
            && self
                .bans_writer
                .as_ref()
                .is_none_or(JoinHandle::is_finished)
        {
            self.write_bans();
        }
        self.drop_silent(now);
        self.report_scores();
        self.thin_out(now);
        self.publish_unheard(now);
        self.redial(now);
        self.seek(now);
        self.provide_next();
        self.is_view_old |= self.is_view_stale;
    }

    fn show(&mut self) {
        (self.is_view_old, self.is_view_stale) = (false, false);
        let (listeners, external) = (self.swarm.listeners(), self.swarm.external_addresses());
        let mut listen: Vec<_> = listeners.chain(external).cloned().collect();
        listen.sort_unstable();
        listen.dedup();
        self.view.send_replace(NetworkView {
            listen,
            peers: self.peers.view(),
            banned_peers: self.bans.peers().len(),
            banned_addresses: self.bans.addresses().copied().collect(),
        });
    }

    /// Drops those who haven't said in time which chain they are on.
    fn drop_silent(&mut self, now: Instant) {
        let deadline = self.config.timing.identify;
        let silent = self.peers.iter().filter(|(_, peer)| {
            !peer.is_confirmed && now.saturating_duration_since(peer.since) > deadline
        });
        let silent: Vec<PeerId> = silent.map(|(id, _)| *id).collect();
        for peer in silent {
            self.drop_stranger(peer);
        }
    }

    pub(super) fn drop_stranger(&mut self, peer: PeerId) {
        self.swarm.behaviour_mut().kad.remove_peer(&peer);
        if self.disconnect(peer) {
            self.counters.strangers.inc();
        }
    }

    /// Closes all connections of a peer. `false` where that was under way already, or there are none.
    pub(super) fn disconnect(&mut self, peer: PeerId) -> bool {
        let is_new = self.peers.closing(&peer);
        let _ = self.swarm.disconnect_peer_id(peer);
        is_new
    }

    /// Reports, once each, those whom gossip no longer listens to.
    fn report_scores(&mut self) {
        let gossip = &self.swarm.behaviour().gossip;
        let mut bad = Vec::new();
        for (id, peer) in self.peers.iter_mut().filter(|(_, peer)| !peer.is_reported) {
            if gossip
                .peer_score(id)
                .is_some_and(|score| score < GRAYLIST_SCORE)
            {
                peer.is_reported = true;
                bad.push(*id);
            }
        }
        for peer in bad {
            self.outbox.tell(NetworkEvent::Misbehaved {
                peer,
                reason: "gossip_score",
            });
        }
    }

    /// Bans a peer, and where it is connected from, unless that may be anybody. Others from there are disconnected too.
    pub(super) fn ban(&mut self, peer: PeerId, duration: Duration, reason: &'static str) {
        let now = unix_now();
        tracing::warn!(%peer, reason, seconds = duration.as_secs(), "peer banned");
        self.counters.bans.get_or_create(&Reason { reason }).inc();
        let ips = self
            .peers
            .get(&peer)
            .into_iter()
            .flat_map(|peer| peer.ips());
        let ips: Vec<_> = ips.filter(|ip| is_bannable(*ip)).map(network_of).collect();
        self.bans.ban_peer(now, peer, duration, reason);
        let behaviour = self.swarm.behaviour_mut();
        behaviour.blocked.block_peer(peer);
        behaviour.kad.remove_peer(&peer);
        for ip in &ips {
            self.bans.ban_address(now, *ip, duration, reason);
            behaviour.gate.ban(*ip);
        }
        let there = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.ips().any(|ip| ips.contains(&ip)));
        let there: Vec<_> = there.map(|(id, _)| *id).chain([peer]).collect();
        for peer in there {
            self.disconnect(peer);
        }
        (self.are_bans_old, self.is_view_old) = (true, true);
    }

    fn forgive(&mut self) {
        let (peers, addresses) = self.bans.expire(unix_now());
        if peers.is_empty() && addresses.is_empty() {
            return;
        }
        let behaviour = self.swarm.behaviour_mut();
        for peer in peers {
            behaviour.blocked.unblock_peer(peer);
        }
        for ip in addresses {
            behaviour.gate.unban(ip);
        }
        (self.are_bans_old, self.is_view_old) = (true, true);
    }

    fn write_bans(&mut self) {
        self.are_bans_old = false;
        let draft = self.bans.draft(&self.config.folder);
        self.bans_writer = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = draft.write() {
                tracing::error!(%error, "the list of bans can't be written");
            }
        }));
    }

    /// Tells of gossip or a request. Those of a peer that identify hasn't confirmed are held back; where there is no room, they are
    /// answered here.
    pub(super) fn offer(&mut self, peer: PeerId, event: NetworkEvent) {
        let left = match self.peers.get_mut(&peer) {
            None => Some(event),
            Some(peer) if peer.is_confirmed => self.outbox.offer(event),
            Some(peer) if peer.held.len() < HELD_MAX => {
                peer.held.push(event);
                None
            }
            Some(_) => Some(event),
        };
        if let Some(event) = left {
            self.turn_down(event);
        }
    }

    /// What nobody has time for still gets its end: a verdict, an answer.
    pub(super) fn turn_down(&mut self, event: NetworkEvent) {
        match event {
            NetworkEvent::Gossip { from, id, .. } => {
                self.counters.drop_event("gossip");
                self.verdict(&id, &from, GossipVerdict::Ignore);
            }
            NetworkEvent::Request { reply, .. } => {
                self.counters.drop_event("request");
                self.respond(reply, Response::Refused(Refusal::Busy));
            }
            _ => {}
        }
    }

    pub(super) fn verdict(
        &mut self,
        id: &gossipsub::MessageId,
        from: &PeerId,
        verdict: GossipVerdict,
    ) {
        let verdict = match verdict {
            GossipVerdict::Accept => gossipsub::MessageAcceptance::Accept,
            GossipVerdict::Reject => gossipsub::MessageAcceptance::Reject,
            GossipVerdict::Ignore => gossipsub::MessageAcceptance::Ignore,
        };
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.report_message_validation_result(id, from, verdict);
    }
}

//! Segments by torrent: who holds them, which is next, what is done when one does not come.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use libp2p::PeerId;
use lyceum_protocol::{Metainfo, SegmentIndex, Timestamp};
use lyceum_storage::StoreError;

use super::Pulled;
use crate::core::chain::ChainError;
use crate::core::event::{Action, Notice};
use crate::core::peers::Offence;
use crate::core::schedule::{fetches_at_once, next_fetch};
use crate::core::step::{Ask, Core};
use crate::core::wire::{Refusal, Request, Response};
use crate::torrent::FetchFailure;

/// After so many failures a segment's blocks are pulled by `Blocks`.
const FAILURES_MAX: u32 = 3;
/// Once one holder seeds the segment, the others have so long to follow, in milliseconds.
const ACTIVATION_MS: u64 = 500;
/// A damaged segment that nobody could give is asked for again after this long.
const RETRY_MS: u64 = 10_000;

/// A segment on its way.
#[derive(Debug)]
pub(super) enum Fetch {
    /// Holders were asked to seed it.
    Asking {
        since: Timestamp,
        asked: BTreeSet<PeerId>,
        ready: Vec<(PeerId, SocketAddr)>,
        /// One of them has no time now.
        is_busy: bool,
    },
    /// The engine pulls it, from where these said that it is.
    Pulling(Vec<(PeerId, SocketAddr)>),
    /// Nobody could give it; not before then.
    Later(Timestamp),
}

impl Fetch {
    pub(super) fn is_pulling(&self) -> bool {
        matches!(self, Self::Pulling(_))
    }

    fn holders(&self) -> Vec<PeerId> {
        match self {
            Self::Asking { asked, ready, .. } => {
                let ready = ready.iter().map(|(peer, _)| *peer);
                asked.iter().copied().chain(ready).collect()
            }
            Self::Pulling(holders) => holders.iter().map(|(peer, _)| *peer).collect(),
            Self::Later(_) => Vec::new(),
        }
    }

    /// Who named an address as its own for this pull, whatever it says elsewhere.
    fn at<'a>(&'a self, address: &'a SocketAddr) -> impl Iterator<Item = PeerId> + 'a {
        let holders = match self {
            Self::Pulling(holders) => holders.as_slice(),
            _ => &[],
        };
        let same = holders.iter().filter(move |(_, at)| at == address);
        same.map(|(peer, _)| *peer)
    }
}

impl super::Sync {
    /// Was this holder asked for it, and has not answered?
    fn has_asked(&self, holder: &PeerId, index: SegmentIndex) -> bool {
        let fetch = self.fetches.get(&index);
        matches!(fetch, Some(Fetch::Asking { asked, .. }) if asked.contains(holder))
    }

    /// A holder that was asked has no time now.
    fn put_off(&mut self, holder: &PeerId, index: SegmentIndex) {
        if let Some(Fetch::Asking { asked, is_busy, .. }) = self.fetches.get_mut(&index) {
            *is_busy |= asked.remove(holder);
        }
    }
}

impl Core {
    /// A segment's torrent: sealed here, or known by its boundary.
    pub(in crate::core) fn metainfo_of(
        &self,
        index: SegmentIndex,
    ) -> Result<Option<Metainfo>, StoreError> {
        if let Some(known) = self.sync.boundaries.get(&index) {
            return Ok(Some(known.metainfo.clone()));
        }
        // One that is whole on the main chain, but not deep enough yet, may be pulled already.
        self.chain.store().read().metainfo(index)
    }

    /// Starts what can be pulled now.
    pub(super) fn start_fetches(&mut self) -> Result<(), ChainError> {
        if !self.has_torrents {
            return Ok(());
        }
        if self.damaged.is_empty() && !self.wants_segments() {
            return Ok(());
        }
        let claims = self.peers.claims(self.now());
        let holders: BTreeMap<_, _> = claims
            .filter(|(_, claim)| claim.torrent.is_some())
            .map(|(id, claim)| (*id, claim.held.clone()))
            .collect();
        let busy = self.sync.crowd.busy(self.now());
        loop {
            let wanted = self.wanted();
            let Some(first) = wanted.first() else {
                return Ok(());
            };
            let length = self
                .metainfo_of(*first)?
                .map_or(0, |metainfo| metainfo.length());
            let active: BTreeMap<_, _> = self
                .sync
                .fetches
                .iter()
                .filter(|(_, fetch)| !matches!(fetch, Fetch::Later(_)))
                .map(|(index, fetch)| (*index, fetch.holders()))
                .collect();
            let at_once = fetches_at_once(length);
            let ahead = wanted.iter().copied();
            let next = next_fetch(ahead, &holders, &busy, &active, at_once, &mut self.rng);
            let Some(mut next) = next else {
                return self.search_holders(&wanted, &holders, &busy);
            };
            let index = next.index;
            if self.sync.crowd.is_contested(index) {
                // The others' time is for others.
                next.holders.truncate(1);
            }
            for holder in &next.holders {
                let request = Request::Activate(index.get());
                self.ask(*holder, request, Ask::Activate(index));
            }
            let fetch = Fetch::Asking {
                since: self.now(),
                asked: next.holders.into_iter().collect(),
                ready: Vec::new(),
                is_busy: false,
            };
            self.sync.fetches.insert(index, fetch);
        }
    }

    /// The segments to pull that are not on their way, in order; damaged ones first.
    pub(super) fn wanted(&self) -> Vec<SegmentIndex> {
        let is_syncing = self.wants_segments();
        let ahead = self.sync.boundaries.keys().copied();
        let ahead =
            ahead.filter(|index| is_syncing && self.end_of(*index) > self.sync.blocks_until);
        let wanted = self.damaged.iter().copied().chain(ahead);
        wanted.filter(|i| !self.is_on_its_way(*i)).collect()
    }

    fn is_on_its_way(&self, index: SegmentIndex) -> bool {
        let fetch = self.sync.fetches.get(&index);
        let waits = match fetch {
            Some(Fetch::Later(until)) => *until > self.now(),
            Some(_) => true,
            None => false,
        };
        waits || self.sync.files.contains_key(&index)
    }

    /// A holder seeds a segment now, or does not.
    pub(in crate::core) fn activation_came(
        &mut self,
        peer: PeerId,
        index: SegmentIndex,
        response: Result<Response, Refusal>,
    ) -> Result<(), ChainError> {
        let metainfo = self.metainfo_of(index)?;
        let now = self.now();
        let address = match response {
            Ok(Response::Activated {
                length,
                pieces,
                torrent,
            }) => {
                // Another branch's segment is of no use here.
                let is_same = metainfo
                    .is_some_and(|known| known.length() == length && known.pieces() == pieces);
                self.peers.address_of(&peer, torrent).filter(|_| is_same)
            }
            Ok(_) => {
                self.blame(&peer, Offence::Message("wrong_response"));
                None
            }
            // That is no fault, and it holds the segment: it is asked again.
            Err(Refusal::Busy) => {
                let is_late = !self.sync.has_asked(&peer, index);
                if is_late || self.sync.crowd.refused(now, index, peer) {
                    self.sync.put_off(&peer, index);
                    return Ok(());
                }
                None
            }
            Err(_) => None,
        };
        if address.is_none() {
            self.peers.lacks(&peer, index);
        }
        if let Some(Fetch::Asking { asked, ready, .. }) = self.sync.fetches.get_mut(&index)
            && asked.remove(&peer)
        {
            ready.extend(address.map(|address| (peer, address)));
        }
        Ok(())
    }

    /// Starts the engine on segments whose holders have answered.
    pub(super) fn advance_fetches(&mut self) {
        let now = self.now();
        let mut started = Vec::new();
        self.sync.fetches.retain(|index, fetch| {
            if let Fetch::Asking {
                since,
                asked,
                ready,
                is_busy,
            } = fetch
            {
                asked.retain(|peer| self.peers.get(peer).is_some());
                let is_late = !ready.is_empty() && since.saturating_add(ACTIVATION_MS) <= now;
                if asked.is_empty() && ready.is_empty() && *is_busy {
                    return false; // later, or from others
                }
                if asked.is_empty() || is_late {
                    started.push((*index, std::mem::take(ready)));
                }
            }
            true
        });
        for (index, ready) in started {
            let metainfo = self.metainfo_of(index).ok().flatten();
            let Some(metainfo) = metainfo.filter(|_| !ready.is_empty()) else {
                self.fetch_failed(index, FetchFailure::Unreachable, &[]);
                continue;
            };
            let holders = ready.iter().map(|(_, address)| *address).collect();
            self.sync.fetches.insert(index, Fetch::Pulling(ready));
            self.act(Action::Fetch {
                index,
                metainfo,
                holders,
            });
        }
    }

    /// A segment was pulled whole: from now on others can have it from us.
    pub(in crate::core) fn fetched(
        &mut self,
        index: SegmentIndex,
        file: PathBuf,
        from: &[SocketAddr],
    ) -> Result<(), ChainError> {
        let fetch = self.sync.fetches.remove(&index);
        let metainfo = self.metainfo_of(index)?;
        let (Some(metainfo), Some(fetch)) = (metainfo, fetch) else {
            self.act(Action::DeleteFetched(file));
            return Ok(());
        };
        let from = self.named(&fetch, from);
        self.progress();
        self.sync.failures.remove(&index);
        self.sync.crowd.forget(index);
        let pulled = Pulled {
            file: file.clone(),
            from,
            is_adopted: false,
        };
        self.sync.files.insert(index, pulled);
        if !self.damaged.contains(&index) {
            self.offer(index, metainfo, Some(file));
            self.peers.tell_of(index);
        }
        Ok(())
    }

    /// A segment did not come.
    pub(in crate::core) fn fetch_failed(
        &mut self,
        index: SegmentIndex,
        failure: FetchFailure,
        culprits: &[SocketAddr],
    ) {
        let Some(fetch) = self.sync.fetches.remove(&index) else {
            return;
        };
        let reason = failure.reason();
        self.notice(Notice::FetchFailed { index, reason });
        for peer in fetch.holders() {
            self.peers.lacks(&peer, index);
        }
        if failure == FetchFailure::WrongBytes {
            for peer in self.named(&fetch, culprits) {
                self.blame(&peer, Offence::Segment("wrong_bytes"));
            }
        }
        let failures = self.sync.failures.entry(index).or_default();
        *failures += 1;
        if self.damaged.contains(&index) {
            let until = self.now().saturating_add(RETRY_MS);
            self.sync.fetches.insert(index, Fetch::Later(until));
        } else if *failures >= FAILURES_MAX {
            self.fall_back(index, reason);
        }
    }

    /// Whose addresses these are: as they were named for a pull, or in a status.
    fn named(&self, fetch: &Fetch, addresses: &[SocketAddr]) -> Vec<PeerId> {
        let peers = addresses
            .iter()
            .flat_map(|address| fetch.at(address).chain(self.peers.at(address)));
        let peers: BTreeSet<_> = peers.collect();
        peers.into_iter().collect()
    }

    /// Pulls the blocks up to a segment's end by `Blocks`.
    pub(super) fn fall_back(&mut self, index: SegmentIndex, reason: &'static str) {
        self.sync.failures.remove(&index);
        self.sync.crowd.forget(index);
        self.sync.blocks_until = self.sync.blocks_until.max(self.end_of(index));
        self.notice(Notice::FellBack { index, reason });
    }

    /// A sealed segment's file is damaged: it is fetched again.
    pub(in crate::core) fn segment_damaged(&mut self, index: SegmentIndex) {
        if index.get() < self.sealed.len() as u64 && self.damaged.insert(index) {
            self.act(Action::Unregister(index));
        }
    }
}

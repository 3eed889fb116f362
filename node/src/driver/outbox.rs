//! What the core asks for, done.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lyceum_protocol::{ChainSpec, SegmentIndex, segment_file_name};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{debug, warn};

use crate::core::{Action, Event, PART_BYTES, PartError, RunChecker};
use crate::metrics::Metrics;
use crate::miner::MinerThreads;
use crate::network::{NetworkCommand, NetworkSender, RequestFailure};
use crate::torrent::SegmentSwarm;

/// Whom the core's thread tells what to do. None of them makes it wait.
pub(super) struct Outbox {
    pub(super) spec: Arc<ChainSpec>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) network: NetworkSender,
    /// `None` where segments are neither pulled nor seeded.
    pub(super) torrents: Option<Box<dyn SegmentSwarm>>,
    /// `None` where nothing is mined.
    pub(super) miner: Option<MinerThreads>,
    /// Where the sealed segments are; `None` where the ledger is in memory.
    pub(super) segments: Option<PathBuf>,
    /// Where ends of file work go.
    pub(super) files: mpsc::Sender<Event>,
    /// Checks what is read of pulled segments.
    pub(super) checker: RunChecker,
    /// Runs file work on its blocking threads.
    pub(super) runtime: Handle,
    /// Attempts of the miner that are counted already.
    pub(super) attempts: u64,
}

impl Outbox {
    /// Does what needs no more than a word to somebody. What can't be done makes events in `own`; gives back what is not for others to do.
    pub(super) fn perform(&mut self, action: Action, own: &mut VecDeque<Event>) -> Option<Action> {
        match action {
            Action::Publish { topic, data } => {
                self.tell_network(NetworkCommand::Publish { topic, data }, own);
            }
            Action::Verdict { id, from, verdict } => {
                self.tell_network(NetworkCommand::Verdict { id, from, verdict }, own);
            }
            Action::Request { peer, id, request } => {
                self.tell_network(NetworkCommand::Request { peer, id, request }, own);
            }
            Action::Respond { reply, response } => {
                self.tell_network(NetworkCommand::Respond { reply, response }, own);
            }
            Action::Ban {
                peer,
                duration,
                reason,
            } => {
                self.metrics.banned(reason);
                let command = NetworkCommand::Ban {
                    peer,
                    duration,
                    reason,
                };
                self.tell_network(command, own);
            }
            Action::Provide { key, held } => {
                let command = match held {
                    true => NetworkCommand::Provide(key),
                    false => NetworkCommand::StopProviding(key),
                };
                self.tell_network(command, own);
            }
            Action::FindProviders(key) => {
                self.tell_network(NetworkCommand::FindProviders(key), own);
            }
            Action::Mine { template, block } => {
                if let Some(miner) = &self.miner {
                    miner.mine(template, block.claims);
                }
            }
            Action::StopMining => {
                if let Some(miner) = &self.miner {
                    miner.pause();
                }
            }
            Action::ReadSegment {
                index,
                file,
                offset,
            } => self.read_segment(index, file, offset),
            Action::DeleteFetched(file) => self.delete(file),
            other => return self.perform_torrent(other, own),
        }
        None
    }

    fn perform_torrent(&mut self, action: Action, own: &mut VecDeque<Event>) -> Option<Action> {
        let torrents = self.torrents.as_mut();
        match (action, torrents) {
            (
                Action::Register {
                    index,
                    metainfo,
                    file,
                },
                Some(torrents),
            ) => {
                let folder = self.segments.as_ref();
                let sealed = folder.map(|at| at.join(segment_file_name(&self.spec.chain, index)));
                if let Some(file) = file.or(sealed) {
                    torrents.register(index, metainfo, file);
                }
            }
            (Action::Unregister(index), Some(torrents)) => torrents.unregister(index),
            (Action::Activate(index), Some(torrents)) => torrents.activate(index),
            (
                Action::Fetch {
                    index,
                    metainfo,
                    holders,
                },
                Some(torrents),
            ) => torrents.fetch(index, metainfo, holders),
            (Action::CancelFetch(index), Some(torrents)) => torrents.cancel(index),
            (Action::Activate(index), None) => own.push_back(Event::Activated {
                index,
                is_seeded: false,
            }),
            (
                Action::Register { .. }
                | Action::Unregister(_)
                | Action::Fetch { .. }
                | Action::CancelFetch(_),
                None,
            ) => {}
            (other, _) => return Some(other),
        }
        None
    }

    /// Attempts that the miner has made since this was last asked.
    pub(super) fn new_attempts(&mut self) -> Option<u64> {
        let attempts = self.miner.as_ref()?.attempts();
        let before = std::mem::replace(&mut self.attempts, attempts);
        Some(attempts - before)
    }

    fn tell_network(&self, command: NetworkCommand, own: &mut VecDeque<Event>) {
        let asked = match &command {
            NetworkCommand::Request { peer, id, .. } => Some((*peer, *id)),
            _ => None,
        };
        if !self.network.try_send(command)
            && let Some((peer, id)) = asked
        {
            let result = Err(RequestFailure::Timeout);
            own.push_back(Event::Response { peer, id, result });
        }
    }

    fn read_segment(&self, index: SegmentIndex, file: PathBuf, offset: u64) {
        let (files, checker) = (self.files.clone(), self.checker.clone());
        let bytes = PART_BYTES.max(self.spec.max_block_bytes as usize + 1);
        self.runtime.spawn_blocking(move || {
            let text = read_lines(&file, offset, bytes).map_err(|error| {
                warn!(file = %file.display(), %error, "a pulled segment can't be read");
                PartError::Unreadable
            });
            let part = text.and_then(|text| checker.check_part(text));
            let event = Event::SegmentPart {
                index,
                offset,
                part,
            };
            // Where nobody listens, the node has stopped.
            let _ = files.blocking_send(event);
        });
    }

    fn delete(&self, file: PathBuf) {
        self.runtime.spawn_blocking(move || {
            if let Err(error) = std::fs::remove_file(&file) {
                debug!(file = %file.display(), %error, "a pulled segment can't be deleted");
            }
        });
    }
}

/// The whole lines from an offset on that stand in some bytes of a file; where that is not even one, the bytes as they are.
fn read_lines(file: &Path, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let file = File::open(file)?;
    let left = file.metadata()?.len().saturating_sub(offset);
    let mut text = vec![0; bytes.min(usize::try_from(left).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut text, offset)?;
    if let Some(end) = text.iter().rposition(|byte| *byte == b'\n') {
        text.truncate(end + 1);
    }
    Ok(text)
}

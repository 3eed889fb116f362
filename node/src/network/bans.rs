//! Who is banned, until when; kept in a file.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::PeerId;
use serde::{Deserialize, Serialize};

/// The list's file in the data folder.
pub const BANS_FILE: &str = "bans.json";
/// The most bans of each kind: whoever makes up peer ids can't grow the list for ever. Those that end first make room.
const BANS_MAX: usize = 4_096;
/// More than a full list takes: some 150 bytes each.
const BANS_FILE_BYTES_MAX: u64 = 4 << 20;

/// Who is banned. Times are Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct BanList {
    peers: BTreeMap<PeerId, Ban>,
    addresses: BTreeMap<IpAddr, Ban>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Ban {
    until: u64,
    reason: String,
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BanFile {
    version: u32,
    peers: BTreeMap<String, Ban>,
    addresses: BTreeMap<IpAddr, Ban>,
}

const FILE_VERSION: u32 = 1;

fn ban<K: Ord + Copy>(bans: &mut BTreeMap<K, Ban>, who: K, ban: Ban) {
    // A shorter ban does not end a longer one.
    if bans.get(&who).is_some_and(|old| old.until >= ban.until) {
        return;
    }
    bans.insert(who, ban);
    if bans.len() > BANS_MAX {
        let first = bans.iter().min_by_key(|(_, ban)| ban.until);
        if let Some((first, _)) = first.map(|(who, ban)| (*who, ban)) {
            bans.remove(&first);
        }
    }
}

fn end<K: Ord + Copy>(bans: &mut BTreeMap<K, Ban>, now: u64) -> Vec<K> {
    let over = bans.iter().filter(|(_, ban)| ban.until <= now);
    let over: Vec<K> = over.map(|(who, _)| *who).collect();
    bans.retain(|_, ban| ban.until > now);
    over
}

impl BanList {
    pub(super) fn ban_peer(&mut self, now: u64, who: PeerId, how_long: Duration, reason: &str) {
        let until = now.saturating_add(how_long.as_secs());
        ban(
            &mut self.peers,
            who,
            Ban {
                until,
                reason: reason.to_owned(),
            },
        );
    }

    pub(super) fn ban_address(&mut self, now: u64, who: IpAddr, how_long: Duration, reason: &str) {
        let until = now.saturating_add(how_long.as_secs());
        ban(
            &mut self.addresses,
            who,
            Ban {
                until,
                reason: reason.to_owned(),
            },
        );
    }

    pub(super) fn has_peer(&self, peer: &PeerId) -> bool {
        self.peers.contains_key(peer)
    }

    pub(super) fn peers(&self) -> impl ExactSizeIterator<Item = &PeerId> {
        self.peers.keys()
    }

    pub(super) fn addresses(&self) -> impl ExactSizeIterator<Item = &IpAddr> {
        self.addresses.keys()
    }

    /// Takes off the list whose time is over, and tells who that was.
    pub(super) fn expire(&mut self, now: u64) -> (Vec<PeerId>, Vec<IpAddr>) {
        (end(&mut self.peers, now), end(&mut self.addresses, now))
    }

    /// Reads a folder's list, without those whose time is over. A list that can't be read is worth a warning, not a node: it starts anew.
    pub(super) fn load(folder: &Path, now: u64) -> Self {
        let path = folder.join(BANS_FILE);
        let mut list = match Self::read(&path) {
            Ok(list) => list,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the list of bans is lost");
                Self::default()
            }
        };
        list.expire(now);
        list
    }

    fn read(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.len() > BANS_FILE_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let file: BanFile = serde_json::from_slice(&fs::read(path)?)?;
        if file.version != FILE_VERSION {
            return Err(io::Error::other(format!("version {}", file.version)));
        }
        let mut list = Self::default();
        for (text, entry) in file.peers {
            ban(
                &mut list.peers,
                text.parse().map_err(io::Error::other)?,
                entry,
            );
        }
        for (ip, entry) in file.addresses {
            ban(&mut list.addresses, ip, entry);
        }
        Ok(list)
    }

    /// The list, ready to be written without it.
    pub(super) fn draft(&self, folder: &Path) -> BanDraft {
        let peers = self.peers.iter();
        let peers = peers.map(|(peer, ban)| (peer.to_string(), ban.clone()));
        let file = BanFile {
            version: FILE_VERSION,
            peers: peers.collect(),
            addresses: self.addresses.clone(),
        };
        let text = serde_json::to_vec_pretty(&file).expect("texts and numbers are JSON");
        BanDraft {
            folder: folder.to_owned(),
            text,
        }
    }
}

/// What is to be written.
#[derive(Debug)]
pub(super) struct BanDraft {
    folder: PathBuf,
    text: Vec<u8>,
}

impl BanDraft {
    /// Replaces the file at once: after a crash there is the old list or the new one.
    pub(super) fn write(self) -> io::Result<()> {
        let mut draft = tempfile::Builder::new()
            .prefix(".bans-")
            .tempfile_in(&self.folder)?;
        draft.write_all(&self.text)?;
        draft.as_file().sync_all()?;
        draft
            .persist(self.folder.join(BANS_FILE))
            .map_err(|error| error.error)?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn bans_survive_in_their_file_and_end() {
        let folder = tempfile::tempdir().unwrap();
        let (peer, ip) = (PeerId::random(), "192.0.2.1".parse().unwrap());
        let mut list = BanList::default();
        list.ban_peer(1_000, peer, HOUR, "work");
        list.ban_address(1_000, ip, HOUR * 2, "work");
        list.draft(folder.path()).write().unwrap();
        assert_eq!(BanList::load(folder.path(), 1_001), list);
        let mut later = BanList::load(folder.path(), 4_600);
        assert!(!later.has_peer(&peer));
        assert_eq!(later.addresses().collect::<Vec<_>>(), [&ip]);
        assert_eq!(later.expire(8_199), (vec![], vec![]));
        assert_eq!(later.expire(8_200), (vec![], vec![ip]));
    }

    #[test]
    fn the_list_is_bounded_and_a_longer_ban_stays() {
        let mut list = BanList::default();
        let first = PeerId::random();
        list.ban_peer(0, first, HOUR, "work");
        for _ in 0..BANS_MAX {
            list.ban_peer(1, PeerId::random(), HOUR, "work");
        }
        assert_eq!(list.peers().len(), BANS_MAX);
        assert!(!list.has_peer(&first));
        let ip = "192.0.2.1".parse().unwrap();
        list.ban_address(0, ip, HOUR, "work");
        list.ban_address(0, ip, HOUR / 2, "fee");
        assert!(list.expire(1_800).1.is_empty());
    }

    #[test]
    fn a_damaged_list_starts_anew() {
        let folder = tempfile::tempdir().unwrap();
        for text in [
            "",
            "{}",
            r#"{"version":2,"peers":{},"addresses":{}}"#,
            "[1]",
        ] {
            fs::write(folder.path().join(BANS_FILE), text).unwrap();
            assert_eq!(BanList::load(folder.path(), 0), BanList::default());
        }
    }
}

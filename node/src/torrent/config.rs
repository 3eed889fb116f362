use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use librqbit::limits::LimitsConfig;
use lyceum_protocol::ChainName;

/// The least cap on a direction, in bytes a second: the engine's limiter can't pass a chunk of 16 KiB that is more than one second's worth,
/// and then passes nothing at all.
pub const RATE_BPS_MIN: u32 = 16_384;
/// The torrents that are live at once, by default: each costs a ticker of 100 ms, 100 of them about a percent of a core.
pub const LIVE_MAX: usize = 100;
/// The incoming connections at once, by default. Each costs two more sockets and the front's buffers.
pub const CONNECTIONS_MAX: usize = 200;
/// No byte for so long: then other holders are tried.
pub const STALL: Duration = Duration::from_secs(8);
/// A torrent that has sent nothing for so long sleeps until it is asked for, so that an idle node costs next to nothing.
pub const SLEEP: Duration = Duration::from_secs(60);

/// How the BitTorrent side runs.
#[derive(Debug, Clone)]
pub struct TorrentConfig {
    /// The chain, which names the segments' files.
    pub chain: ChainName,
    /// The folder for what is being pulled. It is this engine's alone.
    pub downloads: PathBuf,
    /// Where to listen; port 0 for any.
    pub listen: SocketAddr,
    /// The torrents that are live at once: seeded or being pulled.
    pub live_max: usize,
    /// The incoming connections at once; a quarter of them from one IP address.
    pub connections_max: usize,
    /// The most bytes sent a second; raised to [`RATE_BPS_MIN`].
    pub upload_bps: Option<u32>,
    /// The most bytes received a second; raised to [`RATE_BPS_MIN`].
    pub download_bps: Option<u32>,
    /// Trackers that live torrents are announced to, and asked for holders; none by default.
    pub trackers: Vec<String>,
    /// Announce live torrents on the Mainline DHT, one by one, and ask it for holders; off by default.
    pub dht: bool,
    /// No byte for so long is a stall.
    pub stall: Duration,
    /// A torrent that has sent nothing for so long sleeps, unless strangers find it by trackers or the DHT.
    pub sleep: Duration,
}

impl TorrentConfig {
    /// The usual way to run it.
    pub fn new(chain: ChainName, downloads: PathBuf, listen: SocketAddr) -> Self {
        Self {
            chain,
            downloads,
            listen,
            live_max: LIVE_MAX,
            connections_max: CONNECTIONS_MAX,
            upload_bps: None,
            download_bps: None,
            trackers: Vec::new(),
            dht: false,
            stall: STALL,
            sleep: SLEEP,
        }
    }

    /// The caps, as the engine takes them.
    pub(super) fn limits(&self) -> LimitsConfig {
        let cap = |bps: u32| NonZeroU32::new(bps.max(RATE_BPS_MIN));
        LimitsConfig {
            upload_bps: self.upload_bps.and_then(cap),
            download_bps: self.download_bps.and_then(cap),
        }
    }

    /// Can holders be found that nobody has named?
    pub(super) fn has_discovery(&self) -> bool {
        self.dht || !self.trackers.is_empty()
    }
}

/// Why the BitTorrent side does not start.
#[derive(Debug, thiserror::Error)]
pub enum TorrentError {
    /// The folder can't be used.
    #[error("can't use the folder {}: {error}", folder.display())]
    Folder {
        /// Which.
        folder: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The address can't be listened on.
    #[error("can't listen for BitTorrent on {listen}: {error}")]
    Listen {
        /// Which.
        listen: SocketAddr,
        /// Why.
        error: std::io::Error,
    },
    /// The engine did not start.
    #[error("the BitTorrent engine does not start: {0}")]
    Engine(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cap_is_below_what_the_engine_can_pass() {
        let chain = "dev".parse().unwrap();
        let mut config = TorrentConfig::new(chain, "x".into(), ([127, 0, 0, 1], 0).into());
        config.upload_bps = Some(1);
        config.download_bps = Some(0);
        let limits = config.limits();
        assert_eq!(limits.upload_bps.unwrap().get(), RATE_BPS_MIN);
        assert_eq!(limits.download_bps.unwrap().get(), RATE_BPS_MIN);
        config.upload_bps = Some(1 << 20);
        assert_eq!(config.limits().upload_bps.unwrap().get(), 1 << 20);
    }
}

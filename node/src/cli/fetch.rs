//! `lyceum segment fetch`: a segment by its magnet link, with the BitTorrent engine alone.

use std::fs::File;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use librqbit::{AddTorrent, AddTorrentOptions, DhtSessionConfig, Magnet, Session, SessionOptions};
use lyceum_protocol::{ChainName, InfoHash, MetainfoBuilder, SegmentIndex};

use super::print;

/// How often the engine is asked how far it is: its own word that it is done can get lost.
const POLL: Duration = Duration::from_millis(100);
/// Peers named by a magnet link that are tried.
const MAGNET_PEERS_MAX: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct Fetch {
    /// The magnet link
    magnet: String,
    /// The folder to write to
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Ask this client too; may be given several times
    #[arg(long, value_name = "ADDR")]
    peer: Vec<SocketAddr>,
    /// Look for peers on the BitTorrent DHT, also where the link names some
    #[arg(long)]
    dht: bool,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    timeout: u64,
}

/// What a link asks for.
struct Wanted {
    info_hash: InfoHash,
    chain: ChainName,
    index: SegmentIndex,
    name: String,
    peers: Vec<SocketAddr>,
}

impl Fetch {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let wanted = Wanted::parse(&self.magnet, &self.peer)?;
        let target = self.dir.join(&wanted.name);
        if target.symlink_metadata().is_ok() {
            bail!(
                "{}: exists already, and is never overwritten",
                target.display()
            );
        }
        std::fs::create_dir_all(&self.dir).with_context(|| self.dir.display().to_string())?;
        let scratch = tempfile::tempdir_in(&self.dir)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the async runtime can't start")?;
        let time = Duration::from_secs(self.timeout);
        let fetched = runtime.block_on(async {
            let fetch = self.fetch(&wanted, scratch.path());
            let late = || format!("{} has not come within {} s", wanted.name, self.timeout);
            tokio::time::timeout(time, fetch).await.with_context(late)?
        });
        runtime.shutdown_background();
        fetched?;
        let file = scratch.path().join(&wanted.name);
        wanted.check(&file)?;
        std::fs::rename(&file, &target).with_context(|| target.display().to_string())?;
        print(format!("{}\n", target.display()).as_bytes())
    }

    async fn fetch(&self, wanted: &Wanted, folder: &Path) -> anyhow::Result<()> {
        let has_peers = !wanted.peers.is_empty();
        let options = SessionOptions {
            dht: (self.dht || !has_peers).then(|| DhtSessionConfig {
                persistence: None,
                ..DhtSessionConfig::default()
            }),
            disable_local_service_discovery: true,
            persistence: None,
            fastresume: false,
            listen: None,
            ..SessionOptions::default()
        };
        let session = Session::new_with_opts(folder.to_owned(), options).await?;
        let torrent = AddTorrent::from_url(self.magnet.as_str());
        let options = AddTorrentOptions {
            overwrite: true,
            output_folder: Some(folder.display().to_string()),
            initial_peers: has_peers.then(|| wanted.peers.clone()),
            ..AddTorrentOptions::default()
        };
        let added = session.add_torrent(torrent, Some(options)).await?;
        let handle = added
            .into_handle()
            .context("the engine has not taken the link")?;
        let bar = ProgressBar::new(0);
        let style = "{msg} {wide_bar} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(style).expect("a template of ours"));
        bar.set_message(wanted.name.clone());
        let begun = Instant::now();
        loop {
            let stats = handle.stats();
            bar.set_length(stats.total_bytes);
            bar.set_position(stats.progress_bytes);
            if let Some(error) = stats.error {
                bail!("the BitTorrent engine: {error}");
            }
            if stats.finished {
                bar.finish_and_clear();
                let (bytes, seconds) = (stats.total_bytes, begun.elapsed().as_secs_f64());
                eprintln!("{bytes} bytes in {seconds:.1} s");
                session.stop().await;
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Wanted {
    fn parse(link: &str, peers: &[SocketAddr]) -> anyhow::Result<Self> {
        let magnet = Magnet::parse(link).context("this is no magnet link")?;
        let info_hash = magnet
            .as_id20()
            .context("the link has no BitTorrent v1 infohash")?;
        let name = magnet.name.context("the link has no name (dn)")?;
        let parts = name
            .strip_suffix(".jwts")
            .and_then(|stem| stem.rsplit_once('-'));
        let parts = parts.and_then(|(chain, index)| {
            let is_number = index.len() >= 8 && index.bytes().all(|c| c.is_ascii_digit());
            let index = SegmentIndex::new(index.parse().ok().filter(|_| is_number)?).ok()?;
            Some((chain.parse().ok()?, index))
        });
        let (chain, index) = parts
            .with_context(|| format!("{name:?} is not a segment's name: CHAIN-KKKKKKKK.jwts"))?;
        let named = link
            .split(['?', '&'])
            .filter_map(|part| part.strip_prefix("x.pe="));
        let named = named.filter_map(|peer| {
            let peer = percent_encoding::percent_decode_str(peer)
                .decode_utf8()
                .ok()?;
            peer.parse().ok()
        });
        Ok(Self {
            info_hash: InfoHash::from_bytes(info_hash.0),
            chain,
            index,
            name,
            peers: peers
                .iter()
                .copied()
                .chain(named.take(MAGNET_PEERS_MAX))
                .collect(),
        })
    }

    /// Is the file the segment, as this chain would make its torrent?
    fn check(&self, file: &Path) -> anyhow::Result<()> {
        let mut builder = MetainfoBuilder::new(&self.chain, self.index);
        let mut input = File::open(file).with_context(|| file.display().to_string())?;
        let mut buffer = vec![0; 1 << 20];
        loop {
            let read = input.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            builder.update(&buffer[..read]);
        }
        let got = builder.finish().info_hash();
        if got != self.info_hash {
            bail!(
                "what came is not a segment: its infohash would be {got}, want {}",
                self.info_hash
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "magnet:?xt=urn:btih:0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn a_link_names_a_segment_and_its_peers() {
        let link =
            format!("{LINK}&dn=my-net-00000012.jwts&x.pe=127.0.0.1:1&x.pe=%5B::1%5D:2&x.pe=nobody");
        let more = "127.0.0.1:3".parse().unwrap();
        let wanted = Wanted::parse(&link, &[more]).unwrap();
        assert_eq!((wanted.chain.as_str(), wanted.index.get()), ("my-net", 12));
        let want = ["127.0.0.1:3", "127.0.0.1:1", "[::1]:2"].map(|peer| peer.parse().unwrap());
        assert_eq!(wanted.peers, want);
        for bad in [
            "http://example.org/",
            LINK,
            &format!("{LINK}&dn=film.mkv"),
            &format!("{LINK}&dn=../my-net-00000012.jwts"),
            &format!("{LINK}&dn=my-net-12.jwts"),
            "magnet:?dn=my-net-00000012.jwts",
        ] {
            assert!(Wanted::parse(bad, &[]).is_err(), "{bad}");
        }
    }
}

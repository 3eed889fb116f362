//! `lyceum segment`: the chain's segments as torrents.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::fetch::Fetch;
use super::look::{plain, print_json};
use super::print;
use super::source::{Ledger, segment, write_out};

#[derive(Debug, Subcommand)]
pub(crate) enum SegmentCommand {
    /// List the sealed segments
    List(List),
    /// Write a segment's torrent file
    #[command(after_help = TORRENT_EXAMPLES)]
    Torrent(Torrent),
    /// Print a segment's magnet link
    Magnet(Magnet),
    /// Fetch a segment by its magnet link alone, and check it; no node or ledger is needed
    #[command(after_help = FETCH_EXAMPLES)]
    Fetch(Fetch),
}

const TORRENT_EXAMPLES: &str = "Examples:
  lyceum segment torrent 0 --out dev-00000000.torrent
  lyceum segment torrent 3 --http 127.0.0.1:8650 > 3.torrent";

const FETCH_EXAMPLES: &str = "Examples:
  lyceum segment fetch 'magnet:?xt=urn:btih:…&dn=dev-00000000.jwts&x.pe=192.0.2.1:8652'
  lyceum segment fetch 'magnet:?xt=urn:btih:…' --peer 192.0.2.1:8652 --dir segments";

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: Ledger,
}

#[derive(Debug, Args)]
pub(crate) struct Torrent {
    /// The segment's number, from 0
    #[arg(value_name = "K")]
    index: u64,
    /// Write to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    ledger: Ledger,
}

#[derive(Debug, Args)]
pub(crate) struct Magnet {
    /// The segment's number, from 0
    #[arg(value_name = "K")]
    index: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: Ledger,
}

impl SegmentCommand {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self {
            Self::List(list) => list.run(),
            Self::Torrent(torrent) => {
                let path = format!("/api/v1/segments/{}.torrent", torrent.index);
                let source = torrent.ledger.open()?;
                let bytes = source.get_bytes(&path, "application/x-bittorrent")?;
                write_out(torrent.out.as_ref(), &bytes)
            }
            Self::Magnet(magnet) => {
                let path = format!("/api/v1/segments/{}/magnet", magnet.index);
                let link = magnet.ledger.open()?.get_bytes(&path, "text/plain")?;
                let link = String::from_utf8(link).context("the link is not text")?;
                let link = link.trim_end();
                match magnet.json {
                    true => print_json(&json!({"magnet": link})),
                    false => print(format!("{link}\n").as_bytes()),
                }
            }
            Self::Fetch(fetch) => fetch.run(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<()> {
        let source = self.ledger.open()?;
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let page = source.get(&format!("/api/v1/segments?limit=100{after}"))?;
            all.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", segment(next)),
                None => break,
            }
        }
        if self.json {
            return print_json(&Value::Array(all));
        }
        let lines = all.iter().map(|item| {
            let parts = ["index", "infohash", "length", "name"].map(|member| plain(&item[member]));
            format!("{}\n", parts.join("  "))
        });
        print(lines.collect::<String>().as_bytes())
    }
}

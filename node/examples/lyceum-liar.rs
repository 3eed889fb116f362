//! A peer that lies to honest nodes, for `netsim run liars`: one kind of lie, told to whoever is connected until all have banned it.
//!
//! It is made of the tests' liars and stands outside the program `lyceum`, which can't lie.

#![allow(clippy::unwrap_used)] // all of it is test code

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Parser;
use clap::builder::PossibleValuesParser;
use libp2p::Multiaddr;
use lyceum_protocol::ChainSpec;
use serde_json::json;
use ureq::Agent;

#[path = "../tests/torrent/fake.rs"]
#[allow(dead_code)]
mod fake;
#[path = "../tests/chain/forge.rs"]
#[allow(dead_code)]
mod forge;
#[path = "../tests/network/garbage.rs"]
mod garbage;
#[path = "../tests/network/liar.rs"]
#[allow(dead_code)]
mod liar;
#[path = "../tests/network/lies.rs"]
#[allow(dead_code)]
mod lies;

use garbage::Garbage;
use liar::{Home, Liar, Wanted};

/// How often it lies.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the node that it follows may take, on a machine where twenty programs share the cores.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Where the network is split, it lies on about what it has, and asks again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// A peer that lies
#[derive(Parser)]
struct Options {
    /// The chain's file
    #[arg(long)]
    chain: PathBuf,
    /// The folder for `liar.json`: who it is, and whom it has told a lie
    #[arg(long)]
    folder: PathBuf,
    /// The API of an honest node, whose chain it follows
    #[arg(long)]
    follow: String,
    /// The address to listen on
    #[arg(long)]
    ip: IpAddr,
    /// The port to listen on for peers
    #[arg(long)]
    port: u16,
    /// The port for BitTorrent, where it seeds
    #[arg(long)]
    torrent_port: u16,
    /// Whom it dials
    #[arg(long = "victim")]
    victims: Vec<Multiaddr>,
    /// What it lies about
    #[arg(value_parser = PossibleValuesParser::new(lies::kinds().map(|kind| kind.name)))]
    lie: String,
}

fn main() {
    let options = Options::parse();
    let kind = lies::kinds().find(|kind| kind.name == options.lie).unwrap();
    let spec = std::fs::read_to_string(&options.chain).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (ip, port) = (options.ip, options.port);
    let at = (ip, options.torrent_port).into();
    let family = if ip.is_ipv4() { "ip4" } else { "ip6" };
    let home = Home {
        spec: ChainSpec::parse(&spec).unwrap(),
        lines: lines_of(&options.follow),
        victims: options.victims,
        listen: vec![format!("/{family}/{ip}/tcp/{port}").parse().unwrap()],
        garbage: Some(runtime.block_on(Garbage::start(at))),
    };
    let mut liar = Liar::start(&runtime, home, kind.lie);
    let mut told: Option<BTreeSet<_>> = None;
    loop {
        liar.act();
        if told.as_ref() != Some(&liar.told) {
            let names: Vec<_> = liar.told.iter().map(ToString::to_string).collect();
            let text = json!({"peer_id": liar.name(), "told": names}).to_string();
            // Whole or not at all: netsim reads it at any time.
            let (draft, path) = ("liar.json.new", "liar.json");
            let [draft, path] = [draft, path].map(|name| options.folder.join(name));
            std::fs::write(&draft, text).unwrap();
            std::fs::rename(&draft, &path).unwrap();
            told = Some(liar.told.clone());
        }
        std::thread::sleep(PAUSE);
    }
}

/// Block lines of the API of an honest node.
fn lines_of(node: &str) -> liar::Lines {
    let agent = Agent::config_builder()
        .timeout_global(Some(ANSWER_WITHIN))
        .proxy(None)
        .build();
    let agent: Agent = agent.into();
    let base = format!("http://{node}/api/v1/blocks");
    let mut silent: Option<Instant> = None;
    Box::new(move |wanted| {
        if silent.is_some_and(|since| since.elapsed() < ASK_AGAIN) {
            return None;
        }
        let url = match wanted {
            Wanted::At(height) => format!("{base}/{height}"),
            Wanted::Of(hash) => format!("{base}/{hash}"),
        };
        let answer = agent.get(&url).header("Accept", "text/plain").call();
        match answer.and_then(|mut answer| answer.body_mut().read_to_string()) {
            Ok(line) => Some(line.trim_end().to_owned()),
            // There is no such block, or not yet.
            Err(ureq::Error::StatusCode(404)) => None,
            Err(error) => {
                eprintln!("{url}: {error}");
                silent = Some(Instant::now());
                None
            }
        }
    })
}

//! A served API over a chain in memory, and a client.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libp2p::PeerId;
use lyceum_node::api::{self, ApiConfig, ApiServer};
use lyceum_node::core::{
    Chain, Imported, Mempool, MempoolLimits, MempoolStats, Phase, Source, SubmitRefusal,
};
use lyceum_node::handle::{
    HAPPENINGS_LEN, Happening, NODE_COMMANDS_LEN, NodeCommand, NodeHandle, Standing,
};
use lyceum_node::metrics::Metrics;
use lyceum_node::network::{NetworkView, PeerView};
use lyceum_node::torrent::{FetchView, TorrentView};
use lyceum_protocol::{
    Address, ChainSpec, Height, SegmentIndex, Seq, Timestamp, TxId, check_transaction,
};
use lyceum_storage::{Durability, Reader};
use lyceum_vm::Account;
use serde_json::Value;
use tokio::runtime::Runtime;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::forge;

/// A chain and a mempool that answer as the core does.
pub(crate) struct Core {
    pub(crate) chain: Chain,
    pub(crate) mempool: Mempool,
}

/// Everything that a test touches.
pub(crate) struct World {
    pub(crate) core: Arc<Mutex<Core>>,
    pub(crate) spec: ChainSpec,
    pub(crate) node: NodeHandle,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) standing: watch::Sender<Standing>,
    pub(crate) torrents: watch::Sender<TorrentView>,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) server: Option<ApiServer>,
    pub(crate) runtime: Runtime,
    agent: ureq::Agent,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

fn account(chain: &Chain, owner: &Address) -> Account {
    let record = chain
        .store()
        .read()
        .record(&format!("credits/account/{owner}"))
        .unwrap();
    let record: Value = record.map_or(Value::Null, |record| serde_json::from_str(&record).unwrap());
    Account {
        balance: lyceum_protocol::Amount::new(record["balance"].as_u64().unwrap_or(0)).unwrap(),
        seq: Seq::new(record["seq"].as_u64().unwrap_or(0)).unwrap(),
    }
}

impl Core {
    fn submit(&mut self, token: &str) -> Result<TxId, SubmitRefusal> {
        let checked = check_transaction(token, self.chain.spec())?;
        let id = checked.id();
        let chain = &self.chain;
        self.mempool
            .insert(checked, |owner| account(chain, owner))?;
        Ok(id)
    }

    fn answer(&mut self, command: NodeCommand) {
        // Whoever asked may be gone.
        match command {
            NodeCommand::Submit { token, reply } => drop(reply.send(self.submit(&token))),
            NodeCommand::Pending { id, reply } => {
                drop(reply.send(self.mempool.transaction(&id).cloned()));
            }
            NodeCommand::Mempool {
                after,
                limit,
                reply,
            } => {
                let some = self.mempool.after(after).take(limit).cloned().collect();
                drop(reply.send(some));
            }
            NodeCommand::NextSeq { sender, reply } => {
                let seq = account(&self.chain, &sender).seq.get();
                let ready = self.mempool.ready_len(&sender) as u64;
                let _gone = reply.send(Seq::new(seq + ready).unwrap());
            }
        }
    }
}

pub(crate) fn standing(reader: &Reader) -> Standing {
    let view = reader.read();
    let tip = view.tip().unwrap().unwrap();
    Standing {
        height: tip.height,
        tip: tip.hash,
        state_root: tip.state_root,
        // Blocks made here have times of their own; to the node they have just come.
        tip_timestamp: clock(),
        work: tip.work,
        phase: Phase::Following,
        target_height: tip.height,
        segments_missing: 0,
        segments_active: 0,
        blocks_per_second: 0.0,
        peers: 1,
        mempool: MempoolStats::default(),
        is_mining: false,
        reorganisations: 0,
    }
}

fn network() -> NetworkView {
    let peer = |i: u8, is_outbound| PeerView {
        peer: PeerId::from_multihash(libp2p::multihash::Multihash::wrap(0x12, &[i; 32]).unwrap())
            .unwrap(),
        address: format!("/ip4/127.0.0.1/tcp/100{i}").parse().unwrap(),
        is_outbound,
        agent: "lyceum/0.1.0".to_owned(),
        ping: Some(Duration::from_micros(1_500)),
    };
    NetworkView {
        listen: vec!["/ip4/192.0.2.7/tcp/9000".parse().unwrap()],
        peers: vec![peer(2, true), peer(1, false), peer(3, true)],
        banned_peers: 1,
        banned_addresses: vec!["192.0.2.9".parse().unwrap()],
    }
}

impl World {
    /// Ten blocks of one transaction each, two sealed segments, three peers.
    pub(crate) fn new() -> Self {
        Self::with(ApiConfig::default(), 10)
    }

    pub(crate) fn with(config: ApiConfig, blocks: u64) -> Self {
        let spec = forge::spec_with(|fields| {
            fields.trackers = vec!["udp://tracker.example.org:6969/announce".to_owned()];
        });
        let mut chain = forge::chain(&spec);
        forge::extend(&mut chain, 1, blocks);
        chain.seal_ready(Durability::Synced).unwrap();
        Self::over(chain, config)
    }

    pub(crate) fn over(chain: Chain, config: ApiConfig) -> Self {
        let spec = chain.spec().clone();
        let reader = chain.store().reader();
        let (commands, mut questions) = mpsc::channel(NODE_COMMANDS_LEN);
        let (standing, standing_seen) = watch::channel(standing(&reader));
        let (_, network_seen) = watch::channel(network());
        let (torrents, torrents_seen) = watch::channel(TorrentView {
            listen: Some("0.0.0.0:6881".parse().unwrap()),
            registered: 2,
            live: 1,
            downloaded_bytes: 11,
            uploaded_bytes: 22,
            fetches: vec![FetchView {
                index: SegmentIndex::new(2).unwrap(),
                got: 1,
                length: 4,
            }],
        });
        let node = NodeHandle {
            peer_id: PeerId::random(),
            spec: Arc::new(spec.clone()),
            reader,
            commands,
            standing: standing_seen,
            network: network_seen,
            torrents: torrents_seen,
            happenings: broadcast::channel(HAPPENINGS_LEN).0,
        };
        let mempool = Mempool::new(MempoolLimits::default());
        let core = Arc::new(Mutex::new(Core { chain, mempool }));
        let runtime = Runtime::new().unwrap();
        let answering = core.clone();
        runtime.spawn(async move {
            while let Some(question) = questions.recv().await {
                answering.lock().unwrap().answer(question);
            }
        });
        let metrics = Arc::new(Metrics::new());
        let shutdown = CancellationToken::new();
        let any = "127.0.0.1:0".parse().unwrap();
        let serve = api::serve(any, node.clone(), metrics.clone(), config, shutdown.clone());
        let server = runtime.block_on(serve).unwrap();
        let agent = ureq::Agent::config_builder().http_status_as_error(false);
        Self {
            core,
            spec,
            node,
            metrics,
            standing,
            torrents,
            address: server.address,
            shutdown,
            server: Some(server),
            runtime,
            agent: agent.build().into(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    pub(crate) fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.agent.get(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.call().unwrap())
    }

    /// A 200 in JSON.
    pub(crate) fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.kind, "application/json", "{path}");
        answer.json()
    }

    pub(crate) fn post(&self, path: &str, kind: &str, body: &[u8]) -> Answer {
        let request = self.agent.post(self.url(path)).header("content-type", kind);
        answer(request.send(body).unwrap())
    }

    /// A refusal with this status and reason, in the form of RFC 9457.
    pub(crate) fn refuses(&self, answer: &Answer, status: u16, reason: &str) -> Value {
        let problem = answer.json();
        assert_eq!(answer.status, status, "{problem}");
        assert_eq!(answer.kind, "application/problem+json");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["reason"], reason, "{problem}");
        assert_eq!(problem["type"], "about:blank");
        for member in ["title", "detail"] {
            assert!(!problem[member].as_str().unwrap().is_empty(), "{member}");
        }
        problem
    }

    /// Mines what is pending, and tells so, as the node does.
    pub(crate) fn mine(&self) {
        let mut core = self.core.lock().unwrap();
        let pending: Vec<_> = core.mempool.after(None).cloned().collect();
        let count = pending.len();
        let line = forge::next_line(&core.chain, 2, 2_000, pending);
        let imported = core.chain.import(&line, forge::now()).unwrap();
        assert!(matches!(imported, Imported::Tip(_)));
        core.mempool = Mempool::new(MempoolLimits::default());
        let standing = standing(&self.node.reader);
        self.standing.send_replace(standing.clone());
        let told = self.node.happenings.send(Happening::Tip {
            height: standing.height,
            hash: standing.tip,
            state_root: standing.state_root,
            blocks: 1,
            transactions: count,
            disconnected: 0,
            source: Source::Mined,
        });
        // Nobody may be listening.
        drop(told);
    }

    /// The line of the main chain's block at a height.
    pub(crate) fn line(&self, height: u64) -> String {
        let height = Height::new(height).unwrap();
        self.node.reader.read().line_at(height).unwrap().unwrap()
    }
}

/// What the clock shows, in Unix milliseconds.
pub(crate) fn clock() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::new(since.unwrap().as_millis() as u64).unwrap()
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Answer {
    let headers = response.headers().clone();
    let kind = headers.get("content-type");
    Answer {
        status: response.status().as_u16(),
        kind: kind.map_or("", |kind| kind.to_str().unwrap()).to_owned(),
        body: response.body_mut().read_to_vec().unwrap(),
        headers,
    }
}

//! libtorrent pulls from us, and we from it.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lyceum_protocol::Metainfo;
use serde_json::{Value, json};

use super::node::{Node, PIECE, read, segment};

/// A libtorrent session in a process of its own; it ends when this is dropped.
struct Libtorrent {
    child: Child,
}

impl Libtorrent {
    /// Starts one, in an environment that has the packages of `.ci/requirements.txt`, and gives its answer to the job.
    fn start(job: &Value) -> (Self, Value) {
        let folder = env!("CARGO_MANIFEST_DIR");
        let made = Command::new(format!("{folder}/../.ci/python"))
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(made.status.success(), ".ci/python makes the environment");
        let python = String::from_utf8(made.stdout).unwrap();
        let mut child = Command::new(python.trim())
            .arg("-Wignore::DeprecationWarning")
            .arg(format!("{folder}/tests/torrent/peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.as_mut().unwrap();
        writeln!(input, "{job}").unwrap();
        let mut answer = String::new();
        let mut output = BufReader::new(child.stdout.as_mut().unwrap());
        output.read_line(&mut answer).unwrap();
        let answer = serde_json::from_str(&answer).expect("peer.py does its job");
        (Self { child }, answer)
    }
}

impl Drop for Libtorrent {
    fn drop(&mut self) {
        // Its input ends, so it does.
        drop(self.child.stdin.take());
        self.child.wait().unwrap();
    }
}

fn save(metainfo: &Metainfo, folder: &Path) -> String {
    let path = folder.join(format!("{}.torrent", metainfo.name()));
    std::fs::write(&path, metainfo.to_torrent(&[])).unwrap();
    path.display().to_string()
}

pub(crate) async fn pull(job: Value) -> Value {
    let run = move || Libtorrent::start(&job).1;
    tokio::task::spawn_blocking(run).await.unwrap()
}

/// With and without a last piece that is shorter: an engine's own metainfo goes wrong on the former.
const LENGTHS: [usize; 3] = [2 * PIECE, 3 * PIECE + 7, 86];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libtorrent_pulls_what_sleeps_by_torrent_and_by_magnet() {
    let mut node = Node::start().await;
    let peer: SocketAddr = node.listen();
    for (at, length) in LENGTHS.into_iter().enumerate() {
        let (content, metainfo, file) = node.hold(at as u64, length);
        let source = match at {
            1 => json!({ "magnet": metainfo.magnet(&[], &[peer]) }),
            _ => json!({ "torrent": save(&metainfo, node.folder.path()) }),
        };
        let folder = node.path(&format!("libtorrent-{at}"));
        std::fs::create_dir(&folder).unwrap();
        let job = json!({ "work": "pull", "source": source, "folder": folder, "peer": peer });
        assert_eq!(pull(job).await, json!({ "whole": true }));
        assert_eq!(read(&folder.join(metainfo.name())), content);
        assert_eq!(read(&file), content);
    }
    assert_eq!(
        node.view(|view| view.live == LENGTHS.len()).await.fetches,
        []
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_pull_from_libtorrent() {
    let mut node = Node::start().await;
    for (at, length) in LENGTHS.into_iter().enumerate() {
        let at = at as u64;
        let (content, metainfo) = segment(at, length);
        let folder = node.path(&format!("libtorrent-{at}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join(metainfo.name()), &content).unwrap();
        let source = json!({ "torrent": save(&metainfo, node.folder.path()) });
        let job = json!({ "work": "seed", "source": source, "folder": folder });
        let start = move || Libtorrent::start(&job);
        let (seed, answer) = tokio::task::spawn_blocking(start).await.unwrap();
        let port = answer["port"].as_u64().unwrap() as u16;
        let holder = ([127, 0, 0, 1], port).into();
        node.fetch(at, &metainfo, &[holder]);
        let (file, from) = node.fetched(at).await;
        assert_eq!((read(&file), from), (content, vec![holder]));
        drop(seed);
    }
}

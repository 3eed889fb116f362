//! The engine without what we put around it: two of its traps as they are. Where one of these fails, the engine has changed, and the
//! work-around may go.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use librqbit::{
    AddTorrent, AddTorrentOptions, AddTorrentResponse, ListenerMode, ListenerOptions,
    ManagedTorrent, Session, SessionOptions,
};
use lyceum_protocol::Metainfo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::fake::{BITFIELD, Fake, PIECE as CHUNK, REQUEST, UNCHOKE, handshake, send};
use super::node::{PATIENCE, PIECE, segment};

async fn session(folder: &Path) -> (Arc<Session>, SocketAddr) {
    let options = SessionOptions {
        disable_trackers: true,
        disable_local_service_discovery: true,
        listen: Some(ListenerOptions {
            mode: ListenerMode::TcpOnly,
            listen_addr: (Ipv4Addr::LOCALHOST, 0).into(),
            ipv4_only: true,
            ..ListenerOptions::default()
        }),
        ..SessionOptions::default()
    };
    let session = Session::new_with_opts(folder.to_owned(), options).await;
    let session = session.unwrap();
    let addr = session.listen_addr().unwrap();
    (session, addr)
}

async fn add(
    session: &Arc<Session>,
    metainfo: &Metainfo,
    holders: Vec<SocketAddr>,
) -> Arc<ManagedTorrent> {
    let options = AddTorrentOptions {
        overwrite: true,
        initial_peers: Some(holders),
        ..AddTorrentOptions::default()
    };
    let bytes = AddTorrent::from_bytes(metainfo.to_torrent(&[]));
    match session.add_torrent(bytes, Some(options)).await.unwrap() {
        AddTorrentResponse::Added(_, torrent) => torrent,
        _ => panic!("it is new"),
    }
}

/// Shakes hands; `None` where the other side hangs up.
async fn meet(addr: SocketAddr, metainfo: &Metainfo) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let mut theirs = [0; 68];
    let mine = handshake(metainfo.info_hash().as_bytes());
    stream.write_all(&mine).await.ok()?;
    stream.read_exact(&mut theirs).await.ok()?;
    Some(stream)
}

/// The kinds of all messages up to the first of this kind, and that one's content.
async fn until(stream: &mut TcpStream, kind: u8) -> (Vec<u8>, Vec<u8>) {
    let (mut kinds, mut message) = (Vec::new(), Vec::new());
    let read = async {
        while kinds.last() != Some(&kind) {
            let length = stream.read_u32().await.unwrap() as usize;
            message.resize(length, 0);
            stream.read_exact(&mut message).await.unwrap();
            kinds.extend(message.first());
        }
    };
    let read = tokio::time::timeout(PATIENCE, read).await;
    assert!(read.is_ok(), "no {kind} among {kinds:?}");
    (kinds, message.split_off(1))
}

/// Why we swarm at the level of segments: two empty leechers never learn what the other has got, for neither sends a bitfield.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_tells_no_peer_of_a_new_piece_that_sent_no_bitfield() {
    let folder = tempfile::tempdir().unwrap();
    let (session, addr) = session(folder.path()).await;
    let (content, metainfo) = segment(0, 2 * PIECE);
    // It keeps the last chunk to itself, and serves nobody at first.
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let chunks = 2 * PIECE / 16_384 - 1;
    let holders = vec![holder.local_addr().unwrap()];
    let torrent = add(&session, &metainfo, holders).await;
    torrent.wait_until_initialized().await.unwrap();

    let mut empty = meet(addr, &metainfo).await.unwrap();
    assert_eq!(until(&mut empty, UNCHOKE).await.0, [UNCHOKE], "no bitfield");
    Fake { content, chunks }.serve_at(holder, &metainfo);
    let whole = async {
        while torrent.stats().progress_bytes < PIECE as u64 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let whole = tokio::time::timeout(PATIENCE, whole).await;
    assert!(whole.is_ok(), "one piece is whole");

    // Who comes now is told which.
    let mut later = meet(addr, &metainfo).await.unwrap();
    let (_, field) = until(&mut later, BITFIELD).await;
    assert!(matches!(field[..], [128 | 64]), "{field:?}");
    // Who was there may have it, but has to guess that it is there.
    let request = [u32::from(field[0] == 64), 0, 16_384].map(u32::to_be_bytes);
    send(&mut empty, REQUEST, &[&request.concat()])
        .await
        .unwrap();
    assert_eq!(until(&mut empty, CHUNK).await.0, [CHUNK], "no `have`");
    session.stop().await;
}

/// Why nothing but good handshakes reaches the engine, and why a connection that waits for it pokes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failed_handshake_it_looks_at_no_other_until_it_accepts_again() {
    let folder = tempfile::tempdir().unwrap();
    let (session, addr) = session(folder.path()).await;
    let (content, metainfo) = segment(0, PIECE);
    std::fs::write(folder.path().join(metainfo.name()), content).unwrap();
    let torrent = add(&session, &metainfo, Vec::new()).await;
    torrent.wait_until_initialized().await.unwrap();

    // Accepted before the failure, for the one that fails comes after it; its handshake is sent when the other has been hung up on.
    let mut waiting = TcpStream::connect(addr).await.unwrap();
    let stranger = segment(1, PIECE).1;
    assert!(meet(addr, &stranger).await.is_none());
    let mine = handshake(metainfo.info_hash().as_bytes());
    waiting.write_all(&mine).await.unwrap();
    // Whatever else is accepted gets it looked at. This one comes so late that it would have been answered by itself, were it not stuck.
    let stuck = Duration::from_millis(500);
    let answer = tokio::time::timeout(stuck, waiting.readable()).await;
    assert!(
        answer.is_err(),
        "the engine is stuck no more: no poke is needed"
    );
    let _poke = TcpStream::connect(addr).await.unwrap();
    let mut theirs = [0; 68];
    let answered = tokio::time::timeout(PATIENCE, waiting.read_exact(&mut theirs)).await;
    assert!(answered.is_ok_and(|answered| answered.is_ok()));
    session.stop().await;
}

//! The listener that everybody connects to, in front of the engine's own on the loopback interface.
//!
//! The engine refuses what is not live, has no cap on connections in all, and after a failed handshake leaves others waiting. So we read each
//! handshake ourselves, wake what sleeps, and pass on only what the engine will take.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lyceum_protocol::InfoHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, trace};

/// A handshake's length: the protocol's name, reserved bits, infohash, peer id (BEP 3).
const HANDSHAKE_BYTES: usize = 68;
const PROTOCOL: &[u8; 20] = b"\x13BitTorrent protocol";
/// A peer sends its handshake at once.
const HANDSHAKE_TIME_MAX: Duration = Duration::from_secs(5);
/// A segment is checked before it is live: the largest take some seconds, and others may be before it.
const WAKE_TIME_MAX: Duration = Duration::from_secs(15);
/// The engine answers a handshake within a few milliseconds, unless it is stuck.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How often a stuck engine is poked.
const POKE_EVERY: Duration = Duration::from_millis(250);
/// After an error of `accept`: out of sockets, most likely.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// What a peer sends us: requests, of 17 bytes each.
const UP: Way = Way {
    buffer_bytes: 4 * 1024,
    turns: 0,
    prompt_reads: PROMPT_READS,
};
/// What we send to a peer: chunks of 16 KiB. The engine writes one a turn, so that after some turns there are several to pass on at once. A
/// turn takes no time where it has nothing to write.
const DOWN: Way = Way {
    buffer_bytes: 128 * 1024,
    turns: 6,
    // The engine, too, holds back its last chunks until the earlier ones are acknowledged.
    prompt_reads: usize::MAX,
};

/// A peer's first messages are small, and many engines send the next only when the last is acknowledged (Nagle). So many reads are acknowledged
/// at once: what the kernel waits for in vain, 40 ms, is half the time of a pull. Later ones go along with what we send.
const PROMPT_READS: usize = 16;

/// Somebody wants a torrent; the answer says whether the engine takes it now.
pub(super) struct Lookup {
    pub(super) info_hash: InfoHash,
    pub(super) reply: oneshot::Sender<bool>,
}

/// The listener, and what it needs.
pub(super) struct Front {
    pub(super) listener: TcpListener,
    /// Where the engine listens.
    pub(super) engine: SocketAddr,
    /// Our own peer id: the engine hangs up on it.
    pub(super) peer_id: [u8; 20],
    pub(super) lookups: mpsc::Sender<Lookup>,
    pub(super) connections_max: usize,
}

impl Front {
    /// Accepts until it is dropped.
    pub(super) async fn run(self) {
        let per_ip_max = (self.connections_max / 4).max(1);
        let mut per_ip: HashMap<IpAddr, usize> = HashMap::new();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                biased;
                Some(ended) = connections.join_next() => {
                    // It gives its IP back; a panic would lose one, so there must be none in there.
                    if let Ok(ip) = ended
                        && let Some(count) = per_ip.get_mut(&ip)
                    {
                        *count -= 1;
                        if *count == 0 {
                            per_ip.remove(&ip);
                        }
                    }
                    continue;
                }
                accepted = self.listener.accept() => accepted,
            };
            let (peer, addr) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    debug!(%error, "can't accept a BitTorrent connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let ip = addr.ip().to_canonical();
            let from_ip = per_ip.get(&ip).copied().unwrap_or(0);
            if connections.len() >= self.connections_max || from_ip >= per_ip_max {
                trace!(%addr, "too many BitTorrent connections");
                continue;
            }
            per_ip.insert(ip, from_ip + 1);
            let serve = serve(peer, self.engine, self.peer_id, self.lookups.clone());
            connections.spawn(async move {
                if let Err(error) = serve.await {
                    trace!(%addr, %error, "a BitTorrent connection ended");
                }
                ip
            });
        }
    }
}

/// One connection, to its end.
async fn serve(
    mut peer: TcpStream,
    engine: SocketAddr,
    own_id: [u8; 20],
    lookups: mpsc::Sender<Lookup>,
) -> io::Result<()> {
    let mut handshake = [0; HANDSHAKE_BYTES];
    timeout(HANDSHAKE_TIME_MAX, peer.read_exact(&mut handshake)).await??;
    let (protocol, rest) = handshake.split_at(PROTOCOL.len());
    let (info_hash, peer_id) = rest[8..].split_at(20);
    if protocol != PROTOCOL || peer_id == own_id {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let info_hash: [u8; 20] = info_hash.try_into().expect("20 bytes");
    let info_hash = InfoHash::from_bytes(info_hash);
    let (reply, is_live) = oneshot::channel();
    let lookup = Lookup { info_hash, reply };
    // A full queue: the engine has more to do than it can.
    let sent = lookups.try_send(lookup);
    sent.map_err(|_| io::Error::from(io::ErrorKind::ResourceBusy))?;
    match timeout(WAKE_TIME_MAX, is_live).await? {
        Ok(true) => forward(peer, engine, &handshake).await,
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// Passes a connection on to the engine, until either side ends it.
async fn forward(mut peer: TcpStream, engine: SocketAddr, handshake: &[u8]) -> io::Result<()> {
    let mut inner = TcpStream::connect(engine).await?;
    peer.set_nodelay(true)?;
    inner.set_nodelay(true)?;
    inner.write_all(handshake).await?;
    timeout(ANSWER_TIME_MAX, poke_until_answered(&inner, engine)).await??;
    let (mut from_peer, mut to_peer) = peer.split();
    let (mut from_inner, mut to_inner) = inner.split();
    tokio::select! {
        up = pass(&mut from_peer, &mut to_inner, UP) => up,
        down = pass(&mut from_inner, &mut to_peer, DOWN) => down,
    }
}

/// Waits for the engine's first byte.
///
/// After one failed handshake the engine looks at no other until it accepts again (STACK.md, trap 2). Rarely can one fail that we have let
/// pass; then a connection that says nothing makes it look.
async fn poke_until_answered(inner: &TcpStream, engine: SocketAddr) -> io::Result<()> {
    let mut pokes = Vec::new();
    while timeout(POKE_EVERY, inner.readable()).await.is_err() {
        pokes.push(TcpStream::connect(engine).await?);
    }
    Ok(())
}

/// How bytes are passed on.
struct Way {
    buffer_bytes: usize,
    /// So many turns others have before what has come is taken.
    turns: usize,
    /// So many reads are acknowledged at once.
    prompt_reads: usize,
}

/// Passes bytes on to the end.
async fn pass(from: &mut ReadHalf<'_>, to: &mut WriteHalf<'_>, way: Way) -> io::Result<()> {
    let mut buffer = vec![0; way.buffer_bytes];
    let mut reads = 0;
    loop {
        from.readable().await?;
        for _ in 0..way.turns {
            tokio::task::yield_now().await;
        }
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        if reads < way.prompt_reads {
            reads += 1;
            // The kernel forgets it by itself.
            from.as_ref().set_quickack(true)?;
        }
        to.write_all(&buffer[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An engine that is stuck, as the real one after a failed handshake: it answers only once it has accepted again.
    #[tokio::test]
    async fn a_stuck_engine_is_poked() {
        let engine = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let engine_addr = engine.local_addr().unwrap();
        let front = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let front_addr = front.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut first, _) = engine.accept().await.unwrap();
            let mut got = [0; 5];
            first.read_exact(&mut got).await.unwrap();
            let _poke = engine.accept().await.unwrap();
            first.write_all(&got).await.unwrap();
        });
        tokio::spawn(async move {
            let (peer, _) = front.accept().await.unwrap();
            forward(peer, engine_addr, b"hello").await.unwrap();
        });
        let mut peer = TcpStream::connect(front_addr).await.unwrap();
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"hello");
    }

    /// The same with the real one: a connection that it has accepted waits for its turn after another's handshake has failed.
    #[tokio::test]
    async fn the_real_engine_is_poked() {
        use librqbit::{AddTorrent, Session};
        use lyceum_protocol::{MetainfoBuilder, SegmentIndex};

        use crate::torrent::TorrentConfig;
        use crate::torrent::start::session_options;

        let folder = tempfile::tempdir().unwrap();
        let (chain, listen) = ("dev".parse().unwrap(), ([127, 0, 0, 1], 1).into());
        let config = TorrentConfig::new(chain, folder.path().to_owned(), listen);
        let options = session_options(&config, listen);
        let session = Session::new_with_opts(folder.path().to_owned(), options);
        let session = session.await.unwrap();
        let engine = session.listen_addr().unwrap();
        let mut metainfo = MetainfoBuilder::new(&config.chain, SegmentIndex::MAX);
        metainfo.update(b"a segment");
        let metainfo = metainfo.finish();
        let torrent = AddTorrent::from_bytes(metainfo.to_torrent(&[]));
        let torrent = session.add_torrent(torrent, None).await.unwrap();
        let torrent = torrent.into_handle().unwrap();
        torrent.wait_until_initialized().await.unwrap();

        let handshake =
            |info_hash: &[u8; 20]| [&PROTOCOL[..], &[0; 8], info_hash, &[9; 20]].concat();
        let mut inner = TcpStream::connect(engine).await.unwrap();
        let mut stranger = TcpStream::connect(engine).await.unwrap();
        stranger.write_all(&handshake(&[7; 20])).await.unwrap();
        let mut answer = Vec::new();
        // It hangs up, politely or not.
        let _ = stranger.read_to_end(&mut answer).await;
        assert!(answer.is_empty());
        let good = handshake(metainfo.info_hash().as_bytes());
        inner.write_all(&good).await.unwrap();
        poke_until_answered(&inner, engine).await.unwrap();
        let mut theirs = [0; HANDSHAKE_BYTES];
        inner.read_exact(&mut theirs).await.unwrap();
        assert_eq!(theirs[28..48], good[28..48]);
        session.stop().await;
    }
}

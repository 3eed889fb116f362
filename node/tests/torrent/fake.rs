//! A BitTorrent peer that does as it is told, however wrong.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use lyceum_protocol::{Metainfo, PIECE_BYTES};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Far beyond what anything in here takes: a test that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const UNCHOKE: u8 = 1;
pub(crate) const BITFIELD: u8 = 5;
pub(crate) const REQUEST: u8 = 6;
pub(crate) const PIECE: u8 = 7;

/// What a fake holder does with requests.
#[derive(Clone)]
pub(crate) struct Fake {
    /// The bytes that it has for the torrent.
    pub(crate) content: Vec<u8>,
    /// After so many chunks it answers no more.
    pub(crate) chunks: usize,
}

pub(crate) fn handshake(info_hash: &[u8; 20]) -> Vec<u8> {
    let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
    bytes.extend(info_hash);
    bytes.extend(b"-XX0001-fakefakefake");
    bytes
}

impl Fake {
    /// Listens on loopback, and serves one torrent to whoever comes.
    pub(crate) async fn serve(self, metainfo: &Metainfo) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        self.serve_at(listener, metainfo);
        addr
    }

    /// Serves one torrent to whoever has come, or comes.
    pub(crate) fn serve_at(self, listener: TcpListener, metainfo: &Metainfo) {
        let hash = *metainfo.info_hash().as_bytes();
        let find = move |asked: &[u8; 20], _: SocketAddr| (*asked == hash).then(|| self.clone());
        serve_all(listener, find);
    }

    async fn talk(self, mut stream: TcpStream, hash: &[u8; 20]) -> std::io::Result<()> {
        stream.write_all(&handshake(hash)).await?;
        let pieces = self.content.len().div_ceil(PIECE_BYTES);
        let mut field = vec![0_u8; pieces.div_ceil(8)];
        (0..pieces).for_each(|piece| field[piece / 8] |= 128 >> (piece % 8));
        send(&mut stream, BITFIELD, &[&field]).await?;
        send(&mut stream, UNCHOKE, &[]).await?;
        let mut sent = 0;
        loop {
            let length = stream.read_u32().await? as usize;
            let mut message = vec![0; length];
            stream.read_exact(&mut message).await?;
            if message.first() != Some(&REQUEST) || sent == self.chunks {
                continue;
            }
            let number = |at: usize| u32::from_be_bytes(message[at..at + 4].try_into().unwrap());
            let start = number(1) as usize * PIECE_BYTES + number(5) as usize;
            let chunk = &self.content[start..start + number(9) as usize];
            send(&mut stream, PIECE, &[&message[1..9], chunk]).await?;
            sent += 1;
        }
    }
}

/// Serves whoever comes with what `find` has for an infohash and the one who asks for it.
pub(crate) fn serve_all(
    listener: TcpListener,
    find: impl Fn(&[u8; 20], SocketAddr) -> Option<Fake> + Send + Sync + 'static,
) {
    let find = Arc::new(find);
    tokio::spawn(async move {
        while let Ok((mut stream, from)) = listener.accept().await {
            let find = Arc::clone(&find);
            // Whoever it talks to may hang up at any time.
            tokio::spawn(async move {
                let mut theirs = [0; 68];
                stream.read_exact(&mut theirs).await.ok()?;
                let hash: [u8; 20] = theirs[28..48].try_into().ok()?;
                find(&hash, from)?.talk(stream, &hash).await.ok()
            });
        }
    });
}

pub(crate) async fn send(stream: &mut TcpStream, kind: u8, parts: &[&[u8]]) -> std::io::Result<()> {
    let body = parts.concat();
    stream.write_u32(body.len() as u32 + 1).await?;
    stream.write_u8(kind).await?;
    stream.write_all(&body).await
}

/// Shakes hands as a stranger; says whether the other side answers with its own.
pub(crate) async fn greet(to: SocketAddr, metainfo: &Metainfo) -> bool {
    let mut stream = TcpStream::connect(to).await.unwrap();
    let hash = metainfo.info_hash();
    let mut theirs = [0; 68];
    // It may hang up before we have said a word.
    let talk = async {
        stream.write_all(&handshake(hash.as_bytes())).await?;
        stream.read_exact(&mut theirs).await
    };
    match tokio::time::timeout(PATIENCE, talk).await {
        Ok(answered) => answered.is_ok() && theirs[28..48] == hash.as_bytes()[..],
        Err(_) => panic!("neither an answer nor an end"),
    }
}

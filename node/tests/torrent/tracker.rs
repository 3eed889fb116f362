//! A small tracker on loopback: it remembers who has announced what, and tells others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use lyceum_protocol::InfoHash;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The ports that were announced, by infohash.
type Announced = Arc<Mutex<BTreeMap<InfoHash, BTreeSet<u16>>>>;

pub(crate) struct Tracker {
    pub(crate) url: String,
    announced: Announced,
}

impl Tracker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/announce", listener.local_addr().unwrap());
        let announced = Announced::default();
        let all = announced.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let announced = all.clone();
                // Whoever asks may hang up at any time.
                tokio::spawn(async move { answer(stream, &announced).await.ok() });
            }
        });
        Self { url, announced }
    }

    pub(crate) fn announced(&self) -> BTreeMap<InfoHash, BTreeSet<u16>> {
        self.announced.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, announced: &Announced) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(stream.read_u8().await?);
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let (_, query) = request.split_once('?').unwrap();
    let query = query.split_whitespace().next().unwrap();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let pairs: BTreeMap<_, _> = pairs.collect();
    let hash: Vec<u8> = percent_encoding::percent_decode_str(pairs["info_hash"]).collect();
    let hash = InfoHash::from_bytes(hash.try_into().unwrap());
    let port: u16 = pairs["port"].parse().unwrap();
    let others = {
        let mut announced = announced.lock().unwrap();
        let ports = announced.entry(hash).or_default();
        let others = ports.iter().copied().filter(|other| *other != port);
        let others: Vec<_> = others.collect();
        ports.insert(port);
        others
    };
    let mut body = format!("d8:intervali1e5:peers{}:", 6 * others.len()).into_bytes();
    for port in others {
        body.extend([127, 0, 0, 1]);
        body.extend(port.to_be_bytes());
    }
    body.push(b'e');
    let length = body.len();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await
}

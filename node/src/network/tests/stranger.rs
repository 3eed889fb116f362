//! A peer that says what it wants.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, StreamExt as _};
use libp2p::request_response::{self, Codec, Message, ProtocolSupport};
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, PeerId, StreamProtocol, SwarmBuilder, identify, noise, tcp, yamux};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A message as it stands on a stream.
pub(super) fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes(), body].concat()
}

/// What it says when asked.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    Silence,
    Bytes(Vec<u8>),
}

/// A peer that speaks raw bytes where others speak messages. It stops when dropped.
pub(super) struct Stranger {
    pub(super) id: PeerId,
    frames: mpsc::Sender<Vec<u8>>,
    _stop: DropGuard,
}

#[derive(Debug, Clone, Copy, Default)]
struct RawCodec;

async fn write<T: AsyncWrite + Unpin>(io: &mut T, bytes: Vec<u8>) -> io::Result<()> {
    io.write_all(&bytes).await
}

async fn read<T: AsyncRead + Unpin>(io: &mut T) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await?;
    Ok(bytes)
}

impl Codec for RawCodec {
    type Protocol = StreamProtocol;
    type Request = Vec<u8>;
    type Response = Vec<u8>;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Vec<u8>>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        r: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, r).await
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        r: Vec<u8>,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, r).await
    }
}

#[derive(NetworkBehaviour)]
struct Raw {
    identify: identify::Behaviour,
    sync: request_response::Behaviour<RawCodec>,
}

impl Stranger {
    /// Dials a node of the chain `dev`, and says that it is of a chain itself.
    pub(super) async fn start(chain: &str, answer: Answer, node: &Multiaddr) -> Self {
        let sync = StreamProtocol::new("/lyceum/dev/sync/1");
        let version = format!("/lyceum/{chain}/1");
        let builder = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_tcp(
                tcp::Config::default(),
                noise::Config::new,
                yamux::Config::default,
            )
            .unwrap();
        let builder = builder.with_behaviour(|key| Raw {
            identify: identify::Behaviour::new(identify::Config::new(version, key.public())),
            sync: request_response::Behaviour::new(
                [(sync, ProtocolSupport::Full)],
                request_response::Config::default(),
            ),
        });
        let idle = Duration::from_secs(60);
        let builder = builder.unwrap();
        let mut swarm = builder
            .with_swarm_config(|c| c.with_idle_connection_timeout(idle))
            .build();
        let id = *swarm.local_peer_id();
        swarm.dial(node.clone()).unwrap();
        let Some(libp2p::multiaddr::Protocol::P2p(node)) = node.iter().last() else {
            panic!("the address says who is there");
        };
        let (frames, mut to_send) = mpsc::channel::<Vec<u8>>(8);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        tokio::spawn(async move {
            let mut kept = Vec::new();
            loop {
                tokio::select! {
                    () = stopped.cancelled() => return,
                    Some(frame) = to_send.recv() => {
                        swarm.behaviour_mut().sync.send_request(&node, frame);
                    }
                    event = swarm.select_next_some() => {
                        let SwarmEvent::Behaviour(RawEvent::Sync(request_response::Event::Message {
                            message: Message::Request { channel, .. }, ..
                        })) = event else {
                            continue;
                        };
                        match answer.clone() {
                            Answer::Silence => kept.push(channel),
                            Answer::Bytes(bytes) => {
                                let _ = swarm.behaviour_mut().sync.send_response(channel, bytes);
                            }
                        }
                    }
                }
            }
        });
        Self {
            id,
            frames,
            _stop: stop.drop_guard(),
        }
    }

    /// Sends bytes where a request is expected.
    pub(super) async fn send(&self, frame: Vec<u8>) {
        self.frames.send(frame).await.unwrap();
    }
}

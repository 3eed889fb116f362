//! The wire as a transport of libp2p's.

use std::collections::VecDeque;
use std::future::{Ready, ready};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Transport as _, yamux};

use crate::introduction::Introduction;
use crate::stream::Stream;
use crate::wire::{Host, Wire};

/// Where every node listens.
pub(crate) const PORT: u16 = 8_651;
/// Where a dialled connection comes from: any of the ports that are nobody's.
const EPHEMERAL_PORT: u16 = 49_152;

/// How long a connection may take to be made: as libp2p has it.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Where a host listens.
pub(crate) fn address(host: Host) -> Multiaddr {
    at(host, PORT)
}

fn at(host: Host, port: u16) -> Multiaddr {
    Multiaddr::from(host.ip()).with(Protocol::Tcp(port))
}

fn host_of(address: &Multiaddr) -> Option<Host> {
    let mut parts = address.iter();
    match (parts.next()?, parts.next()?) {
        (Protocol::Ip4(ip), Protocol::Tcp(PORT)) => Host::at(ip),
        _ => None,
    }
}

/// What libp2p runs on at a host: the wire, with an introduction in Noise's place, divided into streams by Yamux, as TCP is on a real node.
pub(crate) fn transport(wire: &Wire, host: Host, key: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    let transport = WireTransport {
        wire: wire.clone(),
        host,
        listener: None,
        events: VecDeque::new(),
    };
    let upgraded = transport
        .upgrade(Version::V1Lazy)
        .authenticate(Introduction::new(key))
        .multiplex(yamux::Config::default());
    let timed = upgraded.timeout(HANDSHAKE_MAX);
    timed
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .boxed()
}

struct WireTransport {
    wire: Wire,
    host: Host,
    listener: Option<ListenerId>,
    events: VecDeque<Event>,
}

type Event = TransportEvent<Ready<io::Result<Stream>>, io::Error>;

impl libp2p::Transport for WireTransport {
    type Output = Stream;
    type Error = io::Error;
    type ListenerUpgrade = Ready<io::Result<Stream>>;
    type Dial = BoxFuture<'static, io::Result<Stream>>;

    fn listen_on(
        &mut self,
        listener_id: ListenerId,
        listen_addr: Multiaddr,
    ) -> Result<(), TransportError<io::Error>> {
        if host_of(&listen_addr) != Some(self.host) || self.listener.is_some() {
            return Err(TransportError::MultiaddrNotSupported(listen_addr));
        }
        self.listener = Some(listener_id);
        self.wire.listen(self.host);
        self.events.push_back(TransportEvent::NewAddress {
            listener_id,
            listen_addr,
        });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        if self.listener != Some(id) {
            return false;
        }
        self.listener = None;
        self.wire.close(self.host);
        true
    }

    fn dial(
        &mut self,
        address: Multiaddr,
        _: DialOpts,
    ) -> Result<Self::Dial, TransportError<io::Error>> {
        match host_of(&address).filter(|host| *host != self.host) {
            Some(host) => Ok(Box::pin(self.wire.clone().connect(self.host, host))),
            None => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        let Some(listener_id) = self.listener else {
            return Poll::Pending;
        };
        let accepted = self.wire.poll_accept(self.host, context);
        accepted.map(|(from, stream)| TransportEvent::Incoming {
            listener_id,
            upgrade: ready(Ok(stream)),
            local_addr: address(self.host),
            send_back_addr: at(from, EPHEMERAL_PORT),
        })
    }
}

impl Drop for WireTransport {
    fn drop(&mut self) {
        if self.listener.is_some() {
            self.wire.close(self.host);
        }
    }
}

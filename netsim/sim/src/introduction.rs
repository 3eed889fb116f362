//! Stands in for Noise: the same messages back and forth, without their cryptography, which would be most of what a simulation of many nodes
//! does. Nobody listens on the wire here, and nobody lies about their key.

use std::future::Future;
use std::io;
use std::iter::{Once, once};
use std::pin::Pin;

use futures::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::PeerId;
use libp2p::core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo};
use libp2p::identity::{Keypair, PublicKey};

/// What Noise's pattern XX takes with libp2p's payload of an Ed25519 key: an ephemeral key; one with a static key and the payload; those two.
const FIRST_BYTES: usize = 34;
const SECOND_BYTES: usize = 202;
const THIRD_BYTES: usize = 170;

/// Says who we are, and hears who they are.
#[derive(Debug, Clone)]
pub(crate) struct Introduction(Vec<u8>);

impl Introduction {
    pub(crate) fn new(key: &Keypair) -> Self {
        Self(key.public().encode_protobuf())
    }

    /// The key in a message of that length: its own length first.
    fn message<const BYTES: usize>(&self) -> io::Result<[u8; BYTES]> {
        let mut message = [0; BYTES];
        let length = u8::try_from(self.0.len()).map_err(io::Error::other)?;
        message[0] = length;
        let room = message.get_mut(1..1 + self.0.len());
        room.ok_or(io::ErrorKind::InvalidInput)?
            .copy_from_slice(&self.0);
        Ok(message)
    }
}

fn peer(message: &[u8]) -> io::Result<PeerId> {
    let (length, rest) = message.split_first().ok_or(io::ErrorKind::InvalidData)?;
    let key = rest.get(..usize::from(*length));
    let key = key.ok_or(io::ErrorKind::InvalidData)?;
    let key = PublicKey::try_decode_protobuf(key).map_err(io::Error::other)?;
    Ok(key.to_peer_id())
}

impl UpgradeInfo for Introduction {
    type Info = &'static str;
    type InfoIter = Once<&'static str>;

    fn protocol_info(&self) -> Self::InfoIter {
        // As long as Noise's name.
        once("/named")
    }
}

type Introduced<S> = Pin<Box<dyn Future<Output = io::Result<(PeerId, S)>> + Send>>;

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> InboundConnectionUpgrade<S>
    for Introduction
{
    type Output = (PeerId, S);
    type Error = io::Error;
    type Future = Introduced<S>;

    fn upgrade_inbound(self, mut stream: S, _: Self::Info) -> Self::Future {
        Box::pin(async move {
            stream.read_exact(&mut [0; FIRST_BYTES]).await?;
            stream.write_all(&self.message::<SECOND_BYTES>()?).await?;
            stream.flush().await?;
            let mut third = [0; THIRD_BYTES];
            stream.read_exact(&mut third).await?;
            Ok((peer(&third)?, stream))
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> OutboundConnectionUpgrade<S>
    for Introduction
{
    type Output = (PeerId, S);
    type Error = io::Error;
    type Future = Introduced<S>;

    fn upgrade_outbound(self, mut stream: S, _: Self::Info) -> Self::Future {
        Box::pin(async move {
            stream.write_all(&[0; FIRST_BYTES]).await?;
            stream.flush().await?;
            let mut second = [0; SECOND_BYTES];
            stream.read_exact(&mut second).await?;
            stream.write_all(&self.message::<THIRD_BYTES>()?).await?;
            stream.flush().await?;
            Ok((peer(&second)?, stream))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use lyceum_netsim::wire::Link;
    use tokio::time::Instant;

    use super::*;
    use crate::stream::pair;
    use crate::wire::{Host, Wire};

    #[tokio::test(start_paused = true)]
    async fn both_hear_who_the_other_is_after_noise_s_round_trips() {
        let latency_ms = 50.0;
        let link = Link {
            latency_ms,
            ..Link::default()
        };
        let (near, far) = pair(&Wire::new(1, link, None), Host(1), Host(2));
        let (one, two) = (Keypair::generate_ed25519(), Keypair::generate_ed25519());
        let start = Instant::now();
        let dialled = Introduction::new(&one).upgrade_outbound(near, "/named");
        let listened = Introduction::new(&two).upgrade_inbound(far, "/named");
        let (dialled, listened) = futures::join!(dialled, listened);
        assert_eq!(dialled.unwrap().0, two.public().to_peer_id());
        assert_eq!(listened.unwrap().0, one.public().to_peer_id());
        assert_eq!(start.elapsed(), Duration::from_millis(150));
    }
}

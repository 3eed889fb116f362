//! A TCP listener that bounds connections: in all, and by client.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::limit::network_of;

/// Connections at once. A browser takes 6, a Prometheus one, a listener to events one.
pub(super) const CONNECTIONS_MAX: usize = 1_024;
/// Connections of one client at once: nobody takes them all.
pub(super) const CLIENT_CONNECTIONS_MAX: usize = 128;

const _: () = assert!(CLIENT_CONNECTIONS_MAX < CONNECTIONS_MAX);

/// Accepts connections within the bounds, and closes others at once.
pub(super) struct BoundedListener {
    tcp: TcpListener,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl BoundedListener {
    pub(super) fn new(tcp: TcpListener) -> Self {
        let open = Arc::default();
        Self { tcp, open }
    }

    fn admit(&self, from: SocketAddr) -> Option<Slot> {
        let client = network_of(from.ip());
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&client).copied().unwrap_or(0);
        if all >= CONNECTIONS_MAX || own >= CLIENT_CONNECTIONS_MAX {
            return None;
        }
        open.insert(client, own + 1);
        let open = self.open.clone();
        Some(Slot { client, open })
    }
}

impl Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (BoundedStream, SocketAddr) {
        loop {
            let (tcp, from) = Listener::accept(&mut self.tcp).await;
            let Some(slot) = self.admit(from) else {
                tracing::debug!(%from, "too many connections to the API");
                continue;
            };
            // Answers are short: don't hold them back. Without it they are late, no more.
            let _late = tcp.set_nodelay(true);
            let stream = BoundedStream { tcp, _slot: slot };
            return (stream, from);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// One place of the listener's, given back when dropped.
struct Slot {
    client: IpAddr,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.client) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.client);
            }
        }
    }
}

/// A connection, with its place.
pub(super) struct BoundedStream {
    tcp: TcpStream,
    _slot: Slot,
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buf)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }
}

/// Who makes a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client(pub(super) IpAddr);

impl Connected<IncomingStream<'_, BoundedListener>> for Client {
    fn connect_info(stream: IncomingStream<'_, BoundedListener>) -> Self {
        Self(stream.remote_addr().ip())
    }
}

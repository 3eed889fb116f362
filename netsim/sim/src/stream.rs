//! A connection: bytes that arrive in order, later.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::wire::{Host, Wire};

/// Bytes under way at once, in one direction: about what Linux' buffers grow to.
const WINDOW_BYTES: usize = 1 << 20;
/// The most bytes of one write that go as one.
const WRITE_BYTES: usize = 64 << 10;

/// One direction of a connection.
struct Pipe {
    from: Host,
    to: Host,
    /// What is under way, in order, and when it arrives.
    parcels: VecDeque<(Instant, Parcel)>,
    bytes: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Since when a reader has found the two hosts cut off.
    cut_since: Option<Instant>,
    has_reader: bool,
}

enum Parcel {
    /// Bytes, and how many of them were read.
    Bytes(Vec<u8>, usize),
    /// The writer has closed.
    End,
    /// The writer is gone.
    Reset,
}

type Shared = Arc<Mutex<Pipe>>;

fn lock(pipe: &Shared) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pipe {
    fn new(from: Host, to: Host) -> Shared {
        Arc::new(Mutex::new(Self {
            from,
            to,
            parcels: VecDeque::new(),
            bytes: 0,
            reader: None,
            writer: None,
            cut_since: None,
            has_reader: true,
        }))
    }

    fn push(&mut self, wire: &Wire, parcel: Parcel) {
        let bytes = match &parcel {
            Parcel::Bytes(bytes, _) => bytes.len(),
            Parcel::End | Parcel::Reset => 0,
        };
        self.bytes += bytes;
        let due = wire.send(self.from, self.to, bytes);
        // TCP delivers in order.
        let due = self.parcels.back().map_or(due, |(last, _)| due.max(*last));
        self.parcels.push_back((due, parcel));
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    /// Is nothing delivered now? After a cut, what is under way is delivered from the first retransmission on.
    fn is_cut(&mut self, wire: &Wire, context: &Context<'_>) -> bool {
        if wire.poll_cut(self.from, self.to, context) {
            self.cut_since.get_or_insert_with(Instant::now);
            return true;
        }
        if let Some(since) = self.cut_since.take() {
            let resumed = wire.resume(self.from, self.to, since);
            for (due, _) in &mut self.parcels {
                *due = resumed.max(*due);
            }
        }
        false
    }

    /// Takes bytes that have arrived; `None` where there are none, and when the next ones arrive.
    fn take(
        &mut self,
        now: Instant,
        into: &mut [u8],
    ) -> Result<io::Result<usize>, Option<Instant>> {
        let Some((due, parcel)) = self.parcels.front_mut() else {
            return Err(None);
        };
        if *due > now {
            return Err(Some(*due));
        }
        let Parcel::Bytes(bytes, read) = parcel else {
            // It stays: every later read ends the same way.
            return Ok(match parcel {
                Parcel::Reset => Err(io::ErrorKind::ConnectionReset.into()),
                _ => Ok(0),
            });
        };
        let count = into.len().min(bytes.len() - *read);
        into[..count].copy_from_slice(&bytes[*read..*read + count]);
        *read += count;
        if *read == bytes.len() {
            self.parcels.pop_front();
        }
        self.bytes -= count;
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
        Ok(Ok(count))
    }
}

/// One end of a connection.
pub(crate) struct Stream {
    wire: Wire,
    inward: Shared,
    outward: Shared,
    /// Wakes the reader when the next bytes arrive.
    alarm: Pin<Box<Sleep>>,
    is_closed: bool,
}

/// The two ends of a new connection: the one of `from`, the one of `to`.
pub(crate) fn pair(wire: &Wire, from: Host, to: Host) -> (Stream, Stream) {
    let (there, back) = (Pipe::new(from, to), Pipe::new(to, from));
    let stream = |inward: &Shared, outward: &Shared| Stream {
        wire: wire.clone(),
        inward: Arc::clone(inward),
        outward: Arc::clone(outward),
        alarm: Box::pin(sleep_until(Instant::now())),
        is_closed: false,
    };
    (stream(&back, &there), stream(&there, &back))
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        loop {
            let mut pipe = lock(&stream.inward);
            if pipe.is_cut(&stream.wire, context) {
                return Poll::Pending;
            }
            let due = match pipe.take(Instant::now(), into) {
                Ok(result) => return Poll::Ready(result),
                Err(due) => due,
            };
            let Some(due) = due else {
                pipe.reader = Some(context.waker().clone());
                return Poll::Pending;
            };
            drop(pipe);
            if stream.alarm.deadline() != due {
                stream.alarm.as_mut().reset(due);
            }
            if stream.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut pipe = lock(&self.outward);
        if self.is_closed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !pipe.has_reader {
            // The news of it is under way: until then they are sent in vain.
            return Poll::Ready(Ok(bytes.len()));
        }
        let room = WINDOW_BYTES.saturating_sub(pipe.bytes);
        if room == 0 {
            pipe.writer = Some(context.waker().clone());
            return Poll::Pending;
        }
        let count = bytes.len().min(room).min(WRITE_BYTES);
        if count > 0 {
            pipe.push(&self.wire, Parcel::Bytes(bytes[..count].to_vec(), 0));
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if !std::mem::replace(&mut stream.is_closed, true) {
            lock(&stream.outward).push(&stream.wire, Parcel::End);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_closed {
            lock(&self.outward).push(&self.wire, Parcel::Reset);
        }
        let mut pipe = lock(&self.inward);
        pipe.has_reader = false;
        pipe.parcels.clear();
        pipe.bytes = 0;
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::{AsyncReadExt as _, AsyncWriteExt as _};
    use lyceum_netsim::wire::Link;

    use super::*;

    const A: Host = Host(1);
    const B: Host = Host(2);

    fn wire() -> Wire {
        let latency_ms = 50.0;
        let link = Link {
            latency_ms,
            ..Link::default()
        };
        Wire::new(1, link, None)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_arrive_after_the_latency_and_then_the_end() {
        let (mut near, mut far) = pair(&wire(), A, B);
        let start = Instant::now();
        near.write_all(b"hello").await.unwrap();
        near.close().await.unwrap();
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        assert_eq!(start.elapsed(), Duration::from_millis(50));
        assert!(near.write(b"more").await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_gone_is_missed_after_the_latency() {
        let (near, mut far) = pair(&wire(), A, B);
        let start = Instant::now();
        drop(near);
        let error = far.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(start.elapsed(), Duration::from_millis(50));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cut_delivers_nothing_and_what_was_sent_comes_later() {
        let wire = wire();
        let (mut near, mut far) = pair(&wire, A, B);
        near.write_all(b"before").await.unwrap();
        wire.split(&[vec![A], vec![B]]);
        let mut bytes = [0; 6];
        let (minute, start) = (Duration::from_secs(60), Instant::now());
        let waited = tokio::time::timeout(minute, far.read_exact(&mut bytes)).await;
        assert!(waited.is_err(), "nothing passes");
        wire.heal();
        far.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"before");
        let late = start.elapsed() - minute;
        assert!(
            late >= Duration::from_millis(50) && late <= minute + minute,
            "{late:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_window_waits_for_the_reader() {
        let (mut near, mut far) = pair(&wire(), A, B);
        let bytes = vec![7; 3 * WINDOW_BYTES];
        let sent = bytes.len();
        let writer = tokio::spawn(async move {
            near.write_all(&bytes).await.unwrap();
            near
        });
        let second = Duration::from_secs(1);
        tokio::time::sleep(second).await;
        assert!(!writer.is_finished(), "the window is full");
        let mut got = vec![0; sent];
        far.read_exact(&mut got).await.unwrap();
        assert!(writer.is_finished() && got.iter().all(|byte| *byte == 7));
    }
}

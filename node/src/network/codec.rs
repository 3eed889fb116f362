//! Messages of `sync/1` on a stream: the length in 4 bytes, big-endian, then the message.
//!
//! The length tells a cut from an end: a connection that breaks is nobody's fault, a message that can't be read is its sender's.

use std::io;

use futures::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use libp2p::StreamProtocol;
use libp2p::request_response::Codec;

use crate::core::wire::{Request, Response, Wire, WireError};

/// What a peer sent is no message: its own fault.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a frame of {got} bytes, at most {max} are allowed")]
    Oversized { got: usize, max: usize },
    #[error(transparent)]
    Malformed(#[from] WireError),
}

impl FrameError {
    /// The fault's short name.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Oversized { .. } => "oversized_frame",
            Self::Malformed(_) => "malformed_frame",
        }
    }

    /// The fault behind an error of a stream, if it is one.
    pub(super) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// A request as it came: what is none, by its fault's short name. An error of [`Codec::read_request`] would never be told of: libp2p
/// drops it.
pub(super) type Asked = Result<Request, &'static str>;

/// Reads and writes the messages of `sync/1`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SyncCodec;

/// Memory is taken as bytes come in, never ahead of them.
async fn read<M: Wire, T: AsyncRead + Unpin + Send>(io: &mut T) -> io::Result<M> {
    let mut length = [0; 4];
    io.read_exact(&mut length).await?;
    let (got, max) = (u32::from_be_bytes(length) as usize, M::BYTES_MAX);
    if got > max {
        return Err(io::Error::other(FrameError::Oversized { got, max }));
    }
    let mut bytes = Vec::new();
    io.take(got as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < got {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    M::decode(&bytes).map_err(|error| io::Error::other(FrameError::from(error)))
}

async fn write<M: Wire, T: AsyncWrite + Unpin + Send>(io: &mut T, message: &M) -> io::Result<()> {
    let bytes = message.encode();
    if bytes.len() > M::BYTES_MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let length = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    io.write_all(&length.to_be_bytes()).await?;
    io.write_all(&bytes).await
}

impl Codec for SyncCodec {
    type Protocol = StreamProtocol;
    type Request = Asked;
    type Response = Response;

    async fn read_request<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Asked>
    where
        T: AsyncRead + Unpin + Send,
    {
        match read(io).await {
            Ok(request) => Ok(Ok(request)),
            Err(error) => FrameError::of(&error)
                .map(|fault| Err(fault.reason()))
                .ok_or(error),
        }
    }

    async fn read_response<T>(&mut self, _: &StreamProtocol, io: &mut T) -> io::Result<Response>
    where
        T: AsyncRead + Unpin + Send,
    {
        read(io).await
    }

    async fn write_request<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        request: Asked,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        match request {
            Ok(request) => write(io, &request).await,
            Err(fault) => Err(io::Error::other(fault)),
        }
    }

    async fn write_response<T>(
        &mut self,
        _: &StreamProtocol,
        io: &mut T,
        response: Response,
    ) -> io::Result<()>
    where
        T: AsyncWrite + Unpin + Send,
    {
        write(io, &response).await
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;
    use crate::core::wire::REQUEST_BYTES_MAX;

    fn read_request(bytes: &[u8]) -> io::Result<Request> {
        block_on(read(&mut Cursor::new(bytes)))
    }

    fn fault(bytes: &[u8]) -> Option<&'static str> {
        let error = read_request(bytes).unwrap_err();
        FrameError::of(&error).map(FrameError::reason)
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).unwrap();
        [&length.to_be_bytes(), body].concat()
    }

    #[test]
    fn what_is_written_is_read() {
        let request = Request::BlocksByHash(vec![[7; 32]; 3]);
        let mut bytes = Vec::new();
        block_on(write(&mut bytes, &request)).unwrap();
        assert_eq!(read_request(&bytes).unwrap(), request);
        assert_eq!(bytes, frame(&request.encode()));
    }

    #[test]
    fn a_cut_blames_nobody() {
        let whole = frame(&Request::Activate(7).encode());
        for cut in 0..whole.len() {
            assert_eq!(fault(&whole[..cut]), None);
        }
    }

    #[test]
    fn what_is_no_message_blames_its_sender() {
        let good = Request::Activate(7).encode();
        assert_eq!(fault(&frame(&[])), Some("malformed_frame"));
        assert_eq!(fault(&frame(&good[..8])), Some("malformed_frame"));
        assert_eq!(
            fault(&frame(&[&good[..], &[0]].concat())),
            Some("malformed_frame")
        );
        let too_long = u32::try_from(REQUEST_BYTES_MAX + 1).unwrap().to_be_bytes();
        assert_eq!(fault(&too_long), Some("oversized_frame"));
        assert_eq!(fault(&[0xff; 4]), Some("oversized_frame"));
    }

    #[test]
    fn nothing_too_long_is_written() {
        let too_long = Request::BlocksByHash(vec![[7; 32]; REQUEST_BYTES_MAX / 32]);
        let error = block_on(write(&mut Vec::new(), &too_long)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}

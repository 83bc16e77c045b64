//! The byte stream of a connection: plain, or within TLS.
//!
//! A connection is compiled for each kind of stream, so a plain connection has none of the code of
//! TLS.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use monoio::buf::SliceMut;
use monoio::io::{AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt as _};
use talos_tls::ClientIdentity;

use crate::core::Core;
use crate::registry::Registered;

/// The result of opening a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    /// Requests may come.
    Ready,
    /// The client spoke plain HTTP on a port that has TLS. What is written now is sent as it is.
    PlainHttp,
    /// The handshake failed. What the client may know is sent by [`Stream::end`].
    Refused,
    /// The connection is over.
    Closed,
}

/// The result of reading once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// So many bytes, at least one.
    Bytes(usize),
    /// A part of something that carries no bytes until all of it is there.
    Part,
    /// The client will send nothing more, or the buffer has no room.
    End,
}

/// Both directions of a connection.
///
/// A read or write takes the buffer and gives it back, because the kernel may use it meanwhile. So
/// no future of these methods may be dropped before it is ready.
pub(crate) trait Stream: AsRawFd + 'static {
    /// Whether opening and ending the stream takes bytes of its own.
    const HAS_HANDSHAKE: bool;

    /// Prepares the stream for requests. Called once, before everything else.
    async fn open(&mut self, core: &Core, slot: &Registered) -> Opened;

    /// Waits for bytes and appends them to `input`, at most as many as it has room for.
    async fn read(&mut self, input: Vec<u8>) -> (io::Result<Arrived>, Vec<u8>);

    /// Sends all of `output`.
    async fn write_all(&mut self, output: Vec<u8>) -> (io::Result<()>, Vec<u8>);

    /// Tells the client that nothing more is written, so that it can tell the end of the answers
    /// from a lost connection. Later reads show that bytes come, not which.
    async fn end(&mut self) -> io::Result<()>;

    /// The memory of the stream's own buffers beyond their first sizes, in bytes.
    fn held(&self) -> usize;

    /// The memory by which the stream's own buffers must grow for the next read, in bytes.
    fn growth(&self) -> usize;

    /// Grows by what [`Self::growth`] says.
    fn grow(&mut self);

    /// The memory that writing `bytes` takes meanwhile, in bytes.
    fn write_memory(bytes: usize) -> usize;

    /// Frees memory that is not needed while no request comes.
    fn shrink(&mut self);

    /// The names in the client's certificate, if it has presented one.
    fn identity(&self) -> Option<&ClientIdentity>;
}

/// A socket without TLS.
#[derive(Debug)]
pub(crate) struct Plain<S>(pub S);

impl<S: AsRawFd> AsRawFd for Plain<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

impl<S: AsyncReadRent + AsyncWriteRent + AsRawFd + 'static> Stream for Plain<S> {
    const HAS_HANDSHAKE: bool = false;

    async fn open(&mut self, _core: &Core, _slot: &Registered) -> Opened {
        Opened::Ready
    }

    async fn read(&mut self, input: Vec<u8>) -> (io::Result<Arrived>, Vec<u8>) {
        let (filled, capacity) = (input.len(), input.capacity());
        let (result, slice) = self.0.read(SliceMut::new(input, filled, capacity)).await;
        (result.map(arrived), slice.into_inner())
    }

    async fn write_all(&mut self, output: Vec<u8>) -> (io::Result<()>, Vec<u8>) {
        let (result, output) = self.0.write_all(output).await;
        (result.map(|_| ()), output)
    }

    async fn end(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn held(&self) -> usize {
        0
    }

    fn growth(&self) -> usize {
        0
    }

    fn grow(&mut self) {}

    fn write_memory(_bytes: usize) -> usize {
        0
    }

    fn shrink(&mut self) {}

    fn identity(&self) -> Option<&ClientIdentity> {
        None
    }
}

/// The result of a read of so many bytes.
pub(crate) fn arrived(bytes: usize) -> Arrived {
    match bytes {
        0 => Arrived::End,
        bytes => Arrived::Bytes(bytes),
    }
}

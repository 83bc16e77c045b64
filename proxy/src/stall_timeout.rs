//! A timeout for connections without progress, or with too little of it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits;

/// A stream that fails with [`io::ErrorKind::TimedOut`]
/// - when a read or write is pending and no byte has moved in either direction for `limit`;
/// - when a write is pending and the peer has taken neither [`limits::WRITE_PACE_BYTES`] nor
///   everything there was for `limit`. So a peer cannot hold a long response for ever by reading a
///   byte now and then.
pub(crate) struct StallTimeout<S> {
    stream: S,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    slow_write: Option<SlowWrite>,
}

/// A write that the peer has not taken at once.
struct SlowWrite {
    timer: Pin<Box<Sleep>>,
    /// What the peer has taken since.
    bytes: usize,
}

impl<S> StallTimeout<S> {
    /// Wraps `stream`. Must be called within a tokio runtime that has timers.
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            timer: Box::pin(sleep(limit)),
            slow_write: None,
        }
    }

    /// Notes the progress of a write, and checks that it is enough.
    fn check_write(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match (&polled, &mut self.slow_write) {
            (Poll::Ready(Ok(length)), Some(slow)) => {
                slow.bytes += length;
                if slow.bytes >= limits::WRITE_PACE_BYTES {
                    self.slow_write = None;
                }
            }
            (Poll::Ready(_), _) => {}
            (Poll::Pending, _) => {
                let limit = self.limit;
                let slow = self.slow_write.get_or_insert_with(|| SlowWrite {
                    timer: Box::pin(sleep(limit)),
                    bytes: 0,
                });
                if slow.timer.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
        }
        self.check(context, polled)
    }

    /// Resets the timer on progress, and checks it without.
    fn check<T>(
        &mut self,
        context: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.timer.as_mut().reset(Instant::now() + self.limit);
            return polled;
        }
        self.timer
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallTimeout<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(context, buffer);
        this.check(context, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallTimeout<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.check_write(context, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.check_write(context, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // Writers flush when they have nothing left to write.
        this.slow_write = None;
        Pin::new(&mut this.stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    fn on_runtime(task: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        runtime.block_on(task);
    }

    #[test]
    fn silence_ends_a_read_and_a_write() {
        on_runtime(async {
            let limit = Duration::from_millis(20);
            let (client, _server) = tokio::io::duplex(4);
            let mut stream = StallTimeout::new(client, limit);
            let error = stream.read_u8().await.expect_err("silence");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);

            let (client, _server) = tokio::io::duplex(4);
            let mut stream = StallTimeout::new(client, limit);
            let error = stream.write_all(b"longer than four").await;
            assert_eq!(
                error.expect_err("nobody reads").kind(),
                io::ErrorKind::TimedOut
            );
        });
    }

    #[test]
    fn a_peer_that_takes_a_byte_now_and_then_is_too_slow() {
        on_runtime(async {
            let limit = Duration::from_millis(400);
            let (client, mut server) = tokio::io::duplex(4);
            let mut stream = StallTimeout::new(client, limit);
            let reader = async {
                let mut interval = tokio::time::interval(limit / 20);
                while server.read_u8().await.is_ok() {
                    interval.tick().await;
                }
            };
            let body = vec![0; limits::WRITE_PACE_BYTES];
            let written = tokio::select! {
                written = stream.write_all(&body) => written,
                () = reader => unreachable!(),
            };
            let error = written.expect_err("one byte at a time");
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        });
    }

    #[test]
    fn a_peer_that_keeps_the_pace_has_as_long_as_it_needs() {
        on_runtime(async {
            let limit = Duration::from_millis(400);
            let (client, mut server) = tokio::io::duplex(limits::WRITE_PACE_BYTES);
            let mut stream = StallTimeout::new(client, limit);
            let reader = async {
                let mut taken = vec![0; limits::WRITE_PACE_BYTES];
                let mut interval = tokio::time::interval(limit / 4);
                while server.read_exact(&mut taken).await.is_ok() {
                    interval.tick().await;
                }
            };
            let body = vec![0; 12 * limits::WRITE_PACE_BYTES];
            let begin = Instant::now();
            tokio::select! {
                written = stream.write_all(&body) => written.expect("in time"),
                () = reader => unreachable!(),
            }
            assert!(begin.elapsed() > limit, "longer than one stretch");
        });
    }

    #[test]
    fn every_byte_resets_the_timer() {
        on_runtime(async {
            let limit = Duration::from_secs(2);
            let (client, mut server) = tokio::io::duplex(4);
            let mut stream = StallTimeout::new(client, limit);
            tokio::time::sleep(limit).await;
            server.write_u8(7).await.expect("open");
            assert_eq!(stream.read_u8().await.expect("a byte"), 7);
            let mut byte = [0];
            poll_fn(|context| {
                let mut buffer = ReadBuf::new(&mut byte);
                let read = Pin::new(&mut stream).poll_read(context, &mut buffer);
                assert!(read.is_pending(), "{read:?}");
                Poll::Ready(())
            })
            .await;
        });
    }
}

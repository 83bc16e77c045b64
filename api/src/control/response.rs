//! The answer of the control plane: status, headers and a body, which may be streamed.

use std::fmt;
use std::task::{Context, Poll};

/// The media type of JSON bodies (RFC 8259 §11).
pub const CONTENT_TYPE: &str = "application/json";

/// The media type of binary bodies (RFC 2046 §4.5.1).
pub const CONTENT_TYPE_BYTES: &str = "application/octet-stream";

/// The answer of the control plane. The data plane adds `Content-Length` or `Transfer-Encoding`,
/// `Date`, `X-Request-Id` and `Connection`.
#[derive(Debug)]
pub struct ControlResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides those that the data plane adds.
    pub headers: Vec<(&'static str, String)>,
    /// The encoded body. The answer to `HEAD` holds the body of `GET` too, because `Content-Length`
    /// needs it; the data plane does not send it.
    pub body: Vec<u8>,
    /// The chunks that follow `body`; `None` when `body` is complete.
    pub rest: Option<BodyStream>,
}

impl ControlResponse {
    /// An answer with a JSON body and no header but `Content-Type`.
    #[must_use]
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", CONTENT_TYPE.to_owned())],
            body,
            rest: None,
        }
    }

    /// 204: the request was carried out, and there is nothing to say.
    #[must_use]
    pub fn no_content() -> Self {
        Self {
            status: 204,
            headers: Vec::new(),
            body: Vec::new(),
            rest: None,
        }
    }

    /// An answer with a JSON body that has a credential. No cache on the way may store it (RFC 9111
    /// §5.2.2.5).
    #[must_use]
    pub fn with_secret(status: u16, body: Vec<u8>) -> Self {
        let mut response = Self::json(status, body);
        response
            .headers
            .push(("Cache-Control", "no-store".to_owned()));
        response
    }
}

/// The part of a body that is sent chunk by chunk.
pub struct BodyStream {
    /// Gives the chunks. It is dropped when the client has closed the connection, or when the
    /// server stops.
    pub chunks: Box<dyn Chunks>,
    /// Whether the body is complete when it ends before the last chunk.
    pub ending: Ending,
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyStream")
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

/// A source of chunks.
pub trait Chunks: Send {
    /// Returns the next chunk. Without one it returns `Pending` and later wakes the task of
    /// `context`. Never blocks.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Chunk>;
}

/// The next element of a streamed body.
#[derive(Debug, PartialEq, Eq)]
pub enum Chunk {
    /// More bytes.
    Bytes(Vec<u8>),
    /// The end: the body is complete.
    End,
    /// The end of an incomplete body. The data plane closes the connection so that the client
    /// notices.
    Broken,
}

/// Where a streamed body may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After any chunk, as an endless stream of events does.
    AfterAnyChunk,
    /// Only after the last chunk. A body that ends earlier is incomplete, and the client must
    /// notice.
    AfterTheLast,
}

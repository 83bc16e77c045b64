//! The seam between the data plane, which owns the connections, and the control plane, which answers everything
//! that is not hot. The data plane hands over parsed requests and awaits the answer.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The media type of every body (RFC 8259 §11).
pub const CONTENT_TYPE: &str = "application/json";

/// The media type of a body that is no text (RFC 2046 §4.5.1).
pub const CONTENT_TYPE_BYTES: &str = "application/octet-stream";

/// A request that is not answered on the data plane.
#[derive(Clone, Debug)]
pub struct ControlRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path as it came, without the query, still percent-encoded.
    pub path: String,
    /// What followed the `?`, still percent-encoded; empty when there was none.
    pub query: String,
    /// The `Host` header, as it came.
    pub host: String,
    /// All other headers in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
    /// Echoed from `X-Request-Id` or made; the data plane adds it to the response.
    pub request_id: String,
    /// The client's address; `None` over a Unix socket without a forwarding header.
    pub client_ip: Option<IpAddr>,
}

/// The answer of the control plane. The data plane adds `Content-Length` or `Transfer-Encoding`, `Date`, `X-Request-Id` and
/// `Connection`.
#[derive(Debug)]
pub struct ControlResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides those that the data plane adds.
    pub headers: Vec<(&'static str, String)>,
    /// The body, already encoded. The answer to `HEAD` holds the body of `GET` too, for its length; the data plane does
    /// not send it.
    pub body: Vec<u8>,
    /// What follows the body, part by part; `None` when the body is all of it.
    pub rest: Option<Rest>,
}

/// The rest of a body, which comes in parts.
pub struct Rest {
    /// The parts. Dropped when the client has gone, or the server stops.
    pub parts: Box<dyn Parts>,
    /// What it means when they are not sent to their end.
    pub ending: Ending,
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("ending", &self.ending)
            .finish_non_exhaustive()
    }
}

/// Gives one part after the other.
pub trait Parts: Send {
    /// The next part, or nothing yet: then the task of `context` is woken when there is one. Never waits.
    fn poll_part(&mut self, context: &mut Context<'_>) -> Poll<Part>;
}

/// What comes next of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing more: all of it was sent.
    End,
    /// Nothing more, although something is missing. The client sees that the answer is not whole.
    Broken,
}

/// Where a body may end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After any part: there is no whole.
    AfterAnyPart,
    /// After the last one. Before it, what was sent is a fragment, and the client must see that.
    AfterTheLast,
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
}

/// Called once with the answer. When it is dropped uncalled, the data plane answers 500.
pub type Reply = Box<dyn FnOnce(ControlResponse) + Send>;

/// The queue before the control plane is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// What runs beside the requests and waits, on a runtime of tokio with timers.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What answers requests that are not hot.
pub trait ControlPlane: Send + Sync + 'static {
    /// Takes the request without waiting, or refuses it because the bounded queue is full (the data plane then answers
    /// 503 with `Retry-After`).
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full.
    fn submit(&self, request: ControlRequest, reply: Reply) -> Result<(), Overloaded>;

    /// Runs `task`, which does nothing but wait, without waiting for it. It is dropped when the control plane ends.
    fn spawn(&self, task: Task);
}

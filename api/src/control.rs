//! The seam between the data plane, which owns the connections, and the control plane, which answers everything
//! that is not hot. The data plane hands over parsed requests and awaits the answer.

use std::net::IpAddr;

/// The media type of every body (RFC 8259 §11).
pub const CONTENT_TYPE: &str = "application/json";

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

/// The answer of the control plane. The data plane adds `Content-Length`, `Date`, `X-Request-Id` and `Connection`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlResponse {
    /// The HTTP status.
    pub status: u16,
    /// Headers besides those that the data plane adds.
    pub headers: Vec<(&'static str, String)>,
    /// The body, already encoded. The answer to `HEAD` holds the body of `GET` too, for its length; the data plane does
    /// not send it.
    pub body: Vec<u8>,
}

impl ControlResponse {
    /// An answer with a JSON body and no header but `Content-Type`.
    #[must_use]
    pub fn json(status: u16, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", CONTENT_TYPE.to_owned())],
            body,
        }
    }
}

/// Called once with the answer. When it is dropped uncalled, the data plane answers 500.
pub type Reply = Box<dyn FnOnce(ControlResponse) + Send>;

/// The queue before the control plane is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// What answers requests that are not hot.
pub trait ControlPlane: Send + Sync + 'static {
    /// Takes the request without waiting, or refuses it because the bounded queue is full (the data plane then answers
    /// 503 with `Retry-After`).
    ///
    /// # Errors
    /// [`Overloaded`] when the queue is full.
    fn submit(&self, request: ControlRequest, reply: Reply) -> Result<(), Overloaded>;
}

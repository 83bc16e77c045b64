//! The interface between the data plane, which owns the connections, and the control plane, which
//! answers every request that is not hot. The data plane parses a request, finds its route once,
//! and hands both over as one typed [`ControlRequest`].

pub(crate) mod response;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use talos_model::{Principal, TenantId};

use crate::route::{Endpoint, PathKeyId};

pub use response::{
    BodyStream, CONTENT_TYPE, CONTENT_TYPE_BYTES, Chunk, Chunks, ControlResponse, Ending,
};

/// A request that the control plane answers.
#[derive(Clone, Debug)]
pub struct ControlRequest {
    /// What the request asks for.
    pub endpoint: Endpoint,
    /// `GET`, `POST`, …, as the table of routes spells it.
    pub method: &'static str,
    /// The path with parameters in place of values, for logs and metrics.
    pub template: &'static str,
    /// The id in the path.
    pub key_id: PathKeyId,
    /// The tenant whose keys the request concerns.
    pub tenant: TenantId,
    /// The tenant that has the host of the request; `None` if the server has one tenant, or if no
    /// tenant has the host.
    pub tenant_of_host: Option<TenantId>,
    /// The path as received, percent-encoded, without the query. Needed to forward the request.
    pub path: String,
    /// The query as received, percent-encoded, without the `?`; empty when there was none.
    pub query: String,
    /// The `Host` header as received.
    pub host: String,
    /// All other headers in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The complete body.
    pub body: Vec<u8>,
    /// The value of `X-Request-Id`, or an id that the data plane made. The data plane adds it to
    /// the response.
    pub request_id: String,
    /// The client's address; `None` over a Unix socket without a forwarding header.
    pub client_ip: Option<IpAddr>,
    /// Who asks; `None` when nobody had to say it.
    pub principal: Option<Arc<Principal>>,
    /// The SHA-256 of the body that the node which forwarded the request has sealed. The control
    /// plane refuses another body. `None` = no other node has vouched for the client.
    pub sealed_body: Option<[u8; 32]>,
}

/// What became of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The data plane has taken it and sends it.
    Taken,
    /// The client has gone.
    ClientGone,
}

/// Takes the answer to one request. When it is dropped without an answer, the data plane answers
/// 500.
pub trait Replying: Send {
    /// Takes the answer.
    fn answer(self: Box<Self>, response: ControlResponse) -> Delivery;

    /// Ready once the client has gone, so that nobody waits for the answer. Wakes the task of
    /// `context` when that happens.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// A client that never goes.
impl<F: FnOnce(ControlResponse) + Send> Replying for F {
    fn answer(self: Box<Self>, response: ControlResponse) -> Delivery {
        self(response);
        Delivery::Taken
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// See [`Replying`].
pub type Reply = Box<dyn Replying>;

/// The queue of the control plane is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overloaded;

/// A future that runs on the control plane's tokio runtime, which has timers.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Answers the requests that are not hot.
pub trait ControlPlane: Send + Sync + 'static {
    /// Queues the request. Never waits.
    ///
    /// # Errors
    /// [`Overloaded`] when the bounded queue is full; the data plane then answers 503 with
    /// `Retry-After`.
    fn submit(&self, request: ControlRequest, reply: Reply) -> Result<(), Overloaded>;

    /// Spawns `task`, which must only wait and never block. It is dropped when the control plane
    /// stops.
    fn spawn(&self, task: Task);
}

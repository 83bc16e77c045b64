//! What passes between a connection and the code that handles its requests: the input of a step,
//! and what the connection has to do next.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use talos_api::control::{BodyStream, ControlResponse};
use talos_engine::Loaded;
use talos_model::Principal;
use talos_model::clock::UnixMillis;
use tokio::sync::oneshot;

use crate::batch::Batch;
use crate::cors::Audience;
use crate::framing::Framing;
use crate::metrics::Route;
use crate::parser::{BodyLength, Persistence};
use crate::port::Port;
use crate::position::Reached;
use crate::response::BodyPart;
use crate::wait::Dropped;

/// The unanswered bytes of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'a> {
    /// What the connection may do.
    pub port: &'a Port,
    /// Everything received and not yet answered, from the first byte of a head.
    pub bytes: &'a [u8],
    /// The decoded body of the first request, if its body was chunked and is complete. `bytes` then
    /// holds the head and what follows the body.
    pub decoded: Option<&'a [u8]>,
    /// The result of waiting for the position that the first request demands; `None` before such a
    /// wait.
    pub reached: Option<&'a Result<Reached, Dropped>>,
    /// The address of the connection's other end.
    pub remote_ip: Option<IpAddr>,
    /// The principal of the connection's other end, if the connection proves one.
    pub principal: Option<&'a Arc<Principal>>,
    /// The time of the request.
    pub now: UnixMillis,
}

/// What the connection has to do next.
pub(crate) enum Next {
    /// Read more of a head.
    NeedHead,
    /// Read a body.
    NeedBody(MissingBody),
    /// The answer is in the output.
    Done(Done),
    /// Wait for the position that the request demands, then start the step again.
    AwaitPosition(oneshot::Receiver<Reached>),
    /// Wait for the control plane.
    AwaitControl(oneshot::Receiver<ControlResponse>, PendingControl),
    /// Wait for a read of the disk.
    AwaitRead(oneshot::Receiver<Loaded>, PendingVerification),
    /// Wait for all reads of the batch.
    AwaitBatch(Batch, Started),
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The whole request was read.
    Answered {
        /// Bytes of the input that the request used.
        consumed: usize,
        /// Whether the connection stays open.
        persistence: Persistence,
    },
    /// The request was not read to its end: send the answer and close.
    Refused,
}

impl From<Done> for Next {
    fn from(done: Done) -> Self {
        Self::Done(done)
    }
}

/// A body that has not arrived completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingBody {
    /// The length of the head, in bytes.
    pub head: usize,
    /// How long the body is.
    pub length: BodyLength,
    /// How long the body may be, in bytes: its length, or the bound of its route if the length is
    /// unknown.
    pub limit: usize,
    /// Whether to send `100 Continue`: the client asked for it, and none of the body has arrived.
    pub send_continue: bool,
}

/// When the handling of a hot request started; `None` when no log line needs it.
pub(crate) type Started = Option<Instant>;

/// Microseconds since `started`, for log lines.
pub(crate) fn elapsed_us(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// What is kept of a verification while the disk is read. The rest is parsed again afterwards.
#[derive(Clone, Copy)]
pub(crate) struct PendingVerification {
    /// The route of the request.
    pub route: Route,
    /// When it started.
    pub started: Started,
}

/// What is kept of a request while the control plane answers it: enough to write and log the answer
/// without looking at the request again.
pub(crate) struct PendingControl {
    /// When the handling started.
    pub started: Instant,
    /// The method, as the table of routes spells it.
    pub method: &'static str,
    /// The template of the route.
    pub template: &'static str,
    /// The request id, echoed or made.
    pub request_id: Vec<u8>,
    /// The `Origin` field.
    pub origin: Option<Vec<u8>>,
    /// Whose pages may be allowed to read the answer.
    pub audience: Audience,
    /// Whether the body is sent.
    pub body: BodyPart,
    /// How a streamed body is framed.
    pub framing: Framing,
    /// Whether the connection stays open.
    pub persistence: Persistence,
    /// Bytes of the input that the request used.
    pub consumed: usize,
}

/// An answer of the control plane of which at least the head is in the output.
pub(crate) struct ControlAnswer {
    /// What happens to the connection after the complete answer.
    pub done: Done,
    /// The rest of the body, to be sent first.
    pub rest: Option<Streamed>,
}

/// The rest of a body that is sent chunk by chunk.
pub(crate) struct Streamed {
    /// Gives the chunks.
    pub body: BodyStream,
    /// How they are sent.
    pub framing: Framing,
}

impl From<Done> for ControlAnswer {
    fn from(done: Done) -> Self {
        Self { done, rest: None }
    }
}

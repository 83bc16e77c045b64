//! Requests that another thread answers, and the wait for them.
//!
//! Guarantees: a core never blocks on the other thread; a reply that is dropped, a full queue and a cut connection each
//! end the wait. Of an answer that comes in parts, no more than one is held here; a drain ends it.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use talos_api::control::{ControlRequest, ControlResponse, Overloaded, Part, Rest};
use talos_api::fleet::POSITION_HEADER;
use tokio::sync::oneshot;

use crate::core::Core;
use crate::deadlines::{CoarseMillis, Phase, Slot};
use crate::dispatch::Done;
use crate::framing::Framing;
use crate::parser::{Head, Persistence};
use crate::position::Basis;
use crate::response::{BodyPart, Exchange, RequestId};

/// Offers a request to the control plane.
pub(crate) fn submit(
    core: &Core,
    head: &Head<'_, '_>,
    body: &[u8],
    client_ip: Option<IpAddr>,
    request_id: RequestId<'_>,
) -> Result<oneshot::Receiver<ControlResponse>, Overloaded> {
    let (sender, receiver) = oneshot::channel();
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let request = ControlRequest {
        method: head.method.to_owned(),
        path: head.path.to_owned(),
        query: head.query.to_owned(),
        host: head.host.to_owned(),
        headers: head
            .fields
            .iter()
            .filter(|field| !field.name.eq_ignore_ascii_case("host"))
            .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
            .collect(),
        body: body.to_vec(),
        request_id: text(request_id.bytes()),
        client_ip,
    };
    let reply = Box::new(move |response| {
        // The receiver is gone when the connection was cut; then there is nobody to tell.
        let _ = sender.send(response);
    });
    core.shared
        .control
        .submit(request, reply)
        .map(|()| receiver)
}

/// Writes the control plane's answer, or what is there of it: then it says what follows.
pub(crate) fn answer(
    exchange: &Exchange<'_>,
    framing: Framing,
    response: ControlResponse,
    output: &mut Vec<u8>,
) -> Option<Following> {
    let is_open = response.rest.is_some();
    let exchange = Exchange {
        persistence: match framing {
            Framing::UntilClose if is_open => Persistence::Close,
            _ => exchange.persistence,
        },
        ..*exchange
    };
    let names = |(name, _): &(&str, String)| name.eq_ignore_ascii_case(POSITION_HEADER);
    // What another node has answered is of that node's position.
    let basis = if response.headers.iter().any(names) {
        Basis::Named
    } else {
        Basis::Anything
    };
    let mut answer = exchange.answer(output, response.status, basis);
    for (name, value) in &response.headers {
        answer.field(name, value);
    }
    if !is_open {
        answer.finish(&response.body);
        return None;
    }
    answer.finish_open(framing, &response.body);
    Some(Following {
        rest: response.rest.filter(|_| exchange.body == BodyPart::Sent),
        framing,
    })
}

/// What is still to be sent of an answer whose head is written.
pub(crate) struct Following {
    /// The parts; none are sent in answer to HEAD.
    pub rest: Option<Rest>,
    /// How they are sent.
    pub framing: Framing,
}

/// The control plane's answer is written, as far as it is there.
pub(crate) struct Finished {
    /// What becomes of the connection after all of it.
    pub done: Done,
    /// What follows before that.
    pub following: Option<Following>,
}

impl Finished {
    /// The connection ends where the body does when there is no other way to tell its end.
    pub(crate) fn new(mut done: Done, following: Option<Following>) -> Self {
        let until_close = |following: &Following| following.framing == Framing::UntilClose;
        if let Done::Answered { persistence, .. } = &mut done
            && following.as_ref().is_some_and(until_close)
        {
            *persistence = Persistence::Close;
        }
        Self { done, following }
    }
}

impl From<Done> for Finished {
    fn from(done: Done) -> Self {
        Self::new(done, None)
    }
}

/// The other thread dropped the request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped;

/// Why a wait ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The other thread dropped the request.
    Dropped,
    /// The connection was cut.
    Cut,
}

/// Waits for another thread's answer to the request of the connection at `slot`.
pub(crate) async fn wait<T>(slot: &Slot, receiver: oneshot::Receiver<T>) -> Result<T, NoAnswer> {
    slot.enter(Phase::Wait, CoarseMillis::NEVER);
    let answer = Waiting { slot, receiver }.await;
    slot.clear_waker();
    answer
}

struct Waiting<'s, T> {
    slot: &'s Slot,
    receiver: oneshot::Receiver<T>,
}

impl<T> Future for Waiting<'_, T> {
    type Output = Result<T, NoAnswer>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.slot.is_cut() {
            return Poll::Ready(Err(NoAnswer::Cut));
        }
        self.slot.set_waker(context.waker());
        Pin::new(&mut self.receiver)
            .poll(context)
            .map_err(|_| NoAnswer::Dropped)
    }
}

/// What became of waiting for the next part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// A part, or the end of them.
    Part(Part),
    /// The server is told to stop.
    Drain,
    /// The connection was cut.
    Cut,
}

/// Waits for the next part of the answer to the request of the connection at `slot`.
pub(crate) async fn next_part(core: &Core, slot: &Slot, rest: &mut Rest) -> Came {
    slot.enter(Phase::Part, CoarseMillis::NEVER);
    let came = NextPart { core, slot, rest }.await;
    slot.clear_waker();
    came
}

struct NextPart<'s> {
    core: &'s Core,
    slot: &'s Slot,
    rest: &'s mut Rest,
}

impl Future for NextPart<'_> {
    type Output = Came;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Came> {
        if self.slot.is_cut() {
            return Poll::Ready(Came::Cut);
        }
        // Looked at on every tick, which wakes whoever waits.
        if self.core.is_draining() {
            return Poll::Ready(Came::Drain);
        }
        self.slot.set_waker(context.waker());
        self.rest.parts.poll_part(context).map(Came::Part)
    }
}

//! Requests that another thread answers, and the wait for them.
//!
//! Guarantees: a core never blocks on the other thread; a reply that is dropped, a full queue and a cut connection each
//! end the wait.

use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use talos_api::control::{ControlRequest, ControlResponse, Overloaded};
use tokio::sync::oneshot;

use crate::core::Core;
use crate::deadlines::{CoarseMillis, Phase, Slot};
use crate::parser::Head;
use crate::response::{Exchange, RequestId};

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

/// Writes the control plane's answer.
pub(crate) fn answer(exchange: &Exchange<'_>, response: &ControlResponse, output: &mut Vec<u8>) {
    let mut answer = exchange.answer(output, response.status);
    for (name, value) in &response.headers {
        answer.field(name, value);
    }
    answer.finish(&response.body);
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

//! Hands requests to the control plane, and writes its answers.

use std::net::IpAddr;
use std::task::{Context, Poll};
use std::time::Instant;

use talos_api::control::{ControlRequest, ControlResponse, Delivery, Overloaded, Replying};
use talos_api::error::ApiError;
use talos_api::fleet::POSITION_HEADER;
use talos_api::route::ControlRoute;
use talos_model::TenantId;
use tokio::sync::oneshot;

use crate::authorize::Caller;
use crate::core::Core;
use crate::framing::Framing;
use crate::head_cache::ReadPosition;
use crate::metrics::Route;
use crate::parser::{Head, Persistence};
use crate::request_id::RequestId;
use crate::response::{BodyPart, Exchange};
use crate::step::{ControlAnswer, Done, PendingControl, Streamed, elapsed_us};
use crate::wait::Dropped;

/// A request for the control plane that is complete.
pub(crate) struct Handover<'a> {
    /// Its head.
    pub head: &'a Head<'a, 'a>,
    /// Its tenant.
    pub tenant: TenantId,
    /// The tenant that has the host, if tenants have hosts.
    pub tenant_of_host: Option<TenantId>,
    /// The host under which the client asked.
    pub host: &'a str,
    /// Its route.
    pub route: ControlRoute<'a>,
    /// Its body.
    pub body: &'a [u8],
    /// The client that makes it.
    pub caller: Box<Caller>,
    /// The client's address, as this node sees it.
    pub client_ip: Option<IpAddr>,
    /// Bytes of the input that it used.
    pub consumed: usize,
}

/// Takes the answer to the core. The receiver is gone when the connection was cut.
struct Answers(oneshot::Sender<ControlResponse>);

impl Replying for Answers {
    fn answer(self: Box<Self>, response: ControlResponse) -> Delivery {
        match self.0.send(response) {
            Ok(()) => Delivery::Taken,
            Err(_) => Delivery::ClientGone,
        }
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.poll_closed(context)
    }
}

/// Queues the request for the control plane.
pub(crate) fn submit(
    exchange: &Exchange<'_>,
    handover: Handover<'_>,
) -> Result<(oneshot::Receiver<ControlResponse>, PendingControl), Overloaded> {
    let Handover {
        head,
        tenant,
        tenant_of_host,
        host,
        route,
        body,
        caller,
        client_ip,
        consumed,
    } = handover;
    let pending = PendingControl {
        started: Instant::now(),
        method: route.method,
        template: route.template,
        request_id: exchange.request_id.bytes().to_vec(),
        origin: exchange.origin.map(<[u8]>::to_vec),
        audience: exchange.audience,
        body: exchange.body,
        framing: head.version.into(),
        persistence: exchange.persistence,
        consumed,
    };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let request = ControlRequest {
        endpoint: route.endpoint,
        method: route.method,
        template: route.template,
        key_id: route.key_id.parse(),
        tenant,
        tenant_of_host,
        path: head.path.to_owned(),
        query: head.query.to_owned(),
        host: host.to_owned(),
        headers: head
            .fields
            .iter()
            .filter(|field| !field.name.eq_ignore_ascii_case("host"))
            .map(|field| (field.name.to_ascii_lowercase(), text(field.value)))
            .collect(),
        body: body.to_vec(),
        request_id: text(exchange.request_id.bytes()),
        client_ip: caller.address(client_ip),
        principal: caller.principal,
        sealed_body: caller.forwarded.map(|client| client.body),
    };
    let (sender, receiver) = oneshot::channel();
    let control = &exchange.core.shared.control;
    control.submit(request, Box::new(Answers(sender)))?;
    Ok((receiver, pending))
}

/// Writes and logs the control plane's answer, or 500 when it dropped the request. Of a streamed
/// body only the beginning is written.
pub(crate) fn answer(
    core: &Core,
    pending: &PendingControl,
    response: Result<ControlResponse, Dropped>,
    output: &mut Vec<u8>,
) -> ControlAnswer {
    let response = response.unwrap_or_else(|_| ApiError::internal().into());
    let is_streamed = response.rest.is_some();
    // Without chunks only the end of the connection tells the client where the body ends.
    let ends_with_connection = is_streamed && pending.framing == Framing::UntilClose;
    let exchange = Exchange {
        core,
        route: Route::Control,
        persistence: if core.is_draining() || ends_with_connection {
            Persistence::Close
        } else {
            pending.persistence
        },
        body: pending.body,
        request_id: RequestId::Echoed(&pending.request_id),
        origin: pending.origin.as_deref(),
        audience: pending.audience,
    };
    let names = |(name, _): &(&str, String)| name.eq_ignore_ascii_case(POSITION_HEADER);
    // An answer that another node gave names the position of that node.
    let read = if response.headers.iter().any(names) {
        ReadPosition::Named
    } else {
        ReadPosition::Anything
    };
    let mut answer = exchange.answer(output, response.status, read);
    for (name, value) in &response.headers {
        answer.field(name, value);
    }
    if is_streamed {
        answer.finish_open(pending.framing, &response.body);
    } else {
        answer.finish(&response.body);
    }
    tracing::info!(
        method = pending.method,
        route = pending.template,
        status = response.status,
        duration_us = elapsed_us(pending.started),
        request_id = %String::from_utf8_lossy(&pending.request_id),
        "request"
    );
    // The answer to HEAD has no body, so its chunks are dropped.
    let rest = response.rest.filter(|_| exchange.body == BodyPart::Sent);
    ControlAnswer {
        done: Done::Answered {
            consumed: pending.consumed,
            persistence: exchange.persistence,
        },
        rest: rest.map(|body| Streamed {
            body,
            framing: pending.framing,
        }),
    }
}

//! Notes in the audit log what administrators do, and what holders do to their keys.
//!
//! Guarantees: the place of an entry is reserved before the action; if entries are required, no
//! action is carried out without a place, and no answer is given without its entry.

use std::sync::Arc;

use talos_api::audit::{self, AuditLog, Concerned, Entry, Event, NotWritten, Notice, Place};
use talos_api::control::{ControlRequest, ControlResponse};
use talos_api::error::ApiError;
use talos_api::fleet::{FORWARDED_TO_HEADER, POSITION_HEADER};
use talos_api::openapi;
use talos_api::route::{Endpoint, Target};
use talos_engine::Engine;
use talos_model::{Position, clock};
use tokio::sync::oneshot;

use crate::context::Context;
use crate::limits;
use crate::reported_change::ReportedChange;

/// The parameter of a path that names a key.
const KEY_ID: &str = "{key_id}";

/// A request that is noted when it has been answered.
pub(crate) struct Noted {
    log: Arc<dyn AuditLog>,
    place: Box<dyn Place>,
}

/// Reserves the place of the entry for a request to `endpoint`. `None` when it is not noted.
///
/// # Errors
/// 503 when an entry is required and cannot be taken. The request must not be carried out.
pub(crate) fn begin(
    log: Option<&Arc<dyn AuditLog>>,
    endpoint: Endpoint,
) -> Result<Option<Noted>, ApiError> {
    let Some(log) = log.filter(|_| is_noted(endpoint)) else {
        return Ok(None);
    };
    let place = log.reserve().map_err(|blocked| {
        ApiError::service_unavailable(format!("{blocked}: nothing was done; try again later"))
    })?;
    Ok(Some(Noted {
        log: Arc::clone(log),
        place,
    }))
}

/// Whether requests to `endpoint` are noted: those of administrators, and revocations by holders.
fn is_noted(endpoint: Endpoint) -> bool {
    endpoint.permission().is_some() || endpoint == Endpoint::SelfRevoke
}

/// Notes a request whose client has not proved what the request says of it. Returns the answer.
pub(crate) fn unproven(
    context: &Context,
    request: ControlRequest,
    response: ControlResponse,
) -> ControlResponse {
    let log = context.audit.as_ref();
    if let Some(log) = log.filter(|_| is_noted(request.endpoint)) {
        let request = ControlRequest {
            principal: None,
            ..request
        };
        let nothing = ReportedChange::new();
        let mut entry = || entry(&context.engine, &request, &nothing, &response);
        log.note(Notice::Request, &mut entry);
    }
    response
}

impl Noted {
    /// Notes the request and its answer. Returns the answer to give.
    pub(crate) async fn end(
        self,
        engine: &Engine,
        request: &ControlRequest,
        reported: &ReportedChange,
        response: ControlResponse,
    ) -> ControlResponse {
        if request.endpoint == Endpoint::SelfRevoke && !is_revocation(reported, &response) {
            self.place.release();
            let mut entry = || entry(engine, request, reported, &response);
            self.log.note(Notice::Request, &mut entry);
            return response;
        }
        let entry = entry(engine, request, reported, &response);
        let (sender, written) = oneshot::channel();
        let tell = move |result| {
            // The receiver is gone only after a timeout.
            let _ = sender.send(result);
        };
        self.place.fill(entry, Box::new(tell));
        let written = tokio::time::timeout(limits::AUDIT_WAIT, written).await;
        match written
            .unwrap_or(Ok(Err(NotWritten)))
            .unwrap_or(Err(NotWritten))
        {
            Ok(()) => response,
            Err(NotWritten) => not_written(&request.request_id, &response, reported).into(),
        }
    }
}

/// Whether this node has revoked a key for its holder. Anybody may repeat such a request, and only
/// the first one changes something, on the primary.
fn is_revocation(reported: &ReportedChange, response: &ControlResponse) -> bool {
    let is_forwarded = response
        .headers
        .iter()
        .any(|(name, _)| *name == FORWARDED_TO_HEADER);
    response.status < 400 && !is_forwarded && !reported.changed_nothing()
}

/// The answer in place of one whose entry is required and not known to be written.
fn not_written(
    request_id: &str,
    response: &ControlResponse,
    reported: &ReportedChange,
) -> ApiError {
    tracing::error!(
        request_id,
        status = response.status,
        "a request was carried out and could not be noted in the audit log; it is answered 503"
    );
    let what = if response.status < 400 {
        "the request was carried out and is not undone"
    } else {
        "the request was refused"
    };
    let message =
        format!("{what}, but the audit log could not be written, and audit.required is set");
    reported.not_sent(&message, "")
}

fn entry(
    engine: &Engine,
    request: &ControlRequest,
    reported: &ReportedChange,
    response: &ControlResponse,
) -> Entry {
    let header = |name: &str| {
        let mut headers = response.headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let forwarded_to = header(FORWARDED_TO_HEADER);
    let is_success = response.status < 400;
    let mut concerned = Concerned::default();
    if is_success && request.method == "POST" {
        concerned = audit::concerned(&response.body);
    }
    // The id in the path is that of a key, or of a token.
    let in_path = request.key_id.any().ok();
    let (of_key, of_token) = if request.template.contains(KEY_ID) {
        (in_path, None)
    } else {
        (None, in_path.map(|id| id.to_string()))
    };
    let mut token_ids = concerned.token_ids;
    token_ids.extend(of_token.filter(|id| !token_ids.contains(id)));
    let mut key_ids: Vec<_> = of_key.into_iter().collect();
    for key_id in concerned.key_ids.into_iter().chain(reported.key_id()) {
        // A few of them at most may be there already; the many of a batch differ.
        if !key_ids.iter().take(2).any(|known| *known == key_id) {
            key_ids.push(key_id);
        }
    }
    let position = if !is_success || !request.endpoint.changes_data() {
        None
    } else if forwarded_to.is_some() {
        header(POSITION_HEADER).and_then(|text| text.parse().ok())
    } else {
        concerned
            .position
            .or_else(|| position(engine.committed(), reported))
    };
    Entry {
        event: Event::Request,
        time: clock::now(),
        principal: request.principal.clone(),
        client: request.client_ip,
        request_id: audit::request_id(request.request_id.as_bytes()),
        operation: openapi::operation_id(
            Target::Control(request.endpoint),
            request.method,
            request.template,
        ),
        method: request.method,
        route: request.template,
        tenant: request.tenant,
        key_ids,
        token_ids,
        status: response.status,
        reason: (!is_success)
            .then(|| audit::reason_of(&response.body))
            .flatten(),
        position,
        count: concerned.count,
        forwarded_to,
        credential: None,
    }
}

/// A position up to which the log holds the change that an answer reports; `None` if it reports no
/// change.
fn position(head: Position, reported: &ReportedChange) -> Option<Position> {
    let sequence = reported.named().unwrap_or(head.sequence);
    (sequence.0 > 0).then_some(Position {
        epoch: head.epoch,
        sequence,
    })
}

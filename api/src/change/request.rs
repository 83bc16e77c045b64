//! Reading where a feed begins and which changes it has.

use talos_model::{Change, Event, Position, TenantId};
use uuid::Uuid;

use crate::error::ApiError;
use crate::names::{Enumeration as _, EventName};
use crate::query::{self, Parameter};

/// The header in which a client names the last event that it has seen (in lower case).
pub const LAST_EVENT_ID: &str = "last-event-id";
/// The value of `after` that asks for everything in the log.
const OLDEST: &str = "0";

const AFTER: Parameter = Parameter::text(
    "after",
    "The position after which the changes begin, such as `1.42`; `0` is the oldest change that the log holds. Without it: from now on.",
);
const KIND: Parameter = Parameter::texts(
    "kind",
    "The names of the events that are wanted, such as `IssuedAPIKeyRevoked`; all of them when it is unset.",
);
const TENANT: Parameter = Parameter::text(
    "tenant",
    "Only the changes of the tenant with this id, a UUID.",
);
const LAST_EVENT: Parameter = Parameter::text(
    "Last-Event-ID",
    "The position of the last event that the client has seen; it wins over `after`.",
);

/// What a request may say after the `?`.
pub(crate) const PARAMETERS: [Parameter; 3] = [AFTER, KIND, TENANT];

/// Parameters that others give to such streams, and what to write here.
const OTHERS: [(&str, &str); 6] = [
    ("event", "kind"),
    ("type", "kind"),
    ("position", "after"),
    ("since", "after"),
    ("last_event_id", "after"),
    ("network_id", "tenant"),
];
/// What a request may say in its headers.
pub(crate) const HEADERS: [Parameter; 1] = [LAST_EVENT];

/// Which changes a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedRequest {
    /// Where the feed begins.
    pub start: Start,
    /// Which of the later changes it has.
    pub wanted: Wanted,
}

/// Where a feed begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the changes that are still to come.
    Now,
    /// With the oldest change that the log holds.
    Oldest,
    /// With the change after this one.
    After(Position),
}

/// Which changes are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    tenant: Option<TenantId>,
    /// The empty list wants every event.
    events: Vec<Event>,
}

impl Wanted {
    /// Only the changes of `tenant`, which is all that the client may see.
    ///
    /// # Errors
    /// 403 when the client wants those of another tenant.
    pub fn within(self, tenant: TenantId) -> Result<Self, ApiError> {
        match self.tenant {
            Some(wanted) if wanted != tenant => Err(ApiError::forbidden(
                "under this host, and with this token, only the changes of one tenant can be followed",
            )),
            _ => Ok(Self {
                tenant: Some(tenant),
                ..self
            }),
        }
    }

    /// Whether the client wants `change`.
    #[must_use]
    pub fn includes(&self, change: &Change) -> bool {
        (self.events.is_empty() || self.events.contains(&change.event))
            && (self.tenant.is_none() || self.tenant == change.tenant())
    }
}

/// Reads what followed the `?` of a request, and the value of its [`LAST_EVENT_ID`].
///
/// # Errors
/// 400, naming the parameter, when the request breaks the contract.
pub fn parse_request(query: &str, last_event_id: Option<&str>) -> Result<FeedRequest, ApiError> {
    query::refuse_unknown(query, &PARAMETERS, &OTHERS)?;
    let after = query::parameter(query, &AFTER)?;
    // A browser that connects again repeats its first query and adds the header, so the header is
    // newer.
    let start = match last_event_id.filter(|id| !id.is_empty()) {
        Some(id) => Start::After(position(&LAST_EVENT, id)?),
        None => match after.as_deref() {
            None => Start::Now,
            Some(OLDEST) => Start::Oldest,
            Some(after) => Start::After(position(&AFTER, after)?),
        },
    };
    let tenant = query::parameter(query, &TENANT)?
        .map(|text| tenant(&text))
        .transpose()?;
    let events = query::list(query, &KIND)?;
    let events = events
        .iter()
        .map(|name| event(name))
        .collect::<Result<_, _>>()?;
    Ok(FeedRequest {
        start,
        wanted: Wanted { tenant, events },
    })
}

fn position(parameter: &Parameter, text: &str) -> Result<Position, ApiError> {
    text.parse().map_err(|_| {
        let message = "must be a position such as 1.42, as the id of an event is";
        ApiError::invalid_field(parameter.name, message)
    })
}

fn tenant(text: &str) -> Result<TenantId, ApiError> {
    let tenant = Uuid::try_parse(text).map(TenantId);
    tenant.map_err(|_| {
        let message = "must be a UUID, such as 00000000-0000-0000-0000-000000000000";
        ApiError::invalid_field(TENANT.name, message)
    })
}

fn event(name: &str) -> Result<Event, ApiError> {
    let known = EventName::VALUES.iter().find(|(known, _)| *known == name);
    known.map(|(_, event)| *event).ok_or_else(|| {
        let message = format!("must be of: {}", EventName::names().join(", "));
        ApiError::invalid_field(KIND.name, &message)
    })
}

/// 410: the log does not hold the changes after `after`. `oldest` is its oldest change.
#[must_use]
pub fn gone(after: Position, oldest: Option<Position>) -> ApiError {
    let begins = match oldest {
        Some(oldest) => format!("it begins with change {oldest}"),
        None => "it is empty".to_owned(),
    };
    ApiError::position_gone(format!(
        "the log does not hold what came after {after}: {begins}; follow from now on (without `after` and Last-Event-ID), and then read the keys anew with the lists"
    ))
}

/// 503: the client has seen `after`, and this node has not reached it yet.
#[must_use]
pub fn not_reached(after: Position) -> ApiError {
    ApiError::service_unavailable(format!(
        "this node has not reached {after}; ask another one, or try again"
    ))
}

#[cfg(test)]
mod tests;

//! The feed of changes, `GET /v2alpha1/admin/changes`: server-sent events (WHATWG HTML, section 9.2).
//!
//! The `id` of an event is the place of its change in the log. A client that sends it back as `Last-Event-ID` gets what came
//! after it, no change twice and none left out. No event holds a secret: the log has none.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use talos_engine::{BulkRevocation, Change, Event, Position, Subject, TenantId};
use uuid::Uuid;

use crate::error::ApiError;
use crate::json;
use crate::key::{Resource, reason_name};
use crate::names::{EventName, RevocationReason};
use crate::query::{self, Parameter};
use crate::shapes::{IssuedApiKey, Timestamp};
use crate::timestamp;

/// The media type of the answer.
pub const CONTENT_TYPE: &str = "text/event-stream";
/// The header by which a client says how far it has come (in lower case).
pub const LAST_EVENT_ID: &str = "last-event-id";
/// How long a client waits before it asks again after the end of a stream, in milliseconds.
const RETRY_MS: u32 = 1000;
/// What asks for everything that the log holds.
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

/// What a request may say after the `?`.
pub(crate) const PARAMETERS: [Parameter; 3] = [AFTER, KIND, TENANT];
/// What it may say in its head.
pub(crate) const HEADERS: [Parameter; 1] = [Parameter::text(
    "Last-Event-ID",
    "The position of the last event that the client has seen; it wins over `after`.",
)];

/// The events by name.
pub const EVENTS: [(&str, Event); 10] = [
    ("IssuedAPIKeyCreated", Event::IssuedKeyCreated),
    ("ImportedAPIKeyCreated", Event::ImportedKeyCreated),
    ("IssuedAPIKeyUpdated", Event::IssuedKeyUpdated),
    ("ImportedAPIKeyUpdated", Event::ImportedKeyUpdated),
    ("IssuedAPIKeyRevoked", Event::IssuedKeyRevoked),
    ("ImportedAPIKeyRevoked", Event::ImportedKeyRevoked),
    ("IssuedAPIKeyRotated", Event::IssuedKeyRotated),
    ("ImportedAPIKeyDeleted", Event::ImportedKeyDeleted),
    ("RevocationRuleAdded", Event::BulkRevocationAdded),
    ("RevocationRuleCompleted", Event::BulkRevocationCompleted),
];

/// The name of an event.
#[must_use]
pub const fn event_name(event: Event) -> &'static str {
    match event {
        Event::IssuedKeyCreated => "IssuedAPIKeyCreated",
        Event::ImportedKeyCreated => "ImportedAPIKeyCreated",
        Event::IssuedKeyUpdated => "IssuedAPIKeyUpdated",
        Event::ImportedKeyUpdated => "ImportedAPIKeyUpdated",
        Event::IssuedKeyRevoked => "IssuedAPIKeyRevoked",
        Event::ImportedKeyRevoked => "ImportedAPIKeyRevoked",
        Event::IssuedKeyRotated => "IssuedAPIKeyRotated",
        Event::ImportedKeyDeleted => "ImportedAPIKeyDeleted",
        Event::BulkRevocationAdded => "RevocationRuleAdded",
        Event::BulkRevocationCompleted => "RevocationRuleCompleted",
    }
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
    /// None at all stands for every event.
    events: Vec<Event>,
}

impl Wanted {
    /// Whether this change is.
    #[must_use]
    pub fn includes(&self, change: &Change) -> bool {
        (self.events.is_empty() || self.events.contains(&change.event))
            && self.tenant.is_none_or(|tenant| tenant == change.tenant())
    }
}

/// Reads what followed the `?` of a request, and the value of its [`LAST_EVENT_ID`].
///
/// # Errors
/// 400, naming the parameter, when the request breaks the contract.
pub fn parse_request(
    query: &str,
    last_event_id: Option<&str>,
) -> Result<(Start, Wanted), ApiError> {
    let after = query::parameter(query, &AFTER)?;
    // A browser repeats the query as it was, and sends its place besides.
    let start = match last_event_id.filter(|id| !id.is_empty()) {
        Some(id) => Start::After(position("Last-Event-ID", id)?),
        None => match after.as_deref() {
            None => Start::Now,
            Some(OLDEST) => Start::Oldest,
            Some(after) => Start::After(position(AFTER.name, after)?),
        },
    };
    let tenant = match query::parameter(query, &TENANT)? {
        None => None,
        Some(text) => {
            let tenant = Uuid::try_parse(&text).ok();
            let message = "must be a UUID, such as 00000000-0000-0000-0000-000000000000";
            Some(TenantId(tenant.ok_or_else(|| {
                ApiError::invalid_field(TENANT.name, message)
            })?))
        }
    };
    let events = query::list(query, &KIND)?;
    let events = events.iter().map(|name| event(name));
    let events = events.collect::<Result<_, _>>()?;
    Ok((start, Wanted { tenant, events }))
}

fn position(field: &str, text: &str) -> Result<Position, ApiError> {
    text.parse().map_err(|_| {
        let message = "must be a position such as 1.42, as the id of an event is";
        ApiError::invalid_field(field, message)
    })
}

fn event(name: &str) -> Result<Event, ApiError> {
    let known = EVENTS.iter().find(|(known, _)| *known == name);
    known.map(|(_, event)| *event).ok_or_else(|| {
        let names = EVENTS.map(|(name, _)| name).join(", ");
        ApiError::invalid_field(KIND.name, &format!("must be of: {names}"))
    })
}

/// What a client is told whose place the log does not hold (any more).
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

/// What a client is told who is ahead of this node.
#[must_use]
pub fn not_reached(after: Position) -> ApiError {
    ApiError::service_unavailable(format!(
        "this node has not reached {after}; ask another one, or try again"
    ))
}

/// What a feed begins with: how soon to come back, and the place from which it goes on. That sets the client's place without
/// being an event.
#[must_use]
pub fn opening(place: Option<Position>) -> Vec<u8> {
    let place = place.map(|place| format!("id: {place}\n"));
    format!("retry: {RETRY_MS}\n{}\n", place.unwrap_or_default()).into_bytes()
}

/// A comment, which shows both sides that the other is there, and the place up to which there is nothing wanted.
#[must_use]
pub fn heartbeat(place: Option<Position>) -> Vec<u8> {
    let place = place.map(|place| format!("id: {place}\n"));
    format!(": nothing new\n{}\n", place.unwrap_or_default()).into_bytes()
}

/// Appends the event of `change`.
pub fn render(change: &Change, out: &mut Vec<u8>) {
    let (position, name) = (change.position, event_name(change.event));
    out.extend_from_slice(format!("id: {position}\nevent: {name}\ndata: ").as_bytes());
    // JSON has no line breaks: metadata is kept compact.
    out.extend_from_slice(&render_data(change));
    out.extend_from_slice(b"\n\n");
}

/// The JSON of `change` as it is in an event.
#[must_use]
pub fn render_data(change: &Change) -> Vec<u8> {
    let (record, rule) = match &change.subject {
        Subject::Key(record) => (Some(record), None),
        Subject::BulkRevocation(rule) => (None, Some(rule)),
    };
    json::render(&Data {
        event: event_name(change.event),
        position: change.position.to_string(),
        time: timestamp::format(change.time),
        tenant: change.tenant().to_string(),
        key_id: record.map(|record| record.key_id.to_string()),
        actor_id: record.map(|record| record.actor_id.as_str()),
        request_id: change.request_id.as_deref(),
        // As of that time, so that an event is the same whenever it is read.
        key: record.map(|record| Resource::new(record, change.time)),
        rule: rule.map(ShownRule::new),
    })
}

/// What the `data` of an event holds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChangeEvent")]
pub(crate) struct Data<'a> {
    /// What happened.
    #[schemars(with = "EventName")]
    event: &'static str,
    /// The place of the change in the log, as `EPOCH.SEQUENCE`.
    position: String,
    /// When it was decided.
    #[schemars(with = "Timestamp")]
    time: String,
    /// Whose key it is: a UUID.
    tenant: String,
    /// The id of the key; absent when the event is about many.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// The actor of the key; absent when the event is about many.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<&'a str>,
    /// The `request_id` of the request that made the key, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The key after the change; of a deletion, as it last was. Keys of either kind have the same fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<IssuedApiKey>")]
    key: Option<Resource<'a>>,
    /// What many keys have in common that have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<ShownRule<'a>>,
}

/// A revocation of many keys: all that existed at `position` and have what is given have ended.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RevocationRule")]
struct ShownRule<'a> {
    /// Its name.
    rule_id: String,
    /// The change by which it began.
    position: String,
    /// Their actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<&'a str>,
    /// The prefix that they were issued under.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<&'a str>,
    /// They were created before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    created_before: Option<String>,
    /// A scope that they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    /// Members that their metadata has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    /// Why they have ended.
    #[schemars(with = "RevocationReason")]
    reason: &'static str,
}

impl<'a> ShownRule<'a> {
    fn new(rule: &'a BulkRevocation) -> Self {
        let matcher = &rule.matcher;
        let members = matcher.metadata.iter();
        Self {
            rule_id: rule.id.to_string(),
            position: rule.position.to_string(),
            actor_id: matcher.actor_id.as_deref(),
            prefix: matcher.prefix.as_deref(),
            created_before: matcher.created_before.map(timestamp::format),
            scope: matcher.scope.as_deref(),
            metadata: members
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            reason: reason_name(rule.revocation.reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use talos_engine::clock::UnixMillis;
    use talos_engine::{Epoch, Matcher, Record, Revocation, RevocationReason, Sequence};

    use super::*;
    use crate::key::tests::full;

    fn change(event: Event) -> Change {
        Change {
            position: "2.42".parse().expect("a position"),
            time: UnixMillis(1_700_000_000_000),
            event,
            request_id: Some("r-1".to_owned()),
            subject: Subject::Key(full()),
        }
    }

    fn at(epoch: u64, sequence: u64) -> Start {
        Start::After(Position {
            epoch: Epoch(epoch),
            sequence: Sequence(sequence),
        })
    }

    #[test]
    fn the_header_wins_over_the_query() {
        for (query, header, wanted) in [
            ("", None, Start::Now),
            ("after=", Some(""), Start::Now),
            ("after=0", None, Start::Oldest),
            ("after=1.0", None, at(1, 0)),
            ("after=1.7", None, at(1, 7)),
            ("after=0", Some("2.9"), at(2, 9)),
        ] {
            let (start, wants) = parse_request(query, header).expect("valid");
            assert_eq!((start, wants), (wanted, Wanted::default()), "{query}");
        }
        for (query, header, field) in [
            ("after=7", None, "after: "),
            ("after=1.7&after=1.8", None, "after: "),
            ("after=-1.7", None, "after: "),
            ("", Some("x"), "Last-Event-ID: "),
            ("tenant=x", None, "tenant: "),
            ("kind=KeyCreated", None, "kind: "),
        ] {
            let error = parse_request(query, header).expect_err("a refusal");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with(field), "{query}: {error}");
        }
    }

    #[test]
    fn every_event_has_one_name_and_is_chosen_by_it() {
        for (name, event) in EVENTS {
            assert_eq!(event_name(event), name);
            let (_, wanted) = parse_request(&format!("kind={name}"), None).expect("valid");
            for (_, other) in EVENTS {
                assert_eq!(wanted.includes(&change(other)), other == event);
            }
        }
        let (_, wanted) =
            parse_request("kind=IssuedAPIKeyRevoked,IssuedAPIKeyRotated", None).expect("valid");
        assert!(wanted.includes(&change(Event::IssuedKeyRotated)));
        assert!(!wanted.includes(&change(Event::IssuedKeyCreated)));
    }

    #[test]
    fn tenants_are_told_apart() {
        let change = change(Event::IssuedKeyCreated);
        let mine = change.tenant();
        for (tenant, wanted) in [(mine, true), (TenantId(Uuid::from_u128(99)), false)] {
            let (_, wants) = parse_request(&format!("tenant={tenant}"), None).expect("valid");
            assert_eq!(wants.includes(&change), wanted);
        }
    }

    #[test]
    fn an_event_is_three_lines_and_an_empty_one() {
        let record = Record {
            name: "two\nlines\r".to_owned(),
            ..full()
        };
        let change = Change {
            subject: Subject::Key(record),
            ..change(Event::IssuedKeyUpdated)
        };
        let mut out = Vec::new();
        render(&change, &mut out);
        let text = String::from_utf8(out).expect("UTF-8");
        let lines: Vec<_> = text.split('\n').collect();
        let [id, event, data, "", ""] = lines.as_slice() else {
            panic!("{text}");
        };
        assert_eq!((*id, *event), ("id: 2.42", "event: IssuedAPIKeyUpdated"));
        let data = data.strip_prefix("data: ").expect("data");
        let data: serde_json::Value = serde_json::from_str(data).expect("JSON");
        assert_eq!(data["event"], "IssuedAPIKeyUpdated");
        assert_eq!(data["position"], "2.42");
        assert_eq!(data["time"], "2023-11-14T22:13:20Z");
        assert_eq!(data["request_id"], "r-1");
        assert_eq!(data["key"]["name"], "two\nlines\r");
        assert_eq!(data["key"]["key_id"], data["key_id"]);
        assert_eq!(data["key"]["actor_id"], data["actor_id"]);
        assert!(!text.contains('\r'));
    }

    #[test]
    fn an_event_of_many_keys_says_what_they_have_in_common() {
        let rule = BulkRevocation {
            id: Uuid::from_u128(5),
            tenant: TenantId::SINGLE,
            position: "2.41".parse().expect("a position"),
            matcher: Matcher {
                actor_id: Some("a".to_owned()),
                created_before: Some(UnixMillis(0)),
                metadata: vec![("k".to_owned(), "v".to_owned())],
                ..Matcher::default()
            },
            revocation: Revocation {
                reason: RevocationReason::KeyCompromise,
                description: String::new(),
                time: UnixMillis(1_700_000_000_000),
            },
        };
        let change = Change {
            subject: Subject::BulkRevocation(rule),
            ..change(Event::BulkRevocationCompleted)
        };
        let data: serde_json::Value = serde_json::from_slice(&render_data(&change)).expect("JSON");
        let rule = serde_json::json!({
            "rule_id": "00000000-0000-0000-0000-000000000005", "position": "2.41", "actor_id": "a",
            "created_before": "1970-01-01T00:00:00Z", "metadata": {"k": "v"},
            "reason": "REVOCATION_REASON_KEY_COMPROMISE",
        });
        assert_eq!(
            (&data["rule"], &data["key"]),
            (&rule, &serde_json::Value::Null)
        );
        assert_eq!(data["event"], "RevocationRuleCompleted");
    }

    #[test]
    fn what_is_no_event_has_no_data() {
        let place = "1.5".parse().ok();
        assert_eq!(opening(place), b"retry: 1000\nid: 1.5\n\n");
        assert_eq!(opening(None), b"retry: 1000\n\n");
        assert_eq!(heartbeat(place), b": nothing new\nid: 1.5\n\n");
    }
}

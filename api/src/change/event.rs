//! Writing the events of a feed.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;
use talos_model::{AdminToken, Author, BulkRevocation, Change, Event, Position, Proof, Subject};

use super::facts::KeyFacts;
use crate::key::{IssuedApiKey, Resource};
use crate::names::{
    AdminProof, AdminRole, Enumeration as _, EventName, KeyType, KeyVisibility, Named,
    RevocationReason,
};
use crate::schema::Timestamp;
use crate::{render, timestamp};

/// The media type of the answer.
pub const CONTENT_TYPE: &str = "text/event-stream";
/// How long a client waits before it connects again after the end of a stream, in milliseconds.
const RETRY_MS: u32 = 1000;

/// The events by name.
pub const EVENTS: &[(&str, Event)] = EventName::VALUES;

/// The beginning of a feed: how soon a client connects again, and the position after which the feed
/// continues. It sets the client's `Last-Event-ID` without being an event.
#[must_use]
pub fn opening(position: Option<Position>) -> Vec<u8> {
    format!("retry: {RETRY_MS}\n{}\n", id(position)).into_bytes()
}

/// A comment that shows each side that the other is still there. `position` is the last change that
/// the feed has passed, wanted or not.
#[must_use]
pub fn heartbeat(position: Option<Position>) -> Vec<u8> {
    format!(": nothing new\n{}\n", id(position)).into_bytes()
}

fn id(position: Option<Position>) -> String {
    position
        .map(|position| format!("id: {position}\n"))
        .unwrap_or_default()
}

/// Appends the event of `change`.
pub fn render(change: &Change, out: &mut Vec<u8>) {
    let (position, name) = (change.position, EventName::name(change.event));
    out.extend_from_slice(format!("id: {position}\nevent: {name}\ndata: ").as_bytes());
    // The JSON has no line breaks: metadata is kept compact.
    out.extend_from_slice(&render_data(change));
    out.extend_from_slice(b"\n\n");
}

/// The JSON of `change` as it is in an event.
#[must_use]
pub fn render_data(change: &Change) -> Vec<u8> {
    let request_id = change.request_id.as_ref();
    let (mut record, mut revocation, mut admin_token) = (None, None, None);
    match &change.subject {
        Subject::Key(subject) => record = Some(subject),
        Subject::BulkRevocation(subject) => revocation = Some(subject),
        Subject::AdminToken(subject) => admin_token = Some(subject),
    }
    let facts = record.map(KeyFacts::of);
    let facts = facts.as_ref();
    let author = change.author.as_deref();
    let is_holder = author.is_some_and(|author| author.proof == Proof::Credential);
    render::json(&Data {
        event: Named(change.event),
        position: change.position.to_string(),
        time: timestamp::format(change.time),
        tenant: change.tenant().map(|tenant| tenant.to_string()),
        key_id: record.map(|record| record.key_id.to_string()),
        actor_id: record.map(|record| record.actor_id.as_str()),
        key_type: facts.map(|facts| facts.key_type),
        prefix: facts.and_then(|facts| facts.prefix),
        visibility: facts.map(|facts| facts.visibility),
        expire_time: facts.and_then(|facts| facts.expire_time.as_deref()),
        reason: facts.and_then(|facts| facts.reason),
        initiated_by: is_holder.then_some(Author::HOLDER),
        request_id: request_id.map(|request| request.id.as_str()),
        author: author.map(ShownAuthor::new),
        // The key's status is that at the time of the change, so an event never changes.
        key: record.map(|record| Resource::new(record, change.time)),
        rule: revocation.map(ShownBulkRevocation::new),
        admin_token: admin_token.map(ShownAdminToken::new),
    })
}

/// What the `data` of an event holds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChangeEvent")]
pub(crate) struct Data<'a> {
    /// What happened.
    event: Named<EventName>,
    /// The place of the change in the log, as `EPOCH.SEQUENCE`.
    position: String,
    /// When the change was made.
    #[schemars(with = "Timestamp")]
    time: String,
    /// The tenant of the key: a UUID. Absent when the event is about an admin token that is good
    /// for all tenants.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// The id of the key; absent when the event is about many or about an admin token.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// The actor of the key; absent when the event is about many or about an admin token.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<&'a str>,
    /// Whether this server issued the key or it was imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Named<KeyType>>")]
    key_type: Option<&'static str>,
    /// The prefix of the key's credential; absent for an imported key.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<&'a str>,
    /// Whether the key may be shown to clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Named<KeyVisibility>>")]
    visibility: Option<&'static str>,
    /// When the key expires; absent when it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    expire_time: Option<&'a str>,
    /// Why the key was revoked; absent unless it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Named<RevocationReason>>")]
    reason: Option<&'static str>,
    /// `self` if the holder of the key revoked it; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    initiated_by: Option<&'static str>,
    /// The `request_id` of the request that made the key, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    /// The author of the change: an administrator, or the holder of the key. Absent for changes by
    /// administrators that the server does not authenticate, and for those that follow from an
    /// earlier change.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<ShownAuthor<'a>>,
    /// The key after the change, or before a deletion. Both kinds of keys have the same fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<IssuedApiKey>")]
    key: Option<Resource<'a>>,
    /// The bulk revocation that the event is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<ShownBulkRevocation<'a>>,
    /// The admin token after the change, or before its revocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    admin_token: Option<ShownAdminToken<'a>>,
}

/// The author of a change.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChangeAuthor")]
struct ShownAuthor<'a> {
    /// The name of the admin token, or of the principal that a certificate or a user id stands for;
    /// `self` for the holder of the key.
    name: &'a str,
    /// How the author proved who it is.
    proof: Named<AdminProof>,
    /// The address of the client; absent when it is unknown, as over a Unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    address: Option<IpAddr>,
}

impl<'a> ShownAuthor<'a> {
    fn new(author: &'a Author) -> Self {
        Self {
            name: &author.name,
            proof: Named(author.proof),
            address: author.address,
        }
    }
}

/// An admin token, without anything that proves who holds it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ChangedAdminToken")]
struct ShownAdminToken<'a> {
    /// Its id: a UUID.
    id: String,
    /// Its name.
    name: &'a str,
    /// What its holder may do.
    role: Named<AdminRole>,
    /// The only tenant that its holder may act on; absent = every tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

impl<'a> ShownAdminToken<'a> {
    fn new(token: &'a AdminToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: &token.name,
            role: Named(token.role),
            tenant: token.tenant.map(|tenant| tenant.to_string()),
        }
    }
}

/// A bulk revocation: all keys have ended that existed at `position` and meet the conditions.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RevocationRule")]
struct ShownBulkRevocation<'a> {
    /// Its id.
    rule_id: String,
    /// The position of the change with which it began.
    position: String,
    /// The actor of the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    actor_id: Option<&'a str>,
    /// The prefix of the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<&'a str>,
    /// The keys were created before this instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    created_before: Option<String>,
    /// A scope of the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    /// Members of the metadata of the keys.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<&'a str, &'a str>,
    /// Why the keys have ended.
    reason: Named<RevocationReason>,
}

impl<'a> ShownBulkRevocation<'a> {
    fn new(revocation: &'a BulkRevocation) -> Self {
        let matcher = &revocation.matcher;
        let members = matcher.metadata.iter();
        Self {
            rule_id: revocation.id.to_string(),
            position: revocation.position.to_string(),
            actor_id: matcher.actor_id.as_deref(),
            prefix: matcher.prefix.as_deref(),
            created_before: matcher.created_before.map(timestamp::format),
            scope: matcher.scope.as_deref(),
            metadata: members
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            reason: Named(revocation.revocation.reason),
        }
    }
}

#[cfg(test)]
mod tests;

//! A line of the log: how it is written, and what a verification reads of it.
//!
//! The code is the last member and covers the exact bytes before it, so that no reader has to agree
//! with the writer about how JSON is written.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use talos_api::audit::Entry;
use talos_api::timestamp;
use talos_model::clock::UnixMillis;
use talos_model::{KeyId, Principal};

use crate::chain::{ChainKey, Link, Mac};

/// What stands between the signed bytes and the code.
const BEFORE_MAC: &[u8] = b",\"mac\":\"";
const MAC_CHARS: usize = 64;
const AFTER_MAC: &[u8] = b"\"}";

/// What a line tells.
#[derive(Debug)]
pub(crate) enum Content<'a> {
    /// A server began to write.
    Opened,
    /// A server stopped in order.
    Closed,
    /// What strangers did beyond the bound of what is noted.
    Suppressed(Suppressed),
    /// An entry.
    Entry(&'a Entry),
}

/// How often strangers did what was not noted.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Suppressed {
    /// Requests.
    pub requests: u64,
    /// Verifications.
    pub verifications: u64,
}

/// What the log has to say about itself, in whichever line comes next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Damage {
    /// Bytes between the line before and this one, which a crash left there.
    pub torn_bytes: Option<u64>,
    /// Entries that were not taken since the line before.
    pub missing: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    time: String,
    node: &'a str,
    event: &'static str,
    #[serde(flatten)]
    facts: Option<Facts<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suppressed: Option<Suppressed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    torn_bytes: Option<u64>,
    prev: String,
    key: &'a str,
}

/// What is noted of a request or a verification.
#[derive(Serialize)]
struct Facts<'a> {
    /// `null` = nobody had to say who they are, or proved it.
    principal: Option<Who<'a>>,
    /// `null` = unknown.
    client: Option<IpAddr>,
    request_id: &'a str,
    operation: &'static str,
    method: &'static str,
    route: &'static str,
    tenant: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    key_ids: Vec<String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    token_ids: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<Credential<'a>>,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forwarded_to: Option<&'a str>,
}

#[derive(Serialize)]
struct Who<'a> {
    name: &'a str,
    proof: &'static str,
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
}

#[derive(Serialize)]
struct Credential<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<&'a str>,
}

impl<'a> From<&'a Entry> for Facts<'a> {
    fn from(entry: &'a Entry) -> Self {
        let who = |principal: &'a Principal| Who {
            name: &principal.name,
            proof: principal.proof.name(),
            role: principal.role.name(),
            tenant: principal.tenant.map(|tenant| tenant.to_string()),
        };
        Self {
            principal: entry.principal.as_deref().map(who),
            client: entry.client,
            request_id: &entry.request_id,
            operation: entry.operation,
            method: entry.method,
            route: entry.route,
            tenant: entry.tenant.to_string(),
            key_ids: entry.key_ids.iter().map(KeyId::to_string).collect(),
            token_ids: &entry.token_ids,
            credential: entry.credential.as_ref().map(|part| Credential {
                kind: part.kind,
                start: part.start.as_deref(),
            }),
            status: entry.status,
            reason: entry.reason.as_deref(),
            position: entry.position.map(|position| position.to_string()),
            count: entry.count,
            forwarded_to: entry.forwarded_to.as_deref(),
        }
    }
}

/// Appends the line after `before` to `output`, with its line feed, and returns its link. `None`,
/// and nothing is appended, when it cannot be written as JSON, which cannot happen.
pub(crate) fn append(
    output: &mut Vec<u8>,
    content: &Content<'_>,
    node: &str,
    now: UnixMillis,
    damage: Damage,
    before: Link,
    key: &ChainKey,
) -> Option<Link> {
    let (event, time, facts, suppressed) = match content {
        Content::Opened => ("AuditLogOpened", now, None, None),
        Content::Closed => ("AuditLogClosed", now, None, None),
        Content::Suppressed(counts) => ("AuditEntriesSuppressed", now, None, Some(*counts)),
        Content::Entry(entry) => (
            entry.event.name(),
            entry.time,
            Some(Facts::from(*entry)),
            None,
        ),
    };
    let line = Line {
        seq: before.seq + 1,
        time: timestamp::format(time),
        node,
        event,
        facts,
        suppressed,
        missing: (damage.missing > 0).then_some(damage.missing),
        torn_bytes: damage.torn_bytes,
        prev: before.mac.to_string(),
        key: key.name(),
    };
    let json = serde_json::to_vec(&line).ok()?;
    let signed = json.strip_suffix(b"}")?;
    let mac = key.code(signed);
    output.extend_from_slice(signed);
    output.extend_from_slice(BEFORE_MAC);
    output.extend_from_slice(mac.to_string().as_bytes());
    output.extend_from_slice(AFTER_MAC);
    output.push(b'\n');
    Some(Link { seq: line.seq, mac })
}

/// What a verification reads of a line. Other members are signed, but not looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Members {
    pub seq: u64,
    pub time: String,
    pub node: String,
    pub prev: String,
    pub key: String,
    #[serde(default)]
    pub missing: u64,
    pub torn_bytes: Option<u64>,
}

/// A line that has the form of an entry. Its code is not verified yet.
#[derive(Debug)]
pub(crate) struct ParsedLine<'a> {
    pub members: Members,
    pub mac: Mac,
    /// What the code covers.
    pub signed: &'a [u8],
}

impl ParsedLine<'_> {
    /// Its place in the chain.
    pub(crate) fn link(&self) -> Link {
        Link {
            seq: self.members.seq,
            mac: self.mac,
        }
    }
}

/// Reads a line without its line feed; `None` when it does not have the form of an entry.
pub(crate) fn parse(line: &[u8]) -> Option<ParsedLine<'_>> {
    let rest = line.strip_suffix(AFTER_MAC)?;
    let (rest, mac) = rest.split_at_checked(rest.len().checked_sub(MAC_CHARS)?)?;
    let mac = Mac::parse(std::str::from_utf8(mac).ok()?)?;
    let signed = rest.strip_suffix(BEFORE_MAC)?;
    let members = serde_json::from_slice(line).ok()?;
    Some(ParsedLine {
        members,
        mac,
        signed,
    })
}

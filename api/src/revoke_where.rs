//! Bulk revocations: `POST /v2alpha1/admin/apiKeys:revokeWhere`.
//!
//! A condition that is misread would revoke the wrong keys. The reader is therefore stricter than
//! others: it rejects empty and unknown conditions, and `null`, instead of skipping them.

use schemars::JsonSchema;
use serde::Serialize;
use talos_model::{BulkRevocation, Matcher, RevocationReason};

use crate::error::ApiError;
use crate::json::{self, Field, Fields, Kind, Object};
use crate::key_tables::{DESCRIPTION, REASON};
use crate::revoke::{self, RevokeRequest};
use crate::{limits, render, timestamp};

const ACTOR_ID: Field = Field::new(
    "actor_id",
    Kind::Text(Some(limits::ACTOR_ID_CHARS)),
    "Keys of this actor.",
)
.restricting(&[]);
const PREFIX: Field = Field::new(
    "prefix",
    Kind::Text(Some(limits::PREFIX_CHARS)),
    "Keys that were issued under this prefix. Imported keys and keys that were issued by older releases have none.",
)
.restricting(&[]);
const CREATED_BEFORE: Field = Field::new(
    "created_before",
    Kind::Text(None),
    "Keys that were created before this instant (RFC 3339).",
)
.restricting(&[]);
const SCOPE: Field = Field::new(
    "scope",
    Kind::Text(Some(limits::SCOPE_CHARS)),
    "Keys that have this scope.",
)
.restricting(&[]);
const METADATA: Field = Field::new(
    "metadata",
    Kind::FreeObject,
    "Keys whose metadata has all of these members; their values are texts.",
)
.restricting(&[]);
const DRY_RUN: Field = Field::new(
    "dry_run",
    Kind::Boolean,
    "Whether the keys are only counted.",
)
.restricting(&[]);

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "AdminRevokeApiKeysWhereRequest",
    about: "Which keys end, and why. All conditions that are given must hold; at least one must be given.",
    fields: &[
        ACTOR_ID,
        PREFIX,
        CREATED_BEFORE,
        SCOPE,
        METADATA,
        REASON,
        DESCRIPTION,
        DRY_RUN,
    ],
};

/// Which keys are revoked, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeWhereRequest {
    /// The conditions of the keys; not empty.
    pub matcher: Matcher,
    /// The reason.
    pub reason: RevocationReason,
    /// A description; empty unless the reason is [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
    /// What happens to the keys.
    pub effect: Effect,
}

/// What happens to the keys of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// They are revoked.
    Revoke,
    /// They are only counted.
    Count,
}

/// Reads the request.
///
/// # Errors
/// 400, naming the field, when the body breaks the contract.
pub fn parse_request(body: &[u8]) -> Result<RevokeWhereRequest, ApiError> {
    let mut fields = json::parse_whole(body, &REQUEST)?;
    for field in [ACTOR_ID, PREFIX, CREATED_BEFORE, SCOPE, METADATA, DRY_RUN] {
        if fields.is_null(field) {
            return Err(fields.invalid(field, "must not be null; leave it out if it is not meant"));
        }
    }
    let matcher = Matcher {
        actor_id: condition(&mut fields, ACTOR_ID, limits::ACTOR_ID_CHARS)?,
        prefix: condition(&mut fields, PREFIX, limits::PREFIX_CHARS)?,
        created_before: match fields.text(CREATED_BEFORE)? {
            Some(text) => Some(timestamp::parse(&text).ok_or_else(|| {
                let message = "must be an instant such as 2026-11-21T00:00:00Z";
                fields.invalid(CREATED_BEFORE, message)
            })?),
            None => None,
        },
        scope: condition(&mut fields, SCOPE, limits::SCOPE_CHARS)?,
        metadata: metadata(&mut fields)?,
    };
    let RevokeRequest {
        reason,
        description,
    } = revoke::parse_fields(&mut fields)?;
    let effect = match fields.boolean(DRY_RUN)? {
        Some(true) => Effect::Count,
        Some(false) | None => Effect::Revoke,
    };
    if matcher.is_empty() {
        return Err(ApiError::bad_request(
            "at least one of actor_id, prefix, created_before, scope and metadata must be given",
        ));
    }
    Ok(RevokeWhereRequest {
        matcher,
        reason,
        description,
        effect,
    })
}

/// A text of 1 to `max_chars` characters; `None` when it is absent.
fn condition(
    fields: &mut Fields<'_>,
    field: Field,
    max_chars: usize,
) -> Result<Option<String>, ApiError> {
    let Some(text) = fields.text(field)? else {
        return Ok(None);
    };
    if text.is_empty() || text.chars().count() > max_chars {
        let message =
            format!("must have 1 to {max_chars} characters; leave it out if it is not meant");
        return Err(fields.invalid(field, &message).limit(max_chars));
    }
    Ok(Some(text.into_owned()))
}

fn metadata(fields: &mut Fields<'_>) -> Result<Vec<(String, String)>, ApiError> {
    let Some(object) = fields.object(METADATA)? else {
        return Ok(Vec::new());
    };
    let members = object.into_texts()?;
    let bytes = |(name, value): &(String, String)| name.len() + value.len();
    let is_small = members.iter().map(bytes).sum::<usize>() <= limits::WHERE_METADATA_BYTES;
    if members.is_empty() || !is_small {
        let message = format!(
            "must have at least one member, and at most {} bytes; leave it out if it is not meant",
            limits::WHERE_METADATA_BYTES
        );
        let error = fields.invalid(METADATA, &message);
        return Err(error.limit(limits::WHERE_METADATA_BYTES));
    }
    Ok(members)
}

/// The outcome of a bulk revocation.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminRevokeApiKeysWhereResponse")]
pub(crate) struct Answer {
    /// How many keys have ended, or would end; absent when they have ended and were not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    matched: Option<u64>,
    /// Whether the keys were only counted.
    dry_run: bool,
    /// The id of the bulk revocation; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_id: Option<String>,
    /// Its position, as `EPOCH.SEQUENCE`: a node that has reached it refuses all of these keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<String>,
}

/// The answer to a dry run.
#[must_use]
pub fn render_count(matched: u64) -> Vec<u8> {
    render::json(&Answer {
        matched: Some(matched),
        dry_run: true,
        rule_id: None,
        position: None,
    })
}

/// The answer to a revocation. `matched` is the number of revoked keys, if it is known.
#[must_use]
pub fn render_response(revocation: &BulkRevocation, matched: Option<u64>) -> Vec<u8> {
    render::json(&Answer {
        matched,
        dry_run: false,
        rule_id: Some(revocation.id.to_string()),
        position: Some(revocation.position.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use talos_model::clock::UnixMillis;

    use super::*;

    fn message(body: &str) -> String {
        let error = parse_request(body.as_bytes()).expect_err(body);
        assert_eq!(error.status(), 400, "{body}");
        error.to_string()
    }

    #[test]
    fn every_condition_is_read() {
        let body = r#"{"actor_id":"a","prefix":"p","created_before":"2026-11-21T01:00:00.5+01:00","scope":"s",
            "metadata":{"k":"v","l":"w"},"reason":"REVOCATION_REASON_PRIVILEGE_WITHDRAWN","description":"d","dry_run":true}"#;
        let text = |text: &str| Some(text.to_owned());
        let member = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted = RevokeWhereRequest {
            matcher: Matcher {
                actor_id: text("a"),
                prefix: text("p"),
                created_before: Some(UnixMillis(1_795_219_200_500)),
                scope: text("s"),
                metadata: vec![member("k", "v"), member("l", "w")],
            },
            reason: RevocationReason::PrivilegeWithdrawn,
            description: "d".to_owned(),
            effect: Effect::Count,
        };
        assert_eq!(parse_request(body.as_bytes()), Ok(wanted));
        let alone = parse_request(br#"{"scope":"s","reason":null}"#);
        let alone = alone.expect("one condition is enough");
        assert_eq!(alone.matcher.scope, text("s"));
        assert_eq!(alone.effect, Effect::Revoke);
        assert!(alone.description.is_empty());
    }

    #[test]
    fn nothing_is_skipped_that_would_end_more_keys() {
        for body in ["", "{}", r#"{"reason":null}"#] {
            assert!(message(body).contains("at least one of"), "{body}");
        }
        let long = format!(r#"{{"scope":"{}"}}"#, "x".repeat(limits::SCOPE_CHARS + 1));
        let large = format!(
            r#"{{"metadata":{{"k":"{}"}}}}"#,
            "x".repeat(limits::WHERE_METADATA_BYTES)
        );
        for (body, field) in [
            (
                r#"{"owner":"a","scope":"s"}"#,
                "the body has a field that is not known here; there are actor_id, prefix, ",
            ),
            (r#"{"actor":"a","scope":"s"}"#, "actor_id: "),
            (r#"{"scopes":["s"],"prefix":"p"}"#, "scope: "),
            (r#"{"dryrun":true,"scope":"s"}"#, "dry_run: "),
            (
                r#"{"actor_id":null,"scope":"s"}"#,
                "actor_id: must not be null",
            ),
            (
                r#"{"actorId":null,"scope":"s"}"#,
                "actor_id: must not be null",
            ),
            (r#"{"prefix":null,"scope":"s"}"#, "prefix: must not be null"),
            (
                r#"{"created_before":null,"scope":"s"}"#,
                "created_before: must not be null",
            ),
            (r#"{"scope":null,"prefix":"p"}"#, "scope: must not be null"),
            (
                r#"{"metadata":null,"scope":"s"}"#,
                "metadata: must not be null",
            ),
            (
                r#"{"dry_run":null,"scope":"s"}"#,
                "dry_run: must not be null",
            ),
            (r#"{"actor_id":"","scope":"s"}"#, "actor_id: "),
            (r#"{"prefix":"","scope":"s"}"#, "prefix: "),
            (r#"{"scope":"","actor_id":"a"}"#, "scope: "),
            (r#"{"prefix":"seventeen_letters"}"#, "prefix: "),
            (&long, "scope: "),
            (r#"{"metadata":{},"scope":"s"}"#, "metadata: "),
            (r#"{"metadata":{"k":1}}"#, "metadata.k: "),
            (r#"{"metadata":{"k":null}}"#, "metadata.k: "),
            (&large, "metadata: "),
            (r#"{"created_before":"yesterday"}"#, "created_before: "),
            (r#"{"created_before":""}"#, "created_before: "),
            (r#"{"created_before":"2026-11-21"}"#, "created_before: "),
            (r#"{"scope":"s","dry_run":"true"}"#, "dry_run: "),
            (r#"{"scope":"s","dry_run":1}"#, "dry_run: "),
            (r#"{"scope":"s","description":"d"}"#, "description: "),
            (r#"{"scope":"s","reason":"superseded"}"#, "reason: "),
        ] {
            let text = message(body);
            assert!(text.starts_with(field), "{body}: {text}");
        }
        assert!(parse_request(br#"{"prefix":"sixteen__letters"}"#).is_ok());
    }
}

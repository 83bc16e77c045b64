//! What an answer says that an audit entry needs: the ids that it created, how many keys it
//! changed, why it refused. Credentials in the answer are not read.

use serde::Deserialize;
use talos_model::{KeyId, Position};

use crate::limits::BATCH_IMPORT_KEYS;

/// The longest id of a token that is noted, in bytes: a UUID has 36.
const TOKEN_ID_BYTES: usize = 64;

/// The longest reason that is noted, in bytes. Another node's answer may hold anything.
const REASON_BYTES: usize = 64;

/// What a successful answer to a change is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Concerned {
    /// Keys that were created or replaced, at most [`BATCH_IMPORT_KEYS`].
    pub key_ids: Vec<KeyId>,
    /// Tokens that were created.
    pub token_ids: Vec<String>,
    /// How many keys a bulk action changed; `None` if it was none, or if they were not counted.
    pub count: Option<u64>,
    /// The position that the answer itself names.
    pub position: Option<Position>,
}

/// The fields of all answers that name something. Every other field is skipped unread.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    issued_api_key: Option<Key>,
    old_issued_api_key: Option<Key>,
    imported_api_key: Option<Key>,
    results: Vec<Item>,
    success_count: Option<u64>,
    matched: Option<u64>,
    dry_run: bool,
    position: Option<String>,
    token: Option<Token>,
}

#[derive(Deserialize)]
struct Key {
    key_id: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    imported_api_key: Option<Key>,
}

/// A derived token, or an administrator's.
#[derive(Deserialize)]
struct Token {
    id: Option<String>,
    claims: Option<Claims>,
}

#[derive(Deserialize)]
struct Claims {
    jti: Option<String>,
    sub: Option<String>,
}

/// What the body of a successful answer to a `POST` is about. Nothing if it is not JSON.
#[must_use]
pub fn concerned(body: &[u8]) -> Concerned {
    let answer: Answer = serde_json::from_slice(body).unwrap_or_default();
    let (token_id, claims) = answer
        .token
        .map_or((None, None), |token| (token.id, token.claims));
    let (jti, parent) = claims.map_or((None, None), |claims| (claims.jti, claims.sub));
    let of_items = answer.results.into_iter().map(|item| item.imported_api_key);
    let keys = [
        answer.issued_api_key,
        answer.old_issued_api_key,
        answer.imported_api_key,
    ]
    .into_iter()
    .chain(of_items)
    .flatten()
    .filter_map(|key| key.key_id);
    let key_ids = keys.chain(parent).filter_map(|id| id.parse().ok());
    let token_ids = token_id.into_iter().chain(jti);
    Concerned {
        key_ids: key_ids.take(BATCH_IMPORT_KEYS).collect(),
        token_ids: token_ids.filter(|id| id.len() <= TOKEN_ID_BYTES).collect(),
        count: answer
            .success_count
            .or(answer.matched.filter(|_| !answer.dry_run)),
        position: answer.position.and_then(|text| text.parse().ok()),
    }
}

#[derive(Deserialize)]
struct Envelope {
    error: Status,
}

#[derive(Deserialize)]
struct Status {
    details: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    reason: String,
}

/// The reason in the error envelope of an answer; `None` if it has none.
#[must_use]
pub fn reason_of(body: &[u8]) -> Option<String> {
    let envelope: Envelope = serde_json::from_slice(body).ok()?;
    envelope
        .error
        .details
        .into_iter()
        .next()
        .map(|detail| detail.reason)
        .filter(|reason| reason.len() <= REASON_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ApiError;

    const ISSUED: &str = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";

    #[test]
    fn created_keys_and_tokens_are_named_and_nothing_else() {
        let other = "1b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
        let imported = "ab".repeat(32);
        let id = |text: &str| -> KeyId { text.parse().expect("an id") };
        let rotated = format!(
            r#"{{"issued_api_key":{{"key_id":"{other}","name":"n"}},"secret":"s","old_issued_api_key":{{"key_id":"{ISSUED}"}}}}"#
        );
        assert_eq!(
            concerned(rotated.as_bytes()).key_ids,
            [id(other), id(ISSUED)]
        );
        let batch = format!(
            r#"{{"results":[{{"index":0,"imported_api_key":{{"key_id":"{imported}"}}}},{{"index":1,"error_code":"X"}}],"success_count":1,"failure_count":1}}"#
        );
        let batch = concerned(batch.as_bytes());
        assert_eq!((batch.key_ids, batch.count), (vec![id(&imported)], Some(1)));
        let derived = format!(
            r#"{{"token":{{"token":"eyJ.a.b","claims":{{"jti":"{other}","sub":"{ISSUED}"}}}}}}"#
        );
        let derived = concerned(derived.as_bytes());
        assert_eq!(
            (derived.key_ids, derived.token_ids),
            (vec![id(ISSUED)], vec![other.to_owned()])
        );
        let admin = format!(r#"{{"token":{{"id":"{other}","name":"ci"}},"secret":"s"}}"#);
        assert_eq!(concerned(admin.as_bytes()).token_ids, [other]);
    }

    #[test]
    fn a_bulk_revocation_is_counted_and_a_dry_run_is_not() {
        let revoked = concerned(br#"{"matched":7,"dry_run":false,"rule_id":"x","position":"1.9"}"#);
        assert_eq!(
            (revoked.count, revoked.position),
            (Some(7), "1.9".parse().ok())
        );
        let dry = concerned(br#"{"matched":7,"dry_run":true}"#);
        assert_eq!(dry, Concerned::default());
        for body in [&b""[..], b"[]", b"{\"results\":1}", b"\xff"] {
            assert_eq!(concerned(body), Concerned::default());
        }
    }

    #[test]
    fn the_reason_of_an_error_is_found() {
        let body = ApiError::api_key_not_found().to_body();
        assert_eq!(reason_of(&body).as_deref(), Some("API_KEY_NOT_FOUND"));
        assert_eq!(reason_of(b"{}"), None);
        let long = String::from_utf8(body)
            .expect("text")
            .replace("API_KEY", &"X".repeat(99));
        assert_eq!(reason_of(long.as_bytes()), None);
    }
}

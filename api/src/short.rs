//! Issuing a key by the short route: `POST /keys`. The fields are those of [`crate::issue`], but
//! the scopes may be called `permissions`, and the actor is optional.

use schemars::JsonSchema;
use serde::Serialize;
use talos_model::clock::UnixMillis;
use talos_model::{IssueKey, KeyId, Record, Secret, TenantId};

use crate::error::ApiError;
use crate::issue::{self, Identity};
use crate::json::{self, Object};
use crate::key::{IssuedApiKey, Resource};
use crate::render::{self, as_text};
use crate::{key_fields, key_tables, limits};

/// The actor when the request names none.
const DEFAULT_ACTOR: &str = "default";

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "IssueKeyRequest",
    about: "A key to issue.",
    fields: &[
        key_tables::NAME.required(),
        key_tables::ACTOR_ID,
        key_tables::PERMISSIONS,
        key_tables::SCOPES,
        key_tables::METADATA,
        key_tables::VISIBILITY,
        key_tables::TTL,
        key_tables::RATE_LIMIT_POLICY,
        key_tables::IP_RESTRICTION,
        key_tables::REQUEST_ID,
    ],
};

/// Reads the request into a command of `tenant`. The arguments are those of
/// [`issue::parse_request`].
///
/// # Errors
/// 400, naming the field, when the body breaks the contract or has both `permissions` and `scopes`.
pub fn parse_request(
    body: &[u8],
    tenant: TenantId,
    default_ttl_ms: Option<u64>,
) -> Result<IssueKey, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let (name, actor_id) = (key_tables::NAME, key_tables::ACTOR_ID);
    let identity = Identity {
        name: key_fields::required(&mut fields, name, limits::NAME_CHARS)?,
        actor_id: key_fields::optional(&mut fields, actor_id, limits::ACTOR_ID_CHARS)?
            .unwrap_or_else(|| DEFAULT_ACTOR.to_owned()),
        scopes: key_fields::permissions(&mut fields)?,
    };
    issue::parse_rest(&mut fields, identity, tenant, default_ttl_ms)
}

/// The answer of [`issue::render_response`], with the key's id and secret again as `id` and `key`.
#[must_use]
pub fn render_response(record: &Record, secret: Option<&Secret>, now: UnixMillis) -> Vec<u8> {
    let secret = secret.map(Secret::expose);
    render::json(&Answer {
        id: record.key_id,
        key: secret,
        issued_api_key: Resource::new(record, now),
        secret,
    })
}

/// A key that was issued, with short names.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IssueKeyResponse")]
pub(crate) struct Answer<'a> {
    /// The id of the key.
    #[serde(serialize_with = "as_text")]
    #[schemars(with = "&str")]
    id: KeyId,
    /// The credential, shown only once; absent when a repeated `request_id` returns an earlier key
    /// whose secret was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    /// The key.
    #[schemars(with = "IssuedApiKey")]
    issued_api_key: Resource<'a>,
    /// The credential again.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::full;
    use serde_json::Value;

    fn parse(body: &str) -> Result<IssueKey, ApiError> {
        parse_request(body.as_bytes(), TenantId::SINGLE, Some(7_000))
    }

    #[test]
    fn permissions_are_scopes_and_the_actor_may_be_left_out() {
        let command =
            parse(r#"{"name":"n","permissions":["read:docs"],"ttl":"15m"}"#).expect("a command");
        assert_eq!(
            (command.name.as_str(), command.actor_id.as_str()),
            ("n", "default")
        );
        assert_eq!(
            (command.scopes, command.ttl_ms),
            (vec!["read:docs".to_owned()], Some(900_000))
        );
        for body in [
            r#"{"name":"n","actor_id":"a","scopes":["s"]}"#,
            r#"{"name":"n","actor_id":"a","scopes":["s"],"permissions":null}"#,
        ] {
            let command = parse(body).expect("a command");
            assert_eq!(
                (command.actor_id.as_str(), command.scopes),
                ("a", vec!["s".to_owned()])
            );
        }
    }

    #[test]
    fn bad_values_name_their_field() {
        for (body, start) in [
            (r#"{"permissions":["a"]}"#, "name: is required"),
            (r#"{"name":"n","permissions":"a"}"#, "permissions: "),
            (r#"{"name":"n","permissions":["a",""]}"#, "permissions[1]: "),
            (
                r#"{"name":"n","permissions":[],"scopes":[]}"#,
                "permissions: is another name",
            ),
            (r#"{"name":"n","actor_id":5}"#, "actor_id: "),
        ] {
            let error = parse(body).expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with(start), "{body}: {error}");
        }
    }

    #[test]
    fn id_and_secret_stand_under_both_names() {
        let (record, now) = (full(), UnixMillis(1_700_000_000_000));
        let secret = Secret::new("ory_ak_v1_a_b".to_owned());
        let value: Value =
            serde_json::from_slice(&render_response(&record, Some(&secret), now)).expect("JSON");
        assert_eq!(value["id"], value["issued_api_key"]["key_id"]);
        assert_eq!(
            (&value["key"], &value["secret"]),
            (&"ory_ak_v1_a_b".into(), &"ory_ak_v1_a_b".into())
        );
        let replay: Value =
            serde_json::from_slice(&render_response(&record, None, now)).expect("JSON");
        let names: Vec<_> = replay.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["id", "issued_api_key"]);
    }
}

//! Rotating a key: `POST …/{key_id}:rotate`. A new key replaces it.

use schemars::JsonSchema;
use serde::Serialize;
use talos_model::clock::UnixMillis;
use talos_model::{FieldChanges, Rotation, Visibility};

use crate::error::ApiError;
use crate::form::Form;
use crate::json::{self, Object};
use crate::key::{IssuedApiKey, Resource};
use crate::key_tables::{
    IP_RESTRICTION, METADATA, NAME, PUBLIC_NEEDS_PREFIX, RATE_LIMIT_POLICY, SCOPES, VISIBILITY,
};
use crate::names::KeyVisibility;
use crate::{render, update};

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "AdminRotateIssuedApiKeyBody",
    about: "What the new key does not inherit from the old one.",
    fields: &[
        NAME.form(Form::Filled),
        SCOPES,
        METADATA,
        VISIBILITY,
        RATE_LIMIT_POLICY,
        IP_RESTRICTION,
    ],
    rules: &[PUBLIC_NEEDS_PREFIX],
};

/// What the new key does not inherit.
#[derive(Clone, Debug)]
pub struct RotateRequest {
    /// The fields that differ.
    pub changes: FieldChanges,
    /// The visibility, if it differs.
    pub visibility: Option<Visibility>,
}

/// Reads the request. A field that is present overrides the old key's value, even when it is empty.
/// With an empty body the new key inherits everything.
///
/// # Errors
/// 400, naming the field, when the body breaks the contract.
pub fn parse_request(body: &[u8]) -> Result<RotateRequest, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let visibility = fields.enumeration::<KeyVisibility>(VISIBILITY)?;
    let listed = update::given(|field| fields.is_present(field));
    Ok(RotateRequest {
        changes: update::parse_changes(&mut fields, &listed)?,
        visibility,
    })
}

/// The answer: the new key, its secret, and the revoked old key with the time of its last use if
/// that is known.
#[must_use]
pub fn render_response(
    rotation: &Rotation,
    old_last_used: Option<UnixMillis>,
    now: UnixMillis,
) -> Vec<u8> {
    render::json(&Rotated {
        issued_api_key: Resource::new(&rotation.record, now),
        secret: rotation.secret.expose(),
        old_issued_api_key: Resource::new(&rotation.old, now).last_used(old_last_used),
    })
}

/// A key that replaced another one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RotateIssuedApiKeyResponse")]
pub(crate) struct Rotated<'a> {
    /// The new key.
    #[schemars(with = "IssuedApiKey")]
    issued_api_key: Resource<'a>,
    /// Its credential, shown only once.
    secret: &'a str,
    /// The old key, which is revoked now.
    #[schemars(with = "IssuedApiKey")]
    old_issued_api_key: Resource<'a>,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use talos_model::Secret;

    use super::*;
    use crate::key::tests::{bare, full};

    #[test]
    fn what_is_there_is_overridden_and_the_rest_inherited() {
        for body in ["", "{}", r#"{"name":null,"scopes":null,"visibility":null}"#] {
            let request = parse_request(body.as_bytes()).expect("a request");
            let changes = request.changes;
            assert!(
                changes.name.is_none() && changes.scopes.is_none() && changes.metadata.is_none()
            );
            assert!(changes.rate_limit.is_none() && changes.allowed_cidrs.is_none());
            assert_eq!(request.visibility, None);
        }
        let body = br#"{"name":"n","scopes":[],"metadata":{},"ip_restriction":{},"actor_id":7}"#;
        let changes = parse_request(body).expect("a request").changes;
        assert_eq!(changes.name.as_deref(), Some("n"));
        assert_eq!(changes.scopes, Some(Vec::new()));
        assert_eq!(changes.metadata.as_deref(), Some(""));
        assert_eq!(changes.allowed_cidrs, Some(Vec::new()));
        assert_eq!(changes.rate_limit, None);
    }

    #[test]
    fn an_unspecified_visibility_is_inherited() {
        let visibility = |name: &str| {
            let body = format!(r#"{{"visibility":"KEY_VISIBILITY_{name}"}}"#);
            parse_request(body.as_bytes()).map(|request| request.visibility)
        };
        assert_eq!(visibility("UNSPECIFIED"), Ok(None));
        assert_eq!(visibility("SECRET"), Ok(Some(Visibility::Secret)));
        assert_eq!(visibility("PUBLIC"), Ok(Some(Visibility::Public)));
        assert_eq!(
            visibility("HIDDEN").map_err(|error| error.status()),
            Err(400)
        );
    }

    #[test]
    fn bad_values_are_named() {
        for (body, start) in [
            (r#"{"name":""}"#, "name: "),
            (r#"{"scopes":"s"}"#, "scopes: "),
            (r#"{"rate_limit_policy":{}}"#, "rate_limit_policy.quota: "),
        ] {
            let error = parse_request(body.as_bytes()).expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with(start), "{error}");
        }
    }

    #[test]
    fn the_answer_shows_both_keys() {
        let rotation = Rotation {
            record: full(),
            secret: Secret::new("ory_ak_v1_a_b".to_owned()),
            old: bare(),
        };
        let body = render_response(&rotation, None, UnixMillis(1_700_000_000_000));
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(answer["secret"], "ory_ak_v1_a_b");
        assert_eq!(answer["issued_api_key"]["name"], "My first key");
        assert_eq!(answer["old_issued_api_key"]["name"], "n");
    }
}

//! Importing a key of another system: `POST /v2alpha1/admin/importedApiKeys`.

use std::mem;

use schemars::JsonSchema;
use serde::Serialize;
use talos_credentials::{Keyring, OwnKind, imported_key_id};
use talos_model::clock::UnixMillis;
use talos_model::{ImportKey, Record, TenantId};

use crate::error::ApiError;
use crate::json::{self, Field, Fields, Kind, Object};
use crate::key::{ImportedApiKey, Resource};
use crate::key_tables::{
    ACTOR_ID, IP_RESTRICTION, METADATA, NAME, RATE_LIMIT_POLICY, REQUEST_ID, SCOPES, TTL,
    VISIBILITY,
};
use crate::{issue, limits, render};

const RAW_KEY: Field = Field::new(
    "raw_key",
    Kind::Text(Some(limits::RAW_KEY_BYTES)),
    "The key itself, of 1 to 8192 bytes; only its digest is kept.",
)
.required();

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "ImportApiKeyRequest",
    about: "A key of another system to import.",
    fields: &[
        RAW_KEY,
        NAME.required(),
        ACTOR_ID.required(),
        SCOPES,
        METADATA,
        VISIBILITY,
        TTL,
        RATE_LIMIT_POLICY,
        IP_RESTRICTION,
        REQUEST_ID,
    ],
    rules: &[],
};

/// Reads the request into a command of `tenant`. The command holds the digest of the raw key, not
/// the key. A key without a `ttl` gets `default_ttl_ms`, and lives forever if that is `None`.
/// `keyring` tells which raw keys are credentials of this server.
///
/// # Errors
/// 400, naming the field, when the body breaks the contract; 409 when the raw key is or looks like
/// a credential of this server, because a verification could take it for one.
pub fn parse_request(
    body: &[u8],
    tenant: TenantId,
    default_ttl_ms: Option<u64>,
    keyring: &Keyring,
) -> Result<ImportKey, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    parse_fields(&mut fields, tenant, default_ttl_ms, keyring)
}

/// Reads the fields of one object.
pub(crate) fn parse_fields(
    fields: &mut Fields<'_>,
    tenant: TenantId,
    default_ttl_ms: Option<u64>,
    keyring: &Keyring,
) -> Result<ImportKey, ApiError> {
    let raw_key = fields.text(RAW_KEY)?.unwrap_or_default();
    if raw_key.is_empty() {
        return Err(fields.invalid(RAW_KEY, "is required and must not be empty"));
    }
    if raw_key.len() > limits::RAW_KEY_BYTES {
        let message = format!("must have at most {} bytes", limits::RAW_KEY_BYTES);
        return Err(fields
            .invalid(RAW_KEY, &message)
            .limit(limits::RAW_KEY_BYTES));
    }
    let mut key = issue::parse_fields(fields, tenant, default_ttl_ms)?;
    let refused = |message: &str| {
        let field = fields.path_of(RAW_KEY);
        let message = format!("{field} {message}");
        Err(ApiError::failed_precondition(message).at_field(&field))
    };
    match keyring.own_kind(raw_key.as_bytes()) {
        Some(OwnKind::Token) => {
            refused("has the shape of a derived token of this server and cannot be imported")
        }
        Some(OwnKind::IssuedKey) => {
            refused("has the shape of an issued key and cannot be imported")
        }
        None => {
            let key_id = imported_key_id(tenant, raw_key.as_bytes());
            if let Some(request) = &mut key.request_id {
                request.digest = mem::take(&mut request.digest).importing(key_id);
            }
            Ok(ImportKey { key_id, key })
        }
    }
}

/// The answer: the key, and the key again as `imported_api_key`, where some clients expect it.
#[must_use]
pub fn render_response(record: &Record, now: UnixMillis) -> Vec<u8> {
    render::json(&Imported {
        key: Resource::new(record, now),
        imported_api_key: Resource::new(record, now),
    })
}

/// A key that was imported.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ImportApiKeyResponse")]
pub(crate) struct Imported<'a> {
    #[serde(flatten)]
    key: Resource<'a>,
    /// The key again.
    #[schemars(with = "ImportedApiKey")]
    imported_api_key: Resource<'a>,
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};
    use talos_credentials::issued::{ChecksumKey, make};
    use talos_credentials::{KeyringSettings, MacaroonPrefixes, Prefixes, TokenSettings};
    use talos_model::Secret;

    use super::*;
    use crate::key::tests::full;

    /// A key that some server issued.
    fn issued() -> String {
        let key = ChecksumKey::new(&Secret::new("of another server".to_owned()));
        let uuid = TenantId::SINGLE.0;
        make("ory_ak", UnixMillis(1_700_000_000_000), uuid, &key)
            .expose()
            .to_owned()
    }

    /// A keyring without signing keys, whose macaroons begin with `mc` or `old`.
    pub(crate) fn keyring() -> Keyring {
        Keyring::new(KeyringSettings {
            hmac_current: Secret::new("of this server".to_owned()),
            hmac_retired: Vec::new(),
            prefixes: Prefixes {
                current: "ak".to_owned(),
                retired: Vec::new(),
                public_current: None,
                public_retired: Vec::new(),
            },
            issuer: "i".to_owned(),
            max_ttl_s: 100,
            clock_skew_s: 10,
            tokens: TokenSettings {
                macaroon_prefixes: MacaroonPrefixes {
                    current: "mc".to_owned(),
                    retired: vec!["old".to_owned()],
                },
                ..TokenSettings::default()
            },
        })
    }

    fn parse(raw_key: &str) -> Result<ImportKey, ApiError> {
        let body = json!({"name": "n", "actor_id": "a", "scopes": ["s"], "raw_key": raw_key});
        let body = body.to_string();
        parse_request(body.as_bytes(), TenantId::SINGLE, Some(7), &keyring())
    }

    #[test]
    fn the_raw_key_becomes_its_digest() {
        let command = parse("sk_test").expect("a command");
        assert_eq!(
            command.key_id.to_string(),
            "fc1a7f3824ebbc3a4508e732f2ccf8476ffe562e8cebd102ac75b9cd445bb20e"
        );
        assert_eq!(
            (command.key.name.as_str(), command.key.ttl_ms),
            ("n", Some(7))
        );
        assert_eq!(command.key.scopes, ["s"]);
    }

    #[test]
    fn raw_keys_have_1_to_8192_bytes() {
        let long = "é".repeat(limits::RAW_KEY_BYTES / 2);
        assert!(parse(&long).is_ok());
        for raw_key in [String::new(), long + "x"] {
            let error = parse(&raw_key).expect_err("an error");
            assert_eq!(error.status(), 400);
            assert!(error.to_string().starts_with("raw_key: "), "{error}");
        }
        for body in [
            r#"{"name":"n","actor_id":"a"}"#,
            r#"{"name":"n","actor_id":"a","raw_key":7}"#,
            r#"{"actor_id":"a","raw_key":"x"}"#,
            r#"{"name":"n","raw_key":"x"}"#,
        ] {
            let error = parse_request(body.as_bytes(), TenantId::SINGLE, None, &keyring());
            assert_eq!(error.expect_err("an error").status(), 400, "{body}");
        }
    }

    #[test]
    fn our_own_credentials_are_refused_and_not_repeated() {
        for raw_key in ["mc_v1_hush", "old_v1_hush", &issued()] {
            let error = parse(raw_key).expect_err("an error");
            let wanted = ApiError::failed_precondition(error.to_string()).at_field("raw_key");
            assert_eq!(error, wanted);
            assert!(!error.to_string().contains(raw_key), "{error}");
        }
    }

    #[test]
    fn tokens_of_others_can_be_imported() {
        for raw_key in [
            "new_v1_hush",
            "mc_v2_hush",
            "mc_v1",
            "eyJhbGciOiJub25lIn0.hush.",
            "eyJ.b.c",
        ] {
            assert!(parse(raw_key).is_ok(), "{raw_key}");
        }
    }

    #[test]
    fn the_answer_shows_the_key_twice() {
        let now = UnixMillis(1_700_000_000_000);
        let mut answer: Value =
            serde_json::from_slice(&render_response(&full(), now)).expect("JSON");
        let fields = answer.as_object_mut().expect("an object");
        let nested = fields.remove("imported_api_key").expect("the key");
        let key: Value =
            serde_json::from_slice(&crate::key::render(&full(), None, now)).expect("JSON");
        assert_eq!((&answer, &nested), (&key, &key));
    }
}

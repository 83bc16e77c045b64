//! Deriving a short-lived token from a key: `POST /v2alpha1/admin/apiKeys:derive` and
//! `POST /keys/{key_id}/derive`.

use std::borrow::Cow;

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use talos_credentials::token::{Claims, CustomClaims, MintError, NoSuchKey, TokenType};
use talos_credentials::{CannotMint, DeriveError, DeriveToken, DerivedToken};
use talos_model::clock::UnixMillis;

use crate::error::ApiError;
use crate::json::{self, Field, Fields, Kind, Object};
use crate::limits::CREDENTIAL_BYTES;
use crate::names::{Named, TokenAlgorithm};
use crate::schema::{FreeObject, Timestamp};
use crate::{key_fields, key_tables, render, timestamp};

const ALGORITHM: Field = Field::new(
    "algorithm",
    Kind::Enumeration(SchemaGenerator::subschema_for::<Named<TokenAlgorithm>>),
    "What the token is; a JWT when it is unset.",
);
const TTL: Field = Field {
    about: "How long the token lives, at most as long as the key; the default of the server when it is unset.",
    ..key_tables::TTL
};
const SCOPES: Field = Field {
    about: "What the token may do, of what the key may do; all of it when it is unset.",
    ..key_tables::SCOPES
};
const AUDIENCES: Field = key_tables::audiences("audiences", "The audiences of the token.");
const CUSTOM_CLAIMS: Field = Field::new(
    "custom_claims",
    Kind::FreeObject,
    "Claims to be added to those of the server, whose names are dropped here; the token has at most 8192 bytes.",
);

/// The body of a request.
pub(crate) static REQUEST: Object = Object {
    name: "DeriveTokenRequest",
    about: "A token to derive from a key.",
    fields: &[
        key_tables::CREDENTIAL,
        ALGORITHM,
        TTL,
        SCOPES,
        AUDIENCES,
        CUSTOM_CLAIMS,
    ],
    rules: &[],
};

/// The body of a request to the short route.
pub(crate) static SHORT_REQUEST: Object = Object {
    name: "DeriveTokenByIdRequest",
    about: "A token to derive from the key with this id.",
    fields: &[
        ALGORITHM,
        TTL,
        key_tables::PERMISSIONS,
        SCOPES,
        AUDIENCES,
        CUSTOM_CLAIMS,
    ],
    rules: &[key_tables::EITHER_NAME_OF_SCOPES],
};

/// Which token is derived from which key. It has no `Debug`, because the credential is a secret.
pub struct DeriveRequest<'a> {
    /// The credential of the key, 1 to
    /// [`CREDENTIAL_BYTES`](crate::limits::CREDENTIAL_BYTES) bytes.
    pub credential: Cow<'a, str>,
    /// The properties of the token.
    pub wanted: DeriveToken,
}

/// Reads the request.
///
/// # Errors
/// 400 when the body breaks the contract; `credential_required` when the credential is missing or
/// empty.
pub fn parse_request(body: &[u8]) -> Result<DeriveRequest<'_>, ApiError> {
    let mut fields = json::parse(body, &REQUEST)?;
    let credential = key_fields::credential(&mut fields)?;
    let wanted = parse_wanted(&mut fields)?;
    Ok(DeriveRequest { credential, wanted })
}

/// Reads a request to the short route. Its path names the key, so its body has no credential; the
/// scopes may be called `permissions`.
///
/// # Errors
/// 400 when the body breaks the contract, or has both `permissions` and `scopes`.
pub fn parse_short_request(body: &[u8]) -> Result<DeriveToken, ApiError> {
    let mut fields = json::parse(body, &SHORT_REQUEST)?;
    let scopes = key_fields::permissions(&mut fields)?;
    let wanted = parse_wanted(&mut fields)?;
    Ok(DeriveToken { scopes, ..wanted })
}

/// Reads the properties of the token.
fn parse_wanted(fields: &mut Fields<'_>) -> Result<DeriveToken, ApiError> {
    let token_type = fields.enumeration::<TokenAlgorithm>(ALGORITHM)?;
    Ok(DeriveToken {
        token_type: token_type.unwrap_or(TokenType::Jwt),
        ttl_ms: key_fields::ttl_ms(fields)?,
        scopes: key_fields::scopes(fields, SCOPES)?,
        audiences: key_fields::audiences(fields, AUDIENCES)?
            .into_iter()
            .map(Cow::into_owned)
            .collect(),
        custom: custom_claims(fields)?,
    })
}

/// The custom claims. Claims with a reserved name are dropped without an error.
fn custom_claims(fields: &mut Fields<'_>) -> Result<CustomClaims, ApiError> {
    let Some(claims) = fields.object(CUSTOM_CLAIMS)? else {
        return Ok(CustomClaims::default());
    };
    let text = claims.into_json();
    if text.is_empty() {
        return Ok(CustomClaims::default());
    }
    let claims: Map<String, Value> = serde_json::from_str(&text)
        .map_err(|_| fields.invalid(CUSTOM_CLAIMS, "holds a number that is too large"))?;
    Ok(CustomClaims::new(claims))
}

/// The answer: the token, shown only once, and its claims.
#[must_use]
pub fn render_response(derived: &DerivedToken) -> Vec<u8> {
    let claims = &derived.claims;
    let expires_at_ms = claims.expires_at_s.saturating_mul(1000);
    render::json(&Derived {
        token: Token {
            text: derived.token.expose(),
            expire_time: timestamp::format(UnixMillis(expires_at_ms)),
            scopes: &claims.scopes,
            audiences: &claims.audiences,
            // The engine made this text, so it is valid JSON.
            claims: serde_json::from_str(&derived.claims_json).ok(),
        },
    })
}

/// How long a token lives, as a duration of proto3.
#[must_use]
pub fn ttl(claims: &Claims) -> String {
    let seconds = claims.expires_at_s.saturating_sub(claims.issued_at_s);
    format!("{seconds}s")
}

/// A token that was derived.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeriveTokenResponse")]
pub(crate) struct Derived<'a> {
    /// The token and its claims.
    token: Token<'a>,
}

/// A derived token and its claims.
#[derive(Serialize, JsonSchema)]
struct Token<'a> {
    /// The token itself, shown only once.
    #[serde(rename = "token")]
    text: &'a str,
    /// From this instant on the token is expired.
    #[schemars(with = "Timestamp")]
    expire_time: String,
    /// What the token may do.
    scopes: &'a [String],
    /// The audiences of the token.
    audiences: &'a [String],
    /// All claims of the token.
    #[schemars(with = "FreeObject")]
    claims: Option<&'a RawValue>,
}

impl From<DeriveError> for ApiError {
    fn from(error: DeriveError) -> Self {
        match &error {
            DeriveError::NoTenant => Self::network_not_found(),
            DeriveError::ScopeBeyondParent(_) => {
                Self::forbidden(error.to_string()).at_field(SCOPES.name)
            }
            DeriveError::ParentRevoked => Self::api_key_revoked(),
            DeriveError::ParentExpired => Self::api_key_expired(),
            DeriveError::AddressNotAllowed => Self::ip_not_allowed(),
            DeriveError::TtlBeyondParent { left_s } => {
                Self::invalid_field(TTL.name, &error.to_string()).limit(left_s)
            }
            DeriveError::TtlBeyondMax { max_s } => {
                Self::invalid_field(TTL.name, &error.to_string()).limit(max_s)
            }
            DeriveError::Mint(CannotMint::Key(missing)) => no_signing_key(missing),
            DeriveError::Mint(CannotMint::Mint(reason)) => match reason {
                MintError::Metadata | MintError::Key => Self::internal(),
                MintError::TooLong { .. } => too_large(reason).limit(CREDENTIAL_BYTES),
                _ => too_large(reason),
            },
        }
    }
}

fn too_large(reason: &MintError) -> ApiError {
    ApiError::bad_request(format!(
        "{reason}; ask for fewer claims, or give the API key less metadata or fewer scopes"
    ))
}

fn no_signing_key(missing: &NoSuchKey) -> ApiError {
    match missing {
        NoSuchKey::NoneConfigured => ApiError::failed_precondition(
            "no signing key is configured: add one to credentials.derived_tokens.jwt.signing_keys.urls, or derive a macaroon, which needs none",
        ),
        NoSuchKey::Unknown(kid) | NoSuchKey::PublicOnly(kid) => ApiError::internal()
            .with_message(format!(
                "{missing}; correct credentials.derived_tokens.jwt.signing_key_id"
            ))
            .about_signing_key(kid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Reason;
    use serde_json::json;

    fn parse(body: &Value) -> Result<DeriveToken, ApiError> {
        let body = body.to_string();
        parse_request(body.as_bytes()).map(|request| {
            assert_eq!(request.credential, "x");
            request.wanted
        })
    }

    fn with(field: &str, value: Value) -> Result<DeriveToken, ApiError> {
        let mut body = json!({"credential": "x"});
        body[field] = value;
        parse(&body)
    }

    #[test]
    fn the_least_request_and_every_field() {
        let least = parse(&json!({"credential": "x"})).expect("a request");
        assert_eq!((least.token_type, least.ttl_ms), (TokenType::Jwt, None));
        assert!(least.scopes.is_empty() && least.audiences.is_empty());
        assert_eq!(least.custom, CustomClaims::default());

        let full = parse(&json!({
            "credential": "x", "algorithm": "TOKEN_ALGORITHM_MACAROON", "ttl": "1h30m", "scopes": ["a", "b"],
            "audiences": ["api"], "custom_claims": {"role": {"a": [1]}, "exp": 1, "EXP": 2, "\u{17f}cp": ["admin"]},
        }))
        .expect("a request");
        assert_eq!(full.token_type, TokenType::Macaroon);
        assert_eq!(full.ttl_ms, Some(5_400_000));
        assert_eq!(
            (full.scopes, full.audiences),
            (vec!["a".to_owned(), "b".to_owned()], vec!["api".to_owned()])
        );
        let custom = Value::Object(full.custom.as_map().clone());
        assert_eq!(custom, json!({"role": {"a": [1]}}));
        for (name, token_type) in [
            ("TOKEN_ALGORITHM_UNSPECIFIED", TokenType::Jwt),
            ("TOKEN_ALGORITHM_JWT", TokenType::Jwt),
            ("TOKEN_ALGORITHM_MACAROON", TokenType::Macaroon),
        ] {
            let read = with("algorithm", name.into()).expect("a request");
            assert_eq!(read.token_type, token_type);
        }
    }

    #[test]
    fn misspelt_restrictions_are_rejected() {
        for (name, meant) in [
            ("scope", "scopes"),
            ("expires_in", "ttl"),
            ("audience", "audiences"),
        ] {
            let error = with(name, json!(["a"])).expect_err(name);
            let wanted = format!("did you mean {meant}?");
            assert!(error.to_string().ends_with(&wanted), "{error}");
        }
        assert!(with("customClaims", json!({"scope": "a", "exp": 1})).is_ok());
    }

    #[test]
    fn bad_values_name_their_field() {
        let long = |chars: usize| Value::from("é".repeat(chars));
        let claims = |bytes: usize| json!({"a": "x".repeat(bytes - r#"{"a":""}"#.len())});
        let table = [
            ("algorithm", json!("JWT"), false),
            ("algorithm", json!(1), true),
            ("algorithm", json!(3), false),
            ("algorithm", json!("1"), false),
            ("ttl", json!("1s"), true),
            ("ttl", json!("10ms"), false),
            ("ttl", json!(60), false),
            ("scopes", json!([""]), false),
            ("scopes", json!("a"), false),
            ("audiences", json!(vec!["a"; 16]), true),
            ("audiences", json!(vec!["a"; 17]), false),
            ("audiences", json!([long(255)]), true),
            ("audiences", json!([long(256)]), false),
            ("audiences", json!([""]), false),
            ("custom_claims", json!({}), true),
            ("custom_claims", json!(null), true),
            ("custom_claims", json!([]), false),
            ("custom_claims", json!("{}"), false),
            ("custom_claims", claims(100_000), true),
        ];
        for (field, value, good) in table {
            let shown: String = value.to_string().chars().take(60).collect();
            match with(field, value) {
                Ok(_) => assert!(good, "{field} {shown}"),
                Err(error) => {
                    assert!(!good, "{field} {shown}: {error}");
                    assert_eq!(error.status(), 400);
                    assert!(
                        error.to_string().starts_with(field),
                        "{field} {shown}: {error}"
                    );
                }
            }
        }
    }

    #[test]
    fn credentials_that_are_no_parent() {
        let long = "x".repeat(crate::limits::CREDENTIAL_BYTES + 1);
        for (credential, reason) in [
            (json!(null), Reason::CredentialRequired),
            (json!(""), Reason::CredentialRequired),
            (json!(7), Reason::BadRequest),
            (json!(long), Reason::BadRequest),
        ] {
            let error = parse(&json!({"credential": credential})).expect_err("an error");
            assert_eq!(error.reason(), reason);
        }
    }

    #[test]
    fn errors_say_who_must_act() {
        let named = NoSuchKey::Unknown("k9".to_owned());
        let mint = |error| DeriveError::Mint(CannotMint::Mint(error));
        for (error, status, says) in [
            (DeriveError::ParentRevoked, 401, "revoked"),
            (DeriveError::ParentExpired, 401, "expired"),
            (DeriveError::AddressNotAllowed, 403, "address"),
            (
                DeriveError::ScopeBeyondParent("admin".to_owned()),
                403,
                "\"admin\"",
            ),
            (DeriveError::TtlBeyondParent { left_s: 5 }, 400, "5 seconds"),
            (DeriveError::TtlBeyondMax { max_s: 9 }, 400, "9 seconds"),
            (DeriveError::Mint(CannotMint::Key(named)), 500, "\"k9\""),
            (
                DeriveError::Mint(CannotMint::Key(NoSuchKey::NoneConfigured)),
                409,
                "credentials.derived_tokens.jwt.signing_keys.urls",
            ),
            (mint(MintError::TooLong { bytes: 9000 }), 400, "9000 bytes"),
            (mint(MintError::BeyondBounds), 400, "too many"),
            (mint(MintError::Key), 500, "internal error"),
        ] {
            let error = ApiError::from(error);
            assert_eq!(error.status(), status, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}

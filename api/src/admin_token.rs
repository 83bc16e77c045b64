//! Admin tokens: `/v2alpha1/admin/tokens`.

use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use talos_model::{AdminToken, CreateAdminToken, Role, Secret, TenantId, TokenDigest};
use uuid::Uuid;

use crate::error::ApiError;
use crate::json::{self, Field, Kind, Object};
use crate::key_fields;
use crate::key_tables::TTL;
use crate::names::{AdminRole, Enumeration as _, Named};
use crate::schema::Timestamp;
use crate::{limits, render, timestamp};

/// The header that holds an admin token where `Authorization` holds another credential.
pub const HEADER: &str = "X-Talos-Token";

const NAME: Field = Field::new(
    "name",
    Kind::Text(Some(limits::NAME_CHARS)),
    "The name of the holder, unique among the tokens. It has no control characters and is not a \
     UUID.",
)
.required();
const ROLE: Field = Field::new(
    "role",
    Kind::Enumeration(SchemaGenerator::subschema_for::<Named<AdminRole>>),
    "What the token may do.",
)
.required()
.restricting(&[]);
const TENANT: Field = Field::new(
    "tenant",
    Kind::Text(Some(limits::TENANT_CHARS)),
    "The id of the only tenant that the token may act on; every tenant when it is unset.",
)
.restricting(&[("network", "tenant"), ("nid", "tenant")]);
const LIFETIME: Field = Field {
    about: "How long the token lives, as for keys; it does not expire when it is unset.",
    ..TTL
};
const NEW_LIFETIME: Field = Field {
    about: "How long the token lives from now on; its time of expiry stays when it is unset.",
    ..TTL
};

/// The body of a request for a new token.
pub(crate) static CREATE_REQUEST: Object = Object {
    name: "AdminCreateTokenRequest",
    about: "An admin token to create.",
    fields: &[NAME, ROLE, LIFETIME, TENANT],
};

/// The body of a request for a new text.
pub(crate) static ROTATE_REQUEST: Object = Object {
    name: "AdminRotateTokenRequest",
    about: "How the lifetime of an admin token changes when its text is replaced.",
    fields: &[NEW_LIFETIME],
};

/// A token to create, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAdminToken {
    name: String,
    role: Role,
    tenant: Option<TenantId>,
    ttl_ms: Option<u64>,
}

impl NewAdminToken {
    /// A token that never expires and may act on every tenant.
    ///
    /// # Errors
    /// 400 when no token may have this name.
    pub fn unlimited(name: String, role: Role) -> Result<Self, ApiError> {
        if name.is_empty() || name.chars().count() > limits::NAME_CHARS {
            let message = format!("must have 1 to {} characters", limits::NAME_CHARS);
            let error = ApiError::invalid_field(NAME.name, &message);
            return Err(error.limit(limits::NAME_CHARS));
        }
        check_name(&name)?;
        Ok(Self {
            name,
            role,
            tenant: None,
            ttl_ms: None,
        })
    }

    /// The command that creates the token with a text of this digest.
    #[must_use]
    pub fn command(self, digest: TokenDigest) -> CreateAdminToken {
        CreateAdminToken {
            name: self.name,
            digest,
            role: self.role,
            tenant: self.tenant,
            ttl_ms: self.ttl_ms,
        }
    }
}

/// Reads a request for a new token.
///
/// # Errors
/// 400, naming the field, when the body breaks the contract.
pub fn parse_create(body: &[u8]) -> Result<NewAdminToken, ApiError> {
    let mut fields = json::parse(body, &CREATE_REQUEST)?;
    let name = key_fields::required(&mut fields, NAME, limits::NAME_CHARS)?;
    check_name(&name)?;
    let role = fields.enumeration::<AdminRole>(ROLE)?.ok_or_else(|| {
        let message = format!(
            "is required and must be one of {}",
            AdminRole::names().join(", ")
        );
        fields.invalid(ROLE, &message)
    })?;
    let tenant = match key_fields::optional(&mut fields, TENANT, limits::TENANT_CHARS)? {
        None => None,
        Some(text) => {
            let id = Uuid::try_parse(&text);
            let message = "must be the id of a tenant, a UUID";
            Some(TenantId(id.map_err(|_| fields.invalid(TENANT, message))?))
        }
    };
    Ok(NewAdminToken {
        name,
        role,
        tenant,
        ttl_ms: key_fields::ttl_ms(&mut fields)?,
    })
}

/// A name is shown in logs and on terminals, and stands for an id on the command line.
fn check_name(name: &str) -> Result<(), ApiError> {
    let problem = if name.chars().any(char::is_control) {
        "must not have control characters"
    } else if Uuid::try_parse(name).is_ok() {
        "must not be a UUID, which would be taken for the id of a token"
    } else {
        return Ok(());
    };
    Err(ApiError::invalid_field(NAME.name, problem))
}

/// Reads a request for a new text. Returns the new lifetime in milliseconds; `None` = the time of
/// expiry stays.
///
/// # Errors
/// 400, naming the field, when the body breaks the contract.
pub fn parse_rotate(body: &[u8]) -> Result<Option<u64>, ApiError> {
    key_fields::ttl_ms(&mut json::parse(body, &ROTATE_REQUEST)?)
}

/// The refusal of a new text for an expired token that would stay expired.
#[must_use]
pub fn still_expired() -> ApiError {
    ApiError::failed_precondition(
        "the admin token has expired; give it a new lifetime with ttl, or revoke it",
    )
    .at_field(TTL.name)
}

/// The answer that shows one token. No answer shows its digest.
#[must_use]
pub fn render(token: &AdminToken) -> Vec<u8> {
    render::json(&Resource::from(token))
}

/// The answer that shows all tokens, in the order of their creation.
#[must_use]
pub fn render_list(tokens: &[AdminToken]) -> Vec<u8> {
    render::json(&List {
        tokens: tokens.iter().map(Resource::from).collect(),
    })
}

/// The answer that shows a token with its text, which no other answer shows.
#[must_use]
pub fn render_with_secret(token: &AdminToken, secret: &Secret) -> Vec<u8> {
    render::json(&WithSecret {
        token: token.into(),
        secret: secret.expose(),
    })
}

/// The credential of an administrator, without its text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminToken")]
pub(crate) struct Resource<'a> {
    /// The id of the token (RFC 9562).
    id: String,
    /// The name of its holder; unique among the tokens.
    name: &'a str,
    /// What the token may do.
    role: Named<AdminRole>,
    /// The id of the only tenant that the token may act on; absent = every tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// When the token was created.
    #[schemars(with = "Timestamp")]
    create_time: String,
    /// When its text was last replaced; at first when it was created.
    #[schemars(with = "Timestamp")]
    rotate_time: String,
    /// From when on the token is refused; absent = never.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Timestamp>")]
    expire_time: Option<String>,
}

impl<'a> From<&'a AdminToken> for Resource<'a> {
    fn from(token: &'a AdminToken) -> Self {
        Self {
            id: token.id.to_string(),
            name: &token.name,
            role: Named(token.role),
            tenant: token.tenant.map(|tenant| tenant.to_string()),
            create_time: timestamp::format(token.create_time),
            rotate_time: timestamp::format(token.rotate_time),
            expire_time: token.expire_time.map(timestamp::format),
        }
    }
}

/// An admin token and its text.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminTokenWithSecret")]
pub(crate) struct WithSecret<'a> {
    /// The token.
    token: Resource<'a>,
    /// Its text, shown only once.
    secret: &'a str,
}

/// All admin tokens.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AdminListTokensResponse")]
pub(crate) struct List<'a> {
    /// The tokens, in the order of their creation.
    tokens: Vec<Resource<'a>>,
}

#[cfg(test)]
mod tests;

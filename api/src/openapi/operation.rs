//! The operation of each endpoint. An endpoint without one does not compile.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::answers::{BatchVerifyApiKeysResponse, HealthResponse, VerifyApiKeyResponse};
use crate::control::{CONTENT_TYPE, CONTENT_TYPE_BYTES};
use crate::json::{Object, Rule};
use crate::key::{ImportedApiKey, IssuedApiKey};
use crate::query::Parameter;
use crate::route::{Endpoint, HotRoute, Target};
use crate::{
    admin_token, batch_import, batch_verify, bearer, change, config, derive, fleet, import, issue,
    jwks, list, revoke, revoke_where, rotate, self_revoke, short, update, verify, version, whoami,
};

/// The status of an answer without a body (RFC 9110 §15.3.5).
pub(super) const NO_CONTENT: u16 = 204;

/// The schema of an answer.
pub(super) type Answer = fn(&mut SchemaGenerator) -> Schema;

/// What a route does, what it reads, and what it answers.
pub(super) struct Operation {
    /// Its id. Client generators name a method after it.
    pub(super) id: &'static str,
    /// Its summary.
    pub(super) about: &'static str,
    pub(super) query: &'static [Parameter],
    pub(super) headers: &'static [Parameter],
    pub(super) body: Option<Body>,
    /// Whether the request has a credential in its `Authorization` header (RFC 6750 §2.1).
    pub(super) is_authorized: bool,
    /// Whether the route asks for a principal when administrators are authenticated.
    pub(super) needs_principal: bool,
    /// The HTTP status of a success.
    pub(super) status: u16,
    /// The media type of the answer. For server-sent events, `answer` is the schema of their data.
    pub(super) media: &'static str,
    pub(super) answer: Answer,
}

/// The body of a request.
pub(super) enum Body {
    /// An object.
    Object(&'static Object),
    /// An object that may also hold the other fields of a resource.
    Resource(&'static Object, Answer),
}

impl Body {
    /// Whether an empty body is rejected.
    pub(super) fn is_required(&self) -> bool {
        let (Self::Object(object) | Self::Resource(object, _)) = self;
        let needs_one = |rule: &Rule| matches!(rule, Rule::AnyOf(_));
        object.fields.iter().any(|field| field.is_required) || object.rules.iter().any(needs_one)
    }
}

/// Ids of further routes to an endpoint, because an id must be unique.
const ALIASES: [(&str, &str, &str); 4] = [
    (
        "POST",
        "/v2alpha1/admin/importedApiKeys:batchImport",
        "adminBatchImportImportedApiKeys",
    ),
    (
        "GET",
        "/v2alpha1/admin/derivedKeys/jwks.json",
        "adminGetJwks",
    ),
    ("POST", "/verify", "postVerify"),
    ("DELETE", "/keys/{key_id}", "deleteKey"),
];

impl Operation {
    /// The operation of a route.
    pub(super) fn of(target: Target, method: &str, template: &str) -> Self {
        let (operation, permission) = match target {
            Target::Hot(route) => (Self::of_hot_route(route), route.permission()),
            Target::Control(endpoint) => (Self::of_endpoint(endpoint), endpoint.permission()),
        };
        let mut aliases = ALIASES.iter();
        let alias = aliases.find(|(verb, path, _)| (*verb, *path) == (method, template));
        let id = alias.map_or(operation.id, |(.., id)| id);
        Self {
            id,
            needs_principal: permission.is_some(),
            ..operation
        }
    }

    /// An operation that reads nothing and answers 200.
    const fn new(id: &'static str, about: &'static str, answer: Answer) -> Self {
        Self {
            id,
            about,
            query: &[],
            headers: &[],
            body: None,
            is_authorized: false,
            needs_principal: false,
            status: 200,
            media: CONTENT_TYPE,
            answer,
        }
    }

    const fn query(self, query: &'static [Parameter]) -> Self {
        Self { query, ..self }
    }

    const fn headers(self, headers: &'static [Parameter]) -> Self {
        Self { headers, ..self }
    }

    const fn body(self, object: &'static Object) -> Self {
        Self {
            body: Some(Body::Object(object)),
            ..self
        }
    }

    const fn update(self, resource: Answer) -> Self {
        Self {
            body: Some(Body::Resource(&update::REQUEST, resource)),
            query: &[update::UPDATE_MASK],
            ..self
        }
    }

    const fn authorized(self) -> Self {
        Self {
            is_authorized: true,
            ..self
        }
    }

    const fn media(self, media: &'static str) -> Self {
        Self { media, ..self }
    }

    /// Answers 201.
    const fn created(self) -> Self {
        Self {
            status: 201,
            ..self
        }
    }

    /// Answers 204, without a body.
    const fn without_content(self) -> Self {
        Self {
            status: NO_CONTENT,
            ..self
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "a table, one entry per endpoint, whose completeness the compiler checks"
    )]
    fn of_endpoint(endpoint: Endpoint) -> Self {
        match endpoint {
            Endpoint::IssueKey => Self::new(
                "adminIssueApiKey",
                "Issues a key and shows its credential, only this once.",
                schema::<issue::Issued<'_>>,
            )
            .body(&issue::REQUEST)
            .created(),
            Endpoint::IssueKeyShort => Self::new(
                "postKey",
                "Issues a key and shows its credential, only this once.",
                schema::<short::Answer<'_>>,
            )
            .body(&short::REQUEST)
            .created(),
            Endpoint::ListIssuedKeys => Self::new(
                "adminListIssuedApiKeys",
                "Shows issued keys, page by page.",
                schema::<list::IssuedKeys<'_>>,
            )
            .query(&list::PARAMETERS),
            Endpoint::GetIssuedKey => Self::new(
                "adminGetIssuedApiKey",
                "Shows an issued key.",
                schema::<IssuedApiKey>,
            ),
            Endpoint::UpdateIssuedKey => Self::new(
                "adminUpdateIssuedApiKey",
                "Changes an issued key.",
                schema::<IssuedApiKey>,
            )
            .update(schema::<IssuedApiKey>),
            Endpoint::RotateIssuedKey => Self::new(
                "adminRotateIssuedApiKey",
                "Replaces an issued key by a new one, and revokes the old one.",
                schema::<rotate::Rotated<'_>>,
            )
            .body(&rotate::REQUEST)
            .created(),
            Endpoint::RevokeIssuedKey => {
                Self::new("adminRevokeIssuedApiKey", "Revokes an issued key.", empty)
                    .body(&revoke::ISSUED_REQUEST)
                    .without_content()
            }
            Endpoint::ImportKey => Self::new(
                "adminImportApiKey",
                "Imports a key of another system.",
                schema::<import::Imported<'_>>,
            )
            .body(&import::REQUEST)
            .created(),
            Endpoint::ImportKeys => Self::new(
                "adminBatchCreateImportedApiKeys",
                "Imports many keys of another system.",
                schema::<batch_import::Batch<'_>>,
            )
            .body(&batch_import::REQUEST),
            Endpoint::ListImportedKeys => Self::new(
                "adminListImportedApiKeys",
                "Shows imported keys, page by page.",
                schema::<list::ImportedKeys<'_>>,
            )
            .query(&list::PARAMETERS),
            Endpoint::GetImportedKey => Self::new(
                "adminGetImportedApiKey",
                "Shows an imported key.",
                schema::<ImportedApiKey>,
            ),
            Endpoint::UpdateImportedKey => Self::new(
                "adminUpdateImportedApiKey",
                "Changes an imported key.",
                schema::<ImportedApiKey>,
            )
            .update(schema::<ImportedApiKey>),
            Endpoint::DeleteImportedKey => Self::new(
                "adminDeleteImportedApiKey",
                "Deletes an imported key.",
                empty,
            )
            .without_content(),
            Endpoint::RevokeImportedKey => Self::new(
                "adminRevokeImportedApiKey",
                "Revokes an imported key.",
                empty,
            )
            .body(&revoke::IMPORTED_REQUEST)
            .without_content(),
            Endpoint::RevokeKey => {
                Self::new("adminRevokeApiKey", "Revokes a key of either kind.", empty)
                    .body(&revoke::REQUEST)
                    .without_content()
            }
            Endpoint::RevokeKeysWhere => Self::new(
                "adminRevokeApiKeysWhere",
                "Revokes all keys that meet some conditions, or counts them.",
                schema::<revoke_where::Answer>,
            )
            .body(&revoke_where::REQUEST),
            Endpoint::DeriveToken => Self::new(
                "adminDeriveToken",
                "Derives a short-lived token from a key.",
                schema::<derive::Derived<'_>>,
            )
            .body(&derive::REQUEST),
            Endpoint::DeriveTokenById => Self::new(
                "postDerive",
                "Derives a short-lived token from the key with this id.",
                schema::<derive::Derived<'_>>,
            )
            .body(&derive::SHORT_REQUEST),
            Endpoint::SelfRevoke => Self::new(
                "revokeApiKey",
                "Revokes the key that has this credential.",
                empty,
            )
            .body(&self_revoke::REQUEST)
            .without_content(),
            Endpoint::Replication => Self::new(
                "adminGetReplication",
                "Shows the state of the node in its fleet.",
                schema::<fleet::FleetStatus>,
            ),
            Endpoint::ReplicationState => Self::new(
                "adminGetReplicationState",
                "Shows a summary of all data of the node, to compare nodes. Reads all keys.",
                schema::<fleet::StateSummary>,
            ),
            Endpoint::Promote => Self::new(
                "adminPromote",
                "Makes a replica the primary of a new epoch.",
                schema::<fleet::FleetStatus>,
            ),
            Endpoint::Diverged => Self::new(
                "adminGetDiverged",
                "Shows the changes that this node holds and its primary does not.",
                schema::<fleet::DivergedChanges>,
            )
            .query(&[fleet::LIMIT]),
            Endpoint::Rejoin => Self::new(
                "adminRejoin",
                "Discards the changes that only this node holds, follows the primary again, and keeps a copy.",
                schema::<fleet::Rejoined>,
            ),
            Endpoint::Jwks => Self::new(
                "getJwks",
                "Shows the public keys of derived tokens.",
                schema::<jwks::KeySets<'_>>,
            ),
            Endpoint::Version => Self::new(
                "getVersion",
                "Shows the version of the server.",
                schema::<version::Version<'_>>,
            ),
            Endpoint::OpenApi => Self::new("getOpenApi", "Shows this document.", any_object),
            Endpoint::FollowChanges => Self::new(
                "adminFollowChanges",
                "Sends the changes of keys as they happen, as server-sent events.",
                schema::<change::Data<'_>>,
            )
            .query(&change::PARAMETERS)
            .headers(&change::HEADERS)
            .media(change::CONTENT_TYPE),
            Endpoint::CreateBackup => {
                Self::new("adminCreateBackup", "Sends a backup of all data.", bytes)
                    .media(CONTENT_TYPE_BYTES)
            }
            Endpoint::CreateAdminToken => Self::new(
                "adminCreateToken",
                "Creates an admin token and shows its text, only this once.",
                schema::<admin_token::WithSecret<'_>>,
            )
            .body(&admin_token::CREATE_REQUEST)
            .created(),
            Endpoint::ListAdminTokens => Self::new(
                "adminListTokens",
                "Shows all admin tokens.",
                schema::<admin_token::List<'_>>,
            ),
            Endpoint::GetAdminToken => Self::new(
                "adminGetToken",
                "Shows an admin token.",
                schema::<admin_token::Resource<'_>>,
            ),
            Endpoint::RotateAdminToken => Self::new(
                "adminRotateToken",
                "Replaces the text of an admin token. The former text is refused at once.",
                schema::<admin_token::WithSecret<'_>>,
            )
            .body(&admin_token::ROTATE_REQUEST),
            Endpoint::RevokeAdminToken => {
                Self::new("adminRevokeToken", "Revokes an admin token.", empty).without_content()
            }
            Endpoint::ReloadConfig => Self::new(
                "adminReloadConfig",
                "Loads the configuration of this node again.",
                schema::<config::ConfigState>,
            ),
            Endpoint::WhoAmI => Self::new(
                "adminWhoAmI",
                "Shows who the server takes the client for.",
                schema::<whoami::WhoAmI<'_>>,
            ),
        }
    }

    fn of_hot_route(route: HotRoute) -> Self {
        match route {
            HotRoute::Verify => Self::new(
                "adminVerifyApiKey",
                "Verifies a credential.",
                schema::<VerifyApiKeyResponse>,
            )
            .body(&verify::REQUEST)
            .query(&verify::QUERY)
            .headers(&verify::HEADERS),
            HotRoute::BatchVerify => Self::new(
                "adminBatchVerifyApiKeys",
                "Verifies many credentials.",
                schema::<BatchVerifyApiKeysResponse>,
            )
            .body(&batch_verify::REQUEST)
            .query(&verify::QUERY)
            .headers(&verify::HEADERS),
            HotRoute::VerifyBearer => Self::new(
                "getVerify",
                "Verifies the credential of the `Authorization` field.",
                schema::<VerifyApiKeyResponse>,
            )
            .body(&bearer::REQUEST)
            .query(&verify::QUERY)
            .headers(&verify::HEADERS)
            .authorized(),
            HotRoute::Alive => Self::new(
                "isAlive",
                "Whether the process runs.",
                schema::<HealthResponse>,
            ),
            HotRoute::Ready => Self::new(
                "isReady",
                "Whether the process can do its work.",
                schema::<HealthResponse>,
            ),
        }
    }
}

fn schema<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// An object without fields.
fn empty(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "additionalProperties": false })
}

/// A body that is not JSON.
fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "binary" })
}

fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object" })
}

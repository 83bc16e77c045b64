//! Which endpoint a method and a path name. The data plane and the control plane both ask the one table here, so that
//! a route exists in both or in neither.

mod surface;

use std::borrow::Cow;

use talos_engine::KeyId;

use crate::error::ApiError;
use crate::percent;

pub use surface::Surface;

/// Endpoints that the data plane answers itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotRoute {
    /// Verify one credential.
    Verify,
    /// Verify many credentials.
    BatchVerify,
    /// Verify the credential of the `Authorization` field.
    VerifyBearer,
    /// Whether the process runs.
    Alive,
    /// Whether the process can do its work.
    Ready,
}

/// Everything that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Answered on the data plane.
    Hot(HotRoute),
    /// Make a key.
    IssueKey,
    /// Make a key, by the short route.
    IssueKeyShort,
    /// Show issued keys, page by page.
    ListIssuedKeys,
    /// Show an issued key.
    GetIssuedKey,
    /// Change an issued key.
    UpdateIssuedKey,
    /// Replace an issued key.
    RotateIssuedKey,
    /// End an issued key.
    RevokeIssuedKey,
    /// Take over a key.
    ImportKey,
    /// Take over many keys.
    ImportKeys,
    /// Show imported keys, page by page.
    ListImportedKeys,
    /// Show an imported key.
    GetImportedKey,
    /// Change an imported key.
    UpdateImportedKey,
    /// Forget an imported key.
    DeleteImportedKey,
    /// End an imported key.
    RevokeImportedKey,
    /// End a key of either kind.
    RevokeKey,
    /// End all keys that have something in common.
    RevokeKeysWhere,
    /// Make a token from a key.
    DeriveToken,
    /// Make a short-lived token from a key that is named by its id.
    DeriveTokenById,
    /// End the key whose credential is shown.
    SelfRevoke,
    /// Show where the node stands among others.
    Replication,
    /// Show a summary of everything that the node holds.
    ReplicationState,
    /// Make the node the primary.
    Promote,
    /// Show what the node alone holds.
    Diverged,
    /// Set the node back to what its primary holds.
    Rejoin,
    /// Show the public signing keys.
    Jwks,
    /// Show the version of the server.
    Version,
    /// Show the document of the API.
    OpenApi,
    /// Follow the changes as they happen.
    FollowChanges,
    /// Copy everything into a file.
    CreateBackup,
}

impl Endpoint {
    /// Whether it may change keys, so that only a primary can answer.
    #[must_use]
    pub fn changes_keys(self) -> bool {
        match self {
            Self::IssueKey
            | Self::IssueKeyShort
            | Self::UpdateIssuedKey
            | Self::RotateIssuedKey
            | Self::RevokeIssuedKey
            | Self::ImportKey
            | Self::ImportKeys
            | Self::UpdateImportedKey
            | Self::DeleteImportedKey
            | Self::RevokeImportedKey
            | Self::RevokeKey
            | Self::RevokeKeysWhere
            | Self::SelfRevoke => true,
            Self::Hot(_)
            | Self::ListIssuedKeys
            | Self::GetIssuedKey
            | Self::ListImportedKeys
            | Self::GetImportedKey
            | Self::DeriveToken
            | Self::DeriveTokenById
            | Self::Replication
            | Self::ReplicationState
            | Self::Promote
            | Self::Diverged
            | Self::Rejoin
            | Self::FollowChanges
            | Self::CreateBackup
            | Self::Jwks
            | Self::Version
            | Self::OpenApi => false,
        }
    }
}

/// What the data plane does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Answer in place.
    Hot(HotRoute),
    /// Hand over to the control plane.
    Control,
    /// Answer 404.
    NotFound,
    /// Answer 405 with this `Allow` header.
    MethodNotAllowed(&'static str),
}

/// What a method and a path name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match<'a> {
    /// An endpoint.
    Found {
        /// Which one.
        endpoint: Endpoint,
        /// The path with parameters in place of values, for logs and metrics.
        template: &'static str,
        /// The key id of the path.
        key_id: PathId<'a>,
    },
    /// No such path.
    NotFound,
    /// The path exists for the methods listed, in the form of an `Allow` header.
    MethodNotAllowed(&'static str),
}

/// A key id as it stands in a path, percent-encoded. Empty when the template has no parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathId<'a>(&'a str);

impl<'a> PathId<'a> {
    /// The id of an issued key.
    ///
    /// # Errors
    /// 404: a text that is no id, or an id of another kind, is simply one that nobody knows.
    pub fn issued(self) -> Result<KeyId, ApiError> {
        self.any().and_then(|key_id| match key_id {
            KeyId::Issued(_) => Ok(key_id),
            KeyId::Imported(_) => Err(ApiError::api_key_not_found()),
        })
    }

    /// The id of an imported key.
    ///
    /// # Errors
    /// 404, as for [`Self::issued`].
    pub fn imported(self) -> Result<KeyId, ApiError> {
        self.any().and_then(|key_id| match key_id {
            KeyId::Imported(_) => Ok(key_id),
            KeyId::Issued(_) => Err(ApiError::api_key_not_found()),
        })
    }

    /// The id of a key of any kind.
    ///
    /// # Errors
    /// 404: a text that is no id is simply one that nobody knows.
    pub fn any(self) -> Result<KeyId, ApiError> {
        let key_id = self.decode().and_then(|text| text.parse().ok());
        key_id.ok_or_else(ApiError::api_key_not_found)
    }

    /// The text, decoded exactly once; `None` when it cannot be.
    fn decode(self) -> Option<Cow<'a, str>> {
        percent::decode(self.0)
    }
}

struct Route {
    template: &'static str,
    /// The `Allow` header for other methods; a test holds it to `methods`.
    allow: &'static str,
    methods: &'static [(&'static str, Endpoint)],
}

/// The name of the only path parameter so far.
pub(crate) const PARAMETER: &str = "{key_id}";

/// Every path, the most frequent first.
static ROUTES: &[Route] = &[
    post(
        "/v2alpha1/admin/apiKeys:verify",
        &[("POST", Endpoint::Hot(HotRoute::Verify))],
    ),
    post(
        "/v2alpha1/admin/apiKeys:batchVerify",
        &[("POST", Endpoint::Hot(HotRoute::BatchVerify))],
    ),
    get(
        "/health/alive",
        &[
            ("GET", Endpoint::Hot(HotRoute::Alive)),
            ("HEAD", Endpoint::Hot(HotRoute::Alive)),
        ],
    ),
    get(
        "/health/ready",
        &[
            ("GET", Endpoint::Hot(HotRoute::Ready)),
            ("HEAD", Endpoint::Hot(HotRoute::Ready)),
        ],
    ),
    Route {
        template: "/v2alpha1/admin/issuedApiKeys",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Endpoint::ListIssuedKeys),
            ("HEAD", Endpoint::ListIssuedKeys),
            ("POST", Endpoint::IssueKey),
        ],
    },
    Route {
        template: "/v2alpha1/admin/issuedApiKeys/{key_id}",
        allow: "GET, HEAD, PATCH",
        methods: &[
            ("GET", Endpoint::GetIssuedKey),
            ("HEAD", Endpoint::GetIssuedKey),
            ("PATCH", Endpoint::UpdateIssuedKey),
        ],
    },
    post(
        "/v2alpha1/admin/issuedApiKeys/{key_id}:rotate",
        &[("POST", Endpoint::RotateIssuedKey)],
    ),
    post(
        "/v2alpha1/admin/issuedApiKeys/{key_id}:revoke",
        &[("POST", Endpoint::RevokeIssuedKey)],
    ),
    Route {
        template: "/v2alpha1/admin/importedApiKeys",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Endpoint::ListImportedKeys),
            ("HEAD", Endpoint::ListImportedKeys),
            ("POST", Endpoint::ImportKey),
        ],
    },
    post(
        "/v2alpha1/admin/importedApiKeys:batchCreate",
        &[("POST", Endpoint::ImportKeys)],
    ),
    // An older name of the same.
    post(
        "/v2alpha1/admin/importedApiKeys:batchImport",
        &[("POST", Endpoint::ImportKeys)],
    ),
    Route {
        template: "/v2alpha1/admin/importedApiKeys/{key_id}",
        allow: "GET, HEAD, PATCH, DELETE",
        methods: &[
            ("GET", Endpoint::GetImportedKey),
            ("HEAD", Endpoint::GetImportedKey),
            ("PATCH", Endpoint::UpdateImportedKey),
            ("DELETE", Endpoint::DeleteImportedKey),
        ],
    },
    post(
        "/v2alpha1/admin/importedApiKeys/{key_id}:revoke",
        &[("POST", Endpoint::RevokeImportedKey)],
    ),
    post(
        "/v2alpha1/admin/apiKeys/{key_id}:revoke",
        &[("POST", Endpoint::RevokeKey)],
    ),
    post(
        "/v2alpha1/admin/apiKeys:revokeWhere",
        &[("POST", Endpoint::RevokeKeysWhere)],
    ),
    post(
        "/v2alpha1/admin/apiKeys:derive",
        &[("POST", Endpoint::DeriveToken)],
    ),
    post(
        "/v2alpha1/apiKeys:selfRevoke",
        &[("POST", Endpoint::SelfRevoke)],
    ),
    get(
        "/v2alpha1/derivedKeys/jwks.json",
        &[("GET", Endpoint::Jwks), ("HEAD", Endpoint::Jwks)],
    ),
    get(
        "/v2alpha1/admin/derivedKeys/jwks.json",
        &[("GET", Endpoint::Jwks), ("HEAD", Endpoint::Jwks)],
    ),
    get(
        "/v2alpha1/admin/replication",
        &[
            ("GET", Endpoint::Replication),
            ("HEAD", Endpoint::Replication),
        ],
    ),
    get(
        "/v2alpha1/admin/replication:state",
        &[
            ("GET", Endpoint::ReplicationState),
            ("HEAD", Endpoint::ReplicationState),
        ],
    ),
    get(
        "/v2alpha1/admin/replication:diverged",
        &[("GET", Endpoint::Diverged), ("HEAD", Endpoint::Diverged)],
    ),
    post(
        "/v2alpha1/admin/replication:promote",
        &[("POST", Endpoint::Promote)],
    ),
    post(
        "/v2alpha1/admin/replication:rejoin",
        &[("POST", Endpoint::Rejoin)],
    ),
    get(
        "/version",
        &[("GET", Endpoint::Version), ("HEAD", Endpoint::Version)],
    ),
    get(
        "/openapi.json",
        &[("GET", Endpoint::OpenApi), ("HEAD", Endpoint::OpenApi)],
    ),
    get(
        "/v2alpha1/admin/changes",
        &[
            ("GET", Endpoint::FollowChanges),
            ("HEAD", Endpoint::FollowChanges),
        ],
    ),
    get(
        "/v2alpha1/admin/backup",
        &[
            ("GET", Endpoint::CreateBackup),
            ("HEAD", Endpoint::CreateBackup),
        ],
    ),
    // The short routes: other names of the same functions.
    Route {
        template: "/verify",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Endpoint::Hot(HotRoute::VerifyBearer)),
            ("HEAD", Endpoint::Hot(HotRoute::VerifyBearer)),
            ("POST", Endpoint::Hot(HotRoute::VerifyBearer)),
        ],
    },
    post("/keys", &[("POST", Endpoint::IssueKeyShort)]),
    Route {
        template: "/keys/{key_id}",
        allow: "DELETE",
        methods: &[("DELETE", Endpoint::RevokeKey)],
    },
    post(
        "/keys/{key_id}/derive",
        &[("POST", Endpoint::DeriveTokenById)],
    ),
];

const fn get(template: &'static str, methods: &'static [(&'static str, Endpoint)]) -> Route {
    Route {
        template,
        allow: "GET, HEAD",
        methods,
    }
}

const fn post(template: &'static str, methods: &'static [(&'static str, Endpoint)]) -> Route {
    Route {
        template,
        allow: "POST",
        methods,
    }
}

impl Route {
    /// The parameter of `path` (empty for a template without one), or `None` when it is another route's.
    fn capture<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((before, verb)) = self.template.split_once(PARAMETER) else {
            return (self.template == path).then_some("");
        };
        let segment = path.strip_prefix(before)?;
        if verb.starts_with('/') {
            let id = segment.strip_suffix(verb)?;
            return (!id.is_empty() && !id.contains('/')).then_some(id);
        }
        // A custom verb begins at the last colon of the last segment; an id that holds a colon itself is
        // percent-encoded or comes before a verb.
        let (id, colon_verb) = segment.split_at(segment.rfind(':').unwrap_or(segment.len()));
        (colon_verb == verb && !id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// Every template with each of its methods and what they name.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str, Endpoint)> {
    ROUTES.iter().flat_map(|route| {
        let methods = route.methods.iter();
        methods.map(|&(method, endpoint)| (route.template, method, endpoint))
    })
}

/// Finds the endpoint of `method` and `path`. The path comes without its query, percent-encoded; nothing but the key id
/// is ever decoded, so a literal part has one spelling. A trailing slash names another path.
#[must_use]
pub fn find<'a>(method: &str, path: &'a str) -> Match<'a> {
    for route in ROUTES {
        let Some(key_id) = route.capture(path) else {
            continue;
        };
        return route
            .methods
            .iter()
            .find(|(name, _)| *name == method)
            .map_or(Match::MethodNotAllowed(route.allow), |&(_, endpoint)| {
                Match::Found {
                    endpoint,
                    template: route.template,
                    key_id: PathId(key_id),
                }
            });
    }
    Match::NotFound
}

/// What the data plane does with `method` and `path` (see [`find`]) on `surface`.
#[must_use]
pub fn resolve(surface: Surface, method: &str, path: &str) -> Resolution {
    match find(method, path) {
        _ if !surface.serves(path) => Resolution::NotFound,
        Match::Found {
            endpoint: Endpoint::Hot(hot),
            ..
        } => Resolution::Hot(hot),
        Match::Found { .. } => Resolution::Control,
        Match::NotFound => Resolution::NotFound,
        Match::MethodNotAllowed(allow) => Resolution::MethodNotAllowed(allow),
    }
}

#[cfg(test)]
mod tests;

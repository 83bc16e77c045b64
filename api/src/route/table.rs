//! The table of all routes.

use super::endpoint::{Endpoint, HotRoute};

/// The paths of a batch import, whose body may be larger than others. The second is the older name.
pub const BATCH_IMPORT_PATHS: [&str; 2] = [
    "/v2alpha1/admin/importedApiKeys:batchCreate",
    "/v2alpha1/admin/importedApiKeys:batchImport",
];

/// The revocation of a key by its holder.
pub(super) const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";

/// The public signing keys.
pub(super) const JWKS: &str = "/v2alpha1/derivedKeys/jwks.json";

/// All methods of one path.
pub(super) struct Route {
    pub template: &'static str,
    /// The `Allow` header for other methods. A test compares it with `methods`.
    pub allow: &'static str,
    pub methods: &'static [(&'static str, Endpoint)],
}

/// The only path parameter.
pub(crate) const PARAMETER: &str = "{key_id}";

/// All routes, the most frequent first.
pub(super) static ROUTES: &[Route] = &[
    post(
        HotRoute::Verify.template(),
        &[("POST", Endpoint::Hot(HotRoute::Verify))],
    ),
    post(
        HotRoute::BatchVerify.template(),
        &[("POST", Endpoint::Hot(HotRoute::BatchVerify))],
    ),
    get(
        HotRoute::Alive.template(),
        &[
            ("GET", Endpoint::Hot(HotRoute::Alive)),
            ("HEAD", Endpoint::Hot(HotRoute::Alive)),
        ],
    ),
    get(
        HotRoute::Ready.template(),
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
    post(BATCH_IMPORT_PATHS[0], &[("POST", Endpoint::ImportKeys)]),
    post(BATCH_IMPORT_PATHS[1], &[("POST", Endpoint::ImportKeys)]),
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
    post(SELF_REVOKE, &[("POST", Endpoint::SelfRevoke)]),
    get(JWKS, &[("GET", Endpoint::Jwks), ("HEAD", Endpoint::Jwks)]),
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
    // The short routes: shorter names for some of the functions above.
    Route {
        template: HotRoute::VerifyBearer.template(),
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
    /// Returns the parameter of `path`, empty for a template without one; `None` when another route
    /// has this path.
    pub fn capture<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((before, verb)) = self.template.split_once(PARAMETER) else {
            return (self.template == path).then_some("");
        };
        let segment = path.strip_prefix(before)?;
        if verb.starts_with('/') {
            let id = segment.strip_suffix(verb)?;
            return (!id.is_empty() && !id.contains('/')).then_some(id);
        }
        // A custom verb begins at the last colon of the last segment. An id with a colon is
        // percent-encoded, or a verb follows it.
        let (id, colon_verb) = segment.split_at(segment.rfind(':').unwrap_or(segment.len()));
        (colon_verb == verb && !id.is_empty() && !id.contains('/')).then_some(id)
    }
}

/// Every template with each of its methods and their endpoints.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str, Endpoint)> {
    ROUTES.iter().flat_map(|route| {
        let methods = route.methods.iter();
        methods.map(|&(method, endpoint)| (route.template, method, endpoint))
    })
}

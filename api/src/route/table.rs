//! The table of all routes.

use super::endpoint::{Endpoint, HotRoute, Target};

/// The paths of a batch import, whose body may be larger than others. The second is the older name.
pub const BATCH_IMPORT_PATHS: [&str; 2] = [
    "/v2alpha1/admin/importedApiKeys:batchCreate",
    "/v2alpha1/admin/importedApiKeys:batchImport",
];

/// The revocation of a key by its holder.
pub(super) const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";

/// The public signing keys.
pub(super) const JWKS: &str = "/v2alpha1/derivedKeys/jwks.json";

/// The public signing keys, on the surface of administrators.
pub(super) const ADMIN_JWKS: &str = "/v2alpha1/admin/derivedKeys/jwks.json";

/// All methods of one path.
pub(super) struct Route {
    pub template: &'static str,
    /// The `Allow` header for other methods. A test compares it with `methods`.
    pub allow: &'static str,
    pub methods: &'static [(&'static str, Target)],
}

/// A template with a parameter: what is before it, its name, and what is after it.
fn split(template: &'static str) -> Option<(&'static str, &'static str, &'static str)> {
    let (before, rest) = template.split_once('{')?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

/// The name of the only parameter of `template`, if it has one.
pub(crate) fn parameter(template: &'static str) -> Option<&'static str> {
    split(template).map(|(_, name, _)| name)
}

/// All routes, the most frequent first.
pub(super) static ROUTES: &[Route] = &[
    post(
        HotRoute::Verify.template(),
        &[("POST", Target::Hot(HotRoute::Verify))],
    ),
    post(
        HotRoute::BatchVerify.template(),
        &[("POST", Target::Hot(HotRoute::BatchVerify))],
    ),
    get(
        HotRoute::Alive.template(),
        &[
            ("GET", Target::Hot(HotRoute::Alive)),
            ("HEAD", Target::Hot(HotRoute::Alive)),
        ],
    ),
    get(
        HotRoute::Ready.template(),
        &[
            ("GET", Target::Hot(HotRoute::Ready)),
            ("HEAD", Target::Hot(HotRoute::Ready)),
        ],
    ),
    Route {
        template: "/v2alpha1/admin/issuedApiKeys",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Target::Control(Endpoint::ListIssuedKeys)),
            ("HEAD", Target::Control(Endpoint::ListIssuedKeys)),
            ("POST", Target::Control(Endpoint::IssueKey)),
        ],
    },
    Route {
        template: "/v2alpha1/admin/issuedApiKeys/{key_id}",
        allow: "GET, HEAD, PATCH",
        methods: &[
            ("GET", Target::Control(Endpoint::GetIssuedKey)),
            ("HEAD", Target::Control(Endpoint::GetIssuedKey)),
            ("PATCH", Target::Control(Endpoint::UpdateIssuedKey)),
        ],
    },
    post(
        "/v2alpha1/admin/issuedApiKeys/{key_id}:rotate",
        &[("POST", Target::Control(Endpoint::RotateIssuedKey))],
    ),
    post(
        "/v2alpha1/admin/issuedApiKeys/{key_id}:revoke",
        &[("POST", Target::Control(Endpoint::RevokeIssuedKey))],
    ),
    Route {
        template: "/v2alpha1/admin/importedApiKeys",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Target::Control(Endpoint::ListImportedKeys)),
            ("HEAD", Target::Control(Endpoint::ListImportedKeys)),
            ("POST", Target::Control(Endpoint::ImportKey)),
        ],
    },
    post(
        BATCH_IMPORT_PATHS[0],
        &[("POST", Target::Control(Endpoint::ImportKeys))],
    ),
    post(
        BATCH_IMPORT_PATHS[1],
        &[("POST", Target::Control(Endpoint::ImportKeys))],
    ),
    Route {
        template: "/v2alpha1/admin/importedApiKeys/{key_id}",
        allow: "GET, HEAD, PATCH, DELETE",
        methods: &[
            ("GET", Target::Control(Endpoint::GetImportedKey)),
            ("HEAD", Target::Control(Endpoint::GetImportedKey)),
            ("PATCH", Target::Control(Endpoint::UpdateImportedKey)),
            ("DELETE", Target::Control(Endpoint::DeleteImportedKey)),
        ],
    },
    post(
        "/v2alpha1/admin/importedApiKeys/{key_id}:revoke",
        &[("POST", Target::Control(Endpoint::RevokeImportedKey))],
    ),
    post(
        "/v2alpha1/admin/apiKeys/{key_id}:revoke",
        &[("POST", Target::Control(Endpoint::RevokeKey))],
    ),
    post(
        "/v2alpha1/admin/apiKeys:revokeWhere",
        &[("POST", Target::Control(Endpoint::RevokeKeysWhere))],
    ),
    post(
        "/v2alpha1/admin/apiKeys:derive",
        &[("POST", Target::Control(Endpoint::DeriveToken))],
    ),
    post(
        SELF_REVOKE,
        &[("POST", Target::Control(Endpoint::SelfRevoke))],
    ),
    get(
        JWKS,
        &[
            ("GET", Target::Control(Endpoint::Jwks)),
            ("HEAD", Target::Control(Endpoint::Jwks)),
        ],
    ),
    get(
        ADMIN_JWKS,
        &[
            ("GET", Target::Control(Endpoint::Jwks)),
            ("HEAD", Target::Control(Endpoint::Jwks)),
        ],
    ),
    get(
        "/v2alpha1/admin/replication",
        &[
            ("GET", Target::Control(Endpoint::Replication)),
            ("HEAD", Target::Control(Endpoint::Replication)),
        ],
    ),
    get(
        "/v2alpha1/admin/replication:state",
        &[
            ("GET", Target::Control(Endpoint::ReplicationState)),
            ("HEAD", Target::Control(Endpoint::ReplicationState)),
        ],
    ),
    get(
        "/v2alpha1/admin/replication:diverged",
        &[
            ("GET", Target::Control(Endpoint::Diverged)),
            ("HEAD", Target::Control(Endpoint::Diverged)),
        ],
    ),
    post(
        "/v2alpha1/admin/replication:promote",
        &[("POST", Target::Control(Endpoint::Promote))],
    ),
    post(
        "/v2alpha1/admin/replication:rejoin",
        &[("POST", Target::Control(Endpoint::Rejoin))],
    ),
    get(
        "/version",
        &[
            ("GET", Target::Control(Endpoint::Version)),
            ("HEAD", Target::Control(Endpoint::Version)),
        ],
    ),
    get(
        "/openapi.json",
        &[
            ("GET", Target::Control(Endpoint::OpenApi)),
            ("HEAD", Target::Control(Endpoint::OpenApi)),
        ],
    ),
    get(
        "/v2alpha1/admin/changes",
        &[
            ("GET", Target::Control(Endpoint::FollowChanges)),
            ("HEAD", Target::Control(Endpoint::FollowChanges)),
        ],
    ),
    get(
        "/v2alpha1/admin/backup",
        &[
            ("GET", Target::Control(Endpoint::CreateBackup)),
            ("HEAD", Target::Control(Endpoint::CreateBackup)),
        ],
    ),
    Route {
        template: "/v2alpha1/admin/tokens",
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Target::Control(Endpoint::ListAdminTokens)),
            ("HEAD", Target::Control(Endpoint::ListAdminTokens)),
            ("POST", Target::Control(Endpoint::CreateAdminToken)),
        ],
    },
    Route {
        template: "/v2alpha1/admin/tokens/{token_id}",
        allow: "GET, HEAD, DELETE",
        methods: &[
            ("GET", Target::Control(Endpoint::GetAdminToken)),
            ("HEAD", Target::Control(Endpoint::GetAdminToken)),
            ("DELETE", Target::Control(Endpoint::RevokeAdminToken)),
        ],
    },
    post(
        "/v2alpha1/admin/tokens/{token_id}:rotate",
        &[("POST", Target::Control(Endpoint::RotateAdminToken))],
    ),
    get(
        "/v2alpha1/admin/whoami",
        &[
            ("GET", Target::Control(Endpoint::WhoAmI)),
            ("HEAD", Target::Control(Endpoint::WhoAmI)),
        ],
    ),
    post(
        "/v2alpha1/admin/config:reload",
        &[("POST", Target::Control(Endpoint::ReloadConfig))],
    ),
    // The short routes: shorter names for some of the functions above.
    Route {
        template: HotRoute::VerifyBearer.template(),
        allow: "GET, HEAD, POST",
        methods: &[
            ("GET", Target::Hot(HotRoute::VerifyBearer)),
            ("HEAD", Target::Hot(HotRoute::VerifyBearer)),
            ("POST", Target::Hot(HotRoute::VerifyBearer)),
        ],
    },
    post(
        "/keys",
        &[("POST", Target::Control(Endpoint::IssueKeyShort))],
    ),
    Route {
        template: "/keys/{key_id}",
        allow: "DELETE",
        methods: &[("DELETE", Target::Control(Endpoint::RevokeKey))],
    },
    post(
        "/keys/{key_id}/derive",
        &[("POST", Target::Control(Endpoint::DeriveTokenById))],
    ),
];

const fn get(template: &'static str, methods: &'static [(&'static str, Target)]) -> Route {
    Route {
        template,
        allow: "GET, HEAD",
        methods,
    }
}

const fn post(template: &'static str, methods: &'static [(&'static str, Target)]) -> Route {
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
        let Some((before, _, verb)) = split(self.template) else {
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

/// Every template with each of its methods and their targets.
pub(crate) fn operations() -> impl Iterator<Item = (&'static str, &'static str, Target)> {
    ROUTES.iter().flat_map(|route| {
        let methods = route.methods.iter();
        methods.map(|&(method, target)| (route.template, method, target))
    })
}

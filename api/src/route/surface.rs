//! Which routes a server has. A server for administrators and one for the public can stand apart.

/// A set of routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surface {
    /// Every route.
    #[default]
    All,
    /// What administrators need: everything below `/v2alpha1/admin/`, the short routes, the public signing keys, health.
    Admin,
    /// What holders of keys need: revoking their own key, the public signing keys, health.
    Public,
}

/// On every surface.
const SHARED: [&str; 3] = [
    "/health/alive",
    "/health/ready",
    "/v2alpha1/derivedKeys/jwks.json",
];
const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";
const ADMIN: &str = "/v2alpha1/admin/";
const VERIFY: &str = "/verify";
const KEYS: &str = "/keys";

impl Surface {
    /// Its name on the command line and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Admin => "admin",
            Self::Public => "public",
        }
    }

    /// Whether `path` may be a route of this surface. Another path is unknown there, whatever its method.
    #[must_use]
    pub fn serves(self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Admin => path.starts_with(ADMIN) || is_short(path) || SHARED.contains(&path),
            Self::Public => path == SELF_REVOKE || SHARED.contains(&path),
        }
    }
}

fn is_short(path: &str) -> bool {
    let keys = path.strip_prefix(KEYS);
    path == VERIFY || keys.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

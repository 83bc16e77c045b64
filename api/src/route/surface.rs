//! Which routes a server has. Administrators and the public can have separate servers.

use super::endpoint::HotRoute;
use super::table::{ADMIN_JWKS, JWKS, SELF_REVOKE};

/// A set of routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Surface {
    /// Every route.
    #[default]
    All,
    /// For administrators: everything below `/v2alpha1/admin/`, the short routes, the public
    /// signing keys, health.
    Admin,
    /// For services that verify credentials: verification, and everything of [`Surface::Public`].
    Data,
    /// For holders of keys: revoking their own key, the public signing keys, health.
    Public,
}

/// Paths that every surface has.
const SHARED: [&str; 3] = [HotRoute::Alive.template(), HotRoute::Ready.template(), JWKS];
/// The routes that verify credentials.
const VERIFICATION: [&str; 3] = [
    HotRoute::Verify.template(),
    HotRoute::BatchVerify.template(),
    HotRoute::VerifyBearer.template(),
];
const ADMIN: &str = "/v2alpha1/admin/";
const KEYS: &str = "/keys";

impl Surface {
    /// The name on the command line and in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Admin => "admin",
            Self::Data => "data",
            Self::Public => "public",
        }
    }

    /// Whether `path` may be a route of this surface. All other paths are unknown there, for every
    /// method.
    #[must_use]
    pub fn serves(self, path: &str) -> bool {
        match self {
            Self::All => true,
            Self::Admin => path.starts_with(ADMIN) || is_short(path) || SHARED.contains(&path),
            Self::Data => VERIFICATION.contains(&path) || Self::Public.serves(path),
            Self::Public => path == SELF_REVOKE || SHARED.contains(&path),
        }
    }

    /// Whether administrators use it, and not only those who verify credentials or hold keys.
    #[must_use]
    pub const fn is_for_administrators(self) -> bool {
        match self {
            Self::All | Self::Admin => true,
            Self::Data | Self::Public => false,
        }
    }

    /// Whether credentials can be verified here.
    #[must_use]
    pub const fn verifies(self) -> bool {
        match self {
            Self::All | Self::Admin | Self::Data => true,
            Self::Public => false,
        }
    }
}

/// Whether pages of any origin may read answers of `path`, if the configuration allows every
/// origin. They may not on the routes of administrators and on the short routes, whatever the
/// method: those need an origin that the configuration lists.
#[must_use]
pub fn may_allow_every_origin(path: &str) -> bool {
    const OPEN: [&str; 3] = [
        HotRoute::Verify.template(),
        HotRoute::BatchVerify.template(),
        ADMIN_JWKS,
    ];
    OPEN.contains(&path) || !(path.starts_with(ADMIN) || is_short(path))
}

fn is_short(path: &str) -> bool {
    let keys = path.strip_prefix(KEYS);
    path == HotRoute::VerifyBearer.template()
        || keys.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

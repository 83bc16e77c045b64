//! Who asks, and what they may do: roles, permissions and principals.

use std::fmt;
use std::str::FromStr;

use crate::ids::TenantId;

/// What a route asks of the one who uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Verify credentials.
    Verify,
    /// Show and list keys.
    Read,
    /// Issue, import, change, derive from and revoke keys.
    Write,
    /// Follow the stream of changes.
    Follow,
    /// Run the node: its cluster, backups, its configuration.
    Operate,
    /// Manage the access of administrators.
    Administer,
}

impl Permission {
    /// The name in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Read => "read",
            Self::Write => "write",
            Self::Follow => "follow",
            Self::Operate => "operate",
            Self::Administer => "administer",
        }
    }

    /// Whether it concerns the data of one tenant only. The others concern the whole server.
    #[must_use]
    #[inline]
    pub const fn is_of_one_tenant(self) -> bool {
        match self {
            Self::Verify | Self::Read | Self::Write | Self::Follow => true,
            Self::Operate | Self::Administer => false,
        }
    }
}

/// A named set of permissions, which an administrator's credential has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Verify credentials, and nothing else.
    Verify,
    /// Also show and list keys.
    Read,
    /// Also change keys.
    Write,
    /// Everything of [`Role::Read`], and run the node. It may not change keys.
    Operate,
    /// Everything.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [
        Self::Verify,
        Self::Read,
        Self::Write,
        Self::Operate,
        Self::Admin,
    ];

    /// The name in requests, answers and the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Read => "read",
            Self::Write => "write",
            Self::Operate => "operate",
            Self::Admin => "admin",
        }
    }

    /// Whether the role has a permission.
    #[must_use]
    #[inline]
    pub const fn allows(self, permission: Permission) -> bool {
        match permission {
            Permission::Verify => true,
            Permission::Read => !matches!(self, Self::Verify),
            Permission::Write => matches!(self, Self::Write | Self::Admin),
            Permission::Follow | Permission::Operate => matches!(self, Self::Operate | Self::Admin),
            Permission::Administer => matches!(self, Self::Admin),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of verify, read, write, operate, admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let named = |role: &Self| role.name() == text;
        Self::ALL.into_iter().find(named).ok_or(UnknownRole)
    }
}

/// How a principal proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By an admin token of the database.
    Token,
    /// By the token of the configuration, with which the first admin token is made.
    BootstrapToken,
    /// By a TLS client certificate.
    Certificate,
    /// By the user id of the process at the other end of the Unix socket.
    PeerCredentials,
    /// By the credential of the key that the request concerns. Only its holder has it, and no
    /// principal proves itself so.
    Credential,
}

impl Proof {
    /// The name in logs and audit entries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::BootstrapToken => "bootstrap_token",
            Self::Certificate => "certificate",
            Self::PeerCredentials => "peer_credentials",
            Self::Credential => "credential",
        }
    }
}

/// An authenticated administrator, person or program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name of the token, the name that the certificate is mapped to, or the user id.
    pub name: String,
    /// How it proved who it is.
    pub proof: Proof,
    /// What it may do.
    pub role: Role,
    /// The only tenant that it may act on; `None` = every tenant.
    pub tenant: Option<TenantId>,
}

impl Principal {
    /// Whether it may do what needs `permission` in `tenant`. A principal of one tenant has no
    /// permission that reaches beyond a tenant, whatever its role: it could read all tenants in a
    /// backup, or make itself a token for all of them.
    #[must_use]
    #[inline]
    pub fn may(&self, permission: Permission, tenant: TenantId) -> bool {
        self.role.allows(permission)
            && self
                .tenant
                .is_none_or(|own| own == tenant && permission.is_of_one_tenant())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_permissions() {
        use Permission::{Administer, Follow, Operate, Read, Verify, Write};
        let all = [Verify, Read, Write, Follow, Operate, Administer];
        for (role, allowed) in [
            (Role::Verify, &[Verify][..]),
            (Role::Read, &[Verify, Read]),
            (Role::Write, &[Verify, Read, Write]),
            (Role::Operate, &[Verify, Read, Follow, Operate]),
            (Role::Admin, &all),
        ] {
            for permission in all {
                assert_eq!(
                    role.allows(permission),
                    allowed.contains(&permission),
                    "{role} {permission:?}"
                );
            }
            assert_eq!(role.name().parse(), Ok(role));
        }
        assert_eq!("Admin".parse::<Role>(), Err(UnknownRole));
    }

    #[test]
    fn a_principal_of_one_tenant_acts_on_no_other() {
        let other = TenantId(uuid::Uuid::from_u128(7));
        let mut principal = Principal {
            name: "ci".to_owned(),
            proof: Proof::Token,
            role: Role::Write,
            tenant: None,
        };
        assert!(principal.may(Permission::Write, other));
        principal.tenant = Some(TenantId::SINGLE);
        assert!(principal.may(Permission::Write, TenantId::SINGLE));
        assert!(!principal.may(Permission::Read, other));
    }

    #[test]
    fn a_principal_of_one_tenant_does_not_reach_the_server() {
        let mut principal = Principal {
            name: "ci".to_owned(),
            proof: Proof::Token,
            role: Role::Admin,
            tenant: None,
        };
        let may = |principal: &Principal| {
            [
                Permission::Write,
                Permission::Operate,
                Permission::Administer,
            ]
            .map(|permission| principal.may(permission, TenantId::SINGLE))
        };
        assert_eq!(may(&principal), [true; 3]);
        principal.tenant = Some(TenantId::SINGLE);
        assert_eq!(may(&principal), [true, false, false]);
    }
}

//! Everything that a client can ask for, and which permission it needs.

use talos_model::Permission;

/// The endpoints that the data plane answers itself.
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
    /// Whether the process can answer verifications.
    Ready,
}

impl HotRoute {
    /// The path of the route.
    #[must_use]
    pub const fn template(self) -> &'static str {
        match self {
            Self::Verify => "/v2alpha1/admin/apiKeys:verify",
            Self::BatchVerify => "/v2alpha1/admin/apiKeys:batchVerify",
            Self::VerifyBearer => "/verify",
            Self::Alive => "/health/alive",
            Self::Ready => "/health/ready",
        }
    }

    /// What the route asks of the one who uses it; `None` = anybody may use it.
    #[must_use]
    pub const fn permission(self) -> Option<Permission> {
        match self {
            Self::Verify | Self::BatchVerify | Self::VerifyBearer => Some(Permission::Verify),
            Self::Alive | Self::Ready => None,
        }
    }
}

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The data plane answers it.
    Hot(HotRoute),
    /// The control plane answers it.
    Control(Endpoint),
}

/// The endpoints of the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Issue a key.
    IssueKey,
    /// Issue a key, by the short route.
    IssueKeyShort,
    /// List issued keys.
    ListIssuedKeys,
    /// Show an issued key.
    GetIssuedKey,
    /// Update an issued key.
    UpdateIssuedKey,
    /// Rotate an issued key.
    RotateIssuedKey,
    /// Revoke an issued key.
    RevokeIssuedKey,
    /// Import a key.
    ImportKey,
    /// Import many keys.
    ImportKeys,
    /// List imported keys.
    ListImportedKeys,
    /// Show an imported key.
    GetImportedKey,
    /// Update an imported key.
    UpdateImportedKey,
    /// Delete an imported key.
    DeleteImportedKey,
    /// Revoke an imported key.
    RevokeImportedKey,
    /// Revoke a key of either kind.
    RevokeKey,
    /// Revoke all keys that match a filter.
    RevokeKeysWhere,
    /// Derive a token from a key.
    DeriveToken,
    /// Derive a short-lived token from the key with an id.
    DeriveTokenById,
    /// Revoke the key whose credential the request contains.
    SelfRevoke,
    /// Show the replication status of the node.
    Replication,
    /// Show a digest of all data of the node.
    ReplicationState,
    /// Make the node the primary.
    Promote,
    /// Show the changes that only this node has.
    Diverged,
    /// Reset the node to the data of its primary.
    Rejoin,
    /// Show the public signing keys.
    Jwks,
    /// Show the version of the server.
    Version,
    /// Show the `OpenAPI` document.
    OpenApi,
    /// Stream changes as they happen.
    FollowChanges,
    /// Stream a backup of all data.
    CreateBackup,
    /// Create an admin token.
    CreateAdminToken,
    /// Show all admin tokens.
    ListAdminTokens,
    /// Show an admin token.
    GetAdminToken,
    /// Replace the text of an admin token.
    RotateAdminToken,
    /// Revoke an admin token.
    RevokeAdminToken,
    /// Show who the client is.
    WhoAmI,
    /// Load the configuration of this node again.
    ReloadConfig,
}

impl Endpoint {
    /// Whether a request to it may change keys or admin tokens, so that only a primary can answer
    /// it.
    #[must_use]
    pub fn changes_data(self) -> bool {
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
            | Self::SelfRevoke
            | Self::CreateAdminToken
            | Self::RotateAdminToken
            | Self::RevokeAdminToken => true,
            Self::ListIssuedKeys
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
            | Self::ListAdminTokens
            | Self::GetAdminToken
            | Self::WhoAmI
            | Self::ReloadConfig
            | Self::Jwks
            | Self::Version
            | Self::OpenApi => false,
        }
    }

    /// Whether a request to it, or its answer, contains a secret: a credential. An endpoint counts
    /// as one with secrets unless it is known to have none.
    #[must_use]
    pub fn carries_secrets(self) -> bool {
        !matches!(
            self,
            Self::UpdateIssuedKey
                | Self::RevokeIssuedKey
                | Self::UpdateImportedKey
                | Self::DeleteImportedKey
                | Self::RevokeImportedKey
                | Self::RevokeKey
                | Self::RevokeKeysWhere
        )
    }

    /// What the endpoint asks of the one who uses it; `None` = anybody may use it. With a
    /// permission it changes or shows what belongs to administrators, so that a page that an
    /// administrator visits must not reach it.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::SelfRevoke | Self::Jwks | Self::Version | Self::OpenApi => None,
            Self::ListIssuedKeys
            | Self::GetIssuedKey
            | Self::ListImportedKeys
            | Self::GetImportedKey => Some(Permission::Read),
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
            | Self::DeriveToken
            | Self::DeriveTokenById => Some(Permission::Write),
            Self::Replication
            | Self::ReplicationState
            | Self::Promote
            | Self::Diverged
            | Self::Rejoin
            | Self::CreateBackup
            | Self::ReloadConfig => Some(Permission::Operate),
            Self::FollowChanges => Some(Permission::Follow),
            Self::CreateAdminToken
            | Self::ListAdminTokens
            | Self::GetAdminToken
            | Self::RotateAdminToken
            | Self::RevokeAdminToken => Some(Permission::Administer),
            // What every role has: any principal may learn who it is.
            Self::WhoAmI => Some(Permission::Verify),
        }
    }

    /// Whether the endpoint shows or changes what belongs to one tenant.
    #[must_use]
    pub fn concerns_tenant(self) -> bool {
        match self {
            Self::SelfRevoke | Self::Jwks => true,
            // Under a host of no tenant it shows the changes of all of them.
            Self::WhoAmI | Self::FollowChanges => false,
            _ => self.permission().is_some_and(Permission::is_of_one_tenant),
        }
    }
}

//! Writes: what may be asked of the committer and what it answers.

use crate::cidr::Cidr;
use crate::ids::{KeyId, TenantId};
use crate::record::{RateLimitPolicy, Record, RevocationReason, Visibility};
use crate::secret::Secret;

/// A change that somebody wants. The values are already checked against the limits of the contract.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make a new key.
    Issue(IssueKey),
    /// End a key.
    Revoke(RevokeKey),
}

/// A key to be made.
#[derive(Clone, Debug)]
pub struct IssueKey {
    /// The tenant that will own it.
    pub tenant: TenantId,
    /// A label for people.
    pub name: String,
    /// Whose key it will be.
    pub actor_id: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// A JSON object as compact text; empty when there is none.
    pub metadata: String,
    /// Which prefix it carries.
    pub visibility: Visibility,
    /// Its life in milliseconds; `None` = it does not expire.
    pub ttl_ms: Option<u64>,
    /// How often it may be verified.
    pub rate_limit: Option<RateLimitPolicy>,
    /// From where it may be used.
    pub allowed_cidrs: Vec<Cidr>,
    /// Makes the command idempotent (AIP-155): a second issue with the same id returns the first key.
    pub request_id: Option<String>,
}

/// A key to be ended.
#[derive(Clone, Debug)]
pub struct RevokeKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// Why.
    pub reason: RevocationReason,
    /// In which words; only with [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
}

/// What a durable command did.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The key exists. `secret` is `None` when a repeated `request_id` returned an earlier key.
    Issued {
        /// The key.
        record: Record,
        /// The credential, shown this once.
        secret: Option<Secret>,
    },
    /// The key is revoked, here and in every cell.
    Revoked {
        /// The key as it now is.
        record: Record,
    },
}

/// Why a command had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The state of the keys does not allow it; the caller must ask for something else.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The queue is full; the same command may succeed in a moment.
    #[error("the write queue is full")]
    Busy,
    /// An earlier write failed, so nothing more is accepted; an operator must look at the disk and restart.
    #[error("writes are stopped: {0}")]
    Latched(String),
    /// A record that the command needs cannot be read; for the operator. Nothing was changed.
    #[error("storage: {0}")]
    Storage(String),
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Stopping,
}

/// The state of the keys does not allow the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such key in this tenant.
    #[error("no such key")]
    NotFound,
    /// The key has been revoked before.
    #[error("the key is already revoked")]
    AlreadyRevoked,
    /// Public keys need a prefix of their own.
    #[error("no prefix for public keys is configured")]
    NoPublicPrefix,
}

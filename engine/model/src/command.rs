//! Writes: what may be asked of the committer and what it answers.

use crate::bulk_revocation::{BulkRevocation, Matcher};
use crate::cidr::Cidr;
use crate::ids::{KeyId, TenantId};
use crate::record::{RateLimitPolicy, Record, RevocationReason, Visibility};
use crate::secret::Secret;

/// A change that somebody wants. The values are already checked against the limits of the contract.
#[derive(Clone, Debug)]
pub enum Command {
    /// Make a new key.
    Issue(IssueKey),
    /// Take over a key that another system made.
    Import(ImportKey),
    /// The same for many keys, each accepted or rejected for itself, all in one write.
    ImportMany(Vec<ImportKey>),
    /// Change what a key is called, may do and may be used from.
    Update(UpdateKey),
    /// Replace an active issued key by a new one.
    Rotate(RotateKey),
    /// End a key.
    Revoke(RevokeKey),
    /// End all keys that have something in common.
    RevokeWhere(RevokeWhere),
    /// Forget an imported key.
    Delete(DeleteKey),
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

/// A key to be taken over.
#[derive(Clone, Debug)]
pub struct ImportKey {
    /// The digest of the raw key, see [`talos_credentials::imported_key_id`]; the raw key itself is not kept.
    pub key_id: KeyId,
    /// Everything else is as for a key to be made.
    pub key: IssueKey,
}

/// Keys to be taken over, each accepted or rejected for itself, all in one write.
#[derive(Clone, Debug)]
pub struct ImportKeys(pub Vec<ImportKey>);

/// A key to be changed. `None` leaves a field as it is.
#[derive(Clone, Debug)]
pub struct UpdateKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// What becomes of it.
    pub changes: FieldChanges,
}

/// New values of the fields that can change; `None` leaves a field as it is, an empty value clears it.
#[derive(Clone, Debug, Default)]
pub struct FieldChanges {
    /// The label.
    pub name: Option<String>,
    /// What the key may do.
    pub scopes: Option<Vec<String>>,
    /// A JSON object as compact text.
    pub metadata: Option<String>,
    /// How often it may be verified.
    pub rate_limit: Option<Option<RateLimitPolicy>>,
    /// From where it may be used.
    pub allowed_cidrs: Option<Vec<Cidr>>,
}

/// A key to be replaced by a new one with a new id and credential, which inherits what is not overridden, its expiry too.
#[derive(Clone, Debug)]
pub struct RotateKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// What the new key does not inherit.
    pub changes: FieldChanges,
    /// The visibility of the new key, if it is not inherited.
    pub visibility: Option<Visibility>,
}

/// An imported key to be forgotten.
#[derive(Clone, Debug)]
pub struct DeleteKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
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

/// Keys to be ended.
#[derive(Clone, Debug)]
pub struct RevokeWhere {
    /// The tenant that owns them.
    pub tenant: TenantId,
    /// Which of its keys; not empty.
    pub matcher: Matcher,
    /// Why.
    pub reason: RevocationReason,
    /// In which words; only with [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
}

/// Receives the outcome of a command. Called exactly once: when the command is durable and
/// published, or when it is refused.
pub type Done<T> = Box<dyn FnOnce(Result<T, CommandError>) + Send>;

/// A command together with the receiver of its outcome. Pairing them carries the type of each
/// outcome from the committing thread to the caller.
pub enum Submission {
    /// See [`Command::Issue`].
    Issue(IssueKey, Done<Issued>),
    /// See [`Command::Import`].
    Import(ImportKey, Done<Record>),
    /// See [`Command::ImportMany`].
    ImportMany(ImportKeys, Done<Vec<Result<Record, CommandError>>>),
    /// See [`Command::Update`].
    Update(UpdateKey, Done<Record>),
    /// See [`Command::Rotate`].
    Rotate(RotateKey, Done<Rotation>),
    /// See [`Command::Revoke`].
    Revoke(RevokeKey, Done<Record>),
    /// See [`Command::RevokeWhere`].
    RevokeWhere(RevokeWhere, Done<BulkRevocation>),
    /// See [`Command::Delete`].
    Delete(DeleteKey, Done<Record>),
}

/// A command and the type of its outcome.
pub trait TypedCommand {
    /// What the durable command did.
    type Outcome: Send + 'static;

    /// Pairs the command with the receiver of its outcome.
    fn submission(self, done: Done<Self::Outcome>) -> Submission;
}

macro_rules! typed_commands {
    ($($command:ty => $variant:ident -> $outcome:ty;)*) => {$(
        impl TypedCommand for $command {
            type Outcome = $outcome;

            fn submission(self, done: Done<$outcome>) -> Submission {
                Submission::$variant(self, done)
            }
        }
    )*};
}

typed_commands! {
    IssueKey => Issue -> Issued;
    ImportKey => Import -> Record;
    ImportKeys => ImportMany -> Vec<Result<Record, CommandError>>;
    UpdateKey => Update -> Record;
    RotateKey => Rotate -> Rotation;
    RevokeKey => Revoke -> Record;
    RevokeWhere => RevokeWhere -> BulkRevocation;
    DeleteKey => Delete -> Record;
}

/// For callers that choose the command at run time.
impl TypedCommand for Command {
    type Outcome = Outcome;

    fn submission(self, done: Done<Outcome>) -> Submission {
        fn submission<C: TypedCommand>(
            command: C,
            done: Done<Outcome>,
            wrap: fn(C::Outcome) -> Outcome,
        ) -> Submission {
            command.submission(Box::new(move |outcome| done(outcome.map(wrap))))
        }
        match self {
            Self::Issue(command) => submission(command, done, |Issued { record, secret }| {
                Outcome::Issued { record, secret }
            }),
            Self::Import(command) => {
                submission(command, done, |record| Outcome::Imported { record })
            }
            Self::ImportMany(keys) => submission(ImportKeys(keys), done, Outcome::ImportedMany),
            Self::Update(command) => {
                submission(command, done, |record| Outcome::Updated { record })
            }
            Self::Rotate(command) => submission(command, done, |rotation| {
                Outcome::Rotated(Box::new(rotation))
            }),
            Self::Revoke(command) => {
                submission(command, done, |record| Outcome::Revoked { record })
            }
            Self::RevokeWhere(command) => submission(command, done, |bulk_revocation| {
                Outcome::RevokedWhere { bulk_revocation }
            }),
            Self::Delete(command) => {
                submission(command, done, |record| Outcome::Deleted { record })
            }
        }
    }
}

/// What an [`IssueKey`] did.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The key.
    pub record: Record,
    /// The credential, shown this once; `None` when a repeated `request_id` returned an earlier key.
    pub secret: Option<Secret>,
}

/// What a durable [`Command`] did.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The key exists. `secret` is `None` when a repeated `request_id` returned an earlier key.
    Issued {
        /// The key.
        record: Record,
        /// The credential, shown this once.
        secret: Option<Secret>,
    },
    /// The key is known; a repeated `request_id` returns the earlier one.
    Imported {
        /// The key.
        record: Record,
    },
    /// What became of each key, in the order of the command.
    ImportedMany(Vec<Result<Record, CommandError>>),
    /// The key is changed, here and in every cell.
    Updated {
        /// The key as it now is.
        record: Record,
    },
    /// The old key is revoked as superseded and the new one exists.
    Rotated(Box<Rotation>),
    /// The key is revoked, here and in every cell.
    Revoked {
        /// The key as it now is.
        record: Record,
    },
    /// All keys that existed and match have ended, here and in every cell. Their records say so soon.
    RevokedWhere {
        /// The decision.
        bulk_revocation: BulkRevocation,
    },
    /// The key is forgotten, here and in every cell.
    Deleted {
        /// The key as it last was.
        record: Record,
    },
}

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new key.
    pub record: Record,
    /// Its credential, shown this once.
    pub secret: Secret,
    /// The old key as it now is.
    pub old: Record,
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
    /// The node follows a primary, which takes the commands; ask that one.
    #[error("this node is a replica")]
    Replica,
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
    /// The key is not active, and only active keys can be replaced.
    #[error("the key is not active")]
    NotActive,
    /// A key with this id is known already.
    #[error("the key exists already")]
    AlreadyExists,
    /// The tenant has as many keys that are not revoked as it may have.
    #[error("the tenant has as many keys as it may have")]
    QuotaExceeded,
    /// As many bulk revocations are in force as there may be.
    #[error("too many revocations of many keys are under way")]
    TooManyBulkRevocations,
    /// Public keys need a prefix of their own.
    #[error("no prefix for public keys is configured")]
    NoPublicPrefix,
}

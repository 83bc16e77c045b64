//! Commands, which the committing thread executes, and their outcomes.

use crate::admin_token::{AdminToken, CreateAdminToken, RevokeAdminToken, RotateAdminToken};
use crate::bulk_revocation::{BulkRevocation, Matcher};
use crate::cidr::Cidr;
use crate::ids::{KeyId, Sequence, TenantId};
use crate::record::{RateLimitPolicy, Record, RevocationReason, Visibility};
use crate::request_id::{RequestDigest, RequestField, RequestId};
use crate::secret::Secret;

/// A requested change. Its values have been checked against the limits of the API contract.
#[derive(Clone, Debug)]
pub enum Command {
    /// Issue a new key.
    Issue(IssueKey),
    /// Import a key that another system issued.
    Import(ImportKey),
    /// Import many keys in one write. Each is accepted or rejected on its own.
    ImportMany(Vec<ImportKey>),
    /// Change a key's name, permissions and restrictions.
    Update(UpdateKey),
    /// Replace an active issued key with a new one.
    Rotate(RotateKey),
    /// Revoke a key.
    Revoke(RevokeKey),
    /// Revoke all keys that match a condition.
    RevokeWhere(RevokeWhere),
    /// Delete an imported key.
    Delete(DeleteKey),
    /// Create an admin token.
    CreateAdminToken(CreateAdminToken),
    /// Replace the text of an admin token.
    RotateAdminToken(RotateAdminToken),
    /// Revoke an admin token.
    RevokeAdminToken(RevokeAdminToken),
}

/// The fields of a key to issue.
#[derive(Clone, Debug)]
pub struct IssueKey {
    /// The tenant that will own the key.
    pub tenant: TenantId,
    /// A label for people.
    pub name: String,
    /// The actor that the key will belong to.
    pub actor_id: String,
    /// What the key may do.
    pub scopes: Vec<String>,
    /// A JSON object as compact text; empty when there is none.
    pub metadata: String,
    /// Secret or public; selects the prefix of the credential.
    pub visibility: Visibility,
    /// Its lifetime in milliseconds; `None` = it does not expire.
    pub ttl_ms: Option<u64>,
    /// How often the key may be verified; `None` = without a limit.
    pub rate_limit: Option<RateLimitPolicy>,
    /// The addresses from which the key may be used; empty = from anywhere.
    pub allowed_cidrs: Vec<Cidr>,
    /// Makes the command idempotent (AIP-155): a repetition with the same id returns the first key.
    /// Another command with this id is rejected.
    pub request_id: Option<RequestId>,
}

impl IssueKey {
    /// The digest of a request for this key, which asked for a lifetime of `ttl_ms`. The lifetime
    /// of the key may be a default, which can change between two requests.
    #[must_use]
    pub fn request_digest(&self, ttl_ms: Option<u64>) -> RequestDigest {
        let mut digest = RequestDigest::default();
        digest.add_lasting(&self.actor_id, self.visibility, ttl_ms);
        digest.add_changeable(
            &self.name,
            &self.scopes,
            &self.metadata,
            self.rate_limit,
            &self.allowed_cidrs,
        );
        digest
    }
}

/// A key to import.
#[derive(Clone, Debug)]
pub struct ImportKey {
    /// The digest of the raw key (`talos_credentials::imported_key_id`). The raw key itself is not
    /// kept.
    pub key_id: KeyId,
    /// All other fields.
    pub key: IssueKey,
}

/// Keys to import in one write. Each is accepted or rejected on its own.
#[derive(Clone, Debug)]
pub struct ImportKeys(pub Vec<ImportKey>);

/// A key to update.
#[derive(Clone, Debug)]
pub struct UpdateKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// The new values.
    pub changes: FieldChanges,
}

/// New values of the fields that can change. `None` leaves a field as it is; an empty value clears
/// it.
#[derive(Clone, Debug, Default)]
pub struct FieldChanges {
    /// The label.
    pub name: Option<String>,
    /// What the key may do.
    pub scopes: Option<Vec<String>>,
    /// A JSON object as compact text.
    pub metadata: Option<String>,
    /// How often the key may be verified; `None` = without a limit.
    pub rate_limit: Option<Option<RateLimitPolicy>>,
    /// The addresses from which the key may be used; empty = from anywhere.
    pub allowed_cidrs: Option<Vec<Cidr>>,
}

/// A key to replace. The new key has a new id and credential and inherits every field that is not
/// overridden, including the expiry.
#[derive(Clone, Debug)]
pub struct RotateKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// The fields that the new key does not inherit.
    pub changes: FieldChanges,
    /// The visibility of the new key; `None` = inherited.
    pub visibility: Option<Visibility>,
}

/// An imported key to delete.
#[derive(Clone, Debug)]
pub struct DeleteKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
}

/// A key to revoke.
#[derive(Clone, Debug)]
pub struct RevokeKey {
    /// The tenant that owns it.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// Why.
    pub reason: RevocationReason,
    /// Free text; only with [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
}

/// A bulk revocation to put into force.
#[derive(Clone, Debug)]
pub struct RevokeWhere {
    /// The tenant that owns them.
    pub tenant: TenantId,
    /// Selects the keys; not empty.
    pub matcher: Matcher,
    /// Why.
    pub reason: RevocationReason,
    /// Free text; only with [`RevocationReason::PrivilegeWithdrawn`].
    pub description: String,
}

/// Receives the outcome of a command. Called exactly once: when the command is durable and
/// published, or when it is refused.
pub type Done<T> = Box<dyn FnOnce(Result<T, CommandError>) + Send>;

/// A command together with the receiver of its outcome. Pairing them carries the type of each
/// outcome from the committing thread to the caller.
pub enum Submission {
    /// Issue a new key.
    Issue(IssueKey, Done<Issued>),
    /// Import a key that another system issued.
    Import(ImportKey, Done<Record>),
    /// Import many keys in one write.
    ImportMany(ImportKeys, Done<Vec<Result<Record, CommandError>>>),
    /// Change a key's name, permissions and restrictions.
    Update(UpdateKey, Done<Record>),
    /// Replace an active issued key with a new one.
    Rotate(RotateKey, Done<Rotation>),
    /// Revoke a key.
    Revoke(RevokeKey, Done<Record>),
    /// Revoke all keys that match a condition.
    RevokeWhere(RevokeWhere, Done<BulkRevocation>),
    /// Delete an imported key.
    Delete(DeleteKey, Done<Record>),
    /// Create an admin token.
    CreateAdminToken(CreateAdminToken, Done<AdminToken>),
    /// Replace the text of an admin token.
    RotateAdminToken(RotateAdminToken, Done<AdminToken>),
    /// Revoke an admin token. The outcome is the token as it was.
    RevokeAdminToken(RevokeAdminToken, Done<AdminToken>),
}

impl Submission {
    /// The tenant whose keys the command concerns; `None` for admin tokens.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Issue(command, _) => Some(command.tenant),
            Self::Import(command, _) => Some(command.key.tenant),
            Self::ImportMany(ImportKeys(commands), _) => {
                commands.first().map(|command| command.key.tenant)
            }
            Self::Update(command, _) => Some(command.tenant),
            Self::Rotate(command, _) => Some(command.tenant),
            Self::Revoke(command, _) => Some(command.tenant),
            Self::RevokeWhere(command, _) => Some(command.tenant),
            Self::Delete(command, _) => Some(command.tenant),
            Self::CreateAdminToken(..)
            | Self::RotateAdminToken(..)
            | Self::RevokeAdminToken(..) => None,
        }
    }
}

/// A command and the type of its outcome.
pub trait TypedCommand {
    /// What the command did.
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
    CreateAdminToken => CreateAdminToken -> AdminToken;
    RotateAdminToken => RotateAdminToken -> AdminToken;
    RevokeAdminToken => RevokeAdminToken -> AdminToken;
}

/// For callers that choose the type of command at run time.
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
            Self::CreateAdminToken(command) => submission(command, done, Outcome::AdminToken),
            Self::RotateAdminToken(command) => submission(command, done, Outcome::AdminToken),
            Self::RevokeAdminToken(command) => submission(command, done, Outcome::AdminToken),
        }
    }
}

/// The outcome of [`IssueKey`].
#[derive(Clone, Debug)]
pub struct Issued {
    /// The key.
    pub record: Record,
    /// The credential, which is never shown again. `None` if a repeated `request_id` returned an
    /// earlier key.
    pub secret: Option<Secret>,
}

/// What a [`Command`] did. Its change is durable.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The key exists. `secret` is `None` if a repeated `request_id` returned an earlier key.
    Issued {
        /// The key.
        record: Record,
        /// The credential, which is never shown again.
        secret: Option<Secret>,
    },
    /// The key is known. A repeated `request_id` returns the earlier key.
    Imported {
        /// The key.
        record: Record,
    },
    /// The result for each key, in the order of the command.
    ImportedMany(Vec<Result<Record, CommandError>>),
    /// The key is changed, in storage and in every cell.
    Updated {
        /// The key after the change.
        record: Record,
    },
    /// The old key is revoked with the reason "superseded", and the new one exists.
    Rotated(Box<Rotation>),
    /// The key is revoked, in storage and in every cell.
    Revoked {
        /// The key after the change.
        record: Record,
    },
    /// All matching keys that existed are revoked: reads from storage and cells show it. Their
    /// records are rewritten later.
    RevokedWhere {
        /// The bulk revocation that is now in force.
        bulk_revocation: BulkRevocation,
    },
    /// The key is deleted, in storage and from every cell.
    Deleted {
        /// The key before its deletion.
        record: Record,
    },
    /// The admin token after its change, or before its revocation. Every reader of the admin tokens
    /// sees the change.
    AdminToken(AdminToken),
}

/// What a rotation did.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The new key.
    pub record: Record,
    /// Its credential, which is never shown again.
    pub secret: Secret,
    /// The old key, revoked.
    pub old: Record,
}

/// Why a command had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The state of the keys does not allow it. Repeating the command does not help.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The write queue is full. The same command may succeed in a moment.
    #[error("the write queue is full")]
    Busy,
    /// An earlier write failed, so the node accepts no more writes. An operator must check the disk
    /// and restart the node.
    #[error("writes are stopped: {0}")]
    Latched(String),
    /// A record that the command needs cannot be read. Nothing was changed.
    #[error("storage: {0}")]
    Storage(String),
    /// The node is a replica. Send the command to its primary.
    #[error("this node is a replica")]
    Replica,
    /// The engine is shutting down.
    #[error("the engine is shutting down")]
    Stopping,
}

/// Why the state of the keys does not allow a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// No such tenant: it was removed while the command was on its way.
    #[error("no such tenant")]
    NoTenant,
    /// No such key in this tenant.
    #[error("no such key")]
    NotFound,
    /// The key is already revoked.
    #[error("the key is already revoked")]
    AlreadyRevoked,
    /// The key is not active, and only active keys can be replaced.
    #[error("the key is not active")]
    NotActive,
    /// A key with this id exists already.
    #[error("the key exists already")]
    AlreadyExists,
    /// An earlier command with this request id asked for something else.
    #[error("the request id was used for another {}", .field.name())]
    RequestIdReused {
        /// The first field in which the two differ.
        field: RequestField,
        /// The key that the earlier command made.
        key_id: KeyId,
        /// The last change to that key.
        sequence: Sequence,
    },
    /// The tenant's quota of keys that are not revoked is used up.
    #[error("the tenant has as many keys as it may have")]
    QuotaExceeded {
        /// The most keys.
        max: u64,
    },
    /// The maximum number of bulk revocations is in force.
    #[error("too many bulk revocations are in force")]
    TooManyBulkRevocations,
    /// No prefix for public keys is configured.
    #[error("no prefix for public keys is configured")]
    NoPublicPrefix,
    /// The key would live longer than issued keys may.
    #[error("an issued key lives {max_s} seconds at most")]
    TtlBeyondMax {
        /// The most seconds.
        max_s: u64,
    },
    /// An admin token with this name exists.
    #[error("an admin token with this name exists")]
    AdminTokenExists,
    /// No admin token has this id.
    #[error("no such admin token")]
    AdminTokenNotFound,
    /// The maximum number of admin tokens exists.
    #[error("too many admin tokens exist")]
    TooManyAdminTokens,
}

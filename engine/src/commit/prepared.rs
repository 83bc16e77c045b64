//! Commands as the committing thread takes them, and the answers to them.

use talos_model::{
    AdminToken, BulkRevocation, CommandError, CreateAdminToken, DeleteKey, Done, ImportKey,
    ImportKeys, IssueKey, Issued, Record, RecordKey, RevokeAdminToken, RevokeKey, RevokeWhere,
    RotateAdminToken, RotateKey, Rotation, Secret, SecretFingerprint, UpdateKey,
};
use uuid::Uuid;

/// A command with all that was drawn or read before it was queued (ids, credentials), so that
/// applying it is pure; and the callback that receives its outcome.
pub enum Prepared {
    /// Create a key with this id and credential.
    Issue {
        /// The command.
        command: IssueKey,
        /// The id of the key. Not used if an earlier command with the same request id made the key.
        uuid: Uuid,
        /// The credential of the key. `None` if there is no prefix for keys of this visibility.
        credential: Option<Credential>,
        /// Receives the outcome.
        done: Done<Issued>,
    },
    /// Import a key.
    Import(ImportKey, Done<Record>),
    /// Import many keys.
    ImportMany(ImportKeys, Done<Vec<Result<Record, CommandError>>>),
    /// Update a key.
    Update(UpdateKey, Done<Record>),
    /// Rotate a key.
    Rotate {
        /// The command.
        command: RotateKey,
        /// The id of the new key.
        uuid: Uuid,
        /// The credential if the new key is secret. `None` if there is no prefix for secret keys.
        secret: Option<Credential>,
        /// The credential if the new key is public. `None` if there is no prefix for public keys.
        public: Option<Credential>,
        /// Receives the outcome.
        done: Done<Rotation>,
    },
    /// Revoke a key.
    Revoke(RevokeKey, Done<Record>),
    /// Revoke all keys that match, by a bulk revocation of this id.
    RevokeWhere(RevokeWhere, Uuid, Done<BulkRevocation>),
    /// Write the effect of the bulk revocations into the records of these keys.
    EndByBulkRevocations(Vec<RecordKey>, Done<()>),
    /// Remove a bulk revocation after all its records are written.
    FinishBulkRevocation(Uuid, Done<()>),
    /// Delete a key.
    Delete(DeleteKey, Done<Record>),
    /// Create an admin token with this id.
    CreateAdminToken(CreateAdminToken, Uuid, Done<AdminToken>),
    /// Replace the text of an admin token.
    RotateAdminToken(RotateAdminToken, Done<AdminToken>),
    /// Revoke an admin token.
    RevokeAdminToken(RevokeAdminToken, Done<AdminToken>),
}

impl Prepared {
    /// Refuses the command with `error`.
    pub fn refuse(self, error: CommandError) {
        match self {
            Self::Issue { done, .. } => done(Err(error)),
            Self::Rotate { done, .. } => done(Err(error)),
            Self::Import(_, done)
            | Self::Update(_, done)
            | Self::Revoke(_, done)
            | Self::Delete(_, done) => done(Err(error)),
            Self::ImportMany(_, done) => done(Err(error)),
            Self::RevokeWhere(_, _, done) => done(Err(error)),
            Self::CreateAdminToken(_, _, done)
            | Self::RotateAdminToken(_, done)
            | Self::RevokeAdminToken(_, done) => done(Err(error)),
            Self::EndByBulkRevocations(_, done) | Self::FinishBulkRevocation(_, done) => {
                done(Err(error));
            }
        }
    }
}

/// The answer to an applied command. It is given once the group is durable and published, or with
/// the error that kept the group from becoming durable.
pub struct Answer(Box<dyn FnOnce(Result<(), CommandError>) + Send>);

impl Answer {
    /// The answer `outcome` to `done`.
    pub fn new<T: Send + 'static>(done: Done<T>, outcome: Result<T, CommandError>) -> Self {
        Self(Box::new(move |durable| done(durable.and(outcome))))
    }

    /// Gives the answer: the outcome, or the error in `durable`.
    pub fn give(self, durable: Result<(), CommandError>) {
        (self.0)(durable);
    }
}

/// A new credential and its prefix.
pub struct Credential {
    /// The credential.
    pub secret: Secret,
    /// The prefix that it begins with.
    pub prefix: String,
    /// The secret that signed it.
    pub signed_by: SecretFingerprint,
}

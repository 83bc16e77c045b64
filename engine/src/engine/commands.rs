//! Commands: preparing them and handing them to the committing thread.

use talos_credentials::Keyring;
use talos_model::clock::{self, UnixMillis};
use talos_model::{Author, CommandError, Rejection, Submission, TypedCommand, Visibility};
use uuid::Uuid;

use super::Engine;
use crate::commit::{Credential, Prepared};

impl Engine {
    /// Submits a command to the committing thread. `done` is called exactly once, on this thread or
    /// another one: when the change is durable and published, or when the command is refused.
    pub fn submit<C: TypedCommand>(
        &self,
        command: C,
        done: impl FnOnce(Result<C::Outcome, CommandError>) + Send + 'static,
    ) {
        self.submit_as(None, command, done);
    }

    /// [`Engine::submit`] for `author`, whom the log keeps with the changes of the command.
    pub fn submit_as<C: TypedCommand>(
        &self,
        author: Option<Author>,
        command: C,
        done: impl FnOnce(Result<C::Outcome, CommandError>) + Send + 'static,
    ) {
        self.submit_at(author, command, clock::now(), done);
    }

    /// [`Engine::submit_as`] at a given time.
    pub(crate) fn submit_at<C: TypedCommand>(
        &self,
        author: Option<Author>,
        command: C,
        now: UnixMillis,
        done: impl FnOnce(Result<C::Outcome, CommandError>) + Send + 'static,
    ) {
        let submission = command.submission(Box::new(done));
        let tenant = submission.tenant();
        let tenants = self.verifier.tenants();
        let active = tenant.and_then(|tenant| tenants.get(tenant));
        let keyring = active.map(|tenant| tenant.keyring());
        let prepared = prepare(submission, keyring, now);
        if tenant.is_some() && active.is_none() {
            prepared.refuse(Rejection::NoTenant.into());
        } else {
            self.committer.submit(prepared, author, now);
        }
    }
}

/// Draws ids and makes credentials under the keyring of the tenant, so that applying the command
/// needs no randomness and no secrets.
fn prepare(submission: Submission, keyring: Option<&Keyring>, now: UnixMillis) -> Prepared {
    let uuid = Uuid::new_v4();
    let credential = |visibility| {
        let keyring = keyring?;
        let prefix = keyring.prefix(visibility);
        let made = keyring.make(visibility, now, uuid).zip(prefix);
        made.map(|(secret, prefix)| Credential {
            secret,
            prefix: prefix.to_owned(),
            signed_by: keyring.fingerprint(),
        })
    };
    match submission {
        Submission::Issue(command, done) => Prepared::Issue {
            credential: credential(command.visibility),
            command,
            uuid,
            done,
        },
        Submission::Rotate(command, done) => Prepared::Rotate {
            command,
            uuid,
            secret: credential(Visibility::Secret),
            public: credential(Visibility::Public),
            done,
        },
        Submission::Import(command, done) => Prepared::Import(command, done),
        Submission::ImportMany(commands, done) => Prepared::ImportMany(commands, done),
        Submission::Update(command, done) => Prepared::Update(command, done),
        Submission::Revoke(command, done) => Prepared::Revoke(command, done),
        Submission::RevokeWhere(command, done) => Prepared::RevokeWhere(command, uuid, done),
        Submission::Delete(command, done) => Prepared::Delete(command, done),
        Submission::CreateAdminToken(command, done) => {
            Prepared::CreateAdminToken(command, uuid, done)
        }
        Submission::RotateAdminToken(command, done) => Prepared::RotateAdminToken(command, done),
        Submission::RevokeAdminToken(command, done) => Prepared::RevokeAdminToken(command, done),
    }
}

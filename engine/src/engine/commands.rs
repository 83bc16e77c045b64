//! Commands: preparing them and handing them to the committing thread.

use talos_cells::pin;
use talos_model::clock::{self, UnixMillis};
use talos_model::{Author, CommandError, Submission, TypedCommand, Visibility};
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
        let prepared = self.prepare(submission, now);
        self.committer.submit(prepared, author, now);
    }

    /// Draws ids and makes credentials, so that applying the command needs no randomness and no
    /// secrets.
    fn prepare(&self, submission: Submission, now: UnixMillis) -> Prepared {
        let uuid = Uuid::new_v4();
        let guard = pin();
        let keyring = &self.verifier.current(&guard).keyring;
        let credential = |visibility| {
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
            Submission::RotateAdminToken(command, done) => {
                Prepared::RotateAdminToken(command, done)
            }
            Submission::RevokeAdminToken(command, done) => {
                Prepared::RevokeAdminToken(command, done)
            }
        }
    }

    /// Sets how many keys that are not revoked a tenant may have; `None` = any number.
    pub fn set_live_keys_max(&self, live_keys_max: Option<u64>) {
        self.committer
            .set_live_keys_max(live_keys_max.unwrap_or(u64::MAX));
    }
}

//! Commands: preparing them and handing them to the committing thread.

use talos_cells::pin;
use talos_model::clock::{self, UnixMillis};
use talos_model::{Command, CommandError, Outcome, Rejection, Visibility};
use uuid::Uuid;

use super::Engine;
use crate::commit::{Credential, Done, Prepared};

impl Engine {
    /// Submits a command to the committing thread. `done` is called exactly once, on this thread or
    /// another one: when the change is durable and published, or when the command is refused.
    pub fn submit(
        &self,
        command: Command,
        done: impl FnOnce(Result<Outcome, CommandError>) + Send + 'static,
    ) {
        self.submit_at(command, clock::now(), done);
    }

    /// [`Engine::submit`] at a given time.
    pub(crate) fn submit_at(
        &self,
        command: Command,
        now: UnixMillis,
        done: impl FnOnce(Result<Outcome, CommandError>) + Send + 'static,
    ) {
        let done: Done = Box::new(done);
        match self.prepare(command, now) {
            Ok(command) => self.committer.submit(command, now, done),
            Err(rejection) => done(Err(rejection.into())),
        }
    }

    /// Draws ids and makes credentials, so that applying the command needs no randomness and no
    /// secrets.
    fn prepare(&self, command: Command, now: UnixMillis) -> Result<Prepared, Rejection> {
        let uuid = Uuid::new_v4();
        let guard = pin();
        let keyring = &self.verifier.current(&guard).keyring;
        let credential = |visibility| {
            let prefix = keyring.prefix(visibility);
            let made = keyring.make(visibility, now, uuid).zip(prefix);
            let made = made.map(|(secret, prefix)| Credential {
                secret,
                prefix: prefix.to_owned(),
            });
            made.ok_or(Rejection::NoPublicPrefix)
        };
        Ok(match command {
            Command::Issue(command) => Prepared::Issue {
                credential: credential(command.visibility)?,
                command,
                uuid,
            },
            Command::Rotate(command) => Prepared::Rotate {
                command,
                uuid,
                secret: credential(Visibility::Secret)?,
                public: credential(Visibility::Public).ok(),
            },
            Command::Import(command) => Prepared::Import(command),
            Command::ImportMany(commands) => Prepared::ImportMany(commands),
            Command::Update(command) => Prepared::Update(command),
            Command::Revoke(command) => Prepared::Revoke(command),
            Command::RevokeWhere(command) => Prepared::RevokeWhere(command, uuid),
            Command::Delete(command) => Prepared::Delete(command),
        })
    }

    /// Sets how many keys that are not revoked a tenant may have; `None` = any number.
    pub fn set_live_keys_max(&self, live_keys_max: Option<u64>) {
        self.committer
            .set_live_keys_max(live_keys_max.unwrap_or(u64::MAX));
    }
}

//! Admin tokens in the model.

use std::collections::BTreeSet;

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, CreateAdminToken, Event, Rejection, RevokeAdminToken, RotateAdminToken, Subject,
    TokenDigest,
};
use uuid::Uuid;

use super::outcomes::assert_same;
use super::state::{Entry, Expected, State};
use super::*;

impl State {
    /// Every admin token that ever existed.
    pub(super) fn admin_tokens_ever(&self) -> Vec<Uuid> {
        self.logged_admin_tokens().map(|token| token.id).collect()
    }

    fn logged_admin_tokens(&self) -> impl Iterator<Item = &AdminToken> {
        self.log.iter().filter_map(|entry| match &entry.subject {
            Subject::AdminToken(token) => Some(token),
            Subject::Key(_) | Subject::BulkRevocation(_) => None,
        })
    }

    /// Applies a command of an admin token and compares the outcome.
    pub(super) fn apply_admin_token(
        &mut self,
        command: Command,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
    ) {
        let token = outcome.map(|outcome| match outcome {
            Outcome::AdminToken(token) => token,
            other => panic!("{other:?}"),
        });
        let expected = match command {
            Command::CreateAdminToken(command) => {
                // The engine draws the id.
                let drawn = token.as_ref().ok().map(|token| token.id);
                self.create_admin_token(command, drawn, now)
            }
            Command::RotateAdminToken(command) => self.rotate_admin_token(&command, now),
            Command::RevokeAdminToken(command) => self.revoke_admin_token(&command, now),
            other => panic!("{other:?}"),
        };
        assert_same(&token, expected);
    }

    fn create_admin_token(
        &mut self,
        command: CreateAdminToken,
        drawn: Option<Uuid>,
        now: UnixMillis,
    ) -> Expected<AdminToken> {
        let mut names = self.admin_tokens.values().map(|token| &token.name);
        if names.any(|name| *name == command.name) {
            return Err(Rejection::AdminTokenExists);
        }
        let token = AdminToken {
            id: drawn.expect("nothing stands against this token"),
            name: command.name,
            digest: command.digest,
            role: command.role,
            tenant: command.tenant,
            create_time: now,
            rotate_time: now,
            expire_time: command.ttl_ms.map(|ttl_ms| after(now, ttl_ms)),
            sequence: self.next_sequence(),
        };
        assert!(!self.admin_tokens_ever().contains(&token.id));
        self.admin_tokens.insert(token.id, token.clone());
        Ok(self.log_admin_token(token, Event::AdminTokenCreated, now))
    }

    fn rotate_admin_token(
        &mut self,
        command: &RotateAdminToken,
        now: UnixMillis,
    ) -> Expected<AdminToken> {
        let sequence = self.next_sequence();
        let found = self.admin_tokens.get_mut(&command.id);
        let token = found.ok_or(Rejection::AdminTokenNotFound)?;
        token.digest = command.digest;
        token.rotate_time = now;
        token.sequence = sequence;
        if let Some(ttl_ms) = command.ttl_ms {
            token.expire_time = Some(after(now, ttl_ms));
        }
        let token = token.clone();
        Ok(self.log_admin_token(token, Event::AdminTokenRotated, now))
    }

    fn revoke_admin_token(
        &mut self,
        command: &RevokeAdminToken,
        now: UnixMillis,
    ) -> Expected<AdminToken> {
        let removed = self.admin_tokens.remove(&command.id);
        let mut token = removed.ok_or(Rejection::AdminTokenNotFound)?;
        token.sequence = self.next_sequence();
        Ok(self.log_admin_token(token, Event::AdminTokenRevoked, now))
    }

    fn log_admin_token(&mut self, token: AdminToken, event: Event, now: UnixMillis) -> AdminToken {
        self.log(Entry {
            event,
            time: now,
            request_id: None,
            author: self.author.clone(),
            subject: Subject::AdminToken(token.clone()),
        });
        token
    }
}

fn after(now: UnixMillis, ttl_ms: u64) -> UnixMillis {
    UnixMillis(now.0 + i64::try_from(ttl_ms).expect("a short life"))
}

/// Compares the admin tokens, and what becomes of every text that one ever had.
pub(super) fn compare(engine: &Engine, state: &State, now: UnixMillis) {
    let tokens = engine.admin_tokens();
    let mut expected: Vec<_> = state.admin_tokens.values().cloned().collect();
    expected.sort_by_key(|token| (token.create_time, token.id));
    assert_eq!(tokens.all(), expected);
    let ends = expected.iter().filter_map(|token| token.expire_time);
    let around = ends.flat_map(|end| [UnixMillis(end.0 - 1), end]);
    let instants: BTreeSet<_> = around.chain([now]).map(|instant| instant.0).collect();
    let digests = state.logged_admin_tokens().map(|token| token.digest);
    for digest in digests.chain([TokenDigest([0; 32])]) {
        for instant in instants.iter().copied().map(UnixMillis) {
            let found = tokens.find(&digest, instant);
            let found = found.map(|holder| (holder.name.as_str(), holder.role, holder.tenant));
            let holder = expected.iter().find(|token| {
                token.digest == digest && token.expire_time.is_none_or(|end| instant < end)
            });
            let holder = holder.map(|token| (token.name.as_str(), token.role, token.tenant));
            assert_eq!(found, holder);
        }
    }
}

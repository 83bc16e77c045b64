//! Commands of admin tokens.

use std::sync::Arc;

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminToken, Change, CommandError, CreateAdminToken, Event, RevokeAdminToken, RotateAdminToken,
    Subject,
};
use uuid::Uuid;

use super::Stage;
use crate::commit::apply;

impl Stage<'_> {
    pub(super) fn create_admin_token(
        &mut self,
        command: CreateAdminToken,
        id: Uuid,
        now: UnixMillis,
    ) -> Result<AdminToken, CommandError> {
        let position = self.last.next();
        let token = apply::create_admin_token(&self.admin_tokens, command, id, now, position)?;
        Ok(self.push_admin_token(token, Event::AdminTokenCreated, now))
    }

    pub(super) fn rotate_admin_token(
        &mut self,
        command: &RotateAdminToken,
        now: UnixMillis,
    ) -> Result<AdminToken, CommandError> {
        let current = self.admin_tokens.get(command.id);
        let token = apply::rotate_admin_token(current, command, now, self.last.next())?;
        Ok(self.push_admin_token(token, Event::AdminTokenRotated, now))
    }

    pub(super) fn revoke_admin_token(
        &mut self,
        command: &RevokeAdminToken,
        now: UnixMillis,
    ) -> Result<AdminToken, CommandError> {
        let current = self.admin_tokens.get(command.id);
        let token = apply::revoke_admin_token(current, self.last.next())?;
        Ok(self.push_admin_token(token, Event::AdminTokenRevoked, now))
    }

    fn push_admin_token(&mut self, token: AdminToken, event: Event, now: UnixMillis) -> AdminToken {
        let change = Change {
            position: self.last.next(),
            time: now,
            event,
            request_id: None,
            author: None,
            signed_by: None,
            subject: Subject::AdminToken(token.clone()),
        };
        self.admin_tokens = Arc::new(if change.deletes() {
            self.admin_tokens.without(token.id)
        } else {
            self.admin_tokens.with(token.clone())
        });
        self.append(change);
        token
    }
}

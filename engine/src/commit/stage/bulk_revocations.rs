//! Commands about many keys at once.

use talos_model::clock::UnixMillis;
use talos_model::{
    BulkRevocation, Change, CommandError, Event, RecordKey, Rejection, Revocation, RevokeWhere,
    Subject,
};
use uuid::Uuid;

use super::Stage;
use crate::limits::BULK_REVOCATIONS;

impl Stage<'_> {
    pub(super) fn end_by_bulk_revocations(
        &mut self,
        keys: &[RecordKey],
        now: UnixMillis,
    ) -> Result<(), CommandError> {
        for key in keys {
            self.load(key, now)?;
        }
        Ok(())
    }

    pub(super) fn finish_bulk_revocation(&mut self, id: Uuid, now: UnixMillis) {
        let bulk_revocation = self
            .bulk_revocations
            .iter()
            .find(|bulk_revocation| bulk_revocation.id == id);
        if let Some(bulk_revocation) = bulk_revocation.cloned() {
            self.bulk_revocations = self.bulk_revocations.without(&bulk_revocation);
            self.push_bulk_revocation(
                (*bulk_revocation).clone(),
                Event::BulkRevocationCompleted,
                now,
            );
        }
    }

    pub(super) fn revoke_where(
        &mut self,
        command: RevokeWhere,
        id: Uuid,
        now: UnixMillis,
    ) -> Result<BulkRevocation, CommandError> {
        if self.bulk_revocations.len() >= BULK_REVOCATIONS {
            return Err(Rejection::TooManyBulkRevocations.into());
        }
        let bulk_revocation = BulkRevocation {
            id,
            tenant: command.tenant,
            position: self.last.next(),
            matcher: command.matcher,
            revocation: Revocation {
                reason: command.reason,
                description: command.description,
                time: now,
            },
        };
        self.bulk_revocations = self.bulk_revocations.with(bulk_revocation.clone());
        self.push_bulk_revocation(bulk_revocation.clone(), Event::BulkRevocationAdded, now);
        Ok(bulk_revocation)
    }

    pub(super) fn push_bulk_revocation(
        &mut self,
        bulk_revocation: BulkRevocation,
        event: Event,
        now: UnixMillis,
    ) {
        self.append(Change {
            position: self.last.next(),
            time: now,
            event,
            request_id: None,
            author: None,
            signed_by: None,
            subject: Subject::BulkRevocation(bulk_revocation),
        });
    }
}

//! Bulk revocations in the model.

use std::collections::BTreeSet;

use talos_model::clock::UnixMillis;
use talos_model::{BulkRevocation, Change, Event, Matcher, Revocation, RevokeWhere, Subject};

use super::state::{Entry, State};
use super::*;

impl State {
    /// Applies a bulk revocation at `now` whose records are all rewritten, and compares the
    /// outcome. `changes` are the changes since; the order and times in which keys were rewritten
    /// are known only from them.
    pub(super) fn apply_revoke_where(
        &mut self,
        command: &RevokeWhere,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
        changes: &[Change],
    ) {
        let Ok(Outcome::RevokedWhere { bulk_revocation }) = outcome else {
            panic!("{outcome:?}");
        };
        let revocation = Revocation {
            reason: command.reason,
            description: command.description.clone(),
            time: now,
        };
        assert_eq!(
            (&bulk_revocation.matcher, &bulk_revocation.revocation),
            (&command.matcher, &revocation)
        );
        assert_eq!(
            (bulk_revocation.tenant, bulk_revocation.position.sequence),
            (command.tenant, self.next_sequence())
        );
        let matching: BTreeSet<_> = self
            .records
            .values()
            .filter(|record| record.tenant == command.tenant && record.revocation.is_none())
            .filter(|record| matches(&command.matcher, record))
            .map(|record| (record.tenant, record.key_id))
            .collect();
        let mut ended = BTreeSet::new();
        let [added, ends @ .., completed] = changes else {
            panic!("too few changes: {changes:?}");
        };
        self.log_bulk_revocation(added, Event::BulkRevocationAdded, &bulk_revocation);
        for change in ends {
            let Subject::Key(found) = &change.subject else {
                panic!("{change:?}");
            };
            let key = (found.tenant, found.key_id);
            assert!(ended.insert(key), "twice: {change:?}");
            let mut record = self.records.get(&key).expect("a known key").clone();
            record.revocation = Some(revocation.clone());
            record.update_time = now;
            record.sequence = self.next_sequence();
            let event = match record.key_id {
                KeyId::Issued(_) => Event::IssuedKeyRevoked,
                KeyId::Imported(_) => Event::ImportedKeyRevoked,
            };
            self.changed(record, event, None, change.time);
        }
        assert_eq!(ended, matching, "{:?}", command.matcher);
        self.log_bulk_revocation(completed, Event::BulkRevocationCompleted, &bulk_revocation);
    }

    fn log_bulk_revocation(
        &mut self,
        change: &Change,
        event: Event,
        bulk_revocation: &BulkRevocation,
    ) {
        self.log(Entry {
            event,
            time: change.time,
            request_id: None,
            author: None,
            subject: Subject::BulkRevocation(bulk_revocation.clone()),
        });
    }
}

/// Whether a record meets all conditions that are given.
fn matches(matcher: &Matcher, record: &Record) -> bool {
    let tag = |(name, value): &(String, String)| {
        let members: serde_json::Value = serde_json::from_str(&record.metadata).unwrap_or_default();
        members[name] == *value
    };
    let is = |wanted: &Option<String>, found: Option<&String>| {
        wanted.is_none() || wanted.as_ref() == found
    };
    is(&matcher.actor_id, Some(&record.actor_id))
        && is(&matcher.prefix, record.prefix.as_ref())
        && matcher
            .scope
            .iter()
            .all(|scope| record.scopes.contains(scope))
        && matcher.metadata.iter().all(tag)
        && matcher
            .created_before
            .is_none_or(|end| record.create_time < end)
}

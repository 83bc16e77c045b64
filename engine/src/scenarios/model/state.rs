//! What the engine is expected to hold: maps in memory, and every command applied to them by its plain meaning.

use std::collections::{BTreeMap, BTreeSet};

use talos_model::clock::UnixMillis;
use talos_model::{
    Change, Event, FieldChanges, ImportKey, KeyKind, Matcher, Rejection, Revocation, RevokeWhere,
    RotateKey, Rotation, Rule, Sequence, Status, Subject, UpdateKey,
};

use super::*;

/// An entry of the change log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) time: UnixMillis,
    pub(super) request_id: Option<String>,
    pub(super) subject: Subject,
}

impl Entry {
    /// The key that it is about, if it is about one.
    pub(super) fn key(&self) -> Option<(TenantId, KeyId)> {
        match &self.subject {
            Subject::Key(record) => Some((record.tenant, record.key_id)),
            Subject::Rule(_) => None,
        }
    }
}

/// A credential that somebody holds.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) tenant: TenantId,
    pub(super) key_id: KeyId,
    pub(super) credential: String,
    /// Whatever its record says, an issued key is void some time after this.
    pub(super) issue_time: Option<UnixMillis>,
}

impl Held {
    /// When its age ends it, and proves nothing any more.
    pub(super) fn end_of_age(&self) -> Option<UnixMillis> {
        let life_ms = i64::try_from((MAX_TTL_S + CLOCK_SKEW_S) * 1000).expect("a day");
        self.issue_time.map(|time| UnixMillis(time.0 + life_ms))
    }
}

/// The model.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) records: BTreeMap<(TenantId, KeyId), Record>,
    pub(super) log: Vec<Entry>,
    pub(super) held: Vec<Held>,
    requests: BTreeMap<(TenantId, u8, String), KeyId>,
    live_keys_max: Option<u64>,
}

type Expected<T> = Result<T, Rejection>;

impl State {
    pub(super) fn set_live_keys_max(&mut self, live_keys_max: Option<u64>) {
        self.live_keys_max = live_keys_max;
    }

    /// How many keys of the tenant are not revoked.
    pub(super) fn live_keys(&self, tenant: TenantId) -> u64 {
        let live = |record: &&Record| record.tenant == tenant && record.revocation.is_none();
        self.records.values().filter(live).count() as u64
    }

    /// Applies a command that was submitted at `now` and compares what came of it.
    pub(super) fn apply(
        &mut self,
        command: Command,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
    ) {
        match command {
            Command::Issue(command) => self.issued(command, now, outcome),
            Command::Import(command) => {
                let expected = self.import(command, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Imported { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected);
            }
            Command::ImportMany(commands) => {
                let results = match outcome {
                    Ok(Outcome::ImportedMany(results)) => results,
                    other => panic!("{other:?}"),
                };
                assert_eq!(results.len(), commands.len());
                for (command, result) in commands.into_iter().zip(results) {
                    assert_same(&result, self.import(command, now));
                }
            }
            Command::Update(command) => {
                let expected = self.update(command, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Updated { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected);
            }
            Command::Rotate(command) => self.rotated(command, now, outcome),
            Command::RevokeWhere(command) => panic!("not one of several commands: {command:?}"),
            Command::Revoke(command) => {
                let expected = self.revoke(command, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Revoked { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected);
            }
            Command::Delete(command) => {
                let expected = self.delete(command.tenant, command.key_id, now);
                let record = outcome.map(|outcome| match outcome {
                    Outcome::Deleted { record } => record,
                    other => panic!("{other:?}"),
                });
                assert_same(&record, expected);
            }
        }
    }

    fn issued(
        &mut self,
        command: IssueKey,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
    ) {
        let (record, secret) = match outcome {
            Ok(Outcome::Issued { record, secret }) => (Ok(record), secret),
            Ok(other) => panic!("{other:?}"),
            Err(error) => (Err(error), None),
        };
        let earlier = self.made_before(&command, KeyKind::Issued);
        assert_eq!(
            secret.is_some(),
            record.is_ok() && earlier.is_none(),
            "the credential is shown once"
        );
        // The id is drawn by the engine; all the rest is known.
        let drawn = record.as_ref().ok().map(|record| record.key_id);
        let expected = match earlier {
            Some(record) => Ok(record),
            None => self.create(command, drawn, now, Event::IssuedKeyCreated),
        };
        if let (Some(secret), Ok(record)) = (secret, &record) {
            self.hold(record, &secret, now);
        }
        assert_same(&record, expected);
    }

    fn rotated(
        &mut self,
        command: RotateKey,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
    ) {
        let rotation = outcome.map(|outcome| match outcome {
            Outcome::Rotated(rotation) => *rotation,
            other => panic!("{other:?}"),
        });
        let drawn = rotation
            .as_ref()
            .ok()
            .map(|rotation| rotation.record.key_id);
        let expected = self.rotate(command, drawn, now);
        if let Ok(Rotation { record, secret, .. }) = &rotation {
            self.hold(record, secret, now);
        }
        let records = rotation.map(|rotation| (rotation.old, rotation.record));
        assert_same(&records, expected);
    }

    fn hold(&mut self, record: &Record, secret: &Secret, now: UnixMillis) {
        self.held.push(Held {
            tenant: record.tenant,
            key_id: record.key_id,
            credential: secret.expose().to_owned(),
            issue_time: Some(UnixMillis(now.seconds() * 1000)),
        });
    }

    fn made_before(&self, command: &IssueKey, kind: KeyKind) -> Option<Record> {
        let request_id = command.request_id.clone()?;
        let request = (command.tenant, kind.code(), request_id);
        let key_id = *self.requests.get(&request)?;
        self.records.get(&(command.tenant, key_id)).cloned()
    }

    /// `key_id` is `None` when the engine refused, and so drew none that is known.
    fn create(
        &mut self,
        key: IssueKey,
        key_id: Option<KeyId>,
        now: UnixMillis,
        event: Event,
    ) -> Expected<Record> {
        if self
            .live_keys_max
            .is_some_and(|max| self.live_keys(key.tenant) >= max)
        {
            return Err(Rejection::QuotaExceeded);
        }
        let key_id = key_id.expect("nothing stands against this key");
        assert!(!self.records.contains_key(&(key.tenant, key_id)));
        let record = Record {
            tenant: key.tenant,
            key_id,
            sequence: self.next_sequence(),
            name: key.name,
            actor_id: key.actor_id,
            scopes: key.scopes,
            metadata: key.metadata,
            visibility: key.visibility,
            prefix: prefix(key_id, key.visibility),
            create_time: now,
            update_time: now,
            expire_time: key
                .ttl_ms
                .map(|ttl| UnixMillis(now.0 + i64::try_from(ttl).expect("a short life"))),
            revocation: None,
            rate_limit: key.rate_limit,
            allowed_cidrs: key.allowed_cidrs,
        };
        if let Some(request_id) = &key.request_id {
            let request = (
                record.tenant,
                record.key_id.kind().code(),
                request_id.clone(),
            );
            self.requests.insert(request, record.key_id);
        }
        Ok(self.changed(record, event, key.request_id, now))
    }

    fn import(&mut self, command: ImportKey, now: UnixMillis) -> Expected<Record> {
        if let Some(record) = self.made_before(&command.key, KeyKind::Imported) {
            return Ok(record);
        }
        if self
            .records
            .contains_key(&(command.key.tenant, command.key_id))
        {
            return Err(Rejection::AlreadyExists);
        }
        self.create(
            command.key,
            Some(command.key_id),
            now,
            Event::ImportedKeyCreated,
        )
    }

    fn update(&mut self, command: UpdateKey, now: UnixMillis) -> Expected<Record> {
        let mut record = self.find(command.tenant, command.key_id)?;
        set(&mut record, command.changes);
        record.update_time = now;
        record.sequence = self.next_sequence();
        let event = match record.key_id {
            KeyId::Issued(_) => Event::IssuedKeyUpdated,
            KeyId::Imported(_) => Event::ImportedKeyUpdated,
        };
        Ok(self.changed(record, event, None, now))
    }

    fn rotate(
        &mut self,
        command: RotateKey,
        drawn: Option<KeyId>,
        now: UnixMillis,
    ) -> Expected<(Record, Record)> {
        let found = self.find(command.tenant, command.key_id)?;
        if status(&found, now) != Status::Active {
            return Err(Rejection::NotActive);
        }
        let old = self.revoke(
            RevokeKey {
                tenant: command.tenant,
                key_id: command.key_id,
                reason: RevocationReason::Superseded,
                description: String::new(),
            },
            now,
        )?;
        let mut record = Record {
            key_id: drawn.expect("nothing stands against this rotation"),
            visibility: command.visibility.unwrap_or(found.visibility),
            prefix: prefix(old.key_id, command.visibility.unwrap_or(found.visibility)),
            create_time: now,
            update_time: now,
            sequence: self.next_sequence(),
            ..found
        };
        set(&mut record, command.changes);
        Ok((
            old,
            self.changed(record, Event::IssuedKeyRotated, None, now),
        ))
    }

    fn revoke(&mut self, command: RevokeKey, now: UnixMillis) -> Expected<Record> {
        let mut record = self.find(command.tenant, command.key_id)?;
        if record.revocation.is_some() {
            return Err(Rejection::AlreadyRevoked);
        }
        record.revocation = Some(Revocation {
            reason: command.reason,
            description: command.description,
            time: now,
        });
        record.update_time = now;
        record.sequence = self.next_sequence();
        let event = match record.key_id {
            KeyId::Issued(_) => Event::IssuedKeyRevoked,
            KeyId::Imported(_) => Event::ImportedKeyRevoked,
        };
        Ok(self.changed(record, event, None, now))
    }

    fn delete(&mut self, tenant: TenantId, key_id: KeyId, now: UnixMillis) -> Expected<Record> {
        let mut record = self.find(tenant, key_id)?;
        record.update_time = now;
        record.sequence = self.next_sequence();
        let record = self.changed(record, Event::ImportedKeyDeleted, None, now);
        self.records.remove(&(tenant, key_id));
        Ok(record)
    }

    fn find(&self, tenant: TenantId, key_id: KeyId) -> Expected<Record> {
        let record = self.records.get(&(tenant, key_id)).cloned();
        record.ok_or(Rejection::NotFound)
    }

    fn next_sequence(&self) -> Sequence {
        Sequence(self.log.len() as u64 + 1)
    }

    fn changed(
        &mut self,
        record: Record,
        event: Event,
        request_id: Option<String>,
        time: UnixMillis,
    ) -> Record {
        self.records
            .insert((record.tenant, record.key_id), record.clone());
        self.log.push(Entry {
            event,
            time,
            request_id,
            subject: Subject::Key(record.clone()),
        });
        record
    }

    /// A revocation of many keys at `now`, all of which have followed: `changes` are those after the ones that are known. Which
    /// key came first, and when, only they tell.
    pub(super) fn revoked_where(
        &mut self,
        command: &RevokeWhere,
        now: UnixMillis,
        outcome: Result<Outcome, CommandError>,
        changes: &[Change],
    ) {
        let Ok(Outcome::RevokedWhere { rule }) = outcome else {
            panic!("{outcome:?}");
        };
        let revocation = Revocation {
            reason: command.reason,
            description: command.description.clone(),
            time: now,
        };
        assert_eq!(
            (&rule.matcher, &rule.revocation),
            (&command.matcher, &revocation)
        );
        assert_eq!(
            (rule.tenant, rule.position.sequence),
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
        self.log_rule(added, Event::RuleAdded, &rule);
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
        self.log_rule(completed, Event::RuleCompleted, &rule);
    }

    fn log_rule(&mut self, change: &Change, event: Event, rule: &Rule) {
        self.log.push(Entry {
            event,
            time: change.time,
            request_id: None,
            subject: Subject::Rule(rule.clone()),
        });
    }
}

/// By the plain meaning: what is given must be there.
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

/// What the credential of a key begins with, as the histories are configured.
fn prefix(key_id: KeyId, visibility: Visibility) -> Option<String> {
    let prefix = match (key_id, visibility) {
        (KeyId::Imported(_), _) => return None,
        (KeyId::Issued(_), Visibility::Secret) => "talos",
        (KeyId::Issued(_), Visibility::Public) => "pub",
    };
    Some(prefix.to_owned())
}

/// What a key is at `now`: a revoked one stays revoked, and the millisecond of the end is the first without the key.
pub(super) fn status(record: &Record, now: UnixMillis) -> Status {
    match (&record.revocation, record.expire_time) {
        (Some(_), _) => Status::Revoked,
        (None, Some(end)) if now >= end => Status::Expired,
        (None, _) => Status::Active,
    }
}

fn set(record: &mut Record, changes: FieldChanges) {
    let FieldChanges {
        name,
        scopes,
        metadata,
        rate_limit,
        allowed_cidrs,
    } = changes;
    record.name = name.unwrap_or(record.name.clone());
    record.scopes = scopes.unwrap_or(record.scopes.clone());
    record.metadata = metadata.unwrap_or(record.metadata.clone());
    record.rate_limit = rate_limit.unwrap_or(record.rate_limit);
    record.allowed_cidrs = allowed_cidrs.unwrap_or(record.allowed_cidrs.clone());
}

fn assert_same<T: PartialEq + std::fmt::Debug>(
    found: &Result<T, CommandError>,
    expected: Expected<T>,
) {
    assert_eq!(*found, expected.map_err(CommandError::Rejected));
}

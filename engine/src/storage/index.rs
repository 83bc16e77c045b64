//! The order in which keys are listed.
//!
//! Every key has four entries, one in each view:
//!
//! - the tenant's keys in the order of creation
//! - the tenant's keys by state
//! - the actor's keys in the order of creation
//! - the actor's keys by state
//!
//! In the views by state, keys that are not revoked are in the order of their expiry, so that
//! active and expired ones are two ranges. Revoked keys are in the order of creation. A page is a
//! range of one view; nothing outside the range is read.
//!
//! ```text
//! tenant (16) kind (1) view (1) [actor (16)] [state (1)] [expiry (8)] creation (8) id
//! ```

use std::ops::Range;

use sha2::{Digest, Sha256};
use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, Record, RecordKey, Selection, Status, TenantId};

const BY_CREATION: u8 = 0;
const BY_STATE: u8 = 1;
const ACTOR_BY_CREATION: u8 = 2;
const ACTOR_BY_STATE: u8 = 3;
const LIVE: u8 = 0;
const REVOKED: u8 = 1;

/// Which entries of a range belong to a selection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Members {
    /// All of them.
    All,
    /// Those of keys that were created later than this.
    Younger(UnixMillis),
    /// Those of keys that were created then or before.
    Aged(UnixMillis),
}

impl Members {
    /// Whether an entry of an issued key is one of them.
    #[must_use]
    pub fn have(self, entry: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Younger(aged) => created(entry).is_none_or(|time| time > aged),
            Self::Aged(aged) => created(entry).is_some_and(|time| time <= aged),
        }
    }
}

/// The ranges whose entries belong to `selection` at `now`, in order. Issued keys that were created
/// at `aged` or before have reached their greatest age: they are expired, whatever their expiry
/// time is. Only a key with an expiry time in the future that is beyond its greatest age has to be
/// found among others, and such keys are made no longer.
#[must_use]
pub fn ranges(
    selection: &Selection,
    now: UnixMillis,
    aged: UnixMillis,
) -> Vec<(Range<Vec<u8>>, Members)> {
    let whole = range(selection, now);
    let is_aged = selection.kind == KeyKind::Issued && aged.0 > i64::MIN;
    if !is_aged || matches!(selection.status, None | Some(Status::Revoked)) {
        return vec![(whole, Members::All)];
    }
    let prefix = view(selection);
    let never = [prefix.as_slice(), &[LIVE], &ordered(i64::MAX)].concat();
    // Keys without an expiry time are in the order of their creation.
    let first_young = ordered(aged.0.saturating_add(1));
    let first_young = [never.as_slice(), &first_young].concat();
    if selection.status == Some(Status::Active) {
        let (start, end) = (whole.start, whole.end);
        return vec![
            (start..never, Members::Younger(aged)),
            (first_young..end, Members::All),
        ];
    }
    let first_live = whole.end.clone();
    vec![
        (whole, Members::All),
        (first_live..never.clone(), Members::Aged(aged)),
        (never..first_young, Members::All),
    ]
}

/// When the issued key of an entry was created; `None` when the entry is damaged.
#[must_use]
pub fn created(entry: &[u8]) -> Option<UnixMillis> {
    let (rest, _id) = entry.split_last_chunk::<16>()?;
    let (_, creation) = rest.split_last_chunk::<8>()?;
    Some(UnixMillis(i64::from_be_bytes(*creation) ^ i64::MIN))
}

/// The range of entries that belong to `selection` at `now` by their state and expiry time.
fn range(selection: &Selection, now: UnixMillis) -> Range<Vec<u8>> {
    let prefix = view(selection);
    let with = |state: u8, rest: &[u8]| [prefix.as_slice(), &[state], rest].concat();
    // A key whose expiry is `now` is expired. The first active key expires a millisecond later.
    let first_live = ordered(now.0.saturating_add(1));
    match selection.status {
        None => starting_with(&prefix),
        Some(Status::Expired) => with(LIVE, &[])..with(LIVE, &first_live),
        Some(Status::Active) => with(LIVE, &first_live)..with(REVOKED, &[]),
        Some(Status::Revoked) => starting_with(&with(REVOKED, &[])),
    }
}

/// The prefix of the entries of `selection` before the state and the time.
fn view(selection: &Selection) -> Vec<u8> {
    let actor_id = selection.actor_id.as_deref();
    let view = match (actor_id, selection.status) {
        (None, None) => BY_CREATION,
        (None, Some(_)) => BY_STATE,
        (Some(_), None) => ACTOR_BY_CREATION,
        (Some(_), Some(_)) => ACTOR_BY_STATE,
    };
    prefix(selection.tenant, selection.kind, view, actor_id)
}

/// The prefix of the entries of `selection` before the time of creation. The selection must be in
/// the order of creation.
fn creation_prefix(selection: &Selection) -> Vec<u8> {
    let state = selection.status.map(|_| REVOKED);
    view(selection).into_iter().chain(state).collect()
}

/// Translates an entry of the selection `from` to one of `to`; `None` when it is not an entry of
/// `from`. Both selections must be in the order of creation and differ in the state only: one has
/// all keys, the other the revoked ones.
pub fn moved(entry: &[u8], from: &Selection, to: &Selection) -> Option<Vec<u8>> {
    let creation = entry.strip_prefix(creation_prefix(from).as_slice())?;
    Some([creation_prefix(to).as_slice(), creation].concat())
}

/// The four entries of a record in its current state.
pub fn entries(record: &Record) -> [Vec<u8>; 4] {
    let state = match record.revocation {
        Some(_) => vec![REVOKED],
        None => live_state(record),
    };
    let key = RecordKey::new(record.tenant, record.key_id);
    let creation = creation(record, &key);
    let actor = Some(record.actor_id.as_str());
    let entry = |view, actor, state: &[u8]| {
        let prefix = prefix(record.tenant, key.kind(), view, actor);
        [prefix.as_slice(), state, &creation].concat()
    };
    [
        entry(BY_CREATION, None, &[]),
        entry(BY_STATE, None, &state),
        entry(ACTOR_BY_CREATION, actor, &[]),
        entry(ACTOR_BY_STATE, actor, &state),
    ]
}

/// The entries that a revoked record had before its revocation, to be deleted.
pub fn entries_before_revocation(record: &Record) -> [Vec<u8>; 2] {
    let key = RecordKey::new(record.tenant, record.key_id);
    let (state, creation) = (live_state(record), creation(record, &key));
    [
        (BY_STATE, None),
        (ACTOR_BY_STATE, Some(record.actor_id.as_str())),
    ]
    .map(|(view, actor)| {
        let prefix = prefix(record.tenant, key.kind(), view, actor);
        [prefix.as_slice(), &state, &creation].concat()
    })
}

/// The key of the record that an entry names; `None` when the entry is damaged.
pub fn record_key(entry: &[u8]) -> Option<RecordKey> {
    let (tenant, rest) = entry.split_first_chunk::<16>()?;
    let (&kind, _) = rest.split_first()?;
    let id_bytes = if kind == KeyKind::Issued.code() {
        16
    } else {
        32
    };
    let id = entry.get(entry.len().checked_sub(id_bytes)?..)?;
    let key = [tenant.as_slice(), &[kind], id].concat();
    let (tenant, key_id) = RecordKey::split(&key)?;
    Some(RecordKey::new(tenant, key_id))
}

fn live_state(record: &Record) -> Vec<u8> {
    let expiry = record.expire_time.map_or(i64::MAX, |time| time.0);
    [&[LIVE], ordered(expiry).as_slice()].concat()
}

fn creation(record: &Record, key: &RecordKey) -> Vec<u8> {
    [ordered(record.create_time.0).as_slice(), key.id_bytes()].concat()
}

/// Actors are hashed: entries have a fixed length, and no actor id can imitate a separator.
fn prefix(tenant: TenantId, kind: KeyKind, view: u8, actor_id: Option<&str>) -> Vec<u8> {
    let mut bytes = [tenant.0.as_bytes().as_slice(), &[kind.code(), view]].concat();
    if let Some(actor_id) = actor_id {
        let digest = Sha256::digest(actor_id.as_bytes());
        bytes.extend(digest.iter().take(16));
    }
    bytes
}

/// Eight bytes in the sort order of the number.
fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// The range of all keys that begin with `prefix`.
fn starting_with(prefix: &[u8]) -> Range<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            break;
        }
    }
    prefix.to_vec()..end
}

#[cfg(test)]
mod tests {
    use talos_model::Matcher;

    use super::*;
    use crate::samples;

    #[test]
    fn numbers_sort_as_bytes() {
        let numbers = [i64::MIN, -5, -1, 0, 1, 255, 256, i64::MAX];
        assert!(
            numbers
                .windows(2)
                .all(|pair| ordered(pair[0]) < ordered(pair[1]))
        );
    }

    #[test]
    fn a_prefix_ends_where_the_next_begins() {
        assert_eq!(starting_with(&[1, 2]), vec![1, 2]..vec![1, 3]);
        assert_eq!(starting_with(&[1, 255]), vec![1, 255]..vec![2]);
    }

    #[test]
    fn a_place_among_all_keys_is_one_among_the_revoked() {
        let selection = |actor_id: Option<&str>, status| Selection {
            tenant: TenantId::SINGLE,
            kind: KeyKind::Issued,
            actor_id: actor_id.map(str::to_owned),
            status,
        };
        let bulk_revocation = samples::bulk_revocation(2, Matcher::default());
        let [created, state, actor_created, actor_state] =
            entries(&bulk_revocation.end(samples::record(1)));
        for (actor_id, in_all, in_revoked) in [
            (None, created, state),
            (Some("actor"), actor_created, actor_state),
        ] {
            let all = selection(actor_id, None);
            let revoked = selection(actor_id, Some(Status::Revoked));
            assert_eq!(moved(&in_all, &all, &revoked), Some(in_revoked.clone()));
            assert_eq!(moved(&in_revoked, &revoked, &all), Some(in_all.clone()));
            assert_eq!(moved(&in_all, &revoked, &all), None);
            assert_eq!(moved(&[], &all, &revoked), None);
        }
    }
}

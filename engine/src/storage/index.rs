//! The order in which keys are listed.
//!
//! Every key has four entries: in the order of creation, over its tenant and over its actor; and by its state, over its
//! tenant and over its actor, where keys that are not revoked stand in the order of their expiry, so that active and expired
//! ones are two ranges, and revoked ones in the order of creation. A page is a range of one view: nothing outside it is read.
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

/// The keys of the index that belong to `selection` at `now`.
#[must_use]
pub fn range(selection: &Selection, now: UnixMillis) -> Range<Vec<u8>> {
    let prefix = view(selection);
    let with = |state: u8, rest: &[u8]| [prefix.as_slice(), &[state], rest].concat();
    // A key is expired from its expiry on: the first that is not expired has the next millisecond.
    let first_live = ordered(now.0.saturating_add(1));
    match selection.status {
        None => after(&prefix),
        Some(Status::Expired) => with(LIVE, &[])..with(LIVE, &first_live),
        Some(Status::Active) => with(LIVE, &first_live)..with(REVOKED, &[]),
        Some(Status::Revoked) => after(&with(REVOKED, &[])),
    }
}

/// The part of the entries of `selection` that precedes the state and the time.
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

/// The part of the entries of `selection`, which are in the order of creation, that precedes the time.
fn leading(selection: &Selection) -> Vec<u8> {
    let state = selection.status.map(|_| REVOKED);
    view(selection).into_iter().chain(state).collect()
}

/// Where an entry of the selection `from` stands in `to`. Both are in the order of creation, of the same keys but for their state: all
/// of them, or those that are revoked. `None` when it is no entry of `from`.
pub fn moved(entry: &[u8], from: &Selection, to: &Selection) -> Option<Vec<u8>> {
    let creation = entry.strip_prefix(leading(from).as_slice())?;
    Some([leading(to).as_slice(), creation].concat())
}

/// The entries of a record as it is.
pub fn entries(record: &Record) -> [Vec<u8>; 4] {
    let state = match record.revocation {
        Some(_) => vec![REVOKED],
        None => live(record),
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

/// The entries that a revoked record had before its revocation and has no more.
pub fn entries_before_revocation(record: &Record) -> [Vec<u8>; 2] {
    let key = RecordKey::new(record.tenant, record.key_id);
    let (state, creation) = (live(record), creation(record, &key));
    [
        (BY_STATE, None),
        (ACTOR_BY_STATE, Some(record.actor_id.as_str())),
    ]
    .map(|(view, actor)| {
        let prefix = prefix(record.tenant, key.kind(), view, actor);
        [prefix.as_slice(), &state, &creation].concat()
    })
}

/// The record that an entry stands for.
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

fn live(record: &Record) -> Vec<u8> {
    let expiry = record.expire_time.map_or(i64::MAX, |time| time.0);
    [&[LIVE], ordered(expiry).as_slice()].concat()
}

fn creation(record: &Record, key: &RecordKey) -> Vec<u8> {
    [ordered(record.create_time.0).as_slice(), key.id_bytes()].concat()
}

/// Actors are digested, so that an entry has one length and no separator can be forged.
fn prefix(tenant: TenantId, kind: KeyKind, view: u8, actor_id: Option<&str>) -> Vec<u8> {
    let mut bytes = [tenant.0.as_bytes().as_slice(), &[kind.code(), view]].concat();
    if let Some(actor_id) = actor_id {
        let digest = Sha256::digest(actor_id.as_bytes());
        bytes.extend(digest.iter().take(16));
    }
    bytes
}

/// Eight bytes that sort as the number does.
fn ordered(number: i64) -> [u8; 8] {
    (number ^ i64::MIN).to_be_bytes()
}

/// Everything that begins with `prefix`.
fn after(prefix: &[u8]) -> Range<Vec<u8>> {
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
        assert_eq!(after(&[1, 2]), vec![1, 2]..vec![1, 3]);
        assert_eq!(after(&[1, 255]), vec![1, 255]..vec![2]);
    }

    #[test]
    fn a_place_among_all_keys_is_one_among_the_revoked() {
        let selection = |actor_id: Option<&str>, status| Selection {
            tenant: TenantId::SINGLE,
            kind: KeyKind::Issued,
            actor_id: actor_id.map(str::to_owned),
            status,
        };
        let rule = samples::rule(2, Matcher::default());
        let [created, state, actor_created, actor_state] = entries(&rule.end(samples::record(1)));
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

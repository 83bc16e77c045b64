//! Compares everything that the engine shows with the model.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use talos_credentials::imported_key_id;
use talos_model::clock::UnixMillis;
use talos_model::{KeyKind, ListQuery, Selection, Status, Subject};

use super::commands::{ACTORS, Random, TENANTS, raw_keys};
use super::state::{Entry, Held, State, shown, status};
use super::*;
use crate::scenarios::lists::page;
use crate::storage::RecordReader;

const STATUSES: [Option<Status>; 4] = [
    None,
    Some(Status::Active),
    Some(Status::Revoked),
    Some(Status::Expired),
];
const ADDRESSES: [Option<&str>; 4] = [
    None,
    Some("10.1.2.3"),
    Some("::ffff:10.200.0.1"),
    Some("2001:db8::1"),
];

/// Compares everything at the time `now`.
pub(super) fn everything(engine: &Engine, state: &State, now: UnixMillis, random: &mut Random) {
    compare_records(engine, state);
    compare_lists(engine, state, now, random);
    compare_log(engine, state);
    admin_tokens::compare(engine, state, now);
    for tenant in TENANTS {
        let live_keys = engine.store().live_keys(tenant).expect("a count");
        assert_eq!(live_keys, state.live_keys(tenant), "live keys of {tenant}");
    }
    for mode in [
        CacheMode::Use,
        CacheMode::Refresh,
        CacheMode::Bypass,
        CacheMode::Use,
    ] {
        for held in &state.held {
            compare_verdict(engine, state, held, mode, now, random);
        }
    }
    for held in imported(state) {
        compare_verdict(engine, state, &held, CacheMode::Use, now, random);
    }
}

/// Every raw key in every tenant, imported there or not.
pub(super) fn imported(_: &State) -> Vec<Held> {
    let both = TENANTS
        .into_iter()
        .flat_map(|tenant| raw_keys().map(move |raw_key| (tenant, raw_key)));
    both.map(|(tenant, credential)| Held {
        tenant,
        key_id: imported_key_id(tenant, credential.as_bytes()),
        credential,
        issue_time: None,
    })
    .collect()
}

fn compare_records(engine: &Engine, state: &State) {
    // The log still contains the ids of deleted keys.
    let ever: BTreeSet<_> = state.log.iter().filter_map(Entry::key).collect();
    for (tenant, key_id) in ever {
        for queried in TENANTS {
            let expected = (queried == tenant)
                .then(|| state.records.get(&(tenant, key_id)).map(shown))
                .flatten();
            // A raw key has different ids in different tenants, so an id exists in one tenant only.
            assert_eq!(get_of(engine, queried, key_id), expected);
        }
    }
}

fn get_of(engine: &Engine, tenant: TenantId, key_id: KeyId) -> Option<Record> {
    let (sender, receiver) = channel();
    engine.get(tenant, key_id, move |record| {
        sender.send(record).expect("a receiver");
    });
    let answer = receiver.recv().expect("an answer");
    answer.expect("a readable record")
}

fn compare_lists(engine: &Engine, state: &State, now: UnixMillis, random: &mut Random) {
    for tenant in TENANTS {
        for kind in [KeyKind::Issued, KeyKind::Imported] {
            for actor_id in [None]
                .into_iter()
                .chain(ACTORS.map(Some))
                .chain([Some("nobody")])
            {
                for status in STATUSES {
                    let selection = Selection {
                        tenant,
                        kind,
                        actor_id: actor_id.map(str::to_owned),
                        status,
                    };
                    compare_list(engine, state, &selection, now, random);
                }
            }
        }
    }
}

fn compare_list(
    engine: &Engine,
    state: &State,
    selection: &Selection,
    now: UnixMillis,
    random: &mut Random,
) {
    let wanted = |record: &&Record| {
        record.tenant == selection.tenant
            && record.key_id.kind() == selection.kind
            && selection
                .actor_id
                .as_ref()
                .is_none_or(|actor| *actor == record.actor_id)
            && selection
                .status
                .is_none_or(|wanted| wanted == status(record, now))
    };
    let mut expected: Vec<Record> = state.records.values().filter(wanted).cloned().collect();
    // In order of creation; selections that exclude revoked keys, in order of expiry.
    expected.sort_by_key(|record| {
        let expiry = match selection.status {
            Some(Status::Active | Status::Expired) => {
                record.expire_time.map_or(i64::MAX, |time| time.0)
            }
            None | Some(Status::Revoked) => 0,
        };
        (expiry, record.create_time, record.key_id)
    });
    let expected: Vec<_> = expected.iter().map(shown).collect();
    let limit = random.one_of(&[1, 2, 5, 1000]);
    let (mut found, mut after) = (Vec::new(), Vec::new());
    loop {
        let query = ListQuery {
            selection: selection.clone(),
            after,
            limit,
            now,
        };
        let page = page(engine, query);
        assert!(page.records.len() <= limit);
        found.extend(page.records);
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(found, expected, "{selection:?} in pages of {limit}");
}

/// The log is the whole history. Replaying it gives the records.
fn compare_log(engine: &Engine, state: &State) {
    let store = engine.store();
    let changes = store.newest_changes().expect("the log");
    let mut changes: Vec<_> = changes.map(|change| change.expect("a change")).collect();
    changes.reverse();
    assert_eq!(changes.len(), state.log.len());
    let mut replayed = BTreeMap::new();
    for ((sequence, change), entry) in (1..).zip(&changes).zip(&state.log) {
        assert_eq!(change.position.sequence.0, sequence);
        let found = (
            change.event,
            change.time,
            &change.request_id,
            change.author.as_deref(),
            &change.subject,
        );
        let expected = (
            entry.event,
            entry.time,
            &entry.request_id,
            entry.author.as_ref(),
            &entry.subject,
        );
        assert_eq!(found, expected);
        let Subject::Key(record) = &change.subject else {
            continue;
        };
        let key = (record.tenant, record.key_id);
        if change.deletes() {
            replayed.remove(&key);
        } else {
            replayed.insert(key, record.clone());
        }
    }
    assert_eq!(replayed, state.records);
}

/// Verifies one credential and compares the answer with the one that the model gives.
pub(super) fn compare_verdict(
    engine: &Engine,
    state: &State,
    held: &Held,
    mode: CacheMode,
    now: UnixMillis,
    random: &mut Random,
) {
    let client_ip: Option<IpAddr> = random
        .one_of(&ADDRESSES)
        .map(|text| text.parse().expect("an address"));
    let expected_audiences: &[&str] = if random.once_in(8) {
        &["audience"]
    } else {
        &[]
    };
    let query = Query {
        tenant: held.tenant,
        credential: held.credential.as_bytes(),
        expected_audiences,
        client_ip,
        cache: mode,
        now,
    };
    let (verdict, _) = verify_query(engine, &query);
    let expected = expected(state, held, &query);
    assert_eq!(verdict, expected, "{held:?} {mode:?} {client_ip:?}");

    let elsewhere = Query {
        tenant: if held.tenant == TENANTS[0] {
            TENANTS[1]
        } else {
            TENANTS[0]
        },
        ..query
    };
    if held.issue_time.is_some() {
        assert_eq!(
            verify_query(engine, &elsewhere).0,
            OwnedVerdict::Refused(Refusal::NotFound),
            "in another tenant"
        );
    }
}

fn expected(state: &State, held: &Held, query: &Query<'_>) -> OwnedVerdict {
    let Some(record) = state.records.get(&(held.tenant, held.key_id)) else {
        return OwnedVerdict::Refused(Refusal::NotFound);
    };
    let is_inside = record.allowed_cidrs.is_empty()
        || query.client_ip.is_some_and(|address| {
            record
                .allowed_cidrs
                .iter()
                .any(|block| block.contains(address))
        });
    match status(record, query.now) {
        Status::Revoked => OwnedVerdict::Refused(Refusal::Revoked),
        Status::Expired => OwnedVerdict::Refused(Refusal::Expired),
        Status::Active if !query.expected_audiences.is_empty() => {
            OwnedVerdict::Refused(Refusal::AudienceMismatch)
        }
        Status::Active if !is_inside => OwnedVerdict::Refused(Refusal::IpNotAllowed),
        Status::Active => {
            OwnedVerdict::Valid(String::from_utf8(render(&shown(record), "issuer")).expect("text"))
        }
    }
}

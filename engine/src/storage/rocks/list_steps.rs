//! Tests how many index entries a page reads. RocksDB counts the entries that its iterators pass,
//! deleted ones included.

use std::collections::HashMap;
use std::path::Path;

use rocksdb::WaitForCompactOptions;
use rocksdb::perf::{PerfContext, PerfMetric};
use talos_model::clock::UnixMillis;
use talos_model::{
    Change, Epoch, Event, KeyId, KeyKind, ListQuery, Page, Position, Record, Revocation,
    RevocationReason, Selection, Sequence, Status, Subject, TenantId, Visibility,
};
use uuid::Uuid;

use crate::storage::journal::{Group, Journal};
use crate::storage::record_reader::RecordReader;

use super::open::{Opened, Wanted, open};
use crate::limits::LIST_DELETED_ENTRIES;

const NOW: UnixMillis = UnixMillis(1_000_000);
const KEYS: u64 = 20_000;
const LIMIT: usize = 10;
/// Entries that a page may pass: its own, the one after them, and those that single revocations
/// deleted between them.
const STEPS: u64 = 2 * LIMIT as u64;

fn open_in(path: &Path) -> Opened {
    let wanted = Wanted {
        shards: 4,
        required_shards: None,
        block_cache_bytes: 8 << 20,
        retention: None,
    };
    open(path, wanted).unwrap()
}

/// The `n`th key. There are 1000 actors with equally many keys. One key in a thousand is expired,
/// and one is revoked.
fn record(n: u64) -> Record {
    let revocation = Revocation {
        reason: RevocationReason::KeyCompromise,
        description: String::new(),
        time: NOW,
    };
    Record {
        tenant: TenantId::SINGLE,
        key_id: KeyId::Issued(Uuid::from_u128(u128::from(n) << 64)),
        sequence: Sequence(n),
        name: n.to_string(),
        actor_id: (n % 1000).to_string(),
        scopes: Vec::new(),
        metadata: String::new(),
        visibility: Visibility::Secret,
        prefix: None,
        create_time: UnixMillis(0),
        update_time: UnixMillis(0),
        expire_time: (n % 1000 == 1).then_some(UnixMillis(1)),
        revocation: (n % 1000 == 2).then_some(revocation),
        rate_limit: None,
        allowed_cidrs: Vec::new(),
    }
}

fn write(opened: &mut Opened, event: Event, records: impl Iterator<Item = Record>) {
    let changes: Vec<_> = (opened.last.sequence.0 + 1..)
        .zip(records)
        .map(|(sequence, record)| Change {
            position: Position {
                epoch: Epoch(1),
                sequence: Sequence(sequence),
            },
            time: NOW,
            event,
            request_id: None,
            author: None,
            signed_by: None,
            subject: Subject::Key(record),
        })
        .collect();
    opened.last = changes.last().unwrap().position;
    let group = Group {
        received: None,
        changes: &changes,
        secret_uses: &[],
        live_keys: &HashMap::new(),
    };
    opened.journal.append(&group).unwrap();
}

fn query(actor_id: Option<&str>, status: Option<Status>) -> ListQuery {
    ListQuery {
        selection: Selection {
            tenant: TenantId::SINGLE,
            kind: KeyKind::Issued,
            actor_id: actor_id.map(str::to_owned),
            status,
        },
        after: Vec::new(),
        limit: LIMIT,
        now: NOW,
    }
}

/// A page, and how many entries of the index were passed for it.
fn page(opened: &Opened, query: &ListQuery) -> (Page, u64) {
    let counts = || {
        let counts = PerfContext::default();
        counts.metric(PerfMetric::InternalKeySkippedCount)
            + counts.metric(PerfMetric::InternalDeleteSkippedCount)
    };
    rocksdb::perf::set_perf_stats(rocksdb::perf::PerfStatsLevel::EnableCount);
    let before = counts();
    let page = opened.store.list(query, UnixMillis(i64::MIN)).unwrap();
    (page, counts() - before)
}

#[test]
fn a_page_passes_its_own_entries_only() {
    let scratch = tempfile::tempdir().unwrap();
    let mut opened = open_in(scratch.path());
    write(&mut opened, Event::IssuedKeyCreated, (0..KEYS).map(record));
    for actor in [None, Some("7")] {
        for status in [None, Some(Status::Active)] {
            let mut query = query(actor, status);
            let (mut keys, mut pages) = (0, 0);
            loop {
                let (page, steps) = page(&opened, &query);
                assert!(steps <= STEPS, "{query:?}: {steps}");
                (keys, pages) = (keys + page.records.len(), pages + 1);
                match page.next {
                    // Read all pages of the actor, and the first 20 of the tenant.
                    Some(next) if pages < 20 => query.after = next,
                    _ => break,
                }
            }
            assert_eq!(keys, if actor.is_some() { 20 } else { 20 * LIMIT });
        }
    }
    for status in [Status::Revoked, Status::Expired] {
        let (page, steps) = page(&opened, &query(None, Some(status)));
        assert_eq!(page.records.len(), LIMIT);
        assert!(steps <= STEPS, "{status:?}: {steps}");
    }
}

#[test]
fn entries_of_revoked_keys_are_passed_until_they_are_compacted() {
    let scratch = tempfile::tempdir().unwrap();
    let mut opened = open_in(scratch.path());
    let active = |n: &u64| n % 1000 == 3;
    write(&mut opened, Event::IssuedKeyCreated, (0..KEYS).map(record));
    let revoked = (0..KEYS).filter(|n| !active(n)).map(|n| Record {
        revocation: record(2).revocation,
        ..record(n)
    });
    write(&mut opened, Event::IssuedKeyRevoked, revoked);
    let query = query(None, Some(Status::Active));
    let (first, steps) = page(&opened, &query);
    assert_eq!(first.records.len(), LIMIT);
    assert!(steps > LIST_DELETED_ENTRIES, "{steps}");
    // Reading the page flushed the deletions to a file. RocksDB compacts it because they are many;
    // no further write is needed.
    let wait = WaitForCompactOptions::default();
    opened.store.db.wait_for_compact(&wait).unwrap();
    let (second, steps) = page(&opened, &query);
    assert_eq!(second, first);
    assert!(steps <= STEPS, "{steps}");
}

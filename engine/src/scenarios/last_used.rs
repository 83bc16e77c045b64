//! Times of last use: written at most once an interval, not lost by a clean stop, never set back.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use talos_credentials::imported_key_id;
use talos_model::clock::UnixMillis;
use talos_model::{
    DeleteKey, ImportKey, KeyKind, ListQuery, RateLimitPolicy, RotateKey, Selection,
};

use super::*;
use crate::LastUsedCounts;

/// Much longer than a write takes, so that only a hang exceeds it.
const PATIENCE: Duration = Duration::from_secs(60);
/// A century: no interval ends during a test.
const LONG: Duration = Duration::from_secs(3_155_760_000);

fn open_with(path: &Path, queue_size: usize, flush_size: usize) -> Arc<Engine> {
    let last_used = LastUsedOptions {
        queue_size,
        flush_size,
        flush_interval: LONG,
    };
    let engine = Engine::open(Options {
        last_used,
        ..options(path)
    });
    engine.expect("a database")
}

pub(super) fn last_used(engine: &Engine, key_id: KeyId) -> Option<UnixMillis> {
    let (sender, receiver) = channel();
    let record = get(engine, key_id).expect("a key");
    engine.last_used(record, move |time| sender.send(time).expect("a receiver"));
    receiver
        .recv()
        .expect("an answer")
        .expect("a readable time")
}

/// Waits until `written` uses are written, and checks that no more are.
fn await_written(engine: &Engine, written: u64) {
    let start = Instant::now();
    while engine.last_used_counts().written < written {
        assert!(
            start.elapsed() < PATIENCE,
            "{:?}",
            engine.last_used_counts()
        );
        std::thread::yield_now();
    }
    let dropped = 0;
    let counts = engine.last_used_counts();
    assert_eq!(counts, LastUsedCounts { written, dropped });
}

fn at(credential: &str, now: UnixMillis, cache: CacheMode) -> Query<'_> {
    Query {
        now,
        ..query(credential, cache)
    }
}

#[test]
fn a_use_is_visible_at_once_and_survives_a_clean_stop() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, credential) = issue_new(&engine, "a");
    let (unused, _) = issue_new(&engine, "b");
    assert_eq!(last_used(&engine, key_id), None);
    let request = query(&credential, CacheMode::Use);
    assert_eq!(verify_query(&engine, &request).0, valid("a"));
    assert_eq!(last_used(&engine, key_id), Some(request.now));
    let list = |engine: &Engine| {
        let (sender, receiver) = channel();
        let query = ListQuery {
            selection: Selection {
                tenant: TenantId::SINGLE,
                kind: KeyKind::Issued,
                actor_id: None,
                status: None,
            },
            after: Vec::new(),
            limit: 10,
            now: clock::now(),
        };
        engine.list(query, move |page| sender.send(page).unwrap());
        let page = receiver.recv().unwrap().unwrap();
        // Keys of the same millisecond are listed in any order.
        let ids = page.records.iter().map(|record| record.key_id);
        ids.zip(page.last_used).collect::<HashMap<_, _>>()
    };
    let expected = HashMap::from([(key_id, Some(request.now)), (unused, None)]);
    assert_eq!(list(&engine), expected);
    assert_eq!(engine.last_used_counts().written, 0, "nothing was due");
    engine.shutdown();
    assert_eq!(engine.last_used_counts().written, 1);
    drop(engine);
    let engine = open(scratch.path());
    assert_eq!(last_used(&engine, key_id), Some(request.now));
    assert_eq!(last_used(&engine, unused), None);
    assert_eq!(list(&engine), expected);
}

#[test]
fn verifications_do_not_cause_writes_of_their_own() {
    for cache_bytes in [1 << 20, 0] {
        let scratch = tempfile::tempdir().unwrap();
        let engine = Engine::open(Options {
            cache_bytes,
            last_used: LastUsedOptions {
                queue_size: 100_000,
                flush_size: 2,
                flush_interval: LONG,
            },
            ..options(scratch.path())
        })
        .unwrap();
        let credentials = ["a", "b", "c", "d"].map(|name| issue_new(&engine, name).1);
        for mode in [CacheMode::Use, CacheMode::Refresh, CacheMode::Bypass] {
            for _ in 0..1000 {
                for credential in &credentials {
                    assert!(matches!(
                        verify(&engine, credential, mode).0,
                        OwnedVerdict::Valid(_)
                    ));
                }
            }
        }
        engine.shutdown();
        let (written, dropped) = (4, 0);
        assert_eq!(
            engine.last_used_counts(),
            LastUsedCounts { written, dropped }
        );
    }
}

#[test]
fn only_valid_verifications_count_as_use() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    set_rate_limits(&engine, Enforcement::On);
    let restricted = IssueKey {
        allowed_cidrs: vec!["10.0.0.0/8".parse().unwrap()],
        ..key("a")
    };
    let policy = RateLimitPolicy {
        quota: 1,
        window_s: 31_536_000,
    };
    let limited = IssueKey {
        rate_limit: Some(policy),
        ..key("b")
    };
    let (record, credential) = issue(&engine, restricted);
    verify(&engine, &credential.unwrap(), CacheMode::Use);
    assert_eq!(last_used(&engine, record.key_id), None);

    let (record, credential) = issue(&engine, limited);
    let credential = credential.unwrap();
    let first = query(&credential, CacheMode::Use);
    assert_eq!(verify_query(&engine, &first).0, valid("b"));
    // Long after the interval: a valid verification would be noted again.
    let later = at(&credential, first.now.plus_seconds(100), CacheMode::Use);
    assert_eq!(
        verify_query(&engine, &later).0,
        OwnedVerdict::Refused(Refusal::RateLimited)
    );
    assert_eq!(last_used(&engine, record.key_id), Some(first.now));
}

#[test]
fn each_interval_is_noted_once_and_a_time_never_goes_back() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = Engine::open(Options {
        last_used: LastUsedOptions {
            flush_size: 1,
            flush_interval: Duration::from_secs(3600),
            ..LastUsedOptions::default()
        },
        ..options(scratch.path())
    })
    .unwrap();
    let (key_id, credential) = issue_new(&engine, "a");
    let first = clock::now();
    let use_after = |seconds| {
        let request = at(&credential, first.plus_seconds(seconds), CacheMode::Use);
        assert_eq!(verify_query(&engine, &request).0, valid("a"));
        request.now
    };
    use_after(0);
    await_written(&engine, 1);
    assert_eq!(last_used(&engine, key_id), Some(first));
    for interval in 0..5 {
        for step in 1..=36 {
            use_after(interval * 3600 + step * 100);
        }
        await_written(&engine, 2 + interval);
    }
    let (last, next) = (use_after(5 * 3600), last_used(&engine, key_id).unwrap());
    assert!(next.plus_seconds(3600) > last, "{next:?}, {last:?}");
    assert!(next > first.plus_seconds(4 * 3600), "{next:?}");
    drop(engine);

    // The clock of an earlier run was ahead, or two cores saw the time differently.
    let engine = open_with(scratch.path(), 10, 1);
    engine.touch(TenantId::SINGLE, key_id, first);
    engine.shutdown();
    assert_eq!(engine.last_used_counts().written, 1);
    drop(engine);
    let engine = open_with(scratch.path(), 10, 1);
    assert_eq!(last_used(&engine, key_id), Some(next));
    let last = next.plus_seconds(1);
    engine.touch(TenantId::SINGLE, key_id, last);
    await_written(&engine, 1);
    assert_eq!(last_used(&engine, key_id), Some(last));
}

#[test]
fn a_full_queue_drops_and_the_next_use_is_tried_again() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), 1, 1);
    let keys: Vec<_> = (0..50)
        .map(|n| issue_new(&engine, &n.to_string()))
        .collect();
    let (mut rounds, start) = (0, Instant::now());
    // Every cached key tries until the queue accepts its use, and then no more.
    while engine.last_used_counts().written < 50 {
        assert!(
            start.elapsed() < PATIENCE,
            "{:?}",
            engine.last_used_counts()
        );
        for (_, credential) in &keys {
            assert!(matches!(
                verify(&engine, credential, CacheMode::Use).0,
                OwnedVerdict::Valid(_)
            ));
        }
        rounds += 1;
    }
    let LastUsedCounts { written, dropped } = engine.last_used_counts();
    assert_eq!(written, 50);
    assert!(rounds == 1 || dropped > 0, "{dropped} in {rounds} rounds");
    assert!(
        keys.iter()
            .all(|(key_id, _)| last_used(&engine, *key_id).is_some())
    );
}

#[test]
fn deleting_a_key_deletes_its_time_of_last_use() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open_with(scratch.path(), 10, 1);
    let tenant = TenantId::SINGLE;
    let key_id = imported_key_id(tenant, b"raw");
    let import = || {
        submit(
            &engine,
            Command::Import(ImportKey {
                key_id,
                key: key("a"),
            }),
        )
        .unwrap()
    };
    import();
    let used = query("raw", CacheMode::Use);
    assert_eq!(verify_query(&engine, &used).0, valid("a"));
    await_written(&engine, 1);
    let stored = || {
        let key = talos_model::RecordKey::new(tenant, key_id);
        engine.store().last_used(&key).unwrap()
    };
    assert_eq!(stored(), Some(used.now));
    submit(&engine, Command::Delete(DeleteKey { tenant, key_id })).unwrap();
    assert_eq!(stored(), None);
    // A use is queued before the deletion and written after it.
    engine.touch(tenant, key_id, used.now.plus_seconds(LONG.as_secs() + 1));
    await_written(&engine, 2);
    engine.shutdown();
    assert_eq!(stored(), None);
    drop(engine);

    let engine = open_with(scratch.path(), 10, 100);
    engine.touch(tenant, key_id, used.now);
    while clock::now() == used.now {
        std::thread::yield_now();
    }
    submit(
        &engine,
        Command::Import(ImportKey {
            key_id,
            key: key("a"),
        }),
    )
    .unwrap();
    assert_eq!(
        last_used(&engine, key_id),
        None,
        "that was the key before this one"
    );
}

#[test]
fn a_rotated_key_has_no_time_of_last_use() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, credential) = issue_new(&engine, "a");
    verify(&engine, &credential, CacheMode::Use);
    let command = RotateKey {
        tenant: TenantId::SINGLE,
        key_id,
        changes: talos_model::FieldChanges::default(),
        visibility: None,
    };
    let Ok(Outcome::Rotated(rotation)) = submit(&engine, Command::Rotate(command)) else {
        panic!("not rotated")
    };
    assert_eq!(last_used(&engine, rotation.record.key_id), None);
    assert!(last_used(&engine, key_id).is_some());
}

#[test]
fn a_database_of_an_older_release_opens() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, credential) = issue_new(&engine, "a");
    drop(engine);
    let database = scratch.path().join("db");
    let families = rocksdb::DB::list_cf(&rocksdb::Options::default(), &database).unwrap();
    let mut db = rocksdb::DB::open_cf(&rocksdb::Options::default(), &database, families).unwrap();
    db.drop_cf("used").unwrap();
    drop(db);
    for _ in 0..2 {
        let engine = open(scratch.path());
        assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
        assert!(last_used(&engine, key_id).is_some());
    }
}

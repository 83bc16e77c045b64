//! Databases that must not open: in use, with other settings, or without acknowledged changes.

use std::fs;

use talos_model::clock::UnixMillis;
use talos_model::{Epoch, Position, Sequence};

use super::*;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).map(drop).unwrap();
        }
    }
}

#[test]
fn a_database_in_use_is_not_opened_twice() {
    let scratch = tempfile::tempdir().unwrap();
    let _engine = open(scratch.path());
    assert!(matches!(
        open_error(scratch.path()),
        OpenError::InUse { .. }
    ));
}

#[test]
fn the_shard_count_is_kept() {
    let scratch = tempfile::tempdir().unwrap();
    let (_, credential) = issue_new(&open(scratch.path()), "a");
    let other = Engine::open(Options {
        shards: Some(8),
        ..options(scratch.path())
    });
    assert!(matches!(
        other.map(drop),
        Err(OpenError::Shards {
            stored: 4,
            asked: 8
        })
    ));
    let reopened = Engine::open(Options {
        shards: None,
        ..options(scratch.path())
    })
    .unwrap();
    assert_eq!(verify(&reopened, &credential, CacheMode::Use).0, valid("a"));
}

#[test]
fn an_older_copy_of_the_log_under_a_newer_witness_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let (live, older) = (scratch.path().join("live"), scratch.path().join("older"));
    issue_new(&open(&live), "a");
    copy(&live, &older);
    issue_new(&open(&live), "b");
    fs::copy(live.join("witness"), older.join("witness")).unwrap();
    let error = open_error(&older).to_string();
    assert!(
        error.contains("change 2 was acknowledged, but the log ends at 1"),
        "{error}"
    );
}

#[test]
fn a_log_that_lost_its_tail_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    issue_new(&engine, "a");
    issue_new(&engine, "b");
    engine.store().remove_change(Position {
        epoch: Epoch::FIRST,
        sequence: Sequence(2),
    });
    drop(engine);
    let error = open_error(scratch.path()).to_string();
    assert!(error.contains("change 2 was acknowledged"), "{error}");
    fs::remove_file(scratch.path().join("witness")).unwrap();
    let error = open_error(scratch.path()).to_string();
    assert!(
        error.contains("the records end at change 2, the log at 1"),
        "{error}"
    );
}

#[test]
fn a_gap_in_the_log_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    for name in ["a", "b", "c"] {
        issue_new(&engine, name);
    }
    engine.store().remove_change(Position {
        epoch: Epoch::FIRST,
        sequence: Sequence(2),
    });
    drop(engine);
    let error = open_error(scratch.path()).to_string();
    assert!(error.contains("change 2 is missing in the log"), "{error}");
}

#[test]
fn a_change_without_its_record_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let (key_id, _) = issue_new(&engine, "a");
    engine.store().remove_record(TenantId::SINGLE, key_id);
    drop(engine);
    let error = open_error(scratch.path()).to_string();
    assert!(
        error.contains("change 1 is in the log, but not in its record"),
        "{error}"
    );
}

#[test]
fn creation_that_was_cut_off_is_begun_again() {
    let scratch = tempfile::tempdir().unwrap();
    drop(open(scratch.path()));
    fs::rename(scratch.path().join("db"), scratch.path().join("db.new")).unwrap();
    fs::remove_file(scratch.path().join("db.new/CURRENT")).unwrap();
    let (_, credential) = issue_new(&open(scratch.path()), "a");
    let engine = open(scratch.path());
    assert_eq!(verify(&engine, &credential, CacheMode::Use).0, valid("a"));
    assert!(!scratch.path().join("db.new").exists());
}

#[test]
fn old_changes_go_and_the_rest_is_a_whole_database() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(scratch.path());
    let keys: Vec<_> = (0..20)
        .map(|n| issue_new(&engine, &n.to_string()).1)
        .collect();
    let trim = |age_ms, bytes, changes_min, now| {
        let retention = Retention {
            age_ms,
            bytes,
            changes_min,
        };
        engine.store().trim_log(retention, now).unwrap().0
    };
    let (now, later) = (clock::now(), UnixMillis(clock::now().0 + 10_000));
    assert_eq!(
        trim(60_000, u64::MAX, 1, now),
        1,
        "nothing is old, nothing is much"
    );
    assert_eq!(
        trim(1_000, u64::MAX, 15, later),
        6,
        "everything is old, but fifteen changes stay"
    );
    let half = trim(60_000, engine.store().log_bytes().unwrap() / 2, 1, now);
    assert!((7..20).contains(&half), "{half}");
    assert_eq!(trim(1_000, 0, 1, later), 20);
    drop(engine);
    let engine = open(scratch.path());
    assert!(keys.iter().all(|key| matches!(
        verify(&engine, key, CacheMode::Use).0,
        OwnedVerdict::Valid(_)
    )));
    assert_eq!(issue(&engine, key("next")).0.sequence.0, 21);
}

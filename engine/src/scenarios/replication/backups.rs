//! Backups, restored alone and together with the log of their node.

use std::fs::{self, OpenOptions};
use std::io::Cursor;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::backup::{
    BackupMaker, BackupReader, Body, RestoreError, Restored, Since, decode, encode, frame_of,
    restore,
};
use crate::{OldLogError, SnapshotError};

fn backup_of(engine: &Engine) -> Vec<u8> {
    bytes_of(engine.backup("test").expect("a backup"))
}

fn bytes_of(mut maker: BackupMaker) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(part) = maker.next_part().expect("a part") {
        bytes.extend(part);
    }
    bytes
}

fn restored(
    backup: &[u8],
    to: &Path,
    since: Since<'_>,
) -> Result<(Restored, Arc<Engine>), RestoreError> {
    let restored = restore(Cursor::new(backup), to, since, |_| {})?;
    Ok((restored, open_primary(to)))
}

/// Compares two nodes at the same sequence. The restored node has an epoch history of its own.
fn assert_same(one: &Engine, other: &Engine) {
    assert_equal(one, other);
    assert_eq!(one.standing().epochs.newest(), Epoch(1));
    assert_eq!(other.standing().epochs.newest(), Epoch(2));
}

#[test]
fn a_backup_and_the_log_since_are_the_whole_node() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let engine = open(&at("old"));
    make_changes_of_all_kinds(&engine, "before");
    let backup = backup_of(&engine);
    let (mine, node) = restored(&backup, &at("at-once"), Since::Unknown).unwrap();
    assert_eq!((mine.changes, mine.position), (0, engine.committed()));
    assert_same(&engine, &node);
    make_changes_of_all_kinds(&engine, "after");
    issue_new(&engine, "last");
    let found = restored(&backup, &at("in-use"), Since::Log(&at("old")))
        .err()
        .unwrap();
    let in_use = |error: &RestoreError| {
        matches!(
            error,
            RestoreError::Log {
                source: OldLogError::InUse,
                ..
            }
        )
    };
    assert!(in_use(&found), "{found}");
    let copy = at("copy");
    copy_of_one_moment(&at("old"), &copy);
    let (mine, node) = restored(&backup, &at("later"), Since::Log(&copy)).unwrap();
    assert_eq!(
        (mine.position, mine.acknowledged),
        (engine.committed(), None)
    );
    assert_same(&engine, &node);
    // The next change is the first of a new epoch.
    issue_new(&node, "next");
    assert_eq!(node.committed().epoch, Epoch(2));
    assert_eq!(
        node.committed().sequence,
        engine.committed().sequence.next()
    );
    let log_of_restored = restored(&backup, &at("again"), Since::Log(&at("later")));
    assert!(in_use(&log_of_restored.err().unwrap()));
}

#[test]
fn a_truncated_log_is_restored_as_far_as_it_goes_and_the_loss_is_reported() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let engine = open(&at("old"));
    issue_new(&engine, "before");
    let backup = backup_of(&engine);
    for _ in 0..5 {
        issue_new(&engine, "after");
    }
    let torn = at("torn");
    copy_of_one_moment(&at("old"), &torn);
    let log = write_ahead_logs(&torn).pop().expect("a write-ahead log");
    let file = OpenOptions::new().write(true).open(&log).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length - 10).unwrap();
    let (mine, node) = restored(&backup, &at("new"), Since::Log(&torn)).unwrap();
    assert_eq!(mine.changes, 4);
    assert_eq!(mine.acknowledged, Some(engine.committed()));
    assert_eq!(node.committed().sequence, Sequence(5));
}

/// The write-ahead logs in the data directory `path`, the oldest first.
fn write_ahead_logs(path: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(path.join("db")).unwrap();
    let is_log = |path: &std::path::PathBuf| path.extension().is_some_and(|kind| kind == "log");
    let mut logs: Vec<_> = files
        .map(|entry| entry.unwrap().path())
        .filter(is_log)
        .collect();
    logs.sort();
    logs
}

/// Issues keys until the node has `count` write-ahead logs that it still needs.
fn fill_write_ahead_logs(engine: &Engine, count: usize) {
    for number in 0..count {
        if number > 0 {
            engine.store().begin_write_ahead_log();
        }
        issue_new(engine, &format!("in-{number}"));
        issue_new(engine, &format!("also-in-{number}"));
    }
}

#[test]
fn a_log_is_restored_from_any_number_of_write_ahead_logs() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: String| scratch.path().join(name);
    for count in [0, 1, 2, 5] {
        let (old, killed) = (at(format!("old-{count}")), at(format!("killed-{count}")));
        let engine = open(&old);
        issue_new(&engine, "before");
        let backup = backup_of(&engine);
        fill_write_ahead_logs(&engine, count);
        if count == 0 {
            issue_new(&engine, "after");
            engine.store().flush_all();
        }
        copy_of_one_moment(&old, &killed);
        let last = engine.committed();
        engine.shutdown();
        drop(engine);
        for (how, log) in [("stopped", &old), ("killed", &killed)] {
            if count == 0 {
                for empty in write_ahead_logs(log) {
                    assert_eq!(empty.metadata().unwrap().len(), 0);
                    fs::remove_file(empty).unwrap();
                }
            } else {
                assert!(write_ahead_logs(log).len() >= count, "{how} {count}");
            }
            let to = at(format!("{how}-{count}-restored"));
            let (mine, node) = restored(&backup, &to, Since::Log(log)).unwrap();
            assert_eq!(
                (mine.position, mine.acknowledged),
                (last, None),
                "{how} {count}"
            );
            assert_eq!(node.committed().sequence, last.sequence);
        }
    }
}

#[test]
fn what_is_left_of_several_write_ahead_logs_is_restored() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let engine = open(&at("old"));
    issue_new(&engine, "before");
    let backup = backup_of(&engine);
    fill_write_ahead_logs(&engine, 3);
    for (name, lost) in [("one", 1), ("two", 2)] {
        let damaged = at(name);
        copy_of_one_moment(&at("old"), &damaged);
        let mut logs = write_ahead_logs(&damaged);
        assert!(logs.len() >= 3, "{logs:?}");
        // The newest are gone, and the one before them has lost its end.
        for _ in 0..lost {
            fs::remove_file(logs.pop().unwrap()).unwrap();
        }
        let torn = logs.pop().unwrap();
        let file = OpenOptions::new().write(true).open(&torn).unwrap();
        file.set_len(torn.metadata().unwrap().len() - 10).unwrap();
        let to = at(&format!("{name}-restored"));
        let (mine, _node) = restored(&backup, &to, Since::Log(&damaged)).unwrap();
        // Two keys in each file; the torn one keeps its first.
        assert_eq!(mine.changes, 6 - 2 * lost - 1, "{name}");
        assert_eq!(mine.acknowledged, Some(engine.committed()), "{name}");
    }
}

#[test]
fn a_backup_takes_one_of_the_limited_snapshots() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(&scratch.path().join("node"));
    issue_new(&engine, "a");
    let mut open: Vec<_> = (0..SNAPSHOTS)
        .map(|_| engine.backup("test").unwrap())
        .collect();
    assert_eq!(engine.backup("test").err(), Some(SnapshotError::Busy));
    open.pop();
    let again = engine.backup("test").unwrap();
    assert_eq!(again.head().position, engine.committed());
    let bytes = bytes_of(again);
    let checked = BackupReader::open(bytes.as_slice())
        .unwrap()
        .check()
        .unwrap();
    assert_eq!(checked.counts.keys, 1);
    assert_eq!(checked.bytes, bytes.len() as u64);
}

/// The offsets at which the frames of a backup begin, and the end of the last one.
fn frames(backup: &[u8]) -> Vec<usize> {
    let mut begins = vec![12];
    while let Some(head) = backup
        .get(begins[begins.len() - 1]..)
        .filter(|rest| !rest.is_empty())
    {
        let length = u32::from_le_bytes(*head.first_chunk().unwrap());
        begins.push(begins[begins.len() - 1] + 8 + length as usize);
    }
    begins
}

/// Every part is intact, but together they are not the backup.
#[test]
fn parts_that_are_missing_repeated_or_of_another_backup_are_found() {
    let scratch = tempfile::tempdir().unwrap();
    let engine = open(&scratch.path().join("node"));
    let large = |name: &str| IssueKey {
        metadata: format!(r#"{{"m":"{}"}}"#, "x".repeat(60_000)),
        ..key(name)
    };
    for name in ["a", "b", "c", "d", "e"] {
        issue(&engine, large(name));
    }
    let backup = backup_of(&engine);
    let begins = frames(&backup);
    assert!(begins.len() > 4, "several parts: {begins:?}");
    let part = |n: usize| &backup[begins[n]..begins[n + 1]];
    let judge = |parts: &[&[u8]]| {
        let bytes = parts.concat();
        BackupReader::open(bytes.as_slice()).and_then(BackupReader::check)
    };
    let all: Vec<_> = (0..begins.len() - 1).map(part).collect();
    let magic = &backup[..12];
    judge(&[&[magic], all.as_slice()].concat()).unwrap();
    for n in 0..all.len() {
        let mut missing = all.clone();
        missing.remove(n);
        assert!(
            judge(&[&[magic], missing.as_slice()].concat()).is_err(),
            "without part {n}"
        );
        let mut twice = all.clone();
        twice.insert(n, all[n]);
        assert!(
            judge(&[&[magic], twice.as_slice()].concat()).is_err(),
            "part {n} twice"
        );
    }
    // The first rows with one byte changed and a matching checksum.
    let mut other = part(1).to_vec();
    let at = other
        .windows(8)
        .position(|some| some == b"xxxxxxxx")
        .unwrap();
    other[at] = b'y';
    let other = frame_of(&other[8..]);
    let mut altered = all.clone();
    altered[1] = &other;
    let error = judge(&[&[magic], altered.as_slice()].concat()).unwrap_err();
    assert!(error.to_string().contains("closing sum"), "{error}");
}

/// Returns `backup` with the last part of its rows altered, and checksums that fit.
fn altered(backup: &[u8], alter: impl Fn(&mut CopyChunk)) -> Vec<u8> {
    let begins = frames(backup);
    let mut bytes = backup[..begins[0]].to_vec();
    for pair in begins.windows(2) {
        let mut body = decode(&backup[pair[0] + 8..pair[1]]).unwrap();
        match &mut body {
            Body::Rows(chunk) if chunk.end == CopyEnd::Last => alter(chunk),
            Body::End(counts, digest) => {
                counts.rows = rows_of(&bytes);
                *digest = Sha256::digest(&bytes).into();
            }
            Body::Head(_) | Body::Rows(_) => {}
        }
        bytes.extend(frame_of(&encode(&body).unwrap()));
    }
    bytes
}

/// How many rows there are in the frames of a backup without its end.
fn rows_of(bytes: &[u8]) -> u64 {
    let begins = frames(bytes);
    let rows = begins
        .windows(2)
        .map(|pair| match decode(&bytes[pair[0] + 8..pair[1]]).unwrap() {
            Body::Rows(chunk) => chunk.rows.len() as u64,
            Body::Head(_) | Body::End(..) => 0,
        });
    rows.sum()
}

/// An earlier change than the last one: between the two, the log has a gap.
fn add_early_change(chunk: &mut CopyChunk) {
    let mut row = chunk.rows.last().unwrap().clone();
    let first = row.key.len() - 1;
    row.key[first] = 1;
    let last = chunk.rows.len() - 1;
    chunk.rows.insert(last, row);
}

#[test]
fn a_restored_database_that_does_not_open_is_an_error_and_leaves_only_a_mark() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    let engine = open(&at("old"));
    for name in ["a", "b", "c", "d"] {
        issue_new(&engine, name);
    }
    let backup = backup_of(&engine);
    let same = altered(&backup, |_| ());
    assert_eq!(same, backup);
    restored(&same, &at("same"), Since::Unknown).unwrap();
    let bad = altered(&backup, add_early_change);
    let checked = BackupReader::open(bad.as_slice()).and_then(BackupReader::check);
    assert!(checked.is_ok(), "its checksums fit: {checked:?}");
    let new = at("new");
    let error = restored(&bad, &new, Since::Unknown).err().unwrap();
    assert!(matches!(error, RestoreError::Unusable { .. }), "{error}");
    let left = || {
        let entries = fs::read_dir(&new).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(left(), ["RESTORE"]);
    for mode in [Mode::Primary, Mode::Replica] {
        let error = open_as(&new, mode).err().unwrap();
        assert!(matches!(error, OpenError::UnfinishedRestore { .. }));
    }
    assert!(
        crate::format::of(&new).is_err() && crate::format::prepare(&new, None, 1 << 20).is_err()
    );
    assert_eq!(left(), ["RESTORE"]);
    fs::create_dir_all(new.join("lost+found")).unwrap();
    let error = restored(&bad, &new, Since::Unknown).err().unwrap();
    assert!(error.to_string().contains("Use another backup"), "{error}");
    assert_eq!(left(), ["RESTORE", "lost+found"]);
    // The directory is as good as before.
    restored(&backup, &new, Since::Unknown).unwrap();
}

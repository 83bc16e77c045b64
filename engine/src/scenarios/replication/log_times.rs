//! The times of the changes never fall, whatever the clocks of the nodes do.

use super::*;
use crate::decode_change;

/// Issues a key by a clock that is `ahead_ms` ahead. Returns the record.
fn issue_by(engine: &Engine, ahead_ms: i64) -> Record {
    let now = clock::UnixMillis(clock::now().0 + ahead_ms);
    let (sender, receiver) = channel();
    engine.submit_at(None, key("a"), now, move |outcome| {
        sender.send(outcome).expect("a receiver");
    });
    receiver.recv().expect("an outcome").expect("a key").record
}

fn times(engine: &Engine) -> Vec<i64> {
    let logged = all_after(engine, Position::START);
    let changes = logged.iter().map(|change| decode_change(change).unwrap());
    changes.map(|change| change.time.0).collect()
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_clock_that_is_set_back_dates_keys_and_not_the_log() {
    let pair = Pair::new();
    let ahead = issue_by(&pair.primary, 2 * HOUR_MS);
    let newest = Some(ahead.create_time);
    assert_eq!(pair.primary.newest_change_time(), Ok(newest));
    let now = issue_by(&pair.primary, 0);
    assert!(now.create_time < ahead.create_time);
    assert_eq!(times(&pair.primary), [ahead.create_time.0; 2]);
    assert_eq!(pair.primary.newest_change_time(), Ok(newest));
    let later = issue_by(&pair.primary, 3 * HOUR_MS);
    assert_eq!(times(&pair.primary)[2], later.create_time.0);
}

#[test]
fn the_times_do_not_fall_after_a_restart_a_promotion_or_a_copy() {
    let pair = Pair::new();
    assert_eq!(pair.primary.newest_change_time(), Ok(None));
    let ahead = issue_by(&pair.primary, 2 * HOUR_MS).create_time.0;
    pair.feed();
    let copied = open_replica(&pair.scratch.path().join("copied"));
    let snapshot = pair.primary.snapshot().unwrap();
    begin(&pair.primary, &snapshot, &copied);
    assert_eq!(copied.newest_change_time(), Ok(None));
    finish_copy(&snapshot, &copied);
    for promoted in [&pair.replica, &copied] {
        promoted.promote(None).unwrap();
        issue_by(promoted, 0);
        assert_eq!(times(promoted), [ahead; 2]);
    }
    drop(snapshot);
    let Pair {
        primary, scratch, ..
    } = pair;
    drop(primary);
    let primary = open_primary(&scratch.path().join("primary"));
    issue_by(&primary, 0);
    assert_eq!(times(&primary), [ahead; 2]);
}

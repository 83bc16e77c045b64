//! A primary reads its log for other nodes.

use talos_model::Event;

use super::*;
use crate::storage::Retention;
use crate::{LogStart, decode_change};

const NO_LIMITS: ReadLimits = ReadLimits {
    entries: usize::MAX,
    bytes: usize::MAX,
};

fn sequences(read: &LogRead) -> Vec<u64> {
    match read {
        LogRead::Changes(changes) => changes
            .iter()
            .map(|change| change.position.sequence.0)
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn at(epoch: u64, sequence: u64) -> Position {
    Position {
        epoch: Epoch(epoch),
        sequence: Sequence(sequence),
    }
}

#[test]
fn a_read_ends_at_its_limits_and_at_the_end_of_an_epoch() {
    let pair = Pair::new();
    let engine = &pair.primary;
    let read = |after, limits| engine.changes_after(after, limits).unwrap();
    assert_eq!(read(Position::START, NO_LIMITS), LogRead::None);
    assert_eq!(engine.oldest_logged(), Ok(None));
    for _ in 0..5 {
        issue_new(engine, "a");
    }
    assert_eq!(
        sequences(&read(Position::START, NO_LIMITS)),
        [1, 2, 3, 4, 5]
    );
    assert_eq!(sequences(&read(at(1, 2), FEW)), [3, 4, 5]);
    assert_eq!(sequences(&read(at(1, 1), FEW)), [2, 3, 4]);
    let one_byte = ReadLimits {
        bytes: 1,
        ..NO_LIMITS
    };
    assert_eq!(sequences(&read(at(1, 1), one_byte)), [2]);
    let none = ReadLimits {
        entries: 0,
        bytes: 0,
    };
    assert_eq!(sequences(&read(at(1, 1), none)), [2], "at least one");
    assert_eq!(read(at(1, 5), NO_LIMITS), LogRead::None);
    assert_eq!(read(at(1, 6), NO_LIMITS), LogRead::Gone, "never written");
    assert_eq!(read(at(2, 5), NO_LIMITS), LogRead::Gone, "of another epoch");

    engine.step_down().unwrap();
    engine.promote(None).unwrap();
    issue_new(engine, "b");
    assert_eq!(sequences(&read(at(1, 3), NO_LIMITS)), [4, 5]);
    assert_eq!(sequences(&read(at(1, 5), NO_LIMITS)), [6]);
    assert_eq!(engine.committed(), at(2, 6));
    assert_eq!(engine.oldest_logged(), Ok(Some(at(1, 1))));
}

#[test]
fn the_oldest_changes_go_first_whatever_their_epoch() {
    let pair = Pair::new();
    let engine = &pair.primary;
    let issue = |count: usize| {
        for n in 0..count {
            issue_new(engine, &n.to_string());
        }
    };
    issue(12);
    for count in [6, 2] {
        engine.step_down().unwrap();
        engine.promote(None).unwrap();
        issue(count);
    }
    assert_eq!(engine.committed(), at(3, 20));
    let trim = |retention| {
        let now = clock::UnixMillis(clock::now().0 + 10_000);
        let kept = engine.store().trim_log(retention, now).unwrap();
        let oldest = engine.oldest_logged().unwrap().unwrap();
        assert_eq!(oldest.sequence, kept);
        oldest
    };
    let bounds = |age_ms, bytes, changes_min| Retention {
        age_ms,
        bytes,
        changes_min,
    };
    let enough = engine.store().log_bytes().unwrap();
    assert_eq!(trim(bounds(60_000, enough, 1)), at(1, 1), "nothing is much");
    assert_eq!(trim(bounds(1_000, enough, 17)), at(1, 4), "all is old");
    let half = trim(bounds(60_000, enough / 2, 1));
    assert!((at(1, 6)..=at(2, 18)).contains(&half), "{half:?}");
    // The rest of an epoch is kept or dropped separately.
    assert_eq!(trim(bounds(1_000, enough, 5)), at(2, 16));
    assert_eq!(
        sequences(&engine.changes_after(at(2, 16), NO_LIMITS).unwrap()),
        [17, 18]
    );
    assert_eq!(trim(bounds(1_000, enough, 2)), at(3, 19));
    assert_eq!(
        engine.changes_after(at(2, 18), NO_LIMITS),
        Ok(LogRead::Gone)
    );
}

#[test]
fn dropped_changes_are_gone() {
    let pair = Pair::new();
    let engine = &pair.primary;
    for _ in 0..6 {
        issue_new(engine, "a");
    }
    let newest = Retention {
        age_ms: 0,
        bytes: 0,
        changes_min: 3,
    };
    let later = clock::UnixMillis(clock::now().0 + 1);
    engine.store().trim_log(newest, later).unwrap();
    assert_eq!(engine.oldest_logged(), Ok(Some(at(1, 4))));
    for gone in [Position::START, at(1, 1), at(1, 3)] {
        let read = engine.changes_after(gone, NO_LIMITS);
        assert_eq!(read, Ok(LogRead::Gone), "{gone:?}");
    }
    let read = engine.changes_after(at(1, 4), NO_LIMITS).unwrap();
    assert_eq!(sequences(&read), [5, 6]);
    assert_eq!(engine.logged(at(1, 3)), Ok(None));
    assert!(engine.logged(at(1, 4)).unwrap().is_some());
}

/// Reads the log as a stream of changes does, on a disk thread.
fn read_log(engine: &Engine, start: LogStart, limits: ReadLimits) -> Result<LogRead, ReadError> {
    let (done, read) = std::sync::mpsc::channel();
    engine.read_log(start, limits, move |result| done.send(result).unwrap());
    read.recv().expect("an answer")
}

#[test]
fn a_stream_begins_with_the_oldest_change_or_after_a_place() {
    let pair = Pair::new();
    let engine = &pair.primary;
    let oldest = |limits| read_log(engine, LogStart::Oldest, limits).unwrap();
    let after = |place| read_log(engine, LogStart::After(place), NO_LIMITS).unwrap();
    assert_eq!(oldest(NO_LIMITS), LogRead::None);
    for _ in 0..6 {
        issue_new(engine, "a");
    }
    assert_eq!(sequences(&oldest(FEW)), [1, 2, 3]);
    let newest = Retention {
        age_ms: 0,
        bytes: 0,
        changes_min: 3,
    };
    let later = clock::UnixMillis(clock::now().0 + 1);
    engine.store().trim_log(newest, later).unwrap();
    assert_eq!(sequences(&oldest(NO_LIMITS)), [4, 5, 6]);
    assert_eq!(sequences(&after(at(1, 5))), [6]);
    assert_eq!(after(at(1, 2)), LogRead::Gone);
    let LogRead::Changes(changes) = oldest(NO_LIMITS) else {
        panic!("no change");
    };
    let change = decode_change(&changes[0]).unwrap();
    assert_eq!(
        (change.position, change.event),
        (at(1, 4), Event::IssuedKeyCreated)
    );
    let unreadable = LoggedChange {
        bytes: vec![99],
        ..changes[0].clone()
    };
    assert!(matches!(
        decode_change(&unreadable),
        Err(ReadError::Storage(_))
    ));
    // During a copy there is no log.
    let snapshot = engine.snapshot().unwrap();
    begin(engine, &snapshot, &pair.replica);
    let read = read_log(&pair.replica, LogStart::Oldest, NO_LIMITS);
    assert_eq!(read, Err(ReadError::Incomplete));
}

//! What a primary reads of its log for others.

use super::*;
use crate::storage::Retention;

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
    assert_eq!(engine.head(), at(2, 6));
    assert_eq!(engine.oldest_logged(), Ok(Some(at(1, 1))));
}

#[test]
fn what_the_log_has_dropped_is_gone() {
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

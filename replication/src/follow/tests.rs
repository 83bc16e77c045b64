use talos_model::{CopyCursor, CopyName, CopyRow, Epoch, EpochId};

use super::*;
use crate::limits::GAPS_IN_A_ROW;
use crate::message::{Batch, Chunk, Digest, FollowRequest, Heartbeat, LogPoint, Plan, Welcome};

const COPY: CopyName = CopyName([5; 16]);

fn at(epoch: u64, sequence: u64) -> Position {
    Position {
        epoch: Epoch(epoch),
        sequence: Sequence(sequence),
    }
}

fn old_history() -> EpochHistory {
    EpochHistory::first(EpochId([1; 16]))
}

/// Epoch 1 up to 8, epoch 2 after it.
fn history() -> EpochHistory {
    old_history()
        .promoted(Epoch(2), EpochId([2; 16]), Sequence(8))
        .unwrap()
}

/// A replica that holds 1.6 and has asked for what follows.
fn asking() -> Follower {
    let durable_state = DurableState {
        history: old_history(),
        progress: Progress::At(at(1, 6)),
        last: Some(Digest(6)),
    };
    let mut follow = Follower::new(durable_state, 800);
    assert!(follow.may_connect());
    let start = StartFrom::Change(point());
    assert_eq!(
        follow.on_connected(0),
        [follow_request(old_history(), start)]
    );
    assert!(!follow.may_connect());
    follow
}

fn point() -> LogPoint {
    LogPoint {
        position: at(1, 6),
        digest: Some(Digest(6)),
    }
}

fn applied(position: Position) -> SinkDone {
    SinkDone::Applied(LogPoint {
        position,
        digest: Some(Digest(position.sequence.0)),
    })
}

fn follow_request(history: EpochHistory, start: StartFrom) -> FollowAction {
    FollowAction::Send(Message::Follow(FollowRequest {
        history,
        start,
        max_staleness_ms: 800,
    }))
}

fn welcome(history: EpochHistory, plan: Plan) -> Message {
    Message::Welcome(Welcome { history, plan })
}

fn status_update(durable: Option<Position>, sent_ms: u64) -> FollowAction {
    FollowAction::Send(Message::StatusUpdate(StatusUpdate { durable, sent_ms }))
}

fn batch(first: Position, count: usize) -> Batch {
    Batch {
        first,
        changes: vec![b"change".to_vec(); count],
    }
}

fn apply(first: Position, count: usize) -> FollowAction {
    FollowAction::Work(SinkWork::Apply(batch(first, count)))
}

fn place(key: &[u8]) -> CopyPlace {
    CopyPlace {
        name: COPY,
        position: at(2, 12),
        digest: Some(12),
        cursor: CopyCursor {
            family: u16::from(!key.is_empty()),
            key: key.to_vec(),
        },
    }
}

fn chunk(after: &[u8], key: u8, end: CopyEnd) -> Chunk {
    Chunk {
        copy: COPY,
        position: at(2, 12),
        after: place(after).cursor,
        rows: vec![CopyRow {
            family: 1,
            key: vec![key],
            value: vec![],
        }],
        end,
    }
}

fn following() -> Follower {
    let mut follow = asking();
    let welcome = welcome(history(), Plan::Feed(at(1, 6)));
    assert_eq!(
        follow.on_message(1, welcome),
        [
            FollowAction::Work(SinkWork::Adopt(history())),
            status_update(Some(at(1, 6)), 1)
        ]
    );
    follow
}

#[test]
fn changes_are_acknowledged_when_they_are_durable() {
    let mut follow = following();
    let actions = follow.on_message(2, Message::Changes(batch(at(1, 7), 2)));
    assert_eq!(actions, [apply(at(1, 7), 2)]);
    let actions = follow.on_message(2, Message::Changes(batch(at(2, 9), 1)));
    assert_eq!(actions, [apply(at(2, 9), 1)]);
    assert_eq!(follow.on_done(3, SinkDone::Adopted(history())), []);
    let actions = follow.on_done(4, applied(at(1, 8)));
    assert_eq!(actions, [status_update(Some(at(1, 8)), 4)]);
    let tick = 4 + HEARTBEAT_MS;
    assert_eq!(follow.on_tick(tick - 1), []);
    assert_eq!(follow.on_tick(tick), [status_update(Some(at(1, 8)), tick)]);
    let actions = follow.on_done(tick, applied(at(2, 9)));
    assert_eq!(actions, [status_update(Some(at(2, 9)), tick)]);
    let durable_state = DurableState {
        history: history(),
        progress: Progress::At(at(2, 9)),
        last: Some(Digest(9)),
    };
    assert_eq!(follow.durable_state(), &durable_state);
}

#[test]
fn a_gap_ends_the_connection_and_a_stubborn_one_everything() {
    for wrong in [at(1, 8), at(1, 6), at(2, 7), at(2, 9)] {
        let mut follow = following();
        follow.on_done(1, SinkDone::Adopted(history()));
        for attempt in 1..=GAPS_IN_A_ROW {
            let actions = follow.on_message(2, Message::Changes(batch(wrong, 1)));
            let expected = Sequence(6);
            let gap = FollowAction::Close(FollowEnd::Gap { expected });
            assert_eq!(actions, [gap], "{wrong}");
            assert_eq!(
                follow.on_message(2, Message::Changes(batch(at(1, 7), 1))),
                []
            );
            follow.on_disconnected();
            let start = if attempt < GAPS_IN_A_ROW {
                StartFrom::Change(point())
            } else {
                StartFrom::Nothing
            };
            assert_eq!(follow.on_connected(3), [follow_request(history(), start)]);
            follow.on_message(3, welcome(history(), Plan::Feed(at(1, 6))));
        }
    }
}

#[test]
fn an_older_primary_is_refused_and_told() {
    let durable_state = DurableState {
        history: history(),
        progress: Progress::At(at(1, 8)),
        last: Some(Digest(6)),
    };
    let mut follow = Follower::new(durable_state, 800);
    follow.on_connected(0);
    let actions = follow.on_message(0, welcome(old_history(), Plan::Feed(at(1, 8))));
    let refusal = Refusal::Older { epoch: Epoch(2) };
    assert_eq!(
        actions,
        [
            FollowAction::Send(Message::Refused(refusal)),
            FollowAction::Close(FollowEnd::Refuses(refusal))
        ]
    );
    assert_eq!(follow.stop(), None, "another one may be the right one");
}

#[test]
fn a_diverged_replica_stops_until_somebody_decides() {
    let mut told = asking();
    told.on_message(0, Message::Refused(Refusal::Diverged { fork: Sequence(4) }));
    // Or it finds out for itself.
    let mut found = asking();
    let stranger = EpochHistory::first(EpochId([9; 16]));
    found.on_message(0, welcome(stranger, Plan::Feed(at(1, 6))));
    for (mut follow, fork) in [(told, 4), (found, 0)] {
        let (fork, held) = (Sequence(fork), Sequence(6));
        assert_eq!(follow.stop(), Some(&Stop::Diverged { fork, held }));
        follow.on_disconnected();
        assert!(!follow.may_connect());
        follow.resync();
        assert!(follow.may_connect());
        let start = follow_request(old_history(), StartFrom::Nothing);
        assert_eq!(follow.on_connected(0), [start]);
        follow.on_message(0, welcome(history(), Plan::Copy(place(&[]))));
        follow.on_done(0, SinkDone::CopyBegun(history(), place(&[])));
        follow.on_disconnected();
        let start = follow_request(history(), StartFrom::Copy(place(&[])));
        assert_eq!(follow.on_connected(0), [start], "it was decided once");
    }
}

#[test]
fn a_copy_begins_goes_on_and_ends() {
    let mut follow = asking();
    let begun = follow.on_message(1, welcome(history(), Plan::Copy(place(&[]))));
    let begin = SinkWork::BeginCopy(history(), place(&[]));
    assert_eq!(begun, [FollowAction::Work(begin)]);
    let first = chunk(&[], 1, CopyEnd::More);
    let actions = follow.on_message(1, Message::Chunk(first.clone()));
    assert_eq!(actions, [FollowAction::Work(SinkWork::Install(first))]);
    follow.on_done(2, SinkDone::CopyBegun(history(), place(&[])));
    let cursor = place(&[1]).cursor;
    follow.on_done(2, SinkDone::Installed(cursor, CopyEnd::More));
    assert_eq!(
        follow.on_tick(HEARTBEAT_MS),
        [status_update(None, HEARTBEAT_MS)]
    );
    follow.on_disconnected();

    let start = StartFrom::Copy(place(&[1]));
    assert_eq!(follow.on_connected(3), [follow_request(history(), start)]);
    let resumed = follow.on_message(3, welcome(history(), Plan::Copy(place(&[1]))));
    assert_eq!(resumed, []);
    let again = follow.on_message(3, Message::Chunk(chunk(&[], 1, CopyEnd::More)));
    assert!(matches!(
        &again[..],
        [FollowAction::Close(FollowEnd::Gap { .. })]
    ));
    follow.on_disconnected();

    follow.on_connected(3);
    follow.on_message(3, welcome(history(), Plan::Copy(place(&[1]))));
    let last = chunk(&[1], 2, CopyEnd::Last);
    let actions = follow.on_message(3, Message::Chunk(last.clone()));
    assert_eq!(actions, [FollowAction::Work(SinkWork::Install(last))]);
    let next = follow.on_message(3, Message::Changes(batch(at(2, 13), 1)));
    assert_eq!(next, [apply(at(2, 13), 1)]);
    let done = SinkDone::Installed(place(&[2]).cursor, CopyEnd::Last);
    assert_eq!(follow.on_done(4, done), [status_update(Some(at(2, 12)), 4)]);
    let durable_state = DurableState {
        history: history(),
        progress: Progress::At(at(2, 12)),
        last: Some(Digest(12)),
    };
    assert_eq!(follow.durable_state(), &durable_state);
}

#[test]
fn a_copy_that_is_kept_no_longer_begins_anew() {
    let durable_state = DurableState {
        history: history(),
        progress: Progress::Copying(place(&[1])),
        last: Some(Digest(6)),
    };
    let mut follow = Follower::new(durable_state, 800);
    follow.on_connected(0);
    let anew = CopyPlace {
        name: CopyName([6; 16]),
        ..place(&[])
    };
    let actions = follow.on_message(0, welcome(history(), Plan::Copy(anew.clone())));
    let begin = SinkWork::BeginCopy(history(), anew);
    assert_eq!(actions, [FollowAction::Work(begin)]);
}

#[test]
fn freshness_is_that_of_the_primary_that_is_followed() {
    let heartbeat = |committed, echo| {
        Message::Heartbeat(Heartbeat {
            committed,
            time_ms: 0,
            echo_ms: Some(echo),
        })
    };
    let mut follow = following();
    follow.on_message(9, heartbeat(at(1, 6), 1));
    assert!(!follow.is_fresh(9), "it still calls itself another's");
    follow.on_done(9, SinkDone::Adopted(history()));
    assert!(follow.is_fresh(801) && !follow.is_fresh(802));
    follow.on_disconnected();
    // The same one, again.
    follow.on_connected(10);
    follow.on_message(10, welcome(history(), Plan::Feed(at(1, 6))));
    assert!(follow.is_fresh(801));
    follow.on_disconnected();
    // Another one.
    follow.on_connected(11);
    let newer = old_history()
        .promoted(Epoch(3), EpochId([3; 16]), Sequence(6))
        .unwrap();
    follow.on_message(11, welcome(newer, Plan::Feed(at(1, 6))));
    assert!(!follow.is_fresh(12));
}

#[test]
fn storage_that_fails_ends_it() {
    let mut follow = following();
    let error = SinkError("no space left".to_owned());
    let actions = follow.on_done(2, SinkDone::Failed(error.clone()));
    assert_eq!(actions, [FollowAction::Close(FollowEnd::Storage)]);
    follow.on_disconnected();
    follow.resync();
    assert!(!follow.may_connect());
    assert_eq!(follow.stop(), Some(&Stop::Storage(error)));
}

#[test]
fn work_and_silence_are_bounded() {
    let mut follow = following();
    follow.on_done(1, SinkDone::Adopted(history()));
    follow.on_message(1, Message::Changes(batch(at(1, 7), 2)));
    for sequence in 9..8 + REPLICA_WORK as u64 {
        assert!(follow.wants_input());
        follow.on_message(1, Message::Changes(batch(at(2, sequence), 1)));
    }
    assert!(!follow.wants_input());
    follow.on_disconnected();
    assert!(!follow.may_connect(), "storage is not done");
    let mut silent = following();
    let actions = silent.on_tick(2 + SILENCE_MS);
    assert_eq!(actions, [FollowAction::Close(FollowEnd::Silent)]);
}

#[test]
fn messages_out_of_turn_end_the_connection() {
    let feed_from_elsewhere = welcome(history(), Plan::Feed(at(1, 5)));
    for message in [
        feed_from_elsewhere,
        Message::Changes(batch(at(1, 7), 1)),
        Message::LastUsed(vec![]),
    ] {
        let actions = asking().on_message(1, message.clone());
        let protocol = matches!(
            &actions[..],
            [.., FollowAction::Close(FollowEnd::Protocol(_))]
        );
        assert!(protocol, "{message:?}: {actions:?}");
    }
}

#[test]
fn stamps_are_sent_while_there_is_a_primary() {
    let last_used = vec![LastUsed {
        key: vec![1],
        time_ms: 2,
    }];
    assert_eq!(asking().on_last_used(last_used.clone()), None);
    let sent = FollowAction::Send(Message::LastUsed(last_used.clone()));
    assert_eq!(following().on_last_used(last_used), Some(sent));
}

use talos_model::{CopyCursor, CopyEnd, CopyName, CopyRow, EpochId, Sequence};

use super::*;
use crate::limits::{BATCH_BYTES, CHANGE_BYTES};
use crate::message::{Batch, Chunk, FollowRequest, Plan, StartFrom, StatusUpdate, Welcome};
use crate::source::{CopyOpening, Looked, Reading};

const COPY: CopyName = CopyName([5; 16]);

fn at(epoch: u64, sequence: u64) -> Position {
    Position {
        epoch: Epoch(epoch),
        sequence: Sequence(sequence),
    }
}

fn moment(now_ms: u64) -> Moment {
    Moment {
        now_ms,
        wall_ms: 7,
        committed: at(2, 12),
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

/// Of a primary at 2.12.
fn feed() -> Feed {
    Feed::new(history(), at(2, 12), Throttle::new(1000), 0)
}

fn point(position: Position) -> LogPoint {
    LogPoint {
        position,
        digest: Some(Digest(1)),
    }
}

fn look(position: Position) -> FeedAction {
    FeedAction::Work(SourceWork::Look(position))
}

fn here(digest: u64) -> SourceDone {
    SourceDone::Looked(Looked::Here(Some(Digest(digest))))
}

fn follow_request(history: EpochHistory, start: StartFrom) -> Message {
    Message::Follow(FollowRequest {
        history,
        start,
        max_staleness_ms: 800,
    })
}

fn read(after: Position, up_to: u64) -> FeedAction {
    FeedAction::Work(SourceWork::Read {
        after,
        up_to: Sequence(up_to),
        bytes_max: BATCH_BYTES,
    })
}

fn batch(first: Position, count: usize) -> Batch {
    Batch {
        first,
        changes: vec![b"change".to_vec(); count],
    }
}

fn changes(first: Position, count: usize) -> SourceDone {
    SourceDone::Read(Reading::Changes(batch(first, count)))
}

fn welcome(plan: Plan) -> FeedAction {
    let history = history();
    FeedAction::Send(Message::Welcome(Welcome { history, plan }))
}

fn status_update(durable: Option<Position>, sent_ms: u64) -> Message {
    Message::StatusUpdate(StatusUpdate { durable, sent_ms })
}

fn heartbeat(committed: Position, echo_ms: Option<u64>) -> FeedAction {
    FeedAction::Send(Message::Heartbeat(Heartbeat {
        committed,
        time_ms: 7,
        echo_ms,
    }))
}

fn joined(durable: Position) -> FeedAction {
    FeedAction::Joined {
        durable,
        max_staleness_ms: 800,
    }
}

fn place(cursor: CopyCursor) -> CopyPlace {
    CopyPlace {
        name: COPY,
        position: at(2, 12),
        digest: Some(1),
        cursor,
    }
}

fn row(key: u8) -> CopyRow {
    CopyRow {
        family: 1,
        key: vec![key],
        value: vec![0; 99],
    }
}

fn rows(rows: Vec<CopyRow>, end: CopyEnd) -> SourceDone {
    SourceDone::CopyRead(CopyReading::Rows(rows, end))
}

fn read_copy(cursor: CopyCursor) -> FeedAction {
    FeedAction::Work(SourceWork::ReadCopy {
        place: place(cursor),
        bytes_max: CHUNK_BYTES,
    })
}

/// A feed that has sent everything up to 1.8, of a replica that had 1.6.
fn streaming() -> Feed {
    let mut feed = feed();
    let asked = feed.on_message(
        moment(0),
        follow_request(old_history(), StartFrom::Change(point(at(1, 6)))),
    );
    assert_eq!(asked, [look(at(1, 6))]);
    assert_eq!(
        feed.on_done(0, here(1)),
        [
            welcome(Plan::Feed(at(1, 6))),
            joined(at(1, 6)),
            read(at(1, 6), 12)
        ]
    );
    let actions = feed.on_done(0, changes(at(1, 7), 2));
    let sent = FeedAction::Send(Message::Changes(batch(at(1, 7), 2)));
    assert_eq!(actions, [sent]);
    feed
}

#[test]
fn a_replica_gets_what_it_lacks_one_batch_at_a_time() {
    let mut feed = streaming();
    assert_eq!(
        feed.on_committed(0, at(2, 13)),
        [],
        "what was sent has not left"
    );
    assert_eq!(feed.on_room(0), [read(at(1, 8), 13)]);
    assert_eq!(feed.on_room(0), [], "a read is under way");
    let actions = feed.on_done(0, changes(at(2, 9), 5));
    let sent = FeedAction::Send(Message::Changes(batch(at(2, 9), 5)));
    assert_eq!(actions, [sent]);
    assert_eq!(feed.on_room(0), [], "there is no more");
    assert_eq!(feed.on_committed(0, at(2, 14)), [read(at(2, 13), 14)]);
}

#[test]
fn what_does_not_follow_is_not_sent() {
    for done in [
        changes(at(2, 10), 1),
        changes(at(1, 9), 1),
        changes(at(2, 8), 1),
        changes(at(2, 9), 5),
        SourceDone::Read(Reading::Changes(Batch {
            first: at(2, 9),
            changes: vec![vec![0; CHANGE_BYTES + 1]],
        })),
        SourceDone::Read(Reading::None),
    ] {
        let mut feed = streaming();
        feed.on_room(0);
        let actions = feed.on_done(0, done.clone());
        let broken = matches!(&actions[..], [FeedAction::Close(FeedEnd::Broken(_))]);
        assert!(broken, "{done:?}: {actions:?}");
        assert_eq!(feed.on_committed(0, at(2, 20)), []);
        assert_eq!(feed.on_tick(moment(9000)), []);
    }
    let mut feed = streaming();
    feed.on_room(0);
    let gone = feed.on_done(0, SourceDone::Read(Reading::Gone));
    assert_eq!(gone, [FeedAction::Close(FeedEnd::Gone)]);
}

#[test]
fn a_replica_with_changes_of_its_own_is_refused() {
    let mut feed = feed();
    let actions = feed.on_message(
        moment(0),
        follow_request(old_history(), StartFrom::Change(point(at(1, 9)))),
    );
    let refusal = Refusal::Diverged { fork: Sequence(8) };
    assert_eq!(
        actions,
        [
            FeedAction::Send(Message::Refused(refusal)),
            FeedAction::Close(FeedEnd::Refused(refusal))
        ]
    );
}

#[test]
fn a_replica_whose_last_change_says_something_else_is_refused() {
    for (ours, theirs, same) in [
        (Some(1), Some(1), true),
        (None, None, true),
        (None, Some(1), false),
        (Some(1), None, false),
        (Some(2), Some(1), false),
    ] {
        let mut feed = feed();
        let point = LogPoint {
            position: at(1, 6),
            digest: theirs.map(Digest),
        };
        feed.on_message(
            moment(0),
            follow_request(old_history(), StartFrom::Change(point)),
        );
        let looked = Looked::Here(ours.map(Digest));
        let actions = feed.on_done(0, SourceDone::Looked(looked));
        let refusal = Refusal::Diverged { fork: Sequence(5) };
        let refused = actions[0] == FeedAction::Send(Message::Refused(refusal));
        assert_eq!(refused, !same, "{ours:?} {theirs:?}");
    }
}

#[test]
fn a_primary_that_was_replaced_learns_of_it() {
    let newer = history()
        .promoted(Epoch(3), EpochId([3; 16]), Sequence(12))
        .unwrap();
    for start in [StartFrom::Change(point(at(2, 12))), StartFrom::Nothing] {
        let actions = feed().on_message(moment(0), follow_request(newer.clone(), start));
        let refusal = Refusal::Older { epoch: Epoch(2) };
        assert_eq!(
            actions,
            [
                FeedAction::Replaced(Epoch(3)),
                FeedAction::Send(Message::Refused(refusal)),
                FeedAction::Close(FeedEnd::Refused(refusal))
            ]
        );
    }
    // Or of a replica that has found out for itself.
    let told = Message::Refused(Refusal::Older { epoch: Epoch(3) });
    let actions = streaming().on_message(moment(0), told);
    assert_eq!(actions[0], FeedAction::Replaced(Epoch(3)));
    let told = Message::Refused(Refusal::Older { epoch: Epoch(2) });
    let actions = streaming().on_message(moment(0), told);
    assert!(matches!(&actions[..], [FeedAction::Close(_)]));
}

#[test]
fn promises_of_freshness_begin_when_writes_can_wait() {
    let mut feed = streaming();
    assert_eq!(feed.on_tick(moment(100)), [], "what was sent has not left");
    feed.on_room(100);
    assert_eq!(feed.on_tick(moment(100)), [heartbeat(at(2, 12), None)]);
    let actions = feed.on_message(moment(120), status_update(Some(at(1, 7)), 55));
    assert_eq!(
        actions,
        [
            FeedAction::Acknowledged(at(1, 7)),
            heartbeat(at(2, 12), Some(55))
        ]
    );
    assert_eq!(feed.on_tick(moment(120 + HEARTBEAT_MS - 1)), []);
    let unannounced = Moment {
        committed: at(2, 14),
        ..moment(120 + HEARTBEAT_MS)
    };
    let actions = feed.on_tick(unannounced);
    let heartbeats = [heartbeat(at(2, 14), Some(55))];
    assert_eq!(actions, heartbeats, "what is durable, announced or not");
}

#[test]
fn a_copy_is_throttled_and_counts_when_it_is_there() {
    let mut feed = feed();
    let asked = feed.on_message(
        moment(0),
        follow_request(old_history(), StartFrom::Change(point(at(1, 2)))),
    );
    assert_eq!(asked, [look(at(1, 2))]);
    let actions = feed.on_done(0, SourceDone::Looked(Looked::Gone));
    assert_eq!(actions, [FeedAction::Work(SourceWork::OpenCopy(None))]);
    let opened = SourceDone::CopyOpened(CopyOpening::Open(COPY, point(at(2, 12))));
    let start = CopyCursor::default();
    assert_eq!(
        feed.on_done(0, opened),
        [
            welcome(Plan::Copy(place(start.clone()))),
            read_copy(start.clone())
        ]
    );
    let chunk = |after, row: CopyRow, end| {
        FeedAction::Send(Message::Chunk(Chunk {
            copy: COPY,
            position: at(2, 12),
            after,
            rows: vec![row],
            end,
        }))
    };
    let actions = feed.on_done(0, rows(vec![row(1)], CopyEnd::More));
    assert_eq!(actions, [chunk(start, row(1), CopyEnd::More)]);
    // 100 bytes at 1000 a second.
    assert_eq!(feed.wake_ms(), Some(100));
    assert_eq!(feed.on_room(99), []);
    assert_eq!(feed.on_room(100), [read_copy(row(1).cursor())]);
    let actions = feed.on_done(100, rows(vec![row(2)], CopyEnd::Last));
    assert_eq!(actions, [chunk(row(1).cursor(), row(2), CopyEnd::Last)]);
    assert_eq!(feed.wake_ms(), None);
    // The changes after it may follow at once, but the replica cannot be waited for.
    assert_eq!(feed.on_message(moment(110), status_update(None, 55)), []);
    assert_eq!(
        feed.on_message(moment(110), status_update(Some(at(2, 11)), 55)),
        []
    );
    feed.on_room(111);
    assert_eq!(feed.on_tick(moment(111)), [heartbeat(at(2, 12), None)]);
    assert_eq!(
        feed.on_message(moment(120), status_update(Some(at(2, 12)), 66)),
        [
            FeedAction::Work(SourceWork::CloseCopy(COPY)),
            joined(at(2, 12))
        ]
    );
    let later = Moment {
        committed: at(2, 13),
        ..moment(130)
    };
    assert_eq!(
        feed.on_message(later, status_update(Some(at(2, 12)), 77)),
        [
            FeedAction::Acknowledged(at(2, 12)),
            heartbeat(at(2, 13), Some(77))
        ]
    );
}

#[test]
fn a_copy_goes_on_where_it_broke_off_if_it_is_still_kept() {
    let kept = place(row(1).cursor());
    let resume = |opened: CopyOpening| {
        let mut feed = feed();
        let start = StartFrom::Copy(kept.clone());
        let actions = feed.on_message(moment(0), follow_request(history(), start));
        assert_eq!(
            actions,
            [FeedAction::Work(SourceWork::OpenCopy(Some(COPY)))]
        );
        feed.on_done(0, SourceDone::CopyOpened(opened))
    };
    let actions = resume(CopyOpening::Open(COPY, point(at(2, 12))));
    assert_eq!(actions[0], welcome(Plan::Copy(kept.clone())));
    assert_eq!(actions[1], read_copy(row(1).cursor()));
    // A copy of that name, but not that one.
    let elsewhere = resume(CopyOpening::Open(COPY, point(at(2, 11))));
    let begins = FeedAction::Send(Message::Welcome(Welcome {
        history: history(),
        plan: Plan::Copy(CopyPlace {
            position: at(2, 11),
            ..place(CopyCursor::default())
        }),
    }));
    assert_eq!(elsewhere[0], begins);
    let other = CopyName([6; 16]);
    let anew = CopyPlace {
        name: other,
        position: at(2, 12),
        digest: Some(1),
        cursor: CopyCursor::default(),
    };
    let actions = resume(CopyOpening::Open(other, point(at(2, 12))));
    assert_eq!(actions[0], welcome(Plan::Copy(anew)));
    let busy = FeedAction::Send(Message::Refused(Refusal::Busy));
    assert_eq!(resume(CopyOpening::Busy)[0], busy);
}

#[test]
fn a_replica_that_says_nothing_or_nonsense_is_let_go() {
    let silent = feed().on_tick(moment(SILENCE_MS + 1));
    assert_eq!(silent, [FeedAction::Close(FeedEnd::Silent)]);
    for (mut feed, message) in [
        (feed(), status_update(None, 0)),
        (
            feed(),
            Message::Welcome(Welcome {
                history: history(),
                plan: Plan::Feed(at(1, 1)),
            }),
        ),
        (streaming(), follow_request(history(), StartFrom::Nothing)),
        (streaming(), status_update(Some(at(2, 9)), 0)),
    ] {
        let actions = feed.on_message(moment(0), message.clone());
        let protocol = matches!(&actions[..], [FeedAction::Close(FeedEnd::Protocol(_))]);
        assert!(protocol, "{message:?}: {actions:?}");
    }
}

#[test]
fn stamps_are_handed_on() {
    let last_used = vec![LastUsed {
        key: vec![1],
        time_ms: 2,
    }];
    let actions = streaming().on_message(moment(0), Message::LastUsed(last_used.clone()));
    assert_eq!(actions, [FeedAction::LastUsed(last_used)]);
}

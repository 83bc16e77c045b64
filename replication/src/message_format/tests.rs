use super::*;
use crate::random::Random;

fn position(random: &mut Random) -> Position {
    Position {
        epoch: Epoch(1 + random.draw() % 9),
        sequence: Sequence(1 + random.draw() % 1000),
    }
}

fn history(random: &mut Random) -> EpochHistory {
    let mut history = EpochHistory::first(EpochId(random.array()));
    for epoch in 2..2 + random.draw() % 5 {
        let after = Sequence(epoch * 7);
        history = history
            .promoted(Epoch(epoch), EpochId(random.array()), after)
            .unwrap();
    }
    history
}

fn cursor(random: &mut Random) -> CopyCursor {
    CopyCursor {
        family: u16::from(random.array::<1>()[0]),
        key: random.bytes_up_to(9),
    }
}

fn place(random: &mut Random) -> CopyPlace {
    CopyPlace {
        name: CopyName(random.array()),
        position: position(random),
        digest: random.one_in(2).then(|| random.draw()),
        cursor: cursor(random),
    }
}

fn refusal(random: &mut Random) -> Refusal {
    match random.below(9) {
        0 => Refusal::Version { min: 1, max: 3 },
        1 => Refusal::Cluster,
        2 => Refusal::Proof,
        3 => Refusal::SameNode,
        4 => Refusal::Handshake,
        5 => Refusal::NotPrimary,
        6 => Refusal::Older {
            epoch: Epoch(random.draw()),
        },
        7 => Refusal::Diverged {
            fork: Sequence(random.draw()),
        },
        _ => Refusal::Busy,
    }
}

fn chunk(random: &mut Random) -> Chunk {
    let after = cursor(random);
    let mut rows = Vec::new();
    for number in 0..random.below(4) {
        rows.push(CopyRow {
            family: after.family + 1,
            key: [vec![u8::try_from(number).unwrap()], random.bytes_up_to(9)].concat(),
            value: random.bytes_up_to(30),
        });
    }
    Chunk {
        copy: CopyName(random.array()),
        position: position(random),
        after,
        end: if rows.is_empty() || random.one_in(2) {
            CopyEnd::Last
        } else {
            CopyEnd::More
        },
        rows,
    }
}

fn message(random: &mut Random) -> Message {
    match random.below(9) {
        0 => Message::Follow(FollowRequest {
            history: history(random),
            start: match random.below(3) {
                0 => StartFrom::Change(LogPoint {
                    position: position(random),
                    digest: random.one_in(2).then(|| Digest(random.draw())),
                }),
                1 => StartFrom::Nothing,
                _ => StartFrom::Copy(place(random)),
            },
            max_staleness_ms: random.draw(),
        }),
        1 => Message::StatusUpdate(StatusUpdate {
            durable: random.one_in(2).then(|| position(random)),
            sent_ms: random.draw(),
        }),
        2 => {
            let entry = |random: &mut Random| LastUsed {
                key: random.bytes_up_to(LAST_USED_KEY_BYTES),
                time_ms: 1_750_000_000_000,
            };
            let count = random.below(4);
            Message::LastUsed((0..count).map(|_| entry(random)).collect())
        }
        3 => Message::Welcome(Welcome {
            history: history(random),
            plan: if random.one_in(2) {
                Plan::Feed(position(random))
            } else {
                Plan::Copy(place(random))
            },
        }),
        4 => Message::Refused(refusal(random)),
        5 => {
            let count = 1 + random.below(4);
            Message::Changes(Batch {
                first: position(random),
                changes: (0..count).map(|_| random.bytes_up_to(40)).collect(),
            })
        }
        6 => Message::Heartbeat(Heartbeat {
            committed: position(random),
            time_ms: -1,
            echo_ms: random.one_in(2).then(|| random.draw()),
        }),
        7 => {
            let setting = |random: &mut Random| AcceptedSetting {
                name: "secrets.hmac".to_owned(),
                values: vec!["ä".to_owned(); random.below(3)],
            };
            let count = random.below(4);
            let settings = (0..count).map(|_| setting(random)).collect();
            Message::Acceptance(Acceptance(settings))
        }
        _ => Message::Chunk(chunk(random)),
    }
}

#[test]
fn what_is_written_is_read() {
    let mut random = Random::new(6);
    for _ in 0..5000 {
        let message = message(&mut random);
        assert_eq!(decode(&encode(&message)), Ok(message));
    }
}

#[test]
fn a_part_of_a_message_is_none() {
    let mut random = Random::new(7);
    for _ in 0..2000 {
        let bytes = encode(&message(&mut random));
        assert!(decode(&bytes[..random.below(bytes.len())]).is_err());
        assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
    }
}

#[test]
fn whatever_is_read_has_one_spelling() {
    let mut random = Random::new(8);
    for _ in 0..20_000 {
        let mut bytes = encode(&message(&mut random));
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = random.draw().to_le_bytes()[0];
        }
        if let Ok(message) = decode(&bytes) {
            assert_eq!(encode(&message), bytes);
        }
    }
}

#[test]
fn garbage_does_no_harm() {
    let mut random = Random::new(9);
    for _ in 0..20_000 {
        let mut bytes = random.bytes_up_to(200);
        // Mostly with a known kind, so that the fields are decoded.
        bytes[0] = [bytes[0], 16, 17, 18, 32, 33, 34, 35, 36][random.below(9)];
        if let Ok(message) = decode(&bytes) {
            assert_eq!(encode(&message), bytes);
        }
    }
}

#[test]
fn lengths_over_their_bounds_are_refused() {
    let batch = |changes| {
        encode(&Message::Changes(Batch {
            first: Position {
                epoch: Epoch(1),
                sequence: Sequence(1),
            },
            changes,
        }))
    };
    assert!(decode(&batch(vec![vec![0; CHANGE_BYTES]])).is_ok());
    assert!(decode(&batch(vec![vec![0; CHANGE_BYTES + 1]])).is_err());
    assert!(decode(&batch(vec![vec![]; BATCH_CHANGES])).is_ok());
    assert!(decode(&batch(vec![vec![]; BATCH_CHANGES + 1])).is_err());
    assert!(decode(&batch(vec![])).is_err());
    let last_used = |count, key| {
        let entry = LastUsed {
            key: vec![0; key],
            time_ms: 0,
        };
        encode(&Message::LastUsed(vec![entry; count]))
    };
    assert!(decode(&last_used(LAST_USED_ENTRIES, LAST_USED_KEY_BYTES)).is_ok());
    assert!(decode(&last_used(LAST_USED_ENTRIES + 1, 1)).is_err());
    assert!(decode(&last_used(1, LAST_USED_KEY_BYTES + 1)).is_err());
}

#[test]
fn rows_are_in_order() {
    let row = |family, key: u8| CopyRow {
        family,
        key: vec![key],
        value: vec![],
    };
    let chunk = |rows| {
        decode(&encode(&Message::Chunk(Chunk {
            copy: CopyName([0; 16]),
            position: Position::START,
            after: CopyCursor {
                family: 1,
                key: vec![5],
            },
            rows,
            end: CopyEnd::More,
        })))
    };
    assert!(chunk(vec![row(1, 6), row(2, 1)]).is_ok());
    assert!(chunk(vec![row(1, 5)]).is_err());
    assert!(chunk(vec![row(2, 1), row(1, 6)]).is_err());
    assert!(chunk(vec![row(2, 1), row(2, 1)]).is_err());
    assert!(chunk(vec![]).is_err());
}

#[test]
fn messages_have_these_bytes() {
    let status_update = Message::StatusUpdate(StatusUpdate {
        durable: Some(Position {
            epoch: Epoch(2),
            sequence: Sequence(258),
        }),
        sent_ms: 3,
    });
    let bytes = "11 0200000000000000 0201000000000000 0300000000000000";
    assert_eq!(hex(&encode(&status_update)), bytes.replace(' ', ""));
    let changes = Message::Changes(Batch {
        first: Position {
            epoch: Epoch(1),
            sequence: Sequence(7),
        },
        changes: vec![b"ab".to_vec(), b"c".to_vec()],
    });
    let bytes = "22 0100000000000000 0700000000000000 02000000 02000000 6162 01000000 63";
    assert_eq!(hex(&encode(&changes)), bytes.replace(' ', ""));
    let heartbeat = Message::Heartbeat(Heartbeat {
        committed: Position::START,
        time_ms: -1,
        echo_ms: Some(5),
    });
    let bytes = "23 0100000000000000 0000000000000000 ffffffffffffffff 01000000 0500000000000000";
    assert_eq!(hex(&encode(&heartbeat)), bytes.replace(' ', ""));
    let fresh = Message::Follow(FollowRequest {
        history: EpochHistory::first(EpochId([0xab; 16])),
        start: StartFrom::Nothing,
        max_staleness_ms: 30_000,
    });
    let bytes = format!(
        "10 0000000000000000 0000000000000000 01 3075000000000000 01000000 0100000000000000 {} 0000000000000000",
        "ab".repeat(16)
    );
    assert_eq!(hex(&encode(&fresh)), bytes.replace(' ', ""));
    let resume = Message::Welcome(Welcome {
        history: EpochHistory::first(EpochId([0xab; 16])),
        plan: Plan::Copy(CopyPlace {
            name: CopyName([0xcd; 16]),
            position: Position::START,
            digest: Some(9),
            cursor: CopyCursor {
                family: 1,
                key: b"k".to_vec(),
            },
        }),
    });
    let bytes = format!(
        "20 0100000000000000 0000000000000000 01 {} 01000000 0900000000000000 0100 01000000 6b 01000000 0100000000000000 {} 0000000000000000",
        "cd".repeat(16),
        "ab".repeat(16)
    );
    assert_eq!(hex(&encode(&resume)), bytes.replace(' ', ""));
    let acceptance = Message::Acceptance(Acceptance(vec![AcceptedSetting {
        name: "ab".to_owned(),
        values: vec!["c".to_owned(), String::new()],
    }]));
    let bytes =
        "25 0000000000000000 0000000000000000 01000000 02000000 6162 02000000 01000000 63 00000000";
    assert_eq!(hex(&encode(&acceptance)), bytes.replace(' ', ""));
    let chunk = Message::Chunk(Chunk {
        copy: CopyName([0xcd; 16]),
        position: Position::START,
        after: CopyCursor::default(),
        rows: vec![CopyRow {
            family: 1,
            key: b"k".to_vec(),
            value: b"v".to_vec(),
        }],
        end: CopyEnd::Last,
    });
    let bytes = format!(
        "24 0100000000000000 0000000000000000 {} 0000 00000000 01 01000000 0100 01000000 6b 01000000 76",
        "cd".repeat(16)
    );
    assert_eq!(hex(&encode(&chunk)), bytes.replace(' ', ""));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

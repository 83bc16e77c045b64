//! The encoding of messages, inside the seal.
//!
//! ```text
//! u8 kind   u64 epoch   u64 sequence   fields of the kind
//! ```
//!
//! The position is, by kind, the first change, the copy's, the primary's last durable change, or
//! the replica's; 0 and 0 if the kind has none.

use talos_model::limits::{ACCEPTED_VALUE_BYTES, ACCEPTED_VALUES};
use talos_model::{
    Acceptance, AcceptedSetting, CopyCursor, CopyEnd, CopyName, CopyPlace, CopyRow, Epoch,
    EpochHistory, EpochId, EpochStart, Position, Sequence,
};

use crate::limits::{
    ACCEPTED_NAME_BYTES, ACCEPTED_SETTINGS, BATCH_CHANGES, CHANGE_BYTES, CHUNK_ROWS,
    HISTORY_EPOCHS, LAST_USED_ENTRIES, LAST_USED_KEY_BYTES, ROW_KEY_BYTES, ROW_VALUE_BYTES,
};
use crate::message::{
    Batch, Chunk, Digest, FollowRequest, Heartbeat, LastUsed, LogPoint, Message, Plan, StartFrom,
    StatusUpdate, Welcome,
};
use crate::refusal::Refusal;
pub use crate::wire::Malformed;
use crate::wire::{Reader, Writer};

const FOLLOW: u8 = 16;
const STATUS_UPDATE: u8 = 17;
const LAST_USED: u8 = 18;
const WELCOME: u8 = 32;
const REFUSED: u8 = 33;
const CHANGES: u8 = 34;
const HEARTBEAT: u8 = 35;
const CHUNK: u8 = 36;
const ACCEPTANCE: u8 = 37;

/// The position of kinds that have none. Epochs begin at 1.
const NOWHERE: Position = Position {
    epoch: Epoch(0),
    sequence: Sequence(0),
};

/// Encodes a message.
#[must_use]
pub fn encode(message: &Message) -> Vec<u8> {
    let mut out = Writer::with_capacity(64);
    match message {
        Message::Follow(follow) => encode_follow(follow, &mut out),
        Message::StatusUpdate(status_update) => {
            let durable = status_update.durable.unwrap_or(NOWHERE);
            out.u8(STATUS_UPDATE)
                .position(durable)
                .u64(status_update.sent_ms);
        }
        Message::LastUsed(last_used) => {
            out.u8(LAST_USED).position(NOWHERE).count(last_used.len());
            for entry in last_used {
                out.bytes(&entry.key).i64(entry.time_ms);
            }
        }
        Message::Welcome(welcome) => encode_welcome(welcome, &mut out),
        Message::Refused(refusal) => {
            out.u8(REFUSED).position(NOWHERE);
            encode_refusal(*refusal, &mut out);
        }
        Message::Changes(batch) => {
            out.u8(CHANGES).position(batch.first);
            out.count(batch.changes.len());
            for change in &batch.changes {
                out.bytes(change);
            }
        }
        Message::Heartbeat(heartbeat) => {
            out.u8(HEARTBEAT)
                .position(heartbeat.committed)
                .i64(heartbeat.time_ms);
            encode_option(heartbeat.echo_ms, &mut out);
        }
        Message::Chunk(chunk) => encode_chunk(chunk, &mut out),
        Message::Acceptance(acceptance) => encode_acceptance(acceptance, &mut out),
    }
    out.finish()
}

fn encode_follow(follow: &FollowRequest, out: &mut Writer) {
    out.u8(FOLLOW);
    match &follow.start {
        StartFrom::Change(point) => {
            out.position(point.position).u8(0);
            encode_option(point.digest.map(|digest| digest.0), out)
        }
        StartFrom::Nothing => out.position(NOWHERE).u8(1),
        StartFrom::Copy(place) => {
            out.position(place.position).u8(2);
            encode_place(place, out)
        }
    };
    out.u64(follow.max_staleness_ms);
    encode_history(&follow.history, out);
}

fn encode_welcome(welcome: &Welcome, out: &mut Writer) {
    out.u8(WELCOME);
    match &welcome.plan {
        Plan::Feed(position) => out.position(*position).u8(0),
        Plan::Copy(place) => {
            out.position(place.position).u8(1);
            encode_place(place, out)
        }
    };
    encode_history(&welcome.history, out);
}

fn encode_chunk(chunk: &Chunk, out: &mut Writer) {
    out.u8(CHUNK).position(chunk.position).raw(&chunk.copy.0);
    encode_cursor(&chunk.after, out);
    out.u8(u8::from(chunk.end == CopyEnd::Last));
    out.count(chunk.rows.len());
    for row in &chunk.rows {
        out.u16(row.family).bytes(&row.key).bytes(&row.value);
    }
}

fn encode_acceptance(acceptance: &Acceptance, out: &mut Writer) {
    out.u8(ACCEPTANCE).position(NOWHERE);
    out.count(acceptance.0.len());
    for AcceptedSetting { name, values } in &acceptance.0 {
        out.bytes(name.as_bytes()).count(values.len());
        for value in values {
            out.bytes(value.as_bytes());
        }
    }
}

fn encode_place<'a>(place: &CopyPlace, out: &'a mut Writer) -> &'a mut Writer {
    out.raw(&place.name.0);
    encode_option(place.digest, out);
    encode_cursor(&place.cursor, out)
}

fn encode_cursor<'a>(cursor: &CopyCursor, out: &'a mut Writer) -> &'a mut Writer {
    out.u16(cursor.family).bytes(&cursor.key)
}

/// A list of at most one.
fn encode_option(number: Option<u64>, out: &mut Writer) -> &mut Writer {
    out.count(usize::from(number.is_some()));
    match number {
        Some(number) => out.u64(number),
        None => out,
    }
}

fn encode_history(history: &EpochHistory, out: &mut Writer) {
    out.count(history.starts().len());
    for start in history.starts() {
        out.u64(start.epoch.0).raw(&start.id.0).u64(start.after.0);
    }
}

/// Always a code and two numbers, so that readers of every version can decode a refusal.
pub(crate) fn encode_refusal(refusal: Refusal, out: &mut Writer) {
    let (code, one, two) = match refusal {
        Refusal::Version { min, max } => (1, u64::from(min), u64::from(max)),
        Refusal::Cluster => (2, 0, 0),
        Refusal::Proof => (3, 0, 0),
        Refusal::SameNode => (4, 0, 0),
        Refusal::Handshake => (5, 0, 0),
        Refusal::NotPrimary => (6, 0, 0),
        Refusal::Older { epoch } => (7, epoch.0, 0),
        Refusal::Diverged { fork } => (8, fork.0, 0),
        Refusal::Busy => (9, 0, 0),
    };
    out.u8(code).u64(one).u64(two);
}

/// Decodes a message.
///
/// # Errors
/// [`Malformed`]: `bytes` are not a message, or exceed `limits.rs`.
pub fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u8()?;
    let position = reader.position()?;
    let message = match kind {
        FOLLOW => Message::Follow(decode_follow(position, &mut reader)?),
        STATUS_UPDATE => Message::StatusUpdate(StatusUpdate {
            durable: (position != NOWHERE).then_some(position),
            sent_ms: reader.u64()?,
        }),
        LAST_USED => Message::LastUsed(reader.list(LAST_USED_ENTRIES, |reader| {
            Ok(LastUsed {
                key: reader.bytes(LAST_USED_KEY_BYTES)?.to_vec(),
                time_ms: reader.i64()?,
            })
        })?),
        WELCOME => Message::Welcome(decode_welcome(position, &mut reader)?),
        REFUSED => Message::Refused(decode_refusal(&mut reader)?),
        CHANGES => Message::Changes(decode_batch(position, &mut reader)?),
        HEARTBEAT => Message::Heartbeat(Heartbeat {
            committed: position,
            time_ms: reader.i64()?,
            echo_ms: decode_option(&mut reader)?,
        }),
        CHUNK => Message::Chunk(decode_chunk(position, &mut reader)?),
        ACCEPTANCE => Message::Acceptance(decode_acceptance(&mut reader)?),
        _ => return Err(Malformed("an unknown kind")),
    };
    reader.finish()?;
    let has_none = matches!(
        &message,
        Message::LastUsed(_)
            | Message::Refused(_)
            | Message::Acceptance(_)
            | Message::Follow(FollowRequest {
                start: StartFrom::Nothing,
                ..
            })
    );
    if has_none && position != NOWHERE {
        return Err(Malformed("a position where there is none"));
    }
    Ok(message)
}

fn decode_follow(position: Position, reader: &mut Reader<'_>) -> Result<FollowRequest, Malformed> {
    let start = match reader.u8()? {
        0 => StartFrom::Change(LogPoint {
            position,
            digest: decode_option(reader)?.map(Digest),
        }),
        1 => StartFrom::Nothing,
        2 => StartFrom::Copy(decode_place(position, reader)?),
        _ => return Err(Malformed("an unknown start")),
    };
    Ok(FollowRequest {
        start,
        max_staleness_ms: reader.u64()?,
        history: decode_history(reader)?,
    })
}

fn decode_welcome(position: Position, reader: &mut Reader<'_>) -> Result<Welcome, Malformed> {
    let plan = match reader.u8()? {
        0 => Plan::Feed(position),
        1 => Plan::Copy(decode_place(position, reader)?),
        _ => return Err(Malformed("an unknown plan")),
    };
    Ok(Welcome {
        plan,
        history: decode_history(reader)?,
    })
}

fn decode_batch(first: Position, reader: &mut Reader<'_>) -> Result<Batch, Malformed> {
    let change = |reader: &mut Reader<'_>| reader.bytes(CHANGE_BYTES).map(<[u8]>::to_vec);
    let changes = reader.list(BATCH_CHANGES, change)?;
    if changes.is_empty() {
        return Err(Malformed("no changes"));
    }
    if first.sequence.0 == 0 || first.sequence.0.checked_add(changes.len() as u64).is_none() {
        return Err(Malformed("changes with impossible sequences"));
    }
    Ok(Batch { first, changes })
}

fn decode_chunk(position: Position, reader: &mut Reader<'_>) -> Result<Chunk, Malformed> {
    let copy = CopyName(reader.array()?);
    let after = decode_cursor(reader)?;
    let end = match reader.u8()? {
        0 => CopyEnd::More,
        1 => CopyEnd::Last,
        _ => return Err(Malformed("an unknown end")),
    };
    let rows = reader.list(CHUNK_ROWS, |reader| {
        Ok(CopyRow {
            family: reader.u16()?,
            key: reader.bytes(ROW_KEY_BYTES)?.to_vec(),
            value: reader.bytes(ROW_VALUE_BYTES)?.to_vec(),
        })
    })?;
    if rows.is_empty() && end == CopyEnd::More {
        return Err(Malformed("no rows"));
    }
    let mut last = after.clone();
    for row in &rows {
        let cursor = row.cursor();
        if row.key.is_empty() || cursor <= last {
            return Err(Malformed("rows out of order"));
        }
        last = cursor;
    }
    Ok(Chunk {
        copy,
        position,
        after,
        rows,
        end,
    })
}

fn decode_acceptance(reader: &mut Reader<'_>) -> Result<Acceptance, Malformed> {
    let settings = reader.list(ACCEPTED_SETTINGS, |reader| {
        Ok(AcceptedSetting {
            name: decode_text(ACCEPTED_NAME_BYTES, reader)?,
            values: reader.list(ACCEPTED_VALUES, |reader| {
                decode_text(ACCEPTED_VALUE_BYTES, reader)
            })?,
        })
    })?;
    Ok(Acceptance(settings))
}

fn decode_text(most: usize, reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let text = String::from_utf8(reader.bytes(most)?.to_vec());
    text.map_err(|_| Malformed("a text that is not UTF-8"))
}

fn decode_place(position: Position, reader: &mut Reader<'_>) -> Result<CopyPlace, Malformed> {
    Ok(CopyPlace {
        name: CopyName(reader.array()?),
        position,
        digest: decode_option(reader)?,
        cursor: decode_cursor(reader)?,
    })
}

fn decode_cursor(reader: &mut Reader<'_>) -> Result<CopyCursor, Malformed> {
    Ok(CopyCursor {
        family: reader.u16()?,
        key: reader.bytes(ROW_KEY_BYTES)?.to_vec(),
    })
}

fn decode_option(reader: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
    Ok(reader.list(1, Reader::u64)?.pop())
}

fn decode_history(reader: &mut Reader<'_>) -> Result<EpochHistory, Malformed> {
    let starts = reader.list(HISTORY_EPOCHS, |reader| {
        Ok(EpochStart {
            epoch: Epoch(reader.u64()?),
            id: EpochId(reader.array()?),
            after: Sequence(reader.u64()?),
        })
    })?;
    EpochHistory::new(starts).map_err(|_| Malformed("an impossible epoch history"))
}

/// Decodes what [`encode_refusal`] writes.
pub(crate) fn decode_refusal(reader: &mut Reader<'_>) -> Result<Refusal, Malformed> {
    let (code, one, two) = (reader.u8()?, reader.u64()?, reader.u64()?);
    let version = |number| u16::try_from(number).map_err(|_| Malformed("a version out of bounds"));
    let refusal = match code {
        1 => Refusal::Version {
            min: version(one)?,
            max: version(two)?,
        },
        2 => Refusal::Cluster,
        3 => Refusal::Proof,
        4 => Refusal::SameNode,
        5 => Refusal::Handshake,
        6 => Refusal::NotPrimary,
        7 => Refusal::Older { epoch: Epoch(one) },
        8 => Refusal::Diverged {
            fork: Sequence(one),
        },
        9 => Refusal::Busy,
        _ => return Err(Malformed("an unknown refusal")),
    };
    // Every refusal has one encoding: unused numbers are 0.
    let mut again = Writer::default();
    encode_refusal(refusal, &mut again);
    let mut given = Writer::default();
    given.u8(code).u64(one).u64(two);
    if again.finish() != given.finish() {
        return Err(Malformed("a refusal with a number too many"));
    }
    Ok(refusal)
}

#[cfg(test)]
mod tests;

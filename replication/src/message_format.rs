//! The bytes of messages, inside the seal.
//!
//! ```text
//! u8 kind   u64 epoch   u64 sequence   fields of the kind
//! ```
//!
//! The position is that of the first change, of the copy, of the head, or of what is durable; 0 and 0 where a kind has none.

use crate::history::{Era, History};
use crate::limits::{
    BATCH_CHANGES, CHANGE_BYTES, CHUNK_ROWS, HISTORY_EPOCHS, ROW_KEY_BYTES, ROW_VALUE_BYTES,
    STAMP_KEY_BYTES, STAMPS,
};
use crate::message::{
    Ask, Batch, Chunk, CopyPlace, Cursor, Digest, End, Follow, Heartbeat, Mark, Message, Plan,
    Pulse, Row, Stamp, Welcome,
};
use crate::position::{CopyId, Epoch, Position, Reign, Sequence};
use crate::refusal::Refusal;
pub use crate::wire::Malformed;
use crate::wire::{Reader, Writer};

const FOLLOW: u8 = 16;
const PULSE: u8 = 17;
const USED: u8 = 18;
const WELCOME: u8 = 32;
const REFUSED: u8 = 33;
const CHANGES: u8 = 34;
const HEARTBEAT: u8 = 35;
const CHUNK: u8 = 36;

/// Where a kind has no position. Epochs begin at 1.
const NOWHERE: Position = Position {
    epoch: Epoch(0),
    sequence: Sequence(0),
};

/// The bytes of a message.
#[must_use]
pub fn encode(message: &Message) -> Vec<u8> {
    let mut out = Writer::with_capacity(64);
    match message {
        Message::Follow(follow) => encode_follow(follow, &mut out),
        Message::Pulse(pulse) => {
            let durable = pulse.durable.unwrap_or(NOWHERE);
            out.u8(PULSE).position(durable).u64(pulse.sent_ms);
        }
        Message::Used(stamps) => {
            out.u8(USED).position(NOWHERE).count(stamps.len());
            for stamp in stamps {
                out.bytes(&stamp.key).i64(stamp.time_ms);
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
        Message::Heartbeat(beat) => {
            out.u8(HEARTBEAT).position(beat.head).i64(beat.time_ms);
            encode_option(beat.echo_ms, &mut out);
        }
        Message::Chunk(chunk) => encode_chunk(chunk, &mut out),
    }
    out.finish()
}

fn encode_follow(follow: &Follow, out: &mut Writer) {
    out.u8(FOLLOW);
    match &follow.ask {
        Ask::Continue(mark) => {
            out.position(mark.position).u8(0);
            encode_option(mark.digest.map(|digest| digest.0), out)
        }
        Ask::Fresh => out.position(NOWHERE).u8(1),
        Ask::Resume(place) => {
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
    out.u8(u8::from(chunk.end == End::Last));
    out.count(chunk.rows.len());
    for row in &chunk.rows {
        out.u16(row.family).bytes(&row.key).bytes(&row.value);
    }
}

fn encode_place<'a>(place: &CopyPlace, out: &'a mut Writer) -> &'a mut Writer {
    out.raw(&place.copy.0);
    encode_option(place.last.map(|digest| digest.0), out);
    encode_cursor(&place.cursor, out)
}

fn encode_cursor<'a>(cursor: &Cursor, out: &'a mut Writer) -> &'a mut Writer {
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

fn encode_history(history: &History, out: &mut Writer) {
    out.count(history.eras().len());
    for era in history.eras() {
        out.u64(era.epoch.0).raw(&era.reign.0).u64(era.after.0);
    }
}

/// Code and two numbers, whatever the kind, so that a reader of any version can take a refusal.
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

/// The message that `bytes` are.
///
/// # Errors
/// [`Malformed`]: they are none, or one beyond the bounds of `limits.rs`.
pub fn decode(bytes: &[u8]) -> Result<Message, Malformed> {
    let mut reader = Reader::new(bytes);
    let kind = reader.u8()?;
    let position = reader.position()?;
    let message = match kind {
        FOLLOW => Message::Follow(decode_follow(position, &mut reader)?),
        PULSE => Message::Pulse(Pulse {
            durable: (position != NOWHERE).then_some(position),
            sent_ms: reader.u64()?,
        }),
        USED => Message::Used(reader.list(STAMPS, |reader| {
            Ok(Stamp {
                key: reader.bytes(STAMP_KEY_BYTES)?.to_vec(),
                time_ms: reader.i64()?,
            })
        })?),
        WELCOME => Message::Welcome(decode_welcome(position, &mut reader)?),
        REFUSED => Message::Refused(decode_refusal(&mut reader)?),
        CHANGES => Message::Changes(decode_batch(position, &mut reader)?),
        HEARTBEAT => Message::Heartbeat(Heartbeat {
            head: position,
            time_ms: reader.i64()?,
            echo_ms: decode_option(&mut reader)?,
        }),
        CHUNK => Message::Chunk(decode_chunk(position, &mut reader)?),
        _ => return Err(Malformed("an unknown kind")),
    };
    reader.finish()?;
    let has_none = matches!(
        &message,
        Message::Used(_)
            | Message::Refused(_)
            | Message::Follow(Follow {
                ask: Ask::Fresh,
                ..
            })
    );
    if has_none && position != NOWHERE {
        return Err(Malformed("a position where there is none"));
    }
    Ok(message)
}

fn decode_follow(position: Position, reader: &mut Reader<'_>) -> Result<Follow, Malformed> {
    let ask = match reader.u8()? {
        0 => Ask::Continue(Mark {
            position,
            digest: decode_option(reader)?.map(Digest),
        }),
        1 => Ask::Fresh,
        2 => Ask::Resume(decode_place(position, reader)?),
        _ => return Err(Malformed("an unknown wish")),
    };
    Ok(Follow {
        ask,
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
    let copy = CopyId(reader.array()?);
    let after = decode_cursor(reader)?;
    let end = match reader.u8()? {
        0 => End::More,
        1 => End::Last,
        _ => return Err(Malformed("an unknown end")),
    };
    let rows = reader.list(CHUNK_ROWS, |reader| {
        Ok(Row {
            family: reader.u16()?,
            key: reader.bytes(ROW_KEY_BYTES)?.to_vec(),
            value: reader.bytes(ROW_VALUE_BYTES)?.to_vec(),
        })
    })?;
    if rows.is_empty() && end == End::More {
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

fn decode_place(position: Position, reader: &mut Reader<'_>) -> Result<CopyPlace, Malformed> {
    Ok(CopyPlace {
        copy: CopyId(reader.array()?),
        position,
        last: decode_option(reader)?.map(Digest),
        cursor: decode_cursor(reader)?,
    })
}

fn decode_cursor(reader: &mut Reader<'_>) -> Result<Cursor, Malformed> {
    Ok(Cursor {
        family: reader.u16()?,
        key: reader.bytes(ROW_KEY_BYTES)?.to_vec(),
    })
}

fn decode_option(reader: &mut Reader<'_>) -> Result<Option<u64>, Malformed> {
    Ok(reader.list(1, Reader::u64)?.pop())
}

fn decode_history(reader: &mut Reader<'_>) -> Result<History, Malformed> {
    let eras = reader.list(HISTORY_EPOCHS, |reader| {
        Ok(Era {
            epoch: Epoch(reader.u64()?),
            reign: Reign(reader.array()?),
            after: Sequence(reader.u64()?),
        })
    })?;
    History::new(eras).map_err(|_| Malformed("a history that cannot be"))
}

/// Reads what [`encode_refusal`] writes.
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
    // One spelling: numbers that mean nothing are 0.
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

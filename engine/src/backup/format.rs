//! Encoding and decoding of a backup.
//!
//! ```text
//! "TALOSBAK"   u32 version
//! frames: u32 length of the body   u32 CRC-32C of the length's four bytes and the body   body = u8 kind, fields
//!   1 head, the first   2 rows   3 end, the last: counts, SHA-256 of everything before its frame
//! ```

use talos_model::clock::UnixMillis;
use talos_model::{
    CopyChunk, CopyCounts, CopyEnd, CopyRow, Epoch, EpochHistory, EpochId, EpochStart, Position,
    Sequence,
};
use wincode::{SchemaRead, SchemaWrite};

use super::BackupHead;

/// The first bytes of every backup.
pub const MAGIC: &[u8; 8] = b"TALOSBAK";
/// The version that this release writes, and the newest that it reads.
pub const VERSION: u32 = 1;
/// Bytes of a frame before its body: length and checksum.
pub const FRAME_HEAD_BYTES: usize = 8;
/// Maximum size of a body. A frame of rows exceeds its wanted size by at most one row, and rows are
/// far shorter than the difference.
pub const BODY_BYTES_MAX: usize = 4 << 20;

const HEAD: u8 = 1;
const ROWS: u8 = 2;
const END: u8 = 3;

/// The body of a frame.
#[derive(Debug, PartialEq, Eq)]
pub enum Body {
    /// The description of the backup.
    Head(BackupHead),
    /// Some rows.
    Rows(CopyChunk),
    /// The end: counts, and the SHA-256 of everything before this frame.
    End(CopyCounts, [u8; 32]),
}

#[derive(SchemaWrite, SchemaRead)]
struct HeadV1 {
    time_ms: i64,
    epoch: u64,
    sequence: u64,
    cluster: [u8; 16],
    starts: Vec<EpochStartV1>,
    shards: u16,
    release: String,
}

#[derive(SchemaWrite, SchemaRead)]
struct EpochStartV1 {
    epoch: u64,
    id: [u8; 16],
    after: u64,
}

#[derive(SchemaWrite, SchemaRead)]
struct RowsV1 {
    is_last: bool,
    rows: Vec<RowV1>,
}

#[derive(SchemaWrite, SchemaRead)]
struct RowV1 {
    family: u16,
    key: Vec<u8>,
    value: Vec<u8>,
}

#[derive(SchemaWrite, SchemaRead)]
struct EndV1 {
    keys: u64,
    requests: u64,
    uses: u64,
    rows: u64,
    digest: [u8; 32],
}

/// Magic and version, the bytes before the first frame.
pub fn preamble() -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_le_bytes()].concat()
}

/// The CRC-32C of a frame: of the length's bytes and the body.
pub fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), body)
}

/// The frame with this body.
pub fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let sum = checksum(length, body).to_le_bytes();
    [&length, &sum, body].concat()
}

/// Encodes a body.
pub fn encode(body: &Body) -> Result<Vec<u8>, String> {
    let (kind, fields) = match body {
        Body::Head(head) => (HEAD, wincode::serialize(&head_fields(head))),
        Body::Rows(chunk) => {
            let row = |row: &CopyRow| RowV1 {
                family: row.family,
                key: row.key.clone(),
                value: row.value.clone(),
            };
            let fields = RowsV1 {
                is_last: chunk.end == CopyEnd::Last,
                rows: chunk.rows.iter().map(row).collect(),
            };
            (ROWS, wincode::serialize(&fields))
        }
        Body::End(counts, digest) => {
            let fields = EndV1 {
                keys: counts.keys,
                requests: counts.requests,
                uses: counts.uses,
                rows: counts.rows,
                digest: *digest,
            };
            (END, wincode::serialize(&fields))
        }
    };
    let fields = fields.map_err(|error| error.to_string())?;
    Ok([&[kind], fields.as_slice()].concat())
}

fn head_fields(head: &BackupHead) -> HeadV1 {
    let start = |start: &EpochStart| EpochStartV1 {
        epoch: start.epoch.0,
        id: start.id.0,
        after: start.after.0,
    };
    HeadV1 {
        time_ms: head.time.0,
        epoch: head.position.epoch.0,
        sequence: head.position.sequence.0,
        cluster: head.cluster,
        starts: head.epochs.starts().iter().map(start).collect(),
        shards: head.shards,
        release: head.release.clone(),
    }
}

/// Decodes a body; `None` when the bytes are not one.
pub fn decode(bytes: &[u8]) -> Option<Body> {
    let (&kind, fields) = bytes.split_first()?;
    match kind {
        HEAD => decode_head(fields),
        ROWS => {
            let fields: RowsV1 = wincode::deserialize_exact(fields).ok()?;
            let row = |row: RowV1| CopyRow {
                family: row.family,
                key: row.key,
                value: row.value,
            };
            Some(Body::Rows(CopyChunk {
                rows: fields.rows.into_iter().map(row).collect(),
                end: if fields.is_last {
                    CopyEnd::Last
                } else {
                    CopyEnd::More
                },
            }))
        }
        END => {
            let fields: EndV1 = wincode::deserialize_exact(fields).ok()?;
            let counts = CopyCounts {
                keys: fields.keys,
                requests: fields.requests,
                uses: fields.uses,
                rows: fields.rows,
            };
            Some(Body::End(counts, fields.digest))
        }
        _ => None,
    }
}

fn decode_head(fields: &[u8]) -> Option<Body> {
    let fields: HeadV1 = wincode::deserialize_exact(fields).ok()?;
    let start = |start: EpochStartV1| EpochStart {
        epoch: Epoch(start.epoch),
        id: EpochId(start.id),
        after: Sequence(start.after),
    };
    let starts = fields.starts.into_iter().map(start).collect();
    let head = BackupHead {
        time: UnixMillis(fields.time_ms),
        position: Position {
            epoch: Epoch(fields.epoch),
            sequence: Sequence(fields.sequence),
        },
        cluster: fields.cluster,
        epochs: EpochHistory::new(starts).ok()?,
        shards: fields.shards,
        release: fields.release,
    };
    head.epochs.has(head.position).then_some(Body::Head(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epochs() -> EpochHistory {
        EpochHistory::new(vec![EpochStart {
            epoch: Epoch(1),
            id: EpochId([8; 16]),
            after: Sequence(0),
        }])
        .unwrap()
    }

    /// The bytes in `docs/FORMAT.md`.
    #[test]
    fn bodies_have_these_bytes() {
        let head = Body::Head(BackupHead {
            time: UnixMillis(1),
            position: "1.2".parse().unwrap(),
            cluster: [7; 16],
            epochs: epochs(),
            shards: 2,
            release: "r".to_owned(),
        });
        let number = |number: u64| number.to_le_bytes().to_vec();
        let expected = [
            vec![1],
            number(1),
            number(1),
            number(2),
            vec![7; 16],
            number(1),
            number(1),
            vec![8; 16],
            number(0),
            vec![2, 0],
            number(1),
            b"r".to_vec(),
        ];
        assert_eq!(encode(&head).unwrap(), expected.concat());
        let rows = Body::Rows(CopyChunk {
            rows: vec![CopyRow {
                family: 3,
                key: b"k".to_vec(),
                value: b"v".to_vec(),
            }],
            end: CopyEnd::Last,
        });
        let expected = [
            vec![2, 1],
            number(1),
            vec![3, 0],
            number(1),
            b"k".to_vec(),
            number(1),
            b"v".to_vec(),
        ];
        assert_eq!(encode(&rows).unwrap(), expected.concat());
        let counts = CopyCounts {
            keys: 1,
            requests: 2,
            uses: 3,
            rows: 4,
        };
        let end = Body::End(counts, [9; 32]);
        let expected = [
            vec![3],
            number(1),
            number(2),
            number(3),
            number(4),
            vec![9; 32],
        ];
        assert_eq!(encode(&end).unwrap(), expected.concat());
        for body in [head, rows, end] {
            assert_eq!(decode(&encode(&body).unwrap()), Some(body));
        }
        assert_eq!(preamble(), b"TALOSBAK\x01\0\0\0");
    }

    #[test]
    fn what_is_not_a_body_is_none() {
        for bytes in [&[][..], &[0], &[4, 1, 2], &[3, 1, 2], &[2; 9]] {
            assert_eq!(decode(bytes), None);
        }
        let of_no_epoch = BackupHead {
            time: UnixMillis(1),
            position: "2.2".parse().unwrap(),
            cluster: [7; 16],
            epochs: epochs(),
            shards: 2,
            release: String::new(),
        };
        assert_eq!(decode(&encode(&Body::Head(of_no_epoch)).unwrap()), None);
    }
}

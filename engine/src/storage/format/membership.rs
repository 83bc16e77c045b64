//! The bytes of what is durable with a node besides its changes: its epoch history, and a copy that is under way.
//!
//! Both stand in `meta`. A database of a release that knew neither gets an epoch history when it is opened.

use talos_model::{
    CopyCursor, CopyName, CopyPlace, Epoch, EpochHistory, EpochId, EpochStart, Leadership,
    Position, Sequence,
};
use wincode::{SchemaRead, SchemaWrite};

use crate::storage::error::StorageError;

/// In `META`: the epochs that the node knows, and whether the newest is its own.
pub const EPOCH_HISTORY: &[u8] = b"lineage";
/// In `META`: the copy that is under way. While this stands there, nothing else in the database may be shown.
pub const COPYING: &[u8] = b"copying";
/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

#[derive(SchemaWrite, SchemaRead)]
struct EpochHistoryV1 {
    cluster: [u8; 16],
    is_own: bool,
    starts: Vec<EpochStartV1>,
}

#[derive(SchemaWrite, SchemaRead)]
struct EpochStartV1 {
    epoch: u64,
    id: [u8; 16],
    after: u64,
}

#[derive(SchemaWrite, SchemaRead)]
struct CopyingV1 {
    name: [u8; 16],
    epoch: u64,
    sequence: u64,
    digest: Option<u64>,
    family: u16,
    key: Vec<u8>,
}

/// The bytes that stand for an epoch history.
pub fn encode_epochs(
    epochs: &EpochHistory,
    leadership: Leadership,
) -> Result<Vec<u8>, StorageError> {
    let start = |start: &EpochStart| EpochStartV1 {
        epoch: start.epoch.0,
        id: start.id.0,
        after: start.after.0,
    };
    versioned(wincode::serialize(&EpochHistoryV1 {
        cluster: epochs.cluster(),
        is_own: leadership == Leadership::Own,
        starts: epochs.starts().iter().map(start).collect(),
    }))
}

/// The bytes that stand for a copy under way.
pub fn encode_copying(place: &CopyPlace) -> Result<Vec<u8>, StorageError> {
    versioned(wincode::serialize(&CopyingV1 {
        name: place.name.0,
        epoch: place.position.epoch.0,
        sequence: place.position.sequence.0,
        digest: place.digest,
        family: place.cursor.family,
        key: place.cursor.key.clone(),
    }))
}

/// The epoch history that these bytes are.
pub fn decode_epochs(bytes: &[u8]) -> Result<(EpochHistory, Leadership), StorageError> {
    let unreadable = StorageError::Corrupt("the epochs of the database");
    let fields: EpochHistoryV1 =
        wincode::deserialize_exact(unversioned(bytes)?).map_err(|_| unreadable.clone())?;
    let start = |start: EpochStartV1| EpochStart {
        epoch: Epoch(start.epoch),
        id: EpochId(start.id),
        after: Sequence(start.after),
    };
    let starts = fields.starts.into_iter().map(start).collect();
    let epochs = EpochHistory::new(fields.cluster, starts).map_err(|_| unreadable)?;
    let leadership = if fields.is_own {
        Leadership::Own
    } else {
        Leadership::Other
    };
    Ok((epochs, leadership))
}

/// The copy under way that these bytes stand for.
pub fn decode_copying(bytes: &[u8]) -> Result<CopyPlace, StorageError> {
    let fields: CopyingV1 = wincode::deserialize_exact(unversioned(bytes)?)
        .map_err(|_| StorageError::Corrupt("the copy that is under way"))?;
    Ok(CopyPlace {
        name: CopyName(fields.name),
        position: Position {
            epoch: Epoch(fields.epoch),
            sequence: Sequence(fields.sequence),
        },
        digest: fields.digest,
        cursor: CopyCursor {
            family: fields.family,
            key: fields.key,
        },
    })
}

fn versioned(fields: Result<Vec<u8>, wincode::WriteError>) -> Result<Vec<u8>, StorageError> {
    let fields = fields.map_err(|error| StorageError::Encode(error.to_string()))?;
    Ok(std::iter::once(VERSION).chain(fields).collect())
}

fn unversioned(bytes: &[u8]) -> Result<&[u8], StorageError> {
    match bytes.split_first() {
        Some((&VERSION, fields)) => Ok(fields),
        Some((&found, _)) => Err(StorageError::NewerRecord {
            found,
            supported: VERSION,
        }),
        None => Err(StorageError::Corrupt(
            "an empty entry of the database's facts",
        )),
    }
}

//! The bytes of a node's durable state besides its changes: its epoch history, and the progress of
//! a copy.
//!
//! Both are in `meta`. A database from a release that had neither gets an epoch history when it is
//! opened.

use talos_model::{
    CopyCursor, CopyName, CopyPlace, Epoch, EpochHistory, EpochId, EpochStart, Leadership,
    NodeState, Position, Sequence,
};
use wincode::{SchemaRead, SchemaWrite};

use crate::storage::error::StorageError;

/// Key in `META` of the epochs that the node knows, and of whether the newest is its own.
pub const EPOCH_HISTORY: &[u8] = b"lineage";
/// Key in `META` of the progress of a copy. While it exists, nothing else in the database may be
/// used.
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

/// Encodes a node's state without the progress of a copy.
pub fn encode_epochs(state: &NodeState) -> Result<Vec<u8>, StorageError> {
    let start = |start: &EpochStart| EpochStartV1 {
        epoch: start.epoch.0,
        id: start.id.0,
        after: start.after.0,
    };
    versioned(wincode::serialize(&EpochHistoryV1 {
        cluster: state.cluster,
        is_own: state.leadership == Leadership::Own,
        starts: state.epochs.starts().iter().map(start).collect(),
    }))
}

/// Encodes the progress of a copy.
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

/// Decodes a node's state; the progress of a copy is not set.
pub fn decode_epochs(bytes: &[u8]) -> Result<NodeState, StorageError> {
    let unreadable = StorageError::Corrupt("the epochs of the database");
    let fields: EpochHistoryV1 =
        wincode::deserialize_exact(unversioned(bytes)?).map_err(|_| unreadable.clone())?;
    let start = |start: EpochStartV1| EpochStart {
        epoch: Epoch(start.epoch),
        id: EpochId(start.id),
        after: Sequence(start.after),
    };
    let starts = fields.starts.into_iter().map(start).collect();
    let epochs = EpochHistory::new(starts).map_err(|_| unreadable)?;
    let leadership = if fields.is_own {
        Leadership::Own
    } else {
        Leadership::Other
    };
    Ok(NodeState {
        cluster: fields.cluster,
        epochs,
        leadership,
        copying: None,
    })
}

/// Decodes the progress of a copy.
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

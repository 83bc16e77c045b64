//! The bytes of what is durable with a node besides its changes: its lineage, and a copy that is under way.
//!
//! Both stand in `meta`. A database of a release that knew neither gets a lineage when it is opened.

use talos_model::{
    CopyCursor, CopyName, CopyPlace, Epoch, Era, Lineage, NodeStanding, Position, Reign, Reigns,
    Sequence,
};
use wincode::{SchemaRead, SchemaWrite};

use super::StorageError;
use super::rocks::{META, RocksStore};

/// In `META`: the reigns that the node knows, and whether the newest is its own.
pub const LINEAGE: &[u8] = b"lineage";
/// In `META`: the copy that is under way. While this stands there, nothing else in the database may be shown.
pub const COPYING: &[u8] = b"copying";
/// The version that this release writes, and the newest that it reads.
const VERSION: u8 = 1;

#[derive(SchemaWrite, SchemaRead)]
struct LineageV1 {
    cluster: [u8; 16],
    is_own: bool,
    eras: Vec<EraV1>,
}

#[derive(SchemaWrite, SchemaRead)]
struct EraV1 {
    epoch: u64,
    reign: [u8; 16],
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

impl RocksStore {
    /// What is durable; `None` when no lineage was ever written.
    pub fn standing(&self) -> Result<Option<NodeStanding>, StorageError> {
        let meta = self.family(META)?;
        let Some(lineage) = self.db.get_cf(meta, LINEAGE)? else {
            return Ok(None);
        };
        let (lineage, reigns) = decode_lineage(&lineage)?;
        let copying = self.db.get_cf(meta, COPYING)?;
        Ok(Some(NodeStanding {
            lineage,
            reigns,
            copying: copying.map(|bytes| decode_copying(&bytes)).transpose()?,
        }))
    }
}

/// The bytes that stand for a lineage.
pub fn encode_lineage(lineage: &Lineage, reigns: Reigns) -> Result<Vec<u8>, StorageError> {
    let era = |era: &Era| EraV1 {
        epoch: era.epoch.0,
        reign: era.reign.0,
        after: era.after.0,
    };
    versioned(wincode::serialize(&LineageV1 {
        cluster: lineage.cluster(),
        is_own: reigns == Reigns::Itself,
        eras: lineage.eras().iter().map(era).collect(),
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

/// The lineage that these bytes are.
pub fn decode_lineage(bytes: &[u8]) -> Result<(Lineage, Reigns), StorageError> {
    let unreadable = StorageError::Corrupt("the epochs of the database");
    let fields: LineageV1 =
        wincode::deserialize_exact(unversioned(bytes)?).map_err(|_| unreadable.clone())?;
    let era = |era: EraV1| Era {
        epoch: Epoch(era.epoch),
        reign: Reign(era.reign),
        after: Sequence(era.after),
    };
    let eras = fields.eras.into_iter().map(era).collect();
    let lineage = Lineage::new(fields.cluster, eras).map_err(|_| unreadable)?;
    let reigns = if fields.is_own {
        Reigns::Itself
    } else {
        Reigns::Other
    };
    Ok((lineage, reigns))
}

fn decode_copying(bytes: &[u8]) -> Result<CopyPlace, StorageError> {
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

//! The engine as the storage of replication.
//!
//! Replication does not know the engine, and the engine does not know the protocol. This module
//! converts between the two.

mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::EngineSink;
pub use source::EngineSource;

use talos_engine::{Engine, Lineage, ReadError};

use talos_replication::history::{EpochHistory, EpochStart, InvalidHistory};
use talos_replication::message::{Cursor, Digest};
use talos_replication::position::{EpochId, Position};

/// The epoch history that is durable at an engine.
///
/// # Errors
/// The engine knows more epochs than a history may hold.
pub fn epoch_history(engine: &Engine) -> Result<EpochHistory, InvalidHistory> {
    let lineage = engine.standing().lineage;
    let era = |era: &talos_engine::Era| EpochStart {
        epoch: era.epoch,
        id: EpochId(era.reign.0),
        after: era.after,
    };
    EpochHistory::new(lineage.eras().iter().map(era).collect())
}

/// The last change that is durable at an engine and visible to verifications.
#[must_use]
pub fn committed_position(engine: &Engine) -> Position {
    engine.head()
}

/// Converts a history to the engine's form, for a node of this cluster.
fn lineage_of(history: &EpochHistory, cluster: [u8; 16]) -> Result<Lineage, String> {
    let era = |era: &EpochStart| talos_engine::Era {
        epoch: era.epoch,
        reign: talos_engine::Reign(era.id.0),
        after: era.after,
    };
    let eras = history.eras().iter().map(era).collect();
    Lineage::new(cluster, eras).map_err(|error| error.to_string())
}

fn cursor_of(cursor: talos_engine::CopyCursor) -> Cursor {
    Cursor {
        family: cursor.family,
        key: cursor.key,
    }
}

fn engines_cursor(cursor: &Cursor) -> talos_engine::CopyCursor {
    talos_engine::CopyCursor {
        family: cursor.family,
        key: cursor.key.clone(),
    }
}

/// The digest of an engine's last change. `None` if the log does not hold it.
pub(crate) fn last_digest(engine: &Engine) -> Result<Option<Digest>, ReadError> {
    digest_at(engine, engine.head())
}

/// The digest of the change at `position`, if the log holds it.
fn digest_at(engine: &Engine, position: Position) -> Result<Option<Digest>, ReadError> {
    let logged = engine.logged(position)?;
    Ok(logged.map(|change| Digest::of(&change.bytes)))
}

//! The engine as the storage of replication.
//!
//! The two crates name places and epochs each with types of its own: the state machines need nothing of RocksDB, and the engine
//! needs nothing of a protocol. Here alone one is turned into the other.

mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::EngineSink;
pub use source::EngineSource;

use talos_engine::{Engine, Lineage, ReadError};

use crate::history::{Era, History, InvalidHistory};
use crate::message::{Cursor, Digest};
use crate::position::{Epoch, Position, Reign, Sequence};

/// The epochs that are durable with an engine.
///
/// # Errors
/// It knows more than a history may hold.
pub fn history_of(engine: &Engine) -> Result<History, InvalidHistory> {
    let lineage = engine.standing().lineage;
    let era = |era: &talos_engine::Era| Era {
        epoch: Epoch(era.epoch.0),
        reign: Reign(era.reign.0),
        after: Sequence(era.after.0),
    };
    History::new(lineage.eras().iter().map(era).collect())
}

/// The last change that is durable with an engine and that its verifications see.
#[must_use]
pub fn head_of(engine: &Engine) -> Position {
    position_of(engine.head())
}

/// A history as the engine keeps it, of a node of this cluster.
fn lineage_of(history: &History, cluster: [u8; 16]) -> Result<Lineage, String> {
    let era = |era: &Era| talos_engine::Era {
        epoch: talos_engine::Epoch(era.epoch.0),
        reign: talos_engine::Reign(era.reign.0),
        after: talos_engine::Sequence(era.after.0),
    };
    let eras = history.eras().iter().map(era).collect();
    Lineage::new(cluster, eras).map_err(|error| error.to_string())
}

fn position_of(position: talos_engine::Position) -> Position {
    Position {
        epoch: Epoch(position.epoch.0),
        sequence: Sequence(position.sequence.0),
    }
}

fn engines_position(position: Position) -> talos_engine::Position {
    talos_engine::Position {
        epoch: talos_engine::Epoch(position.epoch.0),
        sequence: talos_engine::Sequence(position.sequence.0),
    }
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

/// What the change at `position` says, in short, if the log holds it.
fn digest_at(
    engine: &Engine,
    position: talos_engine::Position,
) -> Result<Option<Digest>, ReadError> {
    let logged = engine.logged(position)?;
    Ok(logged.map(|change| Digest::of(&change.bytes)))
}

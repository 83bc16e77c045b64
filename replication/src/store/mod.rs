//! The engine as the storage of replication.
//!
//! The state machines know nothing of RocksDB, and the engine nothing of a protocol. Here alone what one says is turned into what the
//! other understands.

mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::EngineSink;
pub use source::EngineSource;

use talos_engine::{Engine, Lineage, ReadError};

use crate::history::{Era, History, InvalidHistory};
use crate::message::{Cursor, Digest};
use crate::position::{Position, Reign};

/// The epochs that are durable with an engine.
///
/// # Errors
/// It knows more than a history may hold.
pub fn history_of(engine: &Engine) -> Result<History, InvalidHistory> {
    let epochs = engine.standing().epochs;
    let era = |era: &talos_engine::Era| Era {
        epoch: era.epoch,
        reign: Reign(era.reign.0),
        after: era.after,
    };
    History::new(epochs.eras().iter().map(era).collect())
}

/// The last change that is durable with an engine and that its verifications see.
#[must_use]
pub fn head_of(engine: &Engine) -> Position {
    engine.head()
}

/// A history as the engine keeps it, of a node of this cluster.
fn lineage_of(history: &History, cluster: [u8; 16]) -> Result<Lineage, String> {
    let era = |era: &Era| talos_engine::Era {
        epoch: era.epoch,
        reign: talos_engine::Reign(era.reign.0),
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

/// What the last change of an engine says, in short.
pub(crate) fn last_of(engine: &Engine) -> Result<Option<Digest>, ReadError> {
    digest_at(engine, engine.head())
}

/// What the change at `position` says, in short, if the log holds it.
fn digest_at(engine: &Engine, position: Position) -> Result<Option<Digest>, ReadError> {
    let logged = engine.logged(position)?;
    Ok(logged.map(|change| Digest::of(&change.bytes)))
}

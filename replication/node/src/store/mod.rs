//! The engine as the storage of replication.
//!
//! Replication does not know the engine, and the engine does not know the protocol. This module
//! implements the storage traits of replication for an engine.

mod sink;
mod source;
#[cfg(test)]
mod tests;

pub use sink::EngineSink;
pub use source::EngineSource;
use talos_engine::Engine;
use talos_model::{Position, ReadError};
use talos_replication::message::Digest;

/// The digest of an engine's last change. `None` if the log does not hold it.
pub(crate) fn last_digest(engine: &Engine) -> Result<Option<Digest>, ReadError> {
    digest_at(engine, engine.committed())
}

/// The digest of the change at `position`, if the log holds it.
fn digest_at(engine: &Engine, position: Position) -> Result<Option<Digest>, ReadError> {
    let logged = engine.logged(position)?;
    Ok(logged.map(|change| Digest::of(&change.bytes)))
}

//! An engine in replica mode as a [`ChangeSink`].

use std::sync::Arc;

use talos_engine::Engine;
use talos_model::{
    CopyChunk, CopyPlace, EpochHistory, FollowError, LoggedChange, Mode, Position, Sequence,
};
use talos_replication::message::{Batch, Chunk};
use talos_replication::sink::{ChangeSink, DurableState, Progress, SinkError};

use super::last_digest;

/// The storage of a replica.
pub struct EngineSink {
    engine: Arc<Engine>,
}

impl EngineSink {
    /// Creates the sink of this engine.
    ///
    /// # Errors
    /// The engine is a primary.
    pub fn new(engine: Arc<Engine>) -> Result<Self, SinkError> {
        match engine.mode() {
            Mode::Replica => Ok(Self { engine }),
            Mode::Primary => Err(failed(FollowError::Primary)),
        }
    }

    /// What is durable at the engine: where a follower starts.
    ///
    /// # Errors
    /// The disk has failed, or data is damaged.
    pub fn durable_state(&self) -> Result<DurableState, SinkError> {
        let state = self.engine.standing();
        if let Some(place) = state.copying {
            return Ok(DurableState {
                history: state.epochs,
                progress: Progress::Copying(place),
                last: None,
            });
        }
        let last = last_digest(&self.engine);
        Ok(DurableState {
            history: state.epochs,
            progress: Progress::At(self.engine.committed()),
            last: last.map_err(|error| SinkError(error.to_string()))?,
        })
    }
}

impl ChangeSink for EngineSink {
    fn adopt(&mut self, history: &EpochHistory) -> Result<(), SinkError> {
        self.engine.adopt(history.clone()).map_err(failed)
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let first = batch.first;
        let change = |(sequence, bytes): (u64, &Vec<u8>)| LoggedChange {
            position: Position {
                epoch: first.epoch,
                sequence: Sequence(sequence),
            },
            bytes: bytes.clone(),
        };
        let changes = (first.sequence.0..).zip(&batch.changes).map(change);
        let applied = self.engine.apply(changes.collect());
        applied.map(drop).map_err(failed)
    }

    fn begin_copy(&mut self, history: &EpochHistory, place: &CopyPlace) -> Result<(), SinkError> {
        tracing::info!(position = %place.position, "copying everything from the primary");
        let cluster = self.engine.standing().cluster;
        let begun = self
            .engine
            .begin_copy(cluster, history.clone(), place.clone());
        begun.map_err(failed)
    }

    fn install(&mut self, chunk: &Chunk) -> Result<(), SinkError> {
        let rows = CopyChunk {
            rows: chunk.rows.clone(),
            end: chunk.end,
        };
        self.engine.install(chunk.copy, rows).map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: FollowError) -> SinkError {
    SinkError(error.to_string())
}

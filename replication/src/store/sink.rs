//! An engine in replica mode, as a follower writes to it.

use std::sync::Arc;

use talos_engine::{
    CopyChunk, CopyEnd, CopyName, CopyRow, Engine, FollowError, LoggedChange, Mode, Sequence,
};

use super::{cursor_of, engines_cursor, head_of, history_of, last_of, lineage_of};
use crate::history::History;
use crate::message::{Batch, Chunk, CopyPlace, Digest, End};
use crate::position::{CopyId, Position};
use crate::sink::{ChangeSink, Place, SinkError, Standing};

/// See the module.
pub struct EngineSink {
    engine: Arc<Engine>,
}

impl EngineSink {
    /// The storage of this engine.
    ///
    /// # Errors
    /// The engine is a primary.
    pub fn new(engine: Arc<Engine>) -> Result<Self, SinkError> {
        match engine.mode() {
            Mode::Replica => Ok(Self { engine }),
            Mode::Primary => Err(failed(FollowError::Primary)),
        }
    }

    /// What is durable with the engine: where a follower begins.
    ///
    /// # Errors
    /// The disk, or damage.
    pub fn standing(&self) -> Result<Standing, SinkError> {
        let history = history_of(&self.engine).map_err(|error| SinkError(error.to_string()))?;
        if let Some(place) = self.engine.standing().copying {
            let place = CopyPlace {
                copy: CopyId(place.name.0),
                position: place.position,
                last: place.digest.map(Digest),
                cursor: cursor_of(place.cursor),
            };
            return Ok(Standing {
                history,
                place: Place::Copying(place),
                last: None,
            });
        }
        let last = last_of(&self.engine);
        Ok(Standing {
            history,
            place: Place::At(head_of(&self.engine)),
            last: last.map_err(|error| SinkError(error.to_string()))?,
        })
    }

    fn epochs(&self, history: &History) -> Result<talos_engine::Lineage, SinkError> {
        let cluster = self.engine.standing().epochs.cluster();
        lineage_of(history, cluster).map_err(SinkError)
    }
}

impl ChangeSink for EngineSink {
    fn adopt(&mut self, history: &History) -> Result<(), SinkError> {
        let epochs = self.epochs(history)?;
        self.engine.adopt(epochs).map_err(failed)
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

    fn begin_copy(&mut self, history: &History, place: &CopyPlace) -> Result<(), SinkError> {
        tracing::info!(position = %place.position, "copying everything from the primary");
        let epochs = self.epochs(history)?;
        let place = talos_engine::CopyPlace {
            name: CopyName(place.copy.0),
            position: place.position,
            digest: place.last.map(|digest| digest.0),
            cursor: engines_cursor(&place.cursor),
        };
        self.engine.begin_copy(epochs, place).map_err(failed)
    }

    fn install(&mut self, chunk: &Chunk) -> Result<(), SinkError> {
        let rows = chunk.rows.iter().map(|row| CopyRow {
            family: row.family,
            key: row.key.clone(),
            value: row.value.clone(),
        });
        let rows = CopyChunk {
            rows: rows.collect(),
            end: match chunk.end {
                End::More => CopyEnd::More,
                End::Last => CopyEnd::Last,
            },
        };
        let installed = self.engine.install(CopyName(chunk.copy.0), rows);
        installed.map_err(failed)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: FollowError) -> SinkError {
    SinkError(error.to_string())
}

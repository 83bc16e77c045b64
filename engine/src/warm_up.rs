//! After a start, the records of all keys that can still be used are brought into the cells, so that the first minutes are
//! not slow.
//!
//! Guarantees: a cell is linked before its record is read, as everywhere, so that no change that is published meanwhile is
//! lost; nothing that is in use is pushed out, because it ends when the cells are nearly full; verifications go first, for
//! the thread rests after every stretch and has the lowest priority.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use talos_model::{ShardId, Status, clock};

use crate::limits::{WARM_UP_KEYS_AT_ONCE, WARM_UP_PERCENT, WARM_UP_REST};
use crate::priority;
use crate::shards::Shards;
use crate::storage::StorageError;
use crate::verifier::Verifier;

/// The thread, if it was started.
#[derive(Debug, Default)]
pub struct WarmUp {
    is_stopping: Arc<AtomicBool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Every key that can be used is in the cells.
    Complete,
    /// The cells have no room for more.
    Full,
    /// It was told to stop.
    Stopped,
}

impl WarmUp {
    /// Starts the thread. `cells_bytes` is the memory that cells may take.
    pub fn start(
        &self,
        verifier: Arc<Verifier>,
        shards: Shards,
        cells_bytes: usize,
    ) -> std::io::Result<()> {
        let is_stopping = Arc::clone(&self.is_stopping);
        let room = cells_bytes / 100 * WARM_UP_PERCENT;
        let running = thread::Builder::new()
            .name("talos-warm-up".to_owned())
            .spawn(move || run(&verifier, shards, room, &is_stopping))?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }

    /// Waits until it has ended by itself.
    #[cfg(test)]
    pub fn wait(&self) {
        let running = self.running.lock().unwrap().take();
        running.unwrap().join().unwrap();
    }

    /// Ends the thread. Idempotent.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if running.is_some_and(|running| running.join().is_err()) {
            tracing::error!("the thread that warms up had panicked");
        }
    }
}

fn run(verifier: &Verifier, shards: Shards, room: usize, is_stopping: &AtomicBool) {
    priority::lowest();
    let began = Instant::now();
    let mut keys = 0;
    for shard in shards.all() {
        match warm(verifier, shard, room, is_stopping, &mut keys) {
            Ok(End::Complete) => {}
            Ok(End::Full) => {
                tracing::info!(keys, elapsed = ?began.elapsed(), "the cells are warm, and full");
                return;
            }
            Ok(End::Stopped) => return,
            // Verifications that need these records will say more.
            Err(error) => {
                tracing::warn!(%error, keys, "warming up ended early");
                return;
            }
        }
    }
    tracing::info!(keys, elapsed = ?began.elapsed(), "the cells are warm");
}

fn warm(
    verifier: &Verifier,
    shard: ShardId,
    room: usize,
    is_stopping: &AtomicBool,
    keys: &mut usize,
) -> Result<End, StorageError> {
    let mut after = Vec::new();
    loop {
        if is_stopping.load(Ordering::Relaxed) {
            return Ok(End::Stopped);
        }
        if verifier.cache_used_bytes() >= room {
            return Ok(End::Full);
        }
        let now = clock::now();
        let stretch =
            verifier
                .rows()
                .scan(shard, None, &after, WARM_UP_KEYS_AT_ONCE, &|record| {
                    record.status(now) == Status::Active
                })?;
        *keys += verifier.bring(shard, &stretch.keys, now)?;
        match stretch.end {
            Some(end) => after = end,
            None => return Ok(End::Complete),
        }
        thread::sleep(WARM_UP_REST);
    }
}

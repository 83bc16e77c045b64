//! Warm-up: after a start, a thread brings the records of all usable keys into the cells, so that
//! the first minutes are not slow.
//!
//! Guarantees: a cell is linked before its record is read, so no change that is published meanwhile
//! is lost. The warm-up ends before the cells are full, so it evicts nothing that is in use.
//! Verifications take priority: the thread rests after every step and has the lowest priority.

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

/// The handle of the warm-up thread, if it was started.
#[derive(Debug, Default)]
pub struct WarmUp {
    is_stopping: Arc<AtomicBool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// How the warm-up ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The cells hold every usable key.
    Complete,
    /// The cells are as full as they may be.
    Full,
    /// It was stopped.
    Stopped,
}

impl WarmUp {
    /// Starts the thread. `cells_bytes` is the memory budget of the cells.
    pub fn start(
        &self,
        verifier: Arc<Verifier>,
        shards: Shards,
        cells_bytes: usize,
    ) -> std::io::Result<()> {
        let is_stopping = Arc::clone(&self.is_stopping);
        let limit_bytes = cells_bytes / 100 * WARM_UP_PERCENT;
        let running = thread::Builder::new()
            .name("talos-warm-up".to_owned())
            .spawn(move || run(&verifier, shards, limit_bytes, &is_stopping))?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(())
    }

    /// Waits until the thread has ended by itself.
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
            tracing::error!("the warm-up thread panicked");
        }
    }
}

fn run(verifier: &Verifier, shards: Shards, limit_bytes: usize, is_stopping: &AtomicBool) {
    priority::lowest();
    let began = Instant::now();
    let mut keys = 0;
    for shard in shards.all() {
        match warm(verifier, shard, limit_bytes, is_stopping, &mut keys) {
            Ok(End::Complete) => {}
            Ok(End::Full) => {
                tracing::info!(keys, elapsed = ?began.elapsed(), "the cells are warm, and full");
                return;
            }
            Ok(End::Stopped) => return,
            // Verifications that need these records log errors of their own.
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
    limit_bytes: usize,
    is_stopping: &AtomicBool,
    keys: &mut usize,
) -> Result<End, StorageError> {
    let mut after = Vec::new();
    loop {
        if is_stopping.load(Ordering::Relaxed) {
            return Ok(End::Stopped);
        }
        if verifier.cache_used_bytes() >= limit_bytes {
            return Ok(End::Full);
        }
        let now = clock::now();
        let scanned =
            verifier
                .reader()
                .scan(shard, None, &after, WARM_UP_KEYS_AT_ONCE, &|record| {
                    record.status(now) == Status::Active
                })?;
        *keys += verifier.preload(shard, &scanned.keys, now)?;
        match scanned.end {
            Some(end) => after = end,
            None => return Ok(End::Complete),
        }
        thread::sleep(WARM_UP_REST);
    }
}

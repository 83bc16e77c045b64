//! The catch-up thread. On a primary it writes the effect of bulk revocations into the records of
//! the keys that they ended, and then removes the bulk revocations.
//!
//! Guarantees: it has one command of at most [`BULK_REVOCATION_KEYS_AT_ONCE`] keys under way at a
//! time. After each command it rests as long as the command took, so other commands get at least
//! half of the committing thread. It may stop at any moment without loss: the bulk revocation stays
//! in force, and the next primary, or this node after a restart, walks over the keys again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam::channel::{Receiver, RecvTimeoutError};
use talos_model::{BulkRevocation, CommandError, Done, Mode, Record, RecordKey, clock};

use crate::bulk_revocation::Walk;
use crate::commit::{Committer, Prepared};
use crate::limits::{
    BULK_REVOCATION_BUSY_REST, BULK_REVOCATION_KEYS_AT_ONCE, BULK_REVOCATION_REST_MAX,
    BULK_REVOCATION_RETRY,
};
use crate::membership::Membership;
use crate::notify::Notify;
use crate::shards::Shards;
use crate::storage::StorageError;
use crate::verifier::Verifier;

/// The handle of the catch-up thread.
#[derive(Debug)]
pub struct CatchUp {
    notify: Notify,
    is_stopping: Arc<AtomicBool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// What the catch-up thread works with.
pub struct Deps {
    /// Provides the bulk revocations and reads the records.
    pub verifier: Arc<Verifier>,
    /// How keys are divided into shards.
    pub shards: Shards,
    /// Carries out the commands.
    pub committer: Arc<Committer>,
    /// Tells whether the node is a primary.
    pub membership: Arc<Mutex<Membership>>,
}

/// Why the thread pauses.
enum Pause {
    /// Until it is notified: the node is a replica.
    UntilNotified,
    /// For [`BULK_REVOCATION_RETRY`]: a read or a write failed.
    BeforeRetry,
    /// Forever: writes are stopped, or the engine shuts down.
    Forever,
}

impl From<StorageError> for Pause {
    fn from(error: StorageError) -> Self {
        tracing::warn!(%error, "a bulk revocation could not read its keys; it tries again");
        Self::BeforeRetry
    }
}

impl CatchUp {
    /// Starts the thread. It wakes for each message of `notified`.
    pub fn start(notify: Notify, notified: Receiver<()>, deps: Deps) -> std::io::Result<Self> {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            deps,
            is_stopping: Arc::clone(&is_stopping),
        };
        let running = thread::Builder::new()
            .name("talos-catch-up".to_owned())
            .spawn(move || worker.run(&notified))?;
        Ok(Self {
            notify,
            is_stopping,
            running: Mutex::new(Some(running)),
        })
    }

    /// Ends the thread after the command that is under way. Idempotent.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.notify.ring();
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if running.is_some_and(|running| running.join().is_err()) {
            tracing::error!("the catch-up thread panicked");
        }
    }
}

struct Worker {
    deps: Deps,
    is_stopping: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self, notified: &Receiver<()>) {
        loop {
            let is_running = match self.carry_out_all() {
                Ok(()) | Err(Pause::UntilNotified) => notified.recv().is_ok(),
                Err(Pause::BeforeRetry) => {
                    let received = notified.recv_timeout(BULK_REVOCATION_RETRY);
                    received != Err(RecvTimeoutError::Disconnected)
                }
                Err(Pause::Forever) => false,
            };
            if !is_running {
                return;
            }
        }
    }

    /// Carries out bulk revocations until none is left.
    fn carry_out_all(&self) -> Result<(), Pause> {
        loop {
            self.check_running()?;
            let bulk_revocations = self.deps.verifier.bulk_revocations();
            let Some(bulk_revocation) = bulk_revocations.iter().next() else {
                return Ok(());
            };
            self.carry_out(bulk_revocation)?;
        }
    }

    fn carry_out(&self, bulk_revocation: &BulkRevocation) -> Result<(), Pause> {
        let (began, mut keys) = (Instant::now(), 0);
        let reader = self.deps.verifier.reader();
        let is_left = |record: &Record| bulk_revocation.ends(record);
        let mut walk = Walk::new(
            &**reader,
            self.deps.shards,
            bulk_revocation.tenant,
            &bulk_revocation.matcher,
        );
        while let Some(found) = walk.next(&is_left)? {
            self.check_running()?;
            for keys_at_once in found.chunks(BULK_REVOCATION_KEYS_AT_ONCE) {
                self.revoke(keys_at_once)?;
                keys += keys_at_once.len();
            }
        }
        self.submit(|done| Prepared::FinishBulkRevocation(bulk_revocation.id, done))?;
        tracing::info!(
            event = "RevocationRuleCompleted",
            rule_id = %bulk_revocation.id,
            tenant = %bulk_revocation.tenant,
            keys,
            elapsed = ?began.elapsed(),
            "all keys of a bulk revocation are revoked one by one"
        );
        Ok(())
    }

    fn check_running(&self) -> Result<(), Pause> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(Pause::Forever);
        }
        let membership = self.deps.membership.lock();
        match membership.unwrap_or_else(PoisonError::into_inner).mode {
            Mode::Primary => Ok(()),
            Mode::Replica => Err(Pause::UntilNotified),
        }
    }

    fn revoke(&self, keys: &[RecordKey]) -> Result<(), Pause> {
        let began = Instant::now();
        self.submit(|done| Prepared::EndByBulkRevocations(keys.to_vec(), done))?;
        thread::sleep(began.elapsed().min(BULK_REVOCATION_REST_MAX));
        Ok(())
    }

    /// Submits the command and waits until it is durable and published.
    fn submit(&self, command: impl Fn(Done<()>) -> Prepared) -> Result<(), Pause> {
        loop {
            let (done, answer) = mpsc::sync_channel(1);
            let done: Done<()> = Box::new(move |result| drop(done.send(result)));
            self.deps
                .committer
                .submit(command(done), None, clock::now());
            // The channel is closed if the committing thread panicked.
            let answer = answer.recv().map_err(|_| Pause::Forever)?;
            match answer {
                Ok(()) => return Ok(()),
                Err(CommandError::Busy) => {
                    self.check_running()?;
                    thread::sleep(BULK_REVOCATION_BUSY_REST);
                }
                Err(CommandError::Replica) => return Err(Pause::UntilNotified),
                // Writes may be accepted again when the disk has room.
                Err(CommandError::Latched(_)) => return Err(Pause::BeforeRetry),
                Err(CommandError::Stopping) => return Err(Pause::Forever),
                Err(error @ (CommandError::Storage(_) | CommandError::Rejected(_))) => {
                    tracing::warn!(%error, "a bulk revocation could not go on; it tries again");
                    return Err(Pause::BeforeRetry);
                }
            }
        }
    }
}

//! The records follow the bulk revocations: on a primary, a thread revokes one key after the other that a bulk revocation has ended, and then takes the
//! bulk revocation away.
//!
//! Guarantees: it has one command under way at a time, of at most [`BULK_REVOCATION_KEYS_AT_ONCE`] keys, and rests after each for as long as
//! that took, so that the commands of others have at least half of the committing thread. Nothing is lost when it stops at any
//! moment: the bulk revocation stays, and whoever is the primary next, or this node after a restart, goes over the keys again.

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

/// The thread.
#[derive(Debug)]
pub struct CatchUp {
    bell: Notify,
    is_stopping: Arc<AtomicBool>,
    running: Mutex<Option<JoinHandle<()>>>,
}

/// What the thread works with.
pub struct Deps {
    /// Knows the bulk revocations and reads the records.
    pub verifier: Arc<Verifier>,
    /// How keys are divided.
    pub shards: Shards,
    /// Takes the commands.
    pub committer: Arc<Committer>,
    /// Says whether the node is a primary.
    pub membership: Arc<Mutex<Membership>>,
}

/// Why it does not go on.
enum Pause {
    /// Until it is called: the node is a replica.
    UntilCalled,
    /// For a moment: too much waits to be written, or something could not be read.
    AMoment,
    /// For good: writes are stopped, or the engine is.
    ForGood,
}

impl From<StorageError> for Pause {
    fn from(error: StorageError) -> Self {
        tracing::warn!(%error, "a revocation of many keys could not read them; it tries again");
        Self::AMoment
    }
}

impl CatchUp {
    /// Starts the thread.
    pub fn start(bell: Notify, rings: Receiver<()>, means: Deps) -> std::io::Result<Self> {
        let is_stopping = Arc::new(AtomicBool::new(false));
        let works = Works {
            means,
            is_stopping: Arc::clone(&is_stopping),
        };
        let running = thread::Builder::new()
            .name("talos-catch-up".to_owned())
            .spawn(move || works.run(&rings))?;
        Ok(Self {
            bell,
            is_stopping,
            running: Mutex::new(Some(running)),
        })
    }

    /// Ends the thread, after the command that is under way. Idempotent.
    pub fn stop(&self) {
        self.is_stopping.store(true, Ordering::Release);
        self.bell.ring();
        let running = self
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if running.is_some_and(|running| running.join().is_err()) {
            tracing::error!("the thread that follows rules had panicked");
        }
    }
}

struct Works {
    means: Deps,
    is_stopping: Arc<AtomicBool>,
}

impl Works {
    fn run(&self, rings: &Receiver<()>) {
        loop {
            let heard = match self.follow_all() {
                Ok(()) | Err(Pause::UntilCalled) => rings.recv().is_ok(),
                Err(Pause::AMoment) => {
                    let heard = rings.recv_timeout(BULK_REVOCATION_RETRY);
                    heard != Err(RecvTimeoutError::Disconnected)
                }
                Err(Pause::ForGood) => false,
            };
            if !heard {
                return;
            }
        }
    }

    /// Until there is no bulk revocation left.
    fn follow_all(&self) -> Result<(), Pause> {
        loop {
            self.go_on()?;
            let bulk_revocations = self.means.verifier.bulk_revocations();
            let Some(bulk_revocation) = bulk_revocations.iter().next() else {
                return Ok(());
            };
            self.follow(bulk_revocation)?;
        }
    }

    fn follow(&self, bulk_revocation: &BulkRevocation) -> Result<(), Pause> {
        let (began, mut keys) = (Instant::now(), 0);
        let reader = self.means.verifier.reader();
        let is_left = |record: &Record| bulk_revocation.ends(record);
        let mut walk = Walk::new(
            &**reader,
            self.means.shards,
            bulk_revocation.tenant,
            &bulk_revocation.matcher,
        );
        while let Some(stretch) = walk.next(&is_left)? {
            self.go_on()?;
            for some in stretch.chunks(BULK_REVOCATION_KEYS_AT_ONCE) {
                self.end(some)?;
                keys += some.len();
            }
        }
        self.submit(|done| Prepared::FinishBulkRevocation(bulk_revocation.id, done))?;
        tracing::info!(
            event = "RevocationRuleCompleted",
            rule_id = %bulk_revocation.id,
            tenant = %bulk_revocation.tenant,
            keys,
            elapsed = ?began.elapsed(),
            "the keys of a revocation of many have been revoked one by one"
        );
        Ok(())
    }

    fn go_on(&self) -> Result<(), Pause> {
        if self.is_stopping.load(Ordering::Acquire) {
            return Err(Pause::ForGood);
        }
        let membership = self.means.membership.lock();
        match membership.unwrap_or_else(PoisonError::into_inner).mode {
            Mode::Primary => Ok(()),
            Mode::Replica => Err(Pause::UntilCalled),
        }
    }

    fn end(&self, keys: &[RecordKey]) -> Result<(), Pause> {
        let began = Instant::now();
        self.submit(|done| Prepared::EndByBulkRevocations(keys.to_vec(), done))?;
        thread::sleep(began.elapsed().min(BULK_REVOCATION_REST_MAX));
        Ok(())
    }

    /// Waits until the command is durable and published.
    fn submit(&self, command: impl Fn(Done<()>) -> Prepared) -> Result<(), Pause> {
        loop {
            let (done, answer) = mpsc::sync_channel(1);
            let done: Done<()> = Box::new(move |result| drop(done.send(result)));
            self.means.committer.submit(command(done), clock::now());
            // Nobody answers when the committing thread has panicked.
            let answer = answer.recv().map_err(|_| Pause::ForGood)?;
            match answer {
                Ok(()) => return Ok(()),
                Err(CommandError::Busy) => {
                    self.go_on()?;
                    thread::sleep(BULK_REVOCATION_BUSY_REST);
                }
                Err(CommandError::Replica) => return Err(Pause::UntilCalled),
                Err(CommandError::Latched(_) | CommandError::Stopping) => {
                    return Err(Pause::ForGood);
                }
                Err(error @ (CommandError::Storage(_) | CommandError::Rejected(_))) => {
                    tracing::warn!(%error, "a revocation of many keys could not go on; it tries again");
                    return Err(Pause::AMoment);
                }
            }
        }
    }
}

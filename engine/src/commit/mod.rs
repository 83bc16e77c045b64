//! The committing thread: the only thread that writes records.
//!
//! Guarantees:
//! - Commands take effect in one order.
//! - One synced write makes all waiting commands durable.
//! - A change is published after it is durable, and acknowledged after it is published. So every
//!   core refuses a revoked key before its revocation is answered.
//! - The times of the changes never fall, whatever the clock does.
//! - After a failed write no more commands are accepted. The content of the disk is then unknown,
//!   and a second try could acknowledge what a failing disk has dropped. If the disk was full and
//!   has room again, the database is opened anew and checked, as at a start (`resume.rs`).

mod apply;
mod latch;
mod prepared;
mod received;
mod replicate;
mod replication_command;
mod resume;
mod stage;

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError, bounded};

pub use latch::{Remedy, Stopped};
pub use prepared::{Credential, Prepared};
pub use replication_command::{ReplicationCommand, ReplicationDone};

use latch::Latch;
use stage::Stage;
use talos_model::clock::{self, UnixMillis};
use talos_model::{
    Author, Change, CommandError, Event, FollowError, Mode, Position, RecordKey, Subject,
};

use crate::admin_token_table::AdminTokenTable;
use crate::commit_position::CommitPosition;
use crate::limits::{COMMIT_GROUP_COMMANDS, COMMIT_QUEUE_COMMANDS};
use crate::membership::Membership;
use crate::notify::Notify;
use crate::secret_use_table::SecretUseTable;
use crate::storage::{Group, Journal, StorageError};
use crate::verifier::Verifier;

struct CommandJob {
    command: Prepared,
    author: Option<Arc<Author>>,
    now: UnixMillis,
}

enum Job {
    Command(Box<CommandJob>),
    /// A command of replication.
    Replication(ReplicationCommand, ReplicationDone),
}

/// What the committing thread starts with and shares with other threads.
pub struct CommitterDeps {
    /// The last change in the log.
    pub last: Position,
    /// The time of that change; `None` if the log is empty.
    pub last_time: Option<UnixMillis>,
    /// Receives every new position.
    pub commit_position: Arc<CommitPosition>,
    /// Cluster membership. Only the committing thread changes it.
    pub membership: Arc<Mutex<Membership>>,
    /// The admin tokens in force. Only the committing thread changes them.
    pub admin_tokens: Arc<AdminTokenTable>,
    /// The uses of secrets. Only the committing thread changes them.
    pub secret_uses: Arc<SecretUseTable>,
    /// Wakes the catch-up thread when there are bulk revocations to carry out.
    pub catch_up: Notify,
}

/// The queue of the committing thread.
pub struct Committer {
    queue: Mutex<Option<Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    latch: Arc<Latch>,
}

impl Committer {
    /// Starts the committing thread.
    pub fn start(
        journal: Box<dyn Journal>,
        verifier: Arc<Verifier>,
        deps: CommitterDeps,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = bounded(COMMIT_QUEUE_COMMANDS);
        let latch = Arc::new(Latch::open());
        let worker = Worker {
            jobs,
            journal,
            verifier,
            last: deps.last,
            last_time: deps.last_time,
            commit_position: deps.commit_position,
            membership: deps.membership,
            admin_tokens: deps.admin_tokens,
            secret_uses: deps.secret_uses,
            catch_up: deps.catch_up,
            latch: Arc::clone(&latch),
            resume_at: None,
        };
        let thread = thread::Builder::new()
            .name("talos-commit".to_owned())
            .spawn(move || worker.run_or_latch())?;
        Ok(Self {
            queue: Mutex::new(Some(queue)),
            thread: Mutex::new(Some(thread)),
            latch,
        })
    }

    /// Why writes are stopped, if they are. Takes no lock.
    pub fn stopped(&self) -> Option<Stopped> {
        self.latch.stopped()
    }

    /// How often writes were stopped since the start.
    pub fn stops(&self) -> u64 {
        self.latch.stops()
    }

    /// Queues a command. If the queue does not take it, the command is refused at once.
    pub fn submit(&self, command: Prepared, author: Option<Author>, now: UnixMillis) {
        self.queue(Job::Command(Box::new(CommandJob {
            command,
            author: author.map(Arc::new),
            now,
        })));
    }

    /// Queues a command of replication. If the queue does not take it, `done` is called at once.
    pub fn submit_replication(&self, command: ReplicationCommand, done: ReplicationDone) {
        self.queue(Job::Replication(command, done));
    }

    fn queue(&self, job: Job) {
        let queue = self
            .queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(queue) = queue else {
            return job.refuse(CommandError::Stopping, FollowError::Stopping);
        };
        match queue.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(job)) => job.refuse(CommandError::Busy, FollowError::Busy),
            Err(TrySendError::Disconnected(job)) => match self.stopped() {
                Some(Stopped { reason, .. }) => job.refuse(
                    CommandError::Latched(reason.clone()),
                    FollowError::Latched(reason),
                ),
                None => job.refuse(CommandError::Stopping, FollowError::Stopping),
            },
        }
    }

    /// Refuses new commands, finishes those in the queue, and ends the thread.
    pub fn stop(&self) {
        drop(
            self.queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the committing thread panicked");
        }
    }
}

impl Job {
    fn refuse(self, command_error: CommandError, follow_error: FollowError) {
        match self {
            Self::Command(job) => job.command.refuse(command_error),
            Self::Replication(_, done) => done(Err(follow_error)),
        }
    }
}

struct Worker {
    jobs: Receiver<Job>,
    journal: Box<dyn Journal>,
    verifier: Arc<Verifier>,
    last: Position,
    /// The time of the last change. The times of the log never fall.
    last_time: Option<UnixMillis>,
    commit_position: Arc<CommitPosition>,
    membership: Arc<Mutex<Membership>>,
    admin_tokens: Arc<AdminTokenTable>,
    secret_uses: Arc<SecretUseTable>,
    catch_up: Notify,
    latch: Arc<Latch>,
    /// When to look whether the disk has room again.
    resume_at: Option<Instant>,
}

impl Worker {
    /// A panic, which only a bug can cause, stops writes as a failed write does: half a group may
    /// be on disk.
    fn run_or_latch(self) {
        let latch = Arc::clone(&self.latch);
        if catch_unwind(AssertUnwindSafe(|| self.run())).is_err() {
            tracing::error!("the committing thread panicked; no more writes are accepted");
            latch.stop("the committing thread panicked".to_owned(), Remedy::Restart);
        }
    }

    fn run(mut self) {
        loop {
            let first = match self.resume_at {
                Some(at) => self.jobs.recv_deadline(at),
                None => self.jobs.recv().map_err(RecvTimeoutError::from),
            };
            match first {
                Ok(first) => self.carry_out(first),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.resume_at.is_some_and(|at| at <= Instant::now()) {
                self.try_to_resume();
            }
            self.plan_to_resume();
        }
    }

    /// Carries out a job and those that wait behind it.
    fn carry_out(&mut self, first: Job) {
        let waiting = self.jobs.try_iter().take(COMMIT_GROUP_COMMANDS - 1);
        let jobs: Vec<_> = std::iter::once(first).chain(waiting).collect();
        let mut group = Vec::new();
        for job in jobs {
            match job {
                Job::Command(job) => group.push(*job),
                Job::Replication(command, done) => {
                    self.commit(mem::take(&mut group));
                    done(self.replicate(command));
                }
            }
        }
        self.commit(group);
    }

    /// Commits one group: apply, write and sync, publish, answer. The guarantees rest on this
    /// order.
    fn commit(&mut self, group: Vec<CommandJob>) {
        if group.is_empty() {
            return;
        }
        if let Some(Stopped { reason, .. }) = self.latch.stopped() {
            for job in group {
                job.command.refuse(CommandError::Latched(reason.clone()));
            }
            return;
        }
        let (mode, epoch) = {
            let membership = self.membership();
            (membership.mode, membership.standing.epochs.newest())
        };
        if mode == Mode::Replica {
            for job in group {
                job.command.refuse(CommandError::Replica);
            }
            return;
        }
        // The first change of an epoch follows the last change of the epoch before.
        let last = Position {
            epoch,
            sequence: self.last.sequence,
        };
        let mut stage = Stage::new(
            &**self.verifier.reader(),
            last,
            self.last_time,
            self.verifier.tenants(),
            self.verifier.bulk_revocations(),
            Arc::clone(&self.admin_tokens.read()),
            self.secret_uses.read(),
        );
        let answers: Vec<_> = group
            .into_iter()
            .map(|job| stage.apply(job.command, job.author, job.now))
            .collect();
        if let Err(error) = append(&mut *self.journal, &self.commit_position, &stage.group()) {
            let reason = self.stop_writes(&error);
            for answer in answers {
                answer.give(Err(CommandError::Latched(reason.clone())));
            }
            return;
        }
        self.publish(&stage.into_changes());
        for answer in answers {
            answer.give(Ok(()));
        }
    }

    /// Makes durable changes visible: first to verifications and to readers of the admin tokens and
    /// of the uses of secrets, then to watchers of the position.
    fn publish(&mut self, changes: &[Change]) {
        let Some(last) = changes.last() else { return };
        let now = clock::now();
        for change in changes {
            self.verifier.publish(change, now);
            self.admin_tokens.publish(change);
            self.secret_uses.publish(change);
            self.forget_use(change);
        }
        self.last = last.position;
        self.last_time = Some(last.time);
        self.commit_position.advance(self.last);
        if changes
            .iter()
            .any(|change| change.event == Event::BulkRevocationAdded)
        {
            self.catch_up.ring();
        }
    }

    /// Forgets the last use of a deleted key: a verification may have noted a use after the
    /// deletion was written and before it was published.
    fn forget_use(&self, change: &Change) {
        if let Subject::Key(record) = &change.subject
            && change.deletes()
        {
            let key = RecordKey::new(record.tenant, record.key_id);
            self.verifier.usage().forget(&key);
        }
    }

    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn stop_writes(&self, error: &StorageError) -> String {
        let reason = error.to_string();
        let remedy = if let StorageError::Full(_) = error {
            tracing::error!(%error, "a write failed; no more writes are accepted until the disk has room");
            Remedy::Room
        } else {
            tracing::error!(%error, "a write failed; no more writes are accepted until the server is restarted");
            Remedy::Restart
        };
        self.latch.stop(reason.clone(), remedy);
        reason
    }
}

/// Makes a group durable. Readers of storage may see the group before this returns; if the write
/// fails, none of them sees it.
fn append(
    journal: &mut dyn Journal,
    commit_position: &CommitPosition,
    group: &Group<'_>,
) -> Result<(), StorageError> {
    if let Some(last) = group.changes.last() {
        commit_position.begin(last.position);
    }
    journal
        .append(group)
        .inspect_err(|_| commit_position.abandon())
}

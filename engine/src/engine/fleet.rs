//! The engine as one of several nodes. What waits here, waits for the disk: none of it belongs on a thread that must not.

use std::path::Path;
use std::sync::{Arc, PoisonError, mpsc};

use talos_model::clock::UnixMillis;
use talos_model::{
    CopyChunk, CopyName, CopyPlace, Epoch, EpochHistory, EpochId, FollowError, LogRead,
    LoggedChange, Mode, NodeState, Position, ReadError, ReadLimits, RecordKey, StateHash,
};

use super::Engine;
use crate::commit::ReplicationCommand;
use crate::commit_position::CommitPosition;
use crate::last_used::UsedKey;
use crate::membership::Membership;
use crate::snapshot::{Snapshot, SnapshotError};
use crate::storage::StorageError;

/// As long as this lives, somebody is called when there are new changes.
pub struct Watch {
    commit_position: Arc<CommitPosition>,
    name: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.commit_position.unwatch(self.name);
    }
}

/// As a primary, and for looking at.
impl Engine {
    /// Who decides what is written here.
    pub fn mode(&self) -> Mode {
        self.membership().mode
    }

    /// What is durable with this node besides its changes.
    pub fn standing(&self) -> NodeState {
        self.membership().standing
    }

    /// The last change that is durable and that verifications see. Takes no lock.
    pub fn head(&self) -> Position {
        self.commit_position.committed()
    }

    /// The last change that any answer given so far can rest on: of the group that is being written, or else [`Engine::head`].
    pub fn ceiling(&self) -> Position {
        self.commit_position.in_flight()
    }

    /// Another number whenever [`Engine::head`] or [`Engine::ceiling`] has moved. Costs one load.
    pub fn moves(&self) -> u64 {
        self.commit_position.moves()
    }

    /// From now on calls `notify` with the new [`Engine::head`], on the committing thread: it must only wake somebody. `None` when
    /// too many are called already.
    pub fn watch(&self, notify: impl Fn(Position) + Send + Sync + 'static) -> Option<Watch> {
        let commit_position = Arc::clone(&self.commit_position);
        let name = commit_position.watch(Arc::new(notify))?;
        Some(Watch {
            commit_position,
            name,
        })
    }

    /// The oldest change that the log still holds; `None` when it holds none.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn oldest_logged(&self) -> Result<Option<Position>, ReadError> {
        self.store.first_position().map_err(unreadable)
    }

    /// The change at `position`, if the log holds it.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn logged(&self, position: Position) -> Result<Option<LoggedChange>, ReadError> {
        let bytes = self.store.change_at(position).map_err(unreadable)?;
        Ok(bytes.map(|bytes| LoggedChange { position, bytes }))
    }

    /// The changes after `after`, of one epoch, none of them beyond the head.
    ///
    /// # Errors
    /// When storage cannot be read.
    pub fn changes_after(&self, after: Position, limits: ReadLimits) -> Result<LogRead, ReadError> {
        let head = self.head().sequence;
        let read = self.store.changes_after(after, head, limits);
        read.map_err(unreadable)
    }

    /// Everything as it is now, to be copied. It may contain changes that are durable, but beyond the head for a moment more.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        if self.standing().copying.is_some() {
            return Err(SnapshotError::Incomplete);
        }
        Snapshot::open(&self.store, &self.snapshots)
    }

    /// Keeps everything that is there now in a data directory of its own, on the same file system: links to the files there are.
    ///
    /// # Errors
    /// The directory exists, or storage refuses; for the operator.
    pub fn keep_aside(&self, to: &Path) -> Result<(), String> {
        self.store.keep_aside(to).map_err(|error| error.to_string())
    }

    /// A summary of everything, by which nodes are compared. Reads all records.
    ///
    /// # Errors
    /// When storage cannot be read, or holds a part of a copy.
    pub fn state_hash(&self) -> Result<StateHash, ReadError> {
        if self.standing().copying.is_some() {
            return Err(ReadError::Incomplete);
        }
        self.store.view().state_hash().map_err(unreadable)
    }

    fn membership(&self) -> Membership {
        let membership = self.membership.lock();
        membership.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// As a replica. Every call returns when its effect is durable and visible.
impl Engine {
    /// Takes changes of the primary, all or none; those that are here already are passed over. Returns the last change that the
    /// node then holds.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn apply(&self, changes: Vec<LoggedChange>) -> Result<Position, FollowError> {
        self.give(ReplicationCommand::Apply(changes))
    }

    /// Takes over the epochs of the primary. An epoch must be known before its first change comes.
    ///
    /// # Errors
    /// When the node knows a later epoch, or holds changes that the primary's line does not have.
    pub fn adopt(&self, epochs: EpochHistory) -> Result<(), FollowError> {
        self.give(ReplicationCommand::Adopt(epochs)).map(drop)
    }

    /// Makes a replica the primary of `epoch`, or of the one after all that it knows. From then on it takes commands.
    ///
    /// # Errors
    /// When the epoch is not a new one, or the node holds a part of a copy.
    pub fn promote(&self, epoch: Option<Epoch>) -> Result<(), FollowError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| FollowError::Storage(error.to_string()))?;
        self.give(ReplicationCommand::Promote(epoch, EpochId(id)))
            .map(drop)
    }

    /// Makes a primary a replica, durably: it takes no more commands until it is promoted again.
    ///
    /// # Errors
    /// When it is a replica.
    pub fn step_down(&self) -> Result<(), FollowError> {
        self.give(ReplicationCommand::StepDown).map(drop)
    }

    /// Throws everything away, for a copy of a primary of this epoch history. From now on nobody is answered until the copy is
    /// complete, not after a restart either: [`Engine::standing`] then tells how far it has come.
    ///
    /// # Errors
    /// When the node knows a later epoch; or the place is not the beginning of a copy.
    pub fn begin_copy(&self, epochs: EpochHistory, place: CopyPlace) -> Result<(), FollowError> {
        self.give(ReplicationCommand::BeginCopy(epochs, place))
            .map(drop)
    }

    /// Adds rows to the copy of this name; those that are there already are passed over. With the last of them the node holds
    /// what the primary held at the position of the copy.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn install(&self, name: CopyName, chunk: CopyChunk) -> Result<(), FollowError> {
        self.give(ReplicationCommand::Install(name, chunk))
            .map(drop)
    }

    /// From now on calls `told` with the keys whose uses were written, as storage names them, on the thread that writes them. Whoever
    /// was told before is told no more.
    pub fn on_used(&self, told: impl Fn(&[UsedKey]) + Send + Sync + 'static) {
        self.last_used.tell(Arc::new(told));
    }

    /// Takes over when a key was last used on another node; false when there is no room, or the bytes name no key.
    pub fn note_used(&self, key: &[u8], time: UnixMillis) -> bool {
        let key = RecordKey::split(key).map(|(tenant, key_id)| RecordKey::new(tenant, key_id));
        key.is_some_and(|key| self.last_used.touch(&key, time))
    }

    fn give(&self, order: ReplicationCommand) -> Result<Position, FollowError> {
        let (done, answer) = mpsc::sync_channel(1);
        let done = Box::new(move |result| drop(done.send(result)));
        self.committer.submit_replication(order, done);
        let panicked = || FollowError::Latched("the committing thread panicked".to_owned());
        answer.recv().unwrap_or_else(|_| Err(panicked()))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn unreadable(error: StorageError) -> ReadError {
    ReadError::Storage(error.to_string())
}

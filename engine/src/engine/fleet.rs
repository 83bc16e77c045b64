//! The engine as a node of a cluster. Methods that read or write storage block on disk; never call
//! them from a core.

use std::path::Path;
use std::sync::{Arc, PoisonError, mpsc};

use talos_model::clock::UnixMillis;
use talos_model::{
    CopyChunk, CopyName, CopyPlace, Epoch, EpochHistory, EpochId, FollowError, LogRead,
    LoggedChange, Mode, NodeState, Position, ReadError, ReadLimits, RecordKey, StateHash,
};

use super::{Engine, read_error};
use crate::commit::ReplicationCommand;
use crate::commit_position::CommitPosition;
use crate::last_used::UsedKey;
use crate::membership::Membership;
use crate::snapshot::{Snapshot, SnapshotError};

/// Keeps a watcher of the committed position registered. Dropping it removes the watcher.
pub struct Watch {
    commit_position: Arc<CommitPosition>,
    name: u64,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.commit_position.unwatch(self.name);
    }
}

/// Methods of a primary, and of any node for observing it.
impl Engine {
    /// The time of the newest durable change; `None` if the log is empty. Reads the disk.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn newest_change_time(&self) -> Result<Option<UnixMillis>, ReadError> {
        self.store.time_of(self.committed()).map_err(read_error)
    }

    /// Whether the node is a primary or a replica.
    pub fn mode(&self) -> Mode {
        self.membership().mode
    }

    /// The durable state of this node besides its changes.
    pub fn standing(&self) -> NodeState {
        self.membership().standing
    }

    /// The committed position: the last change that is durable and visible to verifications. Takes
    /// no lock.
    pub fn committed(&self) -> Position {
        self.commit_position.committed()
    }

    /// The in-flight position: the last change that an answer given so far can depend on. It is the
    /// last change of the group that is being written, or else [`Engine::committed`].
    pub fn in_flight(&self) -> Position {
        self.commit_position.in_flight()
    }

    /// A number that changes whenever [`Engine::committed`] or [`Engine::in_flight`] moves. Costs
    /// one load.
    pub fn moves(&self) -> u64 {
        self.commit_position.moves()
    }

    /// Calls `notify` with every new [`Engine::committed`] from now on, on the committing thread:
    /// it must only wake another thread. `None` if there are too many watchers.
    pub fn watch(&self, notify: impl Fn(Position) + Send + Sync + 'static) -> Option<Watch> {
        let commit_position = Arc::clone(&self.commit_position);
        let name = commit_position.watch(Arc::new(notify))?;
        Some(Watch {
            commit_position,
            name,
        })
    }

    /// The oldest change that the log still holds; `None` if it holds none.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn oldest_logged(&self) -> Result<Option<Position>, ReadError> {
        self.store.first_position().map_err(read_error)
    }

    /// The change at `position`, if the log holds it.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn logged(&self, position: Position) -> Result<Option<LoggedChange>, ReadError> {
        let bytes = self.store.change_at(position).map_err(read_error)?;
        Ok(bytes.map(|bytes| LoggedChange { position, bytes }))
    }

    /// The changes after `after`, all of one epoch, none of them beyond the committed position.
    ///
    /// # Errors
    /// If storage cannot be read.
    pub fn changes_after(&self, after: Position, limits: ReadLimits) -> Result<LogRead, ReadError> {
        let committed = self.committed().sequence;
        let read = self.store.changes_after(after, committed, limits);
        read.map_err(read_error)
    }

    /// A snapshot of everything, to be copied. It may contain durable changes that are not
    /// published yet.
    ///
    /// # Errors
    /// See [`SnapshotError`].
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        if self.standing().copying.is_some() {
            return Err(SnapshotError::Incomplete);
        }
        Snapshot::open(&self.store, &self.snapshots)
    }

    /// Keeps the current data in a data directory of its own on the same file system, as links to
    /// the existing files.
    ///
    /// # Errors
    /// If the directory exists, or storage refuses. The text is for the operator.
    pub fn keep_aside(&self, to: &Path) -> Result<(), String> {
        self.store.keep_aside(to).map_err(|error| error.to_string())
    }

    /// A hash of the whole state, by which nodes are compared. Reads all records.
    ///
    /// # Errors
    /// If storage cannot be read, or a copy is incomplete.
    pub fn state_hash(&self) -> Result<StateHash, ReadError> {
        if self.standing().copying.is_some() {
            return Err(ReadError::Incomplete);
        }
        self.store.view().state_hash().map_err(read_error)
    }

    fn membership(&self) -> Membership {
        let membership = self.membership.lock();
        membership.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Methods of a replica. Each returns when its effect is durable and visible.
impl Engine {
    /// Applies changes of the primary, all or none. Changes that the node holds already are
    /// skipped. Returns the last change that the node then holds.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn apply(&self, changes: Vec<LoggedChange>) -> Result<Position, FollowError> {
        self.replicate(ReplicationCommand::Apply(changes))
    }

    /// Adopts the epoch history of the primary. An epoch must be known before its first change
    /// arrives.
    ///
    /// # Errors
    /// If the node knows a later epoch, or holds changes that are not part of the primary's
    /// history.
    pub fn adopt(&self, epochs: EpochHistory) -> Result<(), FollowError> {
        self.replicate(ReplicationCommand::Adopt(epochs)).map(drop)
    }

    /// Makes a replica the primary of `epoch`, or of the epoch after all that it knows if that is
    /// `None`. From then on it takes commands.
    ///
    /// # Errors
    /// If the epoch is not a new one, or a copy is incomplete.
    pub fn promote(&self, epoch: Option<Epoch>) -> Result<(), FollowError> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).map_err(|error| FollowError::Storage(error.to_string()))?;
        self.replicate(ReplicationCommand::Promote(epoch, EpochId(id)))
            .map(drop)
    }

    /// Makes a primary a replica, durably. It takes no commands until it is promoted again.
    ///
    /// # Errors
    /// If the node is a replica.
    pub fn step_down(&self) -> Result<(), FollowError> {
        self.replicate(ReplicationCommand::StepDown).map(drop)
    }

    /// Deletes everything, for a copy of a primary with this cluster and epoch history.
    /// Verifications are refused until the copy is complete, also after a restart.
    /// [`Engine::standing`] tells how far the copy has come.
    ///
    /// # Errors
    /// If the node knows a later epoch, or `place` is not the beginning of a copy.
    pub fn begin_copy(
        &self,
        cluster: [u8; 16],
        epochs: EpochHistory,
        place: CopyPlace,
    ) -> Result<(), FollowError> {
        let command = ReplicationCommand::BeginCopy {
            cluster,
            epochs,
            place,
        };
        self.replicate(command).map(drop)
    }

    /// Adds rows to the copy of this name. Rows that are there already are skipped. With the last
    /// row the node holds what the primary held at the copy's position.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn install(&self, name: CopyName, chunk: CopyChunk) -> Result<(), FollowError> {
        self.replicate(ReplicationCommand::Install(name, chunk))
            .map(drop)
    }

    /// Calls `notify` with the keys whose uses were written, as storage names them, on the thread
    /// that writes them. Replaces the previous callback.
    pub fn on_used(&self, notify: impl Fn(&[UsedKey]) + Send + Sync + 'static) {
        self.last_used.set_written_hook(Arc::new(notify));
    }

    /// Notes when a key was last used on another node. False if there is no room, or the bytes name
    /// no key.
    pub fn note_used(&self, key: &[u8], time: UnixMillis) -> bool {
        let key = RecordKey::split(key).map(|(tenant, key_id)| RecordKey::new(tenant, key_id));
        key.is_some_and(|key| self.last_used.touch(&key, time))
    }

    pub(super) fn replicate(&self, command: ReplicationCommand) -> Result<Position, FollowError> {
        let (done, answer) = mpsc::sync_channel(1);
        let done = Box::new(move |result| drop(done.send(result)));
        self.committer.submit_replication(command, done);
        let panicked = || FollowError::Latched("the committing thread panicked".to_owned());
        answer.recv().unwrap_or_else(|_| Err(panicked()))
    }
}

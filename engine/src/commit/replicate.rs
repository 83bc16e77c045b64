//! Commands of replication, on the committing thread: each one is checked, written, and only then
//! visible.

use talos_model::clock::UnixMillis;
use talos_model::{
    AdminTokens, BulkRevocations, CopyChunk, CopyCursor, CopyEnd, CopyName, CopyPlace, Epoch,
    EpochHistory, EpochId, FollowError, Leadership, LoggedChange, Mode, NodeState, Position,
    SecretFingerprint, SecretUses, TenantId,
};

use super::replication_command::ReplicationCommand;
use super::{Worker, append, received};
use crate::storage::{Group, MembershipWrite, StorageError, decode_change};

impl Worker {
    /// Carries out one command. Returns the last change that the node then holds.
    pub(super) fn replicate(
        &mut self,
        command: ReplicationCommand,
    ) -> Result<Position, FollowError> {
        if let Some(reason) = self.latch.get() {
            return Err(FollowError::Latched(reason.clone()));
        }
        match command {
            ReplicationCommand::Apply(changes) => self.apply_received(changes),
            ReplicationCommand::Adopt(epochs) => self.adopt(epochs),
            ReplicationCommand::Promote(epoch, id) => self.promote(epoch, id),
            ReplicationCommand::StepDown => self.step_down(),
            ReplicationCommand::BeginCopy {
                cluster,
                epochs,
                place,
            } => self.begin_copy(cluster, epochs, &place),
            ReplicationCommand::Install(name, chunk) => self.install(name, chunk),
            ReplicationCommand::ForgetSecrets(secrets) => self.forget_secrets(&secrets),
        }?;
        Ok(self.last)
    }

    fn apply_received(&mut self, mut received: Vec<LoggedChange>) -> Result<(), FollowError> {
        let state = self.replica_state()?;
        if state.copying.is_some() {
            return Err(FollowError::Incomplete);
        }
        let is_new = |change: &LoggedChange| change.position.sequence > self.last.sequence;
        let known = received.iter().position(is_new).unwrap_or(received.len());
        for change in received.drain(..known) {
            let logged = self
                .journal
                .change_at(change.position)
                .map_err(|error| FollowError::Storage(error.to_string()))?;
            received::check_known(&state.epochs, &change, logged.as_deref())?;
        }
        let mut last = self.last;
        let mut changes = Vec::with_capacity(received.len());
        for logged in &received {
            received::check_next(&state.epochs, last, logged.position)?;
            last = logged.position;
            changes.push(received::read(logged)?);
        }
        let live_keys = received::live_keys(&**self.verifier.reader(), &changes)
            .map_err(|error| FollowError::Storage(error.to_string()))?;
        let secret_uses = received::secret_uses(&self.secret_uses.read(), &changes);
        let group = Group {
            changes: &changes,
            received: Some(&received),
            live_keys: &live_keys,
            secret_uses: &secret_uses,
        };
        let written = append(&mut *self.journal, &self.commit_position, &group);
        written.map_err(|error| FollowError::Latched(self.stop_writes(&error)))?;
        self.publish(&changes);
        Ok(())
    }

    fn adopt(&mut self, epochs: EpochHistory) -> Result<(), FollowError> {
        let state = self.replica_state()?;
        check_not_older(&state.epochs, &epochs)?;
        // While a copy is under way there are no changes that could differ, but the copy's position
        // must be part of the epoch history.
        let held = match &state.copying {
            Some(place) => place.position,
            None => self.last,
        };
        let fork = state.epochs.fork(&epochs);
        if held.sequence > fork || !epochs.has(held) {
            let at = fork.next();
            return Err(FollowError::Diverged { at });
        }
        self.set_role(Mode::Replica, epochs, Leadership::Other)
    }

    fn promote(&mut self, epoch: Option<Epoch>, id: EpochId) -> Result<(), FollowError> {
        let state = self.replica_state()?;
        if state.copying.is_some() {
            return Err(FollowError::Incomplete);
        }
        let known = state.epochs.newest();
        let epoch = epoch.unwrap_or(Epoch(known.0.saturating_add(1)));
        let epochs = state.epochs.promoted(epoch, id, self.last.sequence)?;
        self.set_role(Mode::Primary, epochs, Leadership::Own)
    }

    fn step_down(&mut self) -> Result<(), FollowError> {
        let (mode, epochs) = {
            let membership = self.membership();
            (membership.mode, membership.standing.epochs.clone())
        };
        match mode {
            Mode::Primary => self.set_role(Mode::Replica, epochs, Leadership::Other),
            Mode::Replica => Err(FollowError::Replica),
        }
    }

    /// Writes the node's epoch history and its leadership, and sets its mode. The history is
    /// durable before the first change of its newest epoch, so a reader of such a change finds the
    /// epoch.
    fn set_role(
        &mut self,
        mode: Mode,
        epochs: EpochHistory,
        leadership: Leadership,
    ) -> Result<(), FollowError> {
        let mut state = self.membership().standing.clone();
        state.epochs = epochs;
        state.leadership = leadership;
        let write = MembershipWrite::EpochHistory(&state);
        let written = self.journal.write_membership(&write);
        written.map_err(|error| self.write_error(&error))?;
        let mut membership = self.membership();
        membership.mode = mode;
        membership.standing = state;
        drop(membership);
        // A new primary continues the bulk revocations that the old one has not finished.
        self.catch_up.ring();
        Ok(())
    }

    fn begin_copy(
        &mut self,
        cluster: [u8; 16],
        epochs: EpochHistory,
        place: &CopyPlace,
    ) -> Result<(), FollowError> {
        let state = self.replica_state()?;
        check_not_older(&state.epochs, &epochs)?;
        if !epochs.has(place.position) || place.cursor != CopyCursor::default() {
            return Err(FollowError::Malformed("the beginning of a copy".to_owned()));
        }
        self.verifier.close();
        let state = NodeState {
            cluster,
            epochs,
            leadership: Leadership::Other,
            copying: Some(place.clone()),
        };
        let write = MembershipWrite::BeginCopy(&state, place);
        // The verifier stays closed after any error: the content of the disk is unknown.
        let written = self.journal.write_membership(&write);
        written.map_err(|error| FollowError::Latched(self.stop_writes(&error)))?;
        self.verifier.forget();
        self.admin_tokens.replace(AdminTokens::default());
        self.secret_uses.replace(SecretUses::default());
        self.last = Position::START;
        self.last_time = None;
        self.membership().standing = state;
        Ok(())
    }

    fn install(&mut self, name: CopyName, mut chunk: CopyChunk) -> Result<(), FollowError> {
        let state = self.replica_state()?;
        let under_way = state.copying.filter(|place| place.name == name);
        let mut place = under_way.ok_or(FollowError::NoCopy)?;
        // After a broken connection the primary sends some rows again.
        chunk.rows.retain(|row| row.cursor() > place.cursor);
        let mut pairs = chunk.rows.iter().zip(chunk.rows.iter().skip(1));
        if !pairs.all(|(row, next)| row.cursor() < next.cursor()) {
            return Err(FollowError::Malformed("rows out of order".to_owned()));
        }
        if let Some(row) = chunk.rows.last() {
            place.cursor = row.cursor();
        }
        let written = self
            .journal
            .write_membership(&MembershipWrite::Install(&chunk, &place));
        written.map_err(|error| self.write_error(&error))?;
        match chunk.end {
            CopyEnd::More => self.membership().standing.copying = Some(place),
            CopyEnd::Last => {
                let reader = self.verifier.reader();
                let read = reader.bulk_revocations();
                let read = read
                    .and_then(|found| Ok((found, reader.admin_tokens()?, reader.secret_uses()?)));
                let (bulk_revocations, admin_tokens, secret_uses) =
                    read.map_err(|error| FollowError::Latched(self.stop_writes(&error)))?;
                self.admin_tokens.replace(AdminTokens::new(admin_tokens));
                self.secret_uses.replace(secret_uses);
                self.verifier
                    .begin_bulk_revocations(BulkRevocations::new(bulk_revocations));
                self.membership().standing.copying = None;
                self.last_time = self.time_in_log(place.position)?;
                self.last = place.position;
                self.commit_position.begin(self.last);
                self.verifier.open();
                self.commit_position.advance(self.last);
            }
        }
        Ok(())
    }

    /// The time of the change at `position`; `None` if the log does not hold it.
    fn time_in_log(&mut self, position: Position) -> Result<Option<UnixMillis>, FollowError> {
        let change = self.journal.change_at(position).and_then(|bytes| {
            let change = bytes.map(|bytes| decode_change(position, &bytes));
            change.transpose()
        });
        let change = change.map_err(|error| FollowError::Latched(self.stop_writes(&error)))?;
        Ok(change.map(|change| change.time))
    }

    /// Forgets, on this node alone, that these secrets have signed keys.
    fn forget_secrets(
        &mut self,
        secrets: &[(TenantId, SecretFingerprint)],
    ) -> Result<(), FollowError> {
        let write = MembershipWrite::ForgetSecrets(secrets);
        let written = self.journal.write_membership(&write);
        written.map_err(|error| self.write_error(&error))?;
        let mut uses = SecretUses::clone(&self.secret_uses.read());
        uses.forget(secrets);
        self.secret_uses.replace(uses);
        Ok(())
    }

    /// The durable state of this node; an error if it is a primary.
    fn replica_state(&self) -> Result<NodeState, FollowError> {
        let membership = self.membership();
        match membership.mode {
            Mode::Primary => Err(FollowError::Primary),
            Mode::Replica => Ok(membership.standing.clone()),
        }
    }

    /// Maps an error of a write. Only a write that failed leaves the content of the disk unknown.
    fn write_error(&self, error: &StorageError) -> FollowError {
        match error {
            StorageError::Io(_) => FollowError::Latched(self.stop_writes(error)),
            _ => FollowError::Malformed(error.to_string()),
        }
    }
}

fn check_not_older(known: &EpochHistory, found: &EpochHistory) -> Result<(), FollowError> {
    let (known, found) = (known.newest(), found.newest());
    if found < known {
        return Err(FollowError::OlderEpoch { known, found });
    }
    Ok(())
}

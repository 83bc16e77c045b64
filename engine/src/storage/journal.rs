//! The trait that makes changes durable.

use std::collections::HashMap;

use talos_model::{
    Change, CopyChunk, CopyPlace, LoggedChange, NodeState, Position, SecretFingerprint, SecretUse,
    TenantId,
};

use super::error::StorageError;

/// Changes that are written in one batch.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The changes, in order, without a gap.
    pub changes: &'a [Change],
    /// The bytes of these changes as the primary wrote them, when they were replicated. The log
    /// keeps these bytes, so that nodes of different releases can compare changes.
    pub received: Option<&'a [LoggedChange]>,
    /// For each tenant with a change: how many of its keys are not revoked afterwards.
    pub live_keys: &'a HashMap<TenantId, u64>,
    /// The uses of secrets that changes of the group note, as they are afterwards.
    pub secret_uses: &'a [SecretUse],
}

/// Makes changes durable.
pub trait Journal: Send {
    /// Writes the changes and everything derived from them, all or nothing, and returns when they
    /// are durable. After an error it is unknown what is on disk.
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError>;

    /// Makes facts about the node durable, all or nothing. After [`StorageError::Io`] it is unknown
    /// what is on disk. After any other error nothing was written.
    fn write_membership(&mut self, write: &MembershipWrite<'_>) -> Result<(), StorageError>;

    /// The bytes of the change at `position`, if the log holds it. May wait for the disk.
    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError>;
}

/// A durable write that is not a change.
#[derive(Clone, Copy, Debug)]
pub enum MembershipWrite<'a> {
    /// Replaces the node's epoch history.
    EpochHistory(&'a NodeState),
    /// Deletes everything and begins a copy.
    BeginCopy(&'a NodeState, &'a CopyPlace),
    /// Adds these rows to the copy and moves it to this place.
    Install(&'a CopyChunk, &'a CopyPlace),
    /// Removes the uses of these secrets.
    ForgetSecrets(&'a [(TenantId, SecretFingerprint)]),
}

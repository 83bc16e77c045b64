//! Making changes durable, by whatever stores them.

use std::collections::HashMap;

use talos_model::{
    Change, CopyChunk, CopyPlace, EpochHistory, Leadership, LoggedChange, Position, TenantId,
};

use super::error::StorageError;

/// What is to be written at once.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The changes, in order, without a gap.
    pub changes: &'a [Change],
    /// The same as another node wrote them, if they come from there: the log keeps these bytes, so that nodes can compare
    /// what a change says, whatever their releases.
    pub received: Option<&'a [LoggedChange]>,
    /// For the tenants that are concerned, how many of their keys are not revoked afterwards.
    pub live_keys: &'a HashMap<TenantId, u64>,
}

/// Makes changes durable.
pub trait Journal: Send {
    /// Writes the changes and everything that follows from them, all or nothing, and returns when they are durable.
    /// After an error nothing may be assumed about what is on disk.
    fn append(&mut self, group: &Group<'_>) -> Result<(), StorageError>;

    /// Makes durable what is no change, all or nothing. After [`StorageError::Io`] nothing may be assumed about what is on disk;
    /// after any other error nothing was written.
    fn take(&mut self, step: &Step<'_>) -> Result<(), StorageError>;

    /// What the log says at a place, if it holds it. May wait for the disk.
    fn change_at(&self, position: Position) -> Result<Option<Vec<u8>>, StorageError>;
}

/// Something to be made durable that is no change.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// This becomes the node's epoch history.
    EpochHistory(&'a EpochHistory, Leadership),
    /// Everything is thrown away for a copy that begins.
    BeginCopy(&'a EpochHistory, &'a CopyPlace),
    /// These rows are added to the copy, which has then come to this place.
    Install(&'a CopyChunk, &'a CopyPlace),
}

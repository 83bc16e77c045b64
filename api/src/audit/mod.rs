//! The seam of the audit log: what is noted, and who takes the notes. The crate `audit/` writes
//! them; neither plane knows it.
//!
//! Guarantees: no entry has a place for a secret, a credential or a body; no call waits.

mod answer;
mod entry;
mod minute_quota;

use std::fmt;

use talos_model::TenantId;

pub use answer::{Concerned, concerned, reason_of};
pub use entry::{CREDENTIAL_START_CHARS, Entry, Event, REQUEST_ID_BYTES, request_id};
pub use minute_quota::{MinuteQuota, minute};

/// Takes entries. Shared by all threads.
pub trait AuditLog: fmt::Debug + Send + Sync + 'static {
    /// Reserves the place of one entry, before the action that it will tell of. Never waits.
    ///
    /// # Errors
    /// [`Blocked`] when entries are required and none can be taken now. The action must not be
    /// carried out then.
    fn reserve(&self) -> Result<Box<dyn Place>, Blocked>;

    /// Notes what somebody did who has not proved who they are. Only so many are noted in a minute;
    /// the others are counted, and `entry` is not called for them. Never waits and takes no lock.
    fn note(&self, notice: Notice, entry: &mut dyn FnMut() -> Entry);
}

/// The reserved place of one entry. An entry counts as missing when its place is dropped.
pub trait Place: Send {
    /// Puts the entry into its place. Calls `written` once the answer to the request may be given:
    /// if entries are required, when this one is in the file and as durable as configured, or when
    /// that has failed; otherwise at once.
    fn fill(self: Box<Self>, entry: Entry, written: Written);

    /// Gives the place back, because there is nothing to note.
    fn release(self: Box<Self>);
}

/// Called once, from any thread.
pub type Written = Box<dyn FnOnce(Result<(), NotWritten>) + Send>;

/// What somebody did who has not proved who they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A request that was refused, or that changed nothing.
    Request,
    /// A credential that is not valid, in this tenant.
    Verification(TenantId),
}

/// Entries are required, and the log takes none now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log takes no entries now, and audit.required is set")]
pub struct Blocked;

/// The entry is required, and it is not known to be in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit entry could not be written")]
pub struct NotWritten;

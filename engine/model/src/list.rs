//! Lists of keys: which keys are asked for, and a page of them.

use crate::clock::UnixMillis;
use crate::ids::{KeyKind, TenantId};
use crate::record::{Record, Status};

/// A question for a page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Which keys.
    pub selection: Selection,
    /// Where the page before ended; empty = at the beginning.
    pub after: Vec<u8>,
    /// How many at most; large records make a page shorter.
    pub limit: usize,
    /// The time by which keys are active or expired.
    pub now: UnixMillis,
}

/// Some keys, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub records: Vec<Record>,
    /// Where the next page goes on; `None` when there is none.
    pub next: Option<Vec<u8>>,
    /// When each of the keys was last used; filled in by the engine.
    pub last_used: Vec<Option<UnixMillis>>,
}

/// What is to be listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Whose keys.
    pub tenant: TenantId,
    /// Of which origin.
    pub kind: KeyKind,
    /// Of one actor only.
    pub actor_id: Option<String>,
    /// In one state only.
    pub status: Option<Status>,
}

//! Lists of keys: queries and pages.

use crate::clock::UnixMillis;
use crate::ids::{KeyKind, TenantId};
use crate::record::{Record, Status};

/// A query for a page of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListQuery {
    /// Which keys.
    pub selection: Selection,
    /// The end of the previous page; empty = start with the first.
    pub after: Vec<u8>,
    /// The most keys of the page. Large records make a page shorter.
    pub limit: usize,
    /// The time at which a key counts as active or expired.
    pub now: UnixMillis,
}

/// Some keys, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub records: Vec<Record>,
    /// Where the next page starts; `None` if there is none.
    pub next: Option<Vec<u8>>,
    /// When each of the keys was last used. The engine fills it in.
    pub last_used: Vec<Option<UnixMillis>>,
}

/// Which keys to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Keys of this tenant.
    pub tenant: TenantId,
    /// Keys of this kind.
    pub kind: KeyKind,
    /// Only keys of this actor.
    pub actor_id: Option<String>,
    /// Only keys with this status.
    pub status: Option<Status>,
}

//! Names of column families and of keys in them.

use talos_model::{KeyKind, TenantId};

pub const META: &str = "meta";
pub const LOG: &str = "log";
pub const REQUESTS: &str = "requests";
pub const INDEX: &str = "index";
/// How many keys of each tenant are not revoked.
pub const COUNTS: &str = "counts";
/// When each key was last used. Younger than the format: a database may not have it yet.
pub const USED: &str = "used";
/// In every shard: the sequence of the last change to it. Shorter than any record's key, hence never one.
pub const LAST: &[u8] = b"last";

/// The key of an idempotency key: issues and imports do not meet.
pub fn request_key(tenant: TenantId, kind: KeyKind, request_id: &str) -> Vec<u8> {
    [
        tenant.0.as_bytes(),
        [kind.code()].as_slice(),
        request_id.as_bytes(),
    ]
    .concat()
}

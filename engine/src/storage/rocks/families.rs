//! Names of column families, and of fixed keys in them.

use talos_model::{KeyKind, ShardId, TenantId};

pub const META: &str = "meta";
pub const LOG: &str = "log";
pub const REQUESTS: &str = "requests";
pub const INDEX: &str = "index";
/// How many keys of each tenant are not revoked.
pub const COUNTS: &str = "counts";
/// When each key was last used. Databases of older releases do not have this family.
pub const USED: &str = "used";
/// Key in every shard of the sequence of its last change. It is shorter than any record's key, so
/// it cannot collide with one.
pub const LAST: &[u8] = b"last";

/// The key of an idempotency key. Issued and imported keys have separate idempotency keys.
pub fn request_key(tenant: TenantId, kind: KeyKind, request_id: &str) -> Vec<u8> {
    [
        tenant.0.as_bytes(),
        [kind.code()].as_slice(),
        request_id.as_bytes(),
    ]
    .concat()
}

/// The family of a shard's records.
pub fn shard_name(shard: ShardId) -> String {
    format!("shard-{:03}", shard.0)
}

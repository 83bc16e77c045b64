//! The key engine: credentials, records, shards, verification and commit.
//!
//! This crate does not depend on HTTP, JSON APIs or async runtimes. Verification is a function of
//! (record, request, now). A write is a [`talos_model::Command`]: the committing thread applies it,
//! makes it durable, and then publishes it to the cells from which verifications are answered.

#![forbid(unsafe_code)]

mod admin_token_table;
pub mod backup;
mod bulk_revocation;
mod cache;
mod cached_key;
mod cached_token;
mod catch_up;
mod commit;
mod commit_position;
mod disk;
mod engine;
mod error;
pub mod format;
mod last_used;
mod limiter;
pub mod limits;
mod membership;
mod notify;
mod priority;
mod render;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod scenarios;
mod secret_use_table;
mod secrets;
mod shards;
mod snapshot;
mod storage;
mod tenants;
mod usage;
mod verifier;
mod warm_up;

pub use engine::{Engine, Loaded, LogStart, Options, Watch, decode_change};
pub use error::OpenError;
pub use last_used::{LastUsedCounts, LastUsedOptions, UsedKey};
pub use render::{RenderBody, RenderTokenBody};
pub use secrets::{KeyCount, MissingSecret, NeededSecrets};
pub use snapshot::{Snapshot, SnapshotError};
pub use storage::{OldLogError, Retention};
pub use verifier::{PendingRead, VerifyStep};

//! The key engine: credentials, records, shards, verification and commit.
//!
//! This crate knows nothing of HTTP, of JSON APIs or of async runtimes. Verification is a function of
//! (record, request, now); a write is a [`Command`] that one committer thread applies, makes durable and
//! then publishes to the cells from which verification answers.

#![forbid(unsafe_code)]

pub mod backup;
mod cache;
pub mod cidr;
pub mod clock;
pub mod command;
mod commit;
pub mod credential;
mod derive;
mod disk;
pub mod duration;
mod engine;
mod error;
mod fleet;
pub mod format;
pub mod ids;
pub mod keyring;
mod last_used;
mod limiter;
pub mod limits;
mod priority;
pub mod record;
mod row;
mod rules;
#[cfg(test)]
mod scenarios;
mod secret;
mod shards;
mod storage;
pub mod token;
mod token_facts;
mod usage;
mod verifier;
pub mod verify;
mod warm_up;

pub use command::{
    Command, CommandError, DeleteKey, FieldChanges, ImportKey, ImportKeys, IssueKey, Issued,
    Outcome, Rejection, RevokeKey, RevokeWhere, RotateKey, Rotation, TypedCommand, UpdateKey,
};
pub use derive::{DeriveError, DeriveToken, DerivedToken};
pub use engine::{Engine, Health, Loaded, LogStart, Options, RenderBody, RenderTokenBody, Watch};
pub use error::{OpenError, ReadError};
pub use fleet::{
    CopyChunk, CopyCursor, CopyEnd, CopyName, CopyPlace, CopyRow, Era, FollowError, Lineage,
    LineageError, LogRead, LoggedChange, Mode, NodeStanding, ReadLimits, Reign, Reigns, Snapshot,
    SnapshotError, StateHash,
};
pub use ids::{Epoch, KeyId, Position, Sequence, ShardId, TenantId};
pub use keyring::{
    CannotMint, Keyring, KeyringSettings, MacaroonPrefixes, Prefixes, RetiredIssuer, TokenSettings,
};
pub use last_used::{LastUsedCounts, LastUsedOptions, UsedKey};
pub use limiter::Enforcement;
pub use record::{RateLimitPolicy, Record, Revocation, RevocationReason, Status, Visibility};
pub use rules::{Matcher, Rule};
pub use secret::Secret;
pub use storage::{
    Change, Event, KeyKind, ListQuery, OldLogError, Page, Retention, Selection, Subject,
};
pub use verify::{
    Answer, CacheMode, CacheStatus, Query, RateLimit, Refusal, Standing, Step, Verdict,
};

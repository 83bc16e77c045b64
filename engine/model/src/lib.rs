//! The data model: ids, time, records, commands and their outcomes, changes, verdicts, and what
//! nodes send each other.
//!
//! Plain values and pure functions of them. This crate starts no threads, does no I/O and knows
//! neither RocksDB nor HTTP. Its only state is the floor of the clock ([`clock::set_floor`]).

#![forbid(unsafe_code)]

mod acceptance;
mod access;
mod admin_token;
mod author;
mod bulk_revocation;
mod change;
pub mod cidr;
pub mod clock;
mod clock_watch;
mod command;
pub mod copy;
mod divergence;
pub mod duration;
mod epoch_history;
mod follow_error;
mod health;
mod ids;
pub mod limits;
mod list;
mod log;
mod node;
mod read_error;
mod record;
mod record_key;
mod request_id;
mod secret;
mod secret_uses;
mod start_clock;
mod state_hash;
mod verdict;

pub use acceptance::{Acceptance, AcceptedSetting, Difference};
pub use access::{Permission, Principal, Proof, Role, UnknownRole};
pub use admin_token::{
    AdminToken, AdminTokens, CreateAdminToken, RevokeAdminToken, RotateAdminToken, TokenDigest,
};
pub use author::Author;
pub use bulk_revocation::{BloomFingerprint, BulkRevocation, BulkRevocations, KeyFacts, Matcher};
pub use change::{Change, Event, Subject};
pub use clock_watch::{ClockReading, ClockWatch, Jump};
pub use command::{
    Command, CommandError, DeleteKey, Done, FieldChanges, ImportKey, ImportKeys, IssueKey, Issued,
    Outcome, Rejection, RevokeKey, RevokeWhere, RotateKey, Rotation, Submission, TypedCommand,
    UpdateKey,
};
pub use copy::{CopyChunk, CopyCounts, CopyCursor, CopyEnd, CopyPlace, CopyRow};
pub use divergence::Divergence;
pub use epoch_history::{CopyName, EpochHistory, EpochHistoryError, EpochId, EpochStart};
pub use follow_error::FollowError;
pub use health::Health;
pub use ids::{Epoch, InvalidKeyId, KeyId, KeyKind, Position, Sequence, ShardId, TenantId};
pub use list::{ListQuery, Page, Selection};
pub use log::{LogRead, LoggedChange, ReadLimits};
pub use node::{Leadership, Mode, NodeState};
pub use read_error::ReadError;
pub use record::{RateLimitPolicy, Record, Revocation, RevocationReason, Status, Visibility};
pub use record_key::RecordKey;
pub use request_id::{RequestDigest, RequestField, RequestId};
pub use secret::Secret;
pub use secret_uses::{SecretFingerprint, SecretUse, SecretUses};
pub use start_clock::{AcceptedClock, StartClock, is_behind};
pub use state_hash::StateHash;
pub use verdict::{Answer, CacheMode, CacheStatus, Query, RateLimit, Refusal, Standing, Verdict};

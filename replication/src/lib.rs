//! Replication: one primary and any number of replicas. Each replica is a full copy that verifies
//! on its own.
//!
//! The crate holds state machines and the [`driver`]s that run them. A state machine uses no clock,
//! no socket and no disk. The driver calls it with each event and the time, and the machine returns
//! the actions to take:
//!
//! ```text
//! bytes ─ Link (frame, handshake, session) ─ messages
//!     messages ─┬─ Feed     (primary) ─ SourceWork ─ ChangeSource
//!               └─ Follower (replica) ─ SinkWork   ─ ChangeSink
//!     Feed ─ Acks: which writes are durable where
//! ```
//!
//! A driver must keep these rules:
//!
//! 1. Carry out the actions of a call in order, and before the next call to the same machine. Only
//!    storage work may take longer: do it in the order in which it was returned, and report each
//!    result.
//! 2. Read [`feed::Moment`] anew for every call, after [`acks::Acks`] has received everything
//!    earlier.
//! 3. Hand every write to [`acks::Acks`] when it is durable and before it is acknowledged, even if
//!    it waits for no replica.
//! 4. Call [`acks::Acks::on_left`] whenever the connection of a feed ends, no matter which side
//!    closed it.
//! 5. Read nothing from a connection while [`follow::Follower::wants_input`] is false, and call
//!    [`feed::Feed::on_room`] when all but a few bytes have been sent. This bounds memory on both
//!    sides.
//! 6. On a promotion, make the result of [`talos_model::EpochHistory::promoted`] durable before the
//!    first change of the epoch.
//!
//! Nodes compare which epochs they know, and where their changes part, by
//! [`talos_model::EpochHistory::compare`].

#![forbid(unsafe_code)]

pub mod acks;
pub mod backoff;
mod divergence;
pub mod driver;
mod failpoint;
pub mod feed;
pub mod follow;
pub mod frame;
pub mod handshake;
pub mod ids;
pub mod lag;
pub mod limits;
pub mod link;
pub mod message;
pub mod message_format;
#[cfg(test)]
mod random;
pub mod refusal;
pub mod secret;
pub mod session;
#[cfg(test)]
mod simulation;
pub mod sink;
pub mod source;
pub mod throttle;
mod wire;

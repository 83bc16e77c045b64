//! Replication: one primary, any number of replicas, each of them a full copy that can verify by itself.
//!
//! This crate is made of state machines, and of [`driver`]s that connect them. The machines know no clock, no socket and no
//! disk: what happens is told to them together with the time, and they answer with what is to be done:
//!
//! ```text
//! bytes ─ Link (frame, handshake, session) ─ messages ─┬─ Feed   (primary) ─ SourceWork ─ ChangeSource
//!                                                      └─ Follower (replica) ─ SinkWork   ─ ChangeSink
//!                                     Feed ─ Acks: which writes are durable where
//! ```
//!
//! What a driver has to see to:
//!
//! 1. Actions are carried out in their order, and those of one call before the next call to the same machine. Only storage may
//!    take its time: its work is done in the order in which it was named, and what came of it is told.
//! 2. [`feed::Moment`] is read anew for every call, after [`acks::Acks`] has been told of everything before.
//! 3. A write is handed to [`acks::Acks`] when it is durable and before it is acknowledged, whatever it waits for.
//! 4. Whenever a feed's connection ends, by whomever, [`acks::Acks::on_left`] is called.
//! 5. Nothing is read from a connection while [`follow::Follower::wants_input`] says no, and [`feed::Feed::on_room`] is called
//!    when what was sent has left but for some bytes: so memory is bounded on both sides.
//! 6. A promotion makes the history of [`history::EpochHistory::promoted`] durable before the first change of the epoch.
//!
//! Everything that a node says of itself goes through [`history`]: which epochs it knows, and how far its changes reach.

#![forbid(unsafe_code)]

pub mod acks;
pub mod backoff;
pub mod driver;
mod failpoint;
pub mod feed;
pub mod follow;
pub mod frame;
pub mod handshake;
pub mod history;
pub mod lag;
pub mod limits;
pub mod link;
pub mod message;
pub mod message_format;
pub mod position;
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

//! Drivers of the state machines on tokio: sockets, clocks, randomness, and threads for storage.
//!
//! [`primary::Primary`] feeds whoever calls; [`replica::Replica`] calls a primary and follows it. Both are told of storage by
//! the traits of [`crate::source`] and [`crate::sink`], whose calls may wait for the disk and are made on threads that may;
//! and both show where they stand in a `watch`, which costs nobody anything who does not look.

pub mod ack_waiters;
pub mod clock;
mod connection;
pub mod primary;
mod randomness;
pub mod replica;
mod storage_worker;
#[cfg(test)]
mod tests;
pub mod tls;
mod transport;

use std::time::Duration;

use crate::limits::{HANDSHAKE_MS, HEARTBEAT_MS};

/// How often the state machines are told the time.
const TICK: Duration = Duration::from_millis(HEARTBEAT_MS / 3);
/// How long a connection may take until both sides have proven who they are, TLS included.
const HANDSHAKE: Duration = Duration::from_millis(HANDSHAKE_MS);

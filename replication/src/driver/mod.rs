//! Drivers that run the state machines on tokio, with sockets, clocks, randomness and storage
//! threads.
//!
//! [`primary::Primary`] feeds the replicas that connect; [`replica::Replica`] connects to a primary
//! and follows it. Both use storage through the traits of [`crate::source`] and [`crate::sink`], on
//! threads that may block. Both publish their status in a `watch` channel.

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

use crate::limits::{GREETING_MS, HANDSHAKE_MS, HEARTBEAT_MS};

/// The interval of `on_tick` calls.
const TICK: Duration = Duration::from_millis(HEARTBEAT_MS / 3);
/// How long connecting, TLS and the handshake may take.
const HANDSHAKE: Duration = Duration::from_millis(HANDSHAKE_MS);
/// How long a connecting node may be silent.
const GREETING: Duration = Duration::from_millis(GREETING_MS);

//! Every bound of this crate.

use std::time::Duration;

/// The largest PEM file that is read, in bytes. A bundle of all public authorities has a fifth of
/// this.
pub const FILE_BYTES: u64 = 1024 * 1024;
/// How often files are compared with those that were loaded. A changed file is loaded when it has
/// not changed for as long.
pub const RELOAD_INTERVAL: Duration = Duration::from_secs(1);
/// TLS 1.3 tickets that a server gives to a client in each full handshake. Two is what RFC 8446
/// §C.4 needs for a client that opens two connections.
pub const TICKETS: usize = 2;
/// Names of each kind that are taken from a client's certificate. Further ones are ignored.
pub const IDENTITY_NAMES: usize = 64;

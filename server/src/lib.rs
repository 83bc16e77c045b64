//! The data plane: one pinned thread per core, each with its own listener, connections and counters.
//!
//! A request goes from the socket through `parser`, `dispatch` and `verify` back to the socket on one thread. What is
//! not hot is handed to a [`talos_api::control::ControlPlane`] and awaited. This crate knows nothing of storage, takes no
//! mutex, and makes no blocking call on a core.

#![deny(unsafe_code)]

mod batch;
mod chunked;
mod client_address;
mod connection;
mod core;
mod cors;
mod deadlines;
mod dispatch;
mod driver;
mod error;
mod extent;
mod framing;
mod handover;
pub mod limits;
mod listener;
pub mod metrics;
mod options;
mod parser;
mod pinning;
mod position;
mod response;
mod server;
mod slice;
mod socket_file;
mod verify;

pub use driver::Driver;
pub use error::ServerError;
pub use options::{ClientIpSource, Deadlines, DriverChoice, ServerOptions};
pub use server::{Server, ServerHandle};

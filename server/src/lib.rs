//! The data plane: one pinned thread per core, each with its own listener, connections and
//! counters.
//!
//! A verification goes from the socket through `parser`, `dispatch` and `verify` back to the socket
//! on one thread. Other requests are handed to a [`talos_api::control::ControlPlane`], and the core
//! awaits the answer. This crate does not know the storage, takes no mutex, and makes no blocking
//! call on a core.

#![deny(unsafe_code)]

mod access;
mod addresses;
mod admin_hosts;
mod admission;
mod audit;
mod authorize;
mod batch;
mod certificate_principal;
mod chunked;
mod client_address;
mod connection;
mod core;
mod cors;
mod date;
mod deadlines;
mod dispatch;
mod driver;
mod error;
mod extent;
mod failure_quota;
mod framing;
mod handover;
mod handshake_turns;
mod head_cache;
mod health_routes;
pub mod limits;
mod listener;
mod live;
mod memory;
pub mod metrics;
mod observe;
mod options;
mod parser;
mod pinning;
mod plain_on_tls;
mod port;
mod position;
mod registry;
mod request_context;
mod request_id;
mod request_log;
mod response;
mod server;
mod slice;
mod socket_file;
mod sockets;
mod step;
mod stream;
mod tenancy;
mod throttle;
mod throttled;
mod tls_session;
mod tls_stream;
mod verify;
mod wait;
mod worker;

pub use admin_hosts::{AdminHosts, ListenScope};
pub use driver::Driver;
pub use error::ServerError;
pub use options::{
    ClientIpSource, Deadlines, DriverChoice, ListenerOptions, ServerOptions, Tenancy,
};
pub use server::{Server, ServerHandle};

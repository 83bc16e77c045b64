//! The edge proxy: stands before a server, answers repeated verifications from memory, and passes everything else on.
//!
//! The ways of a request, in order: [`Proxy`] accepts the connection, `service` decides what the request is,
//! `verification` says what its answer depends on, `cache` and `changes` whether an answer still holds, `upstream` asks
//! the server behind.

#![forbid(unsafe_code)]

mod answer;
mod body;
mod cache;
mod changes;
mod error;
mod forward;
mod host;
pub mod limits;
mod metrics;
mod proxy;
mod service;
mod settings;
mod stall;
mod upstream;
mod verification;

pub use cache::CacheSettings;
pub use error::ProxyError;
pub use host::{AllowedHosts, HostSource};
pub use proxy::{Proxy, StopHandle};
pub use settings::{InvalidUpstreamUrl, ProxySettings, UpstreamUrl};

//! The edge proxy: stands in front of a Talos server, answers repeated verifications from memory
//! and forwards everything else.
//!
//! A request passes through these modules: [`Proxy`] accepts the connection and gives it one of the
//! `places`; `connection` reads the request; `service` decides what to do with the request;
//! `verification` derives the cache key; `cache` and `changes` decide whether a stored answer is
//! still usable; `upstream` asks the server.

#![forbid(unsafe_code)]

mod body;
mod cache;
mod changes;
mod connection;
mod error;
mod forward;
mod host;
pub mod limits;
mod metrics;
mod places;
mod proxy;
mod response;
mod service;
mod settings;
mod stall_timeout;
mod tls;
mod upstream;
mod verification;

pub use cache::CacheSettings;
pub use error::ProxyError;
pub use host::{AllowedHosts, HostSource};
pub use proxy::{Proxy, StopHandle};
pub use settings::{
    ClaimedAddresses, ConnectionLimits, InvalidUpstreamUrl, ProxySettings, UpstreamUrl,
};

//! The control plane: the admin REST service on tokio, one file per resource action.
//!
//! It guarantees that every request it accepts is answered exactly once, also when its handler panics; that it never
//! holds more requests or bytes than its limits say; and that no secret reaches the log.
//!
//! It knows neither sockets nor the data plane: requests come parsed, through [`talos_api::control::ControlPlane`].

#![forbid(unsafe_code)]

mod dispatch;
mod engine_call;
mod get;
mod issue;
mod jwks;
mod limits;
mod panic_guard;
mod queue;
mod revoke;
mod service;
mod version;

pub use service::{AdminService, AdminSettings};

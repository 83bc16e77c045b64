//! The control plane: the admin REST service on tokio, one file per resource action.
//!
//! It guarantees that every request it accepts is answered exactly once, also when its handler panics; that it never
//! holds more requests or bytes than its limits say; and that no secret reaches the log.
//!
//! It does not know the data plane: requests come parsed, through [`talos_api::control::ControlPlane`]. The only socket
//! here is that of [`MetricsListener`], which stands apart from the API.

#![forbid(unsafe_code)]

mod backup;
mod batch_import;
mod changes;
mod context;
mod delete;
mod derive;
mod dispatch;
mod engine_call;
mod fleet;
mod forward;
mod get;
mod import;
mod issue;
mod jwks;
mod limits;
mod list;
pub mod metrics;
mod metrics_listener;
mod news;
mod panic_guard;
mod parts;
mod queue;
mod revoke;
mod revoke_where;
mod rotate;
mod self_revoke;
mod service;
mod update;

pub use metrics_listener::{Expose, MetricsListener};
pub use service::{AdminService, AdminSettings};

//! The control plane: the admin REST service on tokio, one file per resource action.
//!
//! Guarantees: every accepted request is answered exactly once, even when its handler panics; the
//! crate never holds more requests or bytes than its limits allow; no secret reaches the log.
//!
//! The crate does not know the data plane. Parsed requests arrive through
//! [`talos_api::control::ControlPlane`]. The only listening socket here is that of
//! [`MetricsListener`], which does not belong to the API.

#![forbid(unsafe_code)]

mod admin_token;
mod audit;
mod backup;
mod batch_import;
mod body_stream;
mod bounds;
mod change_notifier;
mod changes;
mod client;
mod config;
mod context;
mod delete;
mod derive;
mod dispatch;
mod engine_call;
mod event_log;
mod fleet;
mod forward;
mod get;
mod import;
mod issue;
mod jwks;
mod lane;
mod limits;
mod list;
pub mod metrics;
mod metrics_listener;
mod metrics_places;
mod panic_guard;
mod queue;
mod reported_change;
mod revoke;
mod revoke_where;
mod rotate;
mod self_revoke;
mod service;
mod unsent_secrets;
mod update;

pub use forward::{ForwardSettings, PlainHttp};
pub use metrics_listener::{Expose, MetricsListener};
pub use service::{AdminService, AdminSettings};

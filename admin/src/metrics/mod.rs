//! Counters of the control plane.
//!
//! All labels come from closed sets (methods, route templates, statuses, reasons), whatever clients
//! send: never a path, an id or a credential.

mod control;
mod requests;
mod streams;

pub use control::ControlMetrics;
pub(crate) use requests::RequestTimer;
pub(crate) use streams::StreamKind;

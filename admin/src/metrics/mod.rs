//! What the control plane counts, and the text in which all of the process' metrics are told.

mod control;
mod exposition;
mod histogram;

pub use control::ControlMetrics;
pub(crate) use control::{RequestTimer, StreamKind};
pub(crate) use exposition::CONTENT_TYPE;
pub use exposition::{Exposition, Family, Kind};

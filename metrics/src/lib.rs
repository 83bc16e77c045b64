//! The metrics page: a writer of the Prometheus text format, version 0.0.4, and the histogram that
//! is written with it.
//!
//! The crate stores no counters. Each component keeps its own (the data plane: relaxed atomics per
//! core) and writes them to an [`Exposition`] when a scraper asks.

#![forbid(unsafe_code)]

mod exposition;
mod histogram;

pub use exposition::{CONTENT_TYPE, Exposition, Family, HistogramFamily};
pub use histogram::Histogram;

//! What the tests and benches of several crates need: an engine in a scratch directory, and an
//! HTTP client that reads strictly. Everything here panics where it cannot go on: that is how a
//! test fails.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its assertions use what it asks for"
)]

pub mod certificates;
pub mod engine;
pub mod http;
pub mod keys;
pub mod tls;

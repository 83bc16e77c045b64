//! The control plane on a real engine, asked the way the data plane asks it.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod audit;
mod authors;
mod errors;
mod events;
mod fleet;
mod harness;
mod idempotency;
mod key_set_and_version;
mod lifecycle;
mod readiness;
mod replicas_away;
mod sealed_bodies;
mod shutdown;

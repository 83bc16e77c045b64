//! A real server on loopback, on both drivers, against raw clients.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop"
)]

mod accepting;
mod allocations;
mod audit;
mod authorization;
mod bodies;
mod control;
mod deadlines;
mod drain;
mod fleet;
mod logs;
mod memory;
mod pipelining;
mod places;
mod positions;
mod refusals;
mod roles;
mod second_listener;
mod size_limits;
mod streams;
mod support;
mod throttling;
mod tls;
mod tokens;
mod verification;

//! Measures a fleet on loopback: how long a revoked key still works on a replica, how fast a
//! replica catches up or is copied, how much feeding replicas slows a primary's verifications, and
//! how many bytes a change takes on the wire.
//!
//! Needs `talos` and `talos-loadtest` in its own directory. `docs/PERFORMANCE.md` has the commands.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measurement that fails stops"
)]

mod client;
mod feeding;
mod listeners;
mod revocations;
mod server;
mod takeover;

use std::env;

const USAGE: &str = "usage: fleet revocations [COUNT] | catch-up [CHANGES] | copy [KEYS] | feeding [REPLICAS] | wire [CHANGES]";

fn main() {
    let mut arguments = env::args().skip(1);
    let what = arguments.next().unwrap_or_default();
    let count = arguments.next().map(|count| count.parse().expect(USAGE));
    match what.as_str() {
        "revocations" => revocations::measure(count.unwrap_or(10_000)),
        "catch-up" => takeover::catch_up(count.unwrap_or(360_000)),
        "copy" => takeover::copy(count.unwrap_or(1_000_000)),
        "feeding" => feeding::measure(count.unwrap_or(20)),
        "wire" => takeover::wire(count.unwrap_or(10_000)),
        _ => panic!("{USAGE}"),
    }
}

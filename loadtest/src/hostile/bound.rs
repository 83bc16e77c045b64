//! How much memory the server may take: the sum of its budgets.
//!
//! Budgets that are settings count with their values in `settings.rs`. The others are constants of
//! the server; [`FIXED`] repeats them, because this program sees the server from outside only.

use serde::{Deserialize, Serialize};

use super::settings::{BLOCK_CACHE, CACHE, CONNECTIONS, REQUEST_MEMORY};

/// What the server may take beyond the sum of its budgets: the allocator's and the kernel's
/// rounding.
pub const TOLERANCE: f64 = 1.2;

const MIB: u64 = 1 << 20;
/// Budgets that no setting changes: what they hold, and bytes.
const FIXED: [(&str, u64); 5] = [
    ("memtables of the database", 128 * MIB),
    ("requests that wait for the control plane", 64 * MIB),
    // Four threads that read or write a page of a list: its records, and its JSON.
    (
        "pages that the control plane reads and writes",
        4 * 2 * 12 * MIB,
    ),
    // 128 streams with four chunks of 64 KiB.
    ("streams of changes", 32 * MIB),
    ("program, threads, the rest of the database", 64 * MIB),
];
/// Two first buffers of 4 KiB, and the state of the connection's task.
const CONNECTION: u64 = 2 * 4096 + 8192;
/// Bytes of a slot in the tables that find cells and proofs, and bytes of cells for each slot.
const SLOT: u64 = 40;
const CELL_BYTES_PER_SLOT: u64 = 512;

/// One budget.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// What it holds.
    pub what: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// The budgets of a server with the settings of a run and so many workers.
#[must_use]
pub fn budgets(workers: u64) -> Vec<Budget> {
    let slots = (CACHE / CELL_BYTES_PER_SLOT).next_power_of_two();
    let set = [
        (
            "requests and answers: workers × serve.http.limits.memory × 1.25",
            workers * REQUEST_MEMORY * 5 / 4,
        ),
        (
            "first buffers: workers × serve.http.limits.connections × 16 KiB",
            workers * CONNECTIONS * CONNECTION,
        ),
        ("keys in use: cache.memory.max_size", CACHE),
        (
            "tables of the keys in use: 2 × 40 bytes per 512",
            2 * slots * SLOT,
        ),
        ("blocks of the database: db.block_cache_size", BLOCK_CACHE),
    ];
    let all = set.into_iter().chain(FIXED);
    all.map(|(what, bytes)| Budget {
        what: what.to_owned(),
        bytes,
    })
    .collect()
}

/// The most memory that a server with these budgets may take, in bytes.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size of memory"
)]
pub fn limit(budgets: &[Budget]) -> u64 {
    let sum: u64 = budgets.iter().map(|budget| budget.bytes).sum();
    (sum as f64 * TOLERANCE) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_sum_of_the_budgets_and_a_fifth() {
        let one = budgets(1);
        let sum: u64 = one.iter().map(|budget| budget.bytes).sum();
        assert!((limit(&one) as f64 / sum as f64 - TOLERANCE).abs() < 1e-6);
        // A worker more is its requests and its first buffers more.
        let two: u64 = budgets(2).iter().map(|budget| budget.bytes).sum();
        assert_eq!(two - sum, 80 * MIB + 16 * MIB);
    }
}

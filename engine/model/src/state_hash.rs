//! A summary of the state, to compare nodes by.

use crate::ids::Position;

/// A summary of all that nodes have in common at one position. It depends on no order and on no division into shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHash {
    /// The last change that is contained.
    pub position: Position,
    /// How many records there are.
    pub records: u64,
    /// Of all records.
    pub records_hash: u128,
    /// Of all request ids and the keys that they made.
    pub requests_hash: u128,
    /// Of all rules in force.
    pub rules_hash: u128,
}

//! A hash of a node's state, for comparing nodes.

use crate::ids::Position;

/// A hash of everything that nodes have in common at one position. It depends neither on the order
/// of records nor on the number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateHash {
    /// The last change that the state includes.
    pub position: Position,
    /// The number of records.
    pub records: u64,
    /// The hash of all records.
    pub records_hash: u128,
    /// The hash of all request ids and the keys that they created.
    pub requests_hash: u128,
    /// The hash of all bulk revocations in force.
    pub bulk_revocations_hash: u128,
    /// The hash of all admin tokens.
    pub admin_tokens_hash: u128,
}

//! The health of an engine.

/// Whether an engine accepts writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes work.
    Ok,
    /// Writes are stopped for this reason; verification still works.
    WritesStopped(String),
}

//! Whether an engine accepts writes.

/// Whether writes are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes work.
    Ok,
    /// Writes are stopped, for this reason; verification goes on.
    WritesStopped(String),
}

//! The audit log: who did what, one JSON object a line, in a chain that shows whether a line was
//! altered, taken out, added or moved.
//!
//! Guarantees:
//! - Each line holds the authentication code of the line before it and its own, so the file can be
//!   verified with the secret of the server. Only a cut at the end needs a remembered last line.
//! - A line is written whole or continued later. What a crash tore off stays in the file, and the
//!   next line says so. Lines that could not be taken are counted, and the next line says how many.
//! - Memory, the queue, and what strangers can cause are bounded (`limits.rs`).
//! - If entries are required, no place is given to an action while the log cannot be written, and
//!   an answer waits for its entry.
//!
//! The planes of the server see only the seam [`talos_api::audit`].

#![forbid(unsafe_code)]

mod chain;
mod file;
mod limits;
mod line;
mod log;
mod open_error;
mod queue;
mod quota;
mod recovery;
mod rotation;
#[cfg(test)]
mod samples;
mod sink;
mod verify;
mod writer;

pub use chain::{ChainKeys, Link, Mac};
pub use log::{Audit, AuditHandle, Counts};
pub use open_error::OpenError;
pub use sink::Target;
pub use verify::{Fault, Problem, Remark, Report, Restarts, Verifier, first_number};
pub use writer::{Fsync, Options};

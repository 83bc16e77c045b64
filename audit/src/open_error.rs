//! Why the log cannot be opened.

use std::io;
use std::path::PathBuf;

/// Why the log cannot be opened. The operator must act.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refuses.
    #[error("audit.file: {path}: {source}", path = .path.display())]
    System {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The file may not be used.
    #[error("audit.file: {path} {why}", path = .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why, as a predicate.
        why: &'static str,
    },
    /// The chain cannot be continued.
    #[error(
        "audit.file: {path}: {why}; {advice}",
        path = .path.display()
    )]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// What to do.
        advice: &'static str,
    },
    /// No thread can be started.
    #[error("the thread of the audit log: {0}")]
    Thread(io::Error),
}

//! What prevents the use of TLS.

use std::io;
use std::path::{Path, PathBuf};

/// TLS cannot be set up. The operator recovers, by correcting the file or the setting that is
/// named.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or has the wrong content.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// Not a valid server name.
    #[error("{0:?} is no name that a certificate can be for; use a host name or an IP address")]
    Name(String),
    /// The files do not fit together.
    #[error("TLS: {0}")]
    Setup(String),
    /// The thread that reloads files cannot be started.
    #[error("cannot start the thread that reloads certificates: {0}")]
    Thread(#[source] io::Error),
}

impl TlsError {
    /// The error of the file at `path`.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have made the value for this error"
    )]
    pub(crate) fn file(path: &Path, problem: impl ToString) -> Self {
        Self::File {
            path: path.to_owned(),
            problem: problem.to_string(),
        }
    }

    /// The error of rustls' configuration.
    #[expect(clippy::needless_pass_by_value, reason = "it is passed to `map_err`")]
    pub(crate) fn setup(error: impl ToString) -> Self {
        Self::Setup(error.to_string())
    }
}

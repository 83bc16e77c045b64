//! Errors that end a run before its report.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use talos_tls::TlsError;

/// Why there is no report. A wrong verdict is no error here: the report counts it.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The files of TLS cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// The caller gave a URL that is not `http://host:port` or `https://host:port`.
    #[error("--url {url}: {problem}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The caller must build the server first.
    #[error(
        "no server at {path}: build it (cargo build --release -p talos) or name a running one with --url"
    )]
    NoServer {
        /// Where the program looked for it.
        path: PathBuf,
    },
    /// The server that was started did not become ready.
    #[error("the server did not become ready: {what}\n{log}")]
    NotReady {
        /// What happened instead.
        what: String,
        /// The end of its log.
        log: String,
    },
    /// A connection could not be made or broke while keys were prepared.
    #[error("{doing}: {source}")]
    Io {
        /// What the program was doing.
        doing: String,
        /// The error.
        source: io::Error,
    },
    /// The server refused to make or revoke a key.
    #[error("{doing}: the server answered {status}: {body}")]
    Refused {
        /// What the program was doing.
        doing: &'static str,
        /// The HTTP status.
        status: u16,
        /// The body.
        body: String,
    },
    /// An issued key's secret is not in the form that issued keys have.
    #[error("the server issued a secret of an unexpected length or with unexpected characters")]
    OddSecret,
    /// The keys of an earlier run do not exist.
    #[error(
        "--reuse: {class} key number {number} is not there (answer: {answer}); \
         seed the server first by the same command without --reuse, with the same --seed, --keys and --mix"
    )]
    NotSeeded {
        /// The class of the key.
        class: &'static str,
        /// Its number.
        number: u32,
        /// The server's answer.
        answer: String,
    },
    /// A report could not be read.
    #[error("{path}: {problem}")]
    Report {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Flags that do not go together.
    #[error("{0}")]
    Flags(String),
    /// The saturation rate is zero, so no open loop can follow.
    #[error("the closed loop got no answer within {0:?}")]
    NoAnswers(Duration),
    /// A load thread ended by a panic; a defect of this program.
    #[error("a load thread panicked")]
    Panicked,
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
}

impl LoadError {
    /// Adds to an I/O error what the program was doing.
    pub fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

//! Why a command failed, and how that is told.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use talos_config::ConfigError;
use talos_engine::OpenError;
use talos_engine::backup::RestoreError;
use talos_engine::limits::CREDENTIAL_BYTES;
use talos_engine::token::MintError;
use talos_node::NodeError;
use talos_proxy::ProxyError;
use talos_server::ServerError;

/// Why a command failed. Every variant is for the person at the terminal, who reads one line on standard error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line asks for something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// The server refused the request.
    #[error("{message} ({reason}, HTTP {status})")]
    Refused {
        /// The server's words.
        message: String,
        /// The id of the error.
        reason: String,
        /// The HTTP status.
        status: u16,
    },
    /// Nothing listens there.
    #[error(
        "no server at {endpoint}: {source}; start one with `talos serve --dev`, or name another with -e URL or TALOS_URL"
    )]
    NoServer {
        /// The URL asked for.
        endpoint: String,
        /// What the system said.
        source: io::Error,
    },
    /// The request or the answer was lost on the way.
    #[error("{endpoint}: {message}")]
    Transport {
        /// The URL asked for.
        endpoint: String,
        /// What happened.
        message: String,
    },
    /// The answer is not what this program understands.
    #[error("{endpoint}: not an answer of a Talos server: {what}")]
    Foreign {
        /// The URL asked for.
        endpoint: String,
        /// What it is.
        what: String,
    },
    /// The part of the answer that was asked for is not there.
    #[error("the answer holds nothing at {selector}; all of it: {answer}")]
    NothingSelected {
        /// What names the part.
        selector: String,
        /// The answer on one line.
        answer: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path}: {what}")]
    BadFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// No server looks at a credential of this length.
    #[error("the credential has {bytes} bytes; servers look at 1 to {CREDENTIAL_BYTES}")]
    CredentialLength {
        /// How long it is.
        bytes: usize,
    },
    /// A macaroon can only be narrowed.
    #[error("{flag} would widen the macaroon, which {macaroon}")]
    Widening {
        /// Which flag asks for it.
        flag: &'static str,
        /// What the macaroon allows, as a predicate.
        macaroon: String,
    },
    /// The macaroon cannot be narrowed.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// The result cannot be written, or standard input not be read.
    #[error("{0}")]
    Terminal(io::Error),
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secrets of a development server cannot be kept.
    #[error("{path}: {source}")]
    DevelopmentSecrets {
        /// The file or directory.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The node cannot be one of several.
    #[error("{0}")]
    Fleet(String),
    /// The node cannot start.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// A backup does not become a database.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The log of the old server does not say what has happened since a backup.
    #[error(
        "{what}. To go on without the log, at the price of every revocation since the backup ({since}): --without-log"
    )]
    RestoreLog {
        /// What is the matter with it.
        what: String,
        /// Where the backup stands.
        since: String,
    },
    /// There is no way back.
    #[error(
        "{0}: format 1 is the first, and before it there was no database: to go back is to remove the directory with all keys, which is left to you"
    )]
    NoEarlierFormat(PathBuf),
    /// The database does not have the format that was named.
    #[error("{path}: {}, and nothing but that can be forced; format {asked} was asked for", has(*.found))]
    OtherFormat {
        /// The data directory.
        path: PathBuf,
        /// Its format, if there is a database.
        found: Option<u32>,
        /// What was asked for.
        asked: u32,
    },
    /// The metrics listener does not start.
    #[error(
        "cannot listen on {address} for metrics: {source}; set serve.metrics.host and serve.metrics.port to an address that is free"
    )]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The data plane does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The proxy does not start.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A part of the server does not start.
    #[error("{what}: {source}")]
    Start {
        /// Which part.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The data plane ended although nobody asked it to.
    #[error("the server on {0} stopped by itself; the log says why")]
    Stopped(SocketAddr),
}

fn has(format: Option<u32>) -> String {
    format.map_or_else(
        || "there is no database".to_owned(),
        |format| format!("the database has format {format}"),
    )
}

impl CliError {
    /// What is written to standard error: each line begins with the program's name.
    pub(crate) fn report(&self) -> String {
        self.to_string()
            .lines()
            .map(|line| format!("talos: {line}"))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// 2 for misuse, 1 for every failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

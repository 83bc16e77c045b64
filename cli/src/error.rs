//! Why a command failed, and the message for that.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use talos_config::ConfigError;
use talos_credentials::token::MintError;
use talos_engine::OpenError;
use talos_engine::backup::RestoreError;
use talos_model::limits::CREDENTIAL_BYTES;
use talos_node::NodeError;
use talos_proxy::ProxyError;
use talos_server::ServerError;
use talos_tls::TlsError;

use crate::printable::printable;

/// Why a command failed. Each message is one line on standard error, for the person at the
/// terminal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line is not valid.
    #[error("{0}")]
    Usage(String),
    /// The server refused the request.
    #[error("{message} ({reason}, HTTP {status})")]
    Refused {
        /// The server's message.
        message: String,
        /// The id of the error.
        reason: String,
        /// The HTTP status.
        status: u16,
    },
    /// No server listens at the endpoint.
    #[error(
        "no server at {endpoint}: {source}; start one with `talos serve --dev`, or name another with -e URL or TALOS_URL"
    )]
    NoServer {
        /// The URL of the server.
        endpoint: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The connection failed; the request or the answer may be lost.
    #[error("{endpoint}: {message}")]
    Transport {
        /// The URL of the server.
        endpoint: String,
        /// What happened.
        message: String,
    },
    /// The answer is not one of a Talos server.
    #[error("{endpoint}: not an answer of a Talos server: {what}")]
    UnexpectedAnswer {
        /// The URL of the server.
        endpoint: String,
        /// What the answer is.
        what: String,
    },
    /// `--format` selects a part that the answer does not have.
    #[error("the answer has nothing at {selector}; the whole answer: {answer}")]
    NothingSelected {
        /// The selector.
        selector: String,
        /// The answer on one line.
        answer: String,
    },
    /// The TLS files of a listener cannot be used.
    #[error("{section}: {source}")]
    ListenerTls {
        /// The path of the keys that name the files.
        section: &'static str,
        /// What is wrong with the files.
        source: TlsError,
    },
    /// The certificates for the connection to the server cannot be used.
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The content of a file is not valid.
    #[error("{path}: {what}")]
    BadFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// No server accepts a credential of this length.
    #[error("the credential has {bytes} bytes; servers accept 1 to {CREDENTIAL_BYTES}")]
    CredentialLength {
        /// Its length.
        bytes: usize,
    },
    /// The new caveat would allow more than the macaroon does.
    #[error("{flag} would widen the macaroon, which {macaroon}")]
    Widening {
        /// The flag that asks for more.
        flag: &'static str,
        /// What the macaroon allows, as a predicate.
        macaroon: String,
    },
    /// The macaroon cannot be narrowed.
    #[error(transparent)]
    Mint(#[from] MintError),
    /// Standard output cannot be written, or standard input cannot be read.
    #[error("{0}")]
    Terminal(io::Error),
    /// The reader of standard output has gone before it had everything. Nothing is reported.
    #[error("nothing reads standard output any more")]
    ReaderGone,
    /// No key of the configuration has this name.
    #[error("{name}: no such setting{}", did_you_mean(.meant))]
    NoSuchSetting {
        /// The name.
        name: String,
        /// Paths that it may mean.
        meant: Vec<&'static str>,
    },
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The secrets of a development server cannot be stored.
    #[error("{path}: {source}")]
    DevelopmentSecrets {
        /// The file or directory.
        path: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The keys in the database need secrets, and none of them is configured.
    #[error(
        "data directory {}: its keys need {}, and no such secret is configured. Set secrets.hmac.current or secrets.hmac.retired to it. To start without it, and refuse these keys for good: --forget-missing-secrets",
        directory.display(),
        missing.join(", and ")
    )]
    OtherSecrets {
        /// The data directory.
        directory: PathBuf,
        /// The missing secrets.
        missing: Vec<String>,
    },
    /// The settings of replication cannot be used.
    #[error("{0}")]
    Fleet(String),
    /// The clock cannot be judged.
    #[error("the clock cannot be judged: {0}")]
    Clock(String),
    /// The node cannot start.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// No admin token has this name.
    #[error("no admin token has the name {0:?}; `talos admin token list` shows all of them")]
    NoSuchToken(String),
    /// The admin token was not created.
    #[error("the token was not created: {0}")]
    NotCreated(String),
    /// A server uses the database.
    #[error(
        "data directory {0} is in use, so a server runs on it. Create the token through that server, over its Unix socket (talos -e unix:PATH admin token create), or with a token that TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN_FILE names for it; or stop it first"
    )]
    DatabaseInUse(PathBuf),
    /// The database takes its changes from a primary.
    #[error(
        "data directory {0} is a replica's, which takes its changes from the primary; create the token there"
    )]
    ReplicaDatabase(PathBuf),
    /// The database belongs to another user.
    #[error(
        "data directory {path} belongs to the user with id {owner}, and this is the user with id {user}, whose new files the server could not open; run the command as that user"
    )]
    OtherOwner {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user of this process.
        user: u32,
    },
    /// The backup cannot be restored.
    #[error(transparent)]
    Restore(#[from] RestoreError),
    /// The log of the old server does not contain the changes since the backup.
    #[error(
        "{what}. To restore without the log, and lose every revocation since the backup ({since}): --without-log"
    )]
    RestoreLog {
        /// What is wrong with the log.
        what: String,
        /// The time and the position of the backup.
        since: String,
    },
    /// There is no earlier format to migrate to.
    #[error(
        "{0}: format 1 is the first format; to go back, remove the directory yourself, with all keys in it"
    )]
    NoEarlierFormat(PathBuf),
    /// The database does not have the format to force.
    #[error("{path}: {}; only the format that a database has can be forced, not format {asked}", has(*.found))]
    OtherFormat {
        /// The data directory.
        path: PathBuf,
        /// Its format; `None` if there is no database.
        found: Option<u32>,
        /// The format to force.
        asked: u32,
    },
    /// The metrics listener does not start.
    #[error(
        "cannot listen on {address} for metrics: {source}; set serve.metrics.host and serve.metrics.port to an address that is free"
    )]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// The error of the system.
        source: io::Error,
    },
    /// The audit log cannot be opened.
    #[error(transparent)]
    Audit(#[from] talos_audit::OpenError),
    /// The data plane does not start.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The proxy does not start.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// A part of the server does not start.
    #[error("{what}: {source}")]
    Start {
        /// The part.
        what: &'static str,
        /// The error of the system.
        source: io::Error,
    },
    /// The data plane stopped without a signal.
    #[error("the server on {0} stopped unexpectedly; the log says why")]
    Stopped(SocketAddr),
}

fn did_you_mean(paths: &[&str]) -> String {
    match paths {
        [] => "; `talos config explain` lists the sections".to_owned(),
        [path] => format!("; did you mean {path}?"),
        paths => format!("; did you mean one of {}?", paths.join(", ")),
    }
}

fn has(format: Option<u32>) -> String {
    format.map_or_else(
        || "there is no database".to_owned(),
        |format| format!("the database has format {format}"),
    )
}

impl CliError {
    /// The text for standard error. Each line begins with the name of the program. Control
    /// characters are escaped: a part may come from the server.
    pub(crate) fn report(&self) -> String {
        self.to_string()
            .lines()
            .map(|line| format!("talos: {}", printable(line)))
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// 2 for bad usage, 1 for every other failure.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}

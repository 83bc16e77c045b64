//! `replication`: what a node is among others, and what of it cannot stand together.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use talos_engine::Secret;

use crate::address::HostPort;
use crate::error::{Problem, Warning};

/// Secrets that a node accepts besides its own.
pub const REPLICATION_SECRETS_RETIRED_MAX: usize = 8;
/// Replicas that a write may wait for: as many as a primary feeds.
pub const REPLICATION_MIN_ACKS_MAX: u64 = 256;
/// The port of the API when nobody chooses another.
const API_PORT: u16 = 4420;

/// `replication`: what a node is among others.
#[derive(Clone, Debug)]
pub struct Replication {
    /// What it is when it starts.
    pub role: ReplicationRole,
    /// Where it listens for replicas as a primary. Port 0 = the system picks one.
    pub listen: SocketAddr,
    /// Where the primary listens; always there for a replica.
    pub primary: Option<HostPort>,
    /// The primary's URL without a path, to which writes are forwarded; always there for a replica.
    pub primary_url: Option<String>,
    /// The secret of all nodes; always there unless the node stands alone.
    pub secret: Option<Secret>,
    /// Accepted besides; at most [`REPLICATION_SECRETS_RETIRED_MAX`].
    pub secrets_retired: Vec<Secret>,
    /// Certificates around the connections.
    pub tls: ReplicationTls,
    /// For how long a replica takes itself to be up to date.
    pub max_staleness: Duration,
    /// Replicas that every write waits for.
    pub min_acks: usize,
    /// How long a write waits for replicas; longer than `max_staleness`.
    pub ack_timeout: Duration,
    /// The change log. This and nothing else holds for a node that stands alone, too.
    pub log: ChangeLog,
    /// Full copies that a primary sends.
    pub snapshots: Snapshots,
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationRole {
    /// It stands alone.
    None,
    /// It takes the writes.
    Primary,
    /// It follows a primary.
    Replica,
}

/// `replication.tls`: certificates around the connections of replication.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicationTls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// A PEM file of the authorities by whose certificates the other side is judged.
    pub ca: Option<PathBuf>,
    /// The name that the primary's certificate must be for; with `ca`, always there for a replica.
    pub server_name: Option<String>,
}

impl ReplicationTls {
    /// The node's own certificate and the key that belongs to it, PEM files both: shown to replicas, and to the primary.
    #[must_use]
    pub fn own(&self) -> Option<(&Path, &Path)> {
        self.cert.as_deref().zip(self.key.as_deref())
    }
}

/// `replication.log`: how much of the change log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeLog {
    /// Older changes may go.
    pub retention: Duration,
    /// About how many bytes it may take.
    pub bytes_max: u64,
}

/// `replication.snapshots`: full copies that a primary sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// At a time.
    pub concurrent: usize,
    /// What all of them may take together.
    pub bytes_per_second: u64,
}

impl Replication {
    /// What the table's setters start from.
    pub(crate) fn blank() -> Self {
        Self {
            role: ReplicationRole::None,
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
            primary: None,
            primary_url: None,
            secret: None,
            secrets_retired: Vec::new(),
            tls: ReplicationTls::default(),
            max_staleness: Duration::ZERO,
            min_acks: 0,
            ack_timeout: Duration::ZERO,
            log: ChangeLog {
                retention: Duration::ZERO,
                bytes_max: 0,
            },
            snapshots: Snapshots {
                concurrent: 0,
                bytes_per_second: 0,
            },
        }
    }

    /// Keys that the role needs and that no source names.
    pub(crate) fn missing(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.role != ReplicationRole::None && self.secret.is_none() {
            problems.push(problem(
                "replication.secret",
                "required unless replication.role is none; make one with `openssl rand -hex 32` and give the same one to every node, as TALOS_REPLICATION_SECRET or in the file",
            ));
        }
        if self.role == ReplicationRole::Replica && self.primary.is_none() {
            problems.push(problem(
                "replication.primary",
                "required for a replica; set it to the HOST:PORT of the primary's replication.listen, in the file or as TALOS_REPLICATION_PRIMARY",
            ));
        }
        problems
    }

    /// Values that are allowed each for itself but cannot stand together.
    pub(crate) fn contradictions(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.secrets_retired.len() > REPLICATION_SECRETS_RETIRED_MAX {
            let secrets = self.secrets_retired.len();
            problems.push(problem(
                "replication.secret_retired",
                &format!("{secrets} secrets are too many; allowed: at most {REPLICATION_SECRETS_RETIRED_MAX}"),
            ));
        }
        if let Some((present, absent)) = self.tls.half() {
            problems.push(problem(
                absent,
                &format!("missing beside {present}; set both, or neither for no TLS"),
            ));
        } else {
            problems.extend(self.without_other_half());
        }
        if self.role != ReplicationRole::None && self.ack_timeout <= self.max_staleness {
            problems.push(problem(
                "replication.ack_timeout",
                "not longer than replication.max_staleness, for which a write may have to wait until a replica that is gone no longer takes itself to be up to date; make it longer, or replication.max_staleness shorter",
            ));
        }
        problems
    }

    /// What the node needs in order to judge the other side, or to be judged by it.
    fn without_other_half(&self) -> Option<Problem> {
        match (self.role, self.tls.own(), &self.tls.ca) {
            (ReplicationRole::Primary, None, Some(_)) => Some(problem(
                "replication.tls.cert",
                "missing beside replication.tls.ca: a primary that judges the certificates of replicas shows one itself; set replication.tls.cert and replication.tls.key",
            )),
            (ReplicationRole::Replica, Some(_), None) => Some(problem(
                "replication.tls.ca",
                "missing beside replication.tls.cert: a replica that shows a certificate judges that of its primary; set replication.tls.ca",
            )),
            _ => None,
        }
    }

    /// Values that are allowed but may not do what was meant.
    pub(crate) fn doubts(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.role == ReplicationRole::None && self.primary.is_some() {
            warnings.push(Warning {
                key: "replication.primary",
                message: "has no effect while replication.role is none".to_owned(),
            });
        }
        if self.role == ReplicationRole::Replica
            && self.tls.ca.is_some()
            && self.tls.own().is_none()
        {
            warnings.push(Warning {
                key: "replication.tls.cert",
                message: "not set, so that this node cannot listen with TLS once it is promoted"
                    .to_owned(),
            });
        }
        warnings
    }

    /// Puts in what follows from other keys where nobody has chosen.
    pub(crate) fn stand_in(&mut self) {
        let Some(primary) = &self.primary else { return };
        self.primary_url
            .get_or_insert_with(|| format!("http://{}:{API_PORT}", primary.host_in_url()));
        if self.tls.ca.is_some() {
            self.tls
                .server_name
                .get_or_insert_with(|| primary.host.clone());
        }
    }
}

impl ReplicationTls {
    /// A key of a pair that is set, and the other one, which is not.
    fn half(&self) -> Option<(&'static str, &'static str)> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Some(("replication.tls.cert", "replication.tls.key")),
            (None, Some(_)) => Some(("replication.tls.key", "replication.tls.cert")),
            _ => None,
        }
    }
}

fn problem(key: &str, message: &str) -> Problem {
    Problem {
        place: String::new(),
        key: key.to_owned(),
        message: message.to_owned(),
    }
}

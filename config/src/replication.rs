//! `replication`: the role of this node in a cluster, and the rules between its keys.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::Duration;

use talos_model::Secret;
use talos_model::cidr::Cidr;

use crate::address::HostPort;
use crate::error::{Problem, Warning};
use crate::forward::Forward;

/// The most retired secrets that a node accepts.
pub const REPLICATION_SECRETS_RETIRED_MAX: usize = 8;
/// The most replicas that a write may wait for: as many as a primary can feed.
pub const REPLICATION_MIN_ACKS_MAX: u64 = 256;
/// The default port of the API.
const API_PORT: u16 = 4420;

/// `replication`: the role of this node in a cluster.
#[derive(Clone, Debug)]
pub struct Replication {
    /// The role in which it starts.
    pub role: ReplicationRole,
    /// Where a primary listens for replicas. Port 0 = the system picks one.
    pub listen: SocketAddr,
    /// The addresses from which replicas may connect; empty = any.
    pub allowed_addresses: Vec<Cidr>,
    /// Where the primary listens. Always set for a replica.
    pub primary: Option<HostPort>,
    /// The HTTP URL of the primary, without a path: a replica forwards writes there. Always set for
    /// a replica.
    pub primary_url: Option<String>,
    /// The secret that all nodes share. Always set unless the node is standalone.
    pub secret: Option<Secret>,
    /// Also accepted; at most [`REPLICATION_SECRETS_RETIRED_MAX`].
    pub secrets_retired: Vec<Secret>,
    /// TLS of the connections between nodes.
    pub tls: ReplicationTls,
    /// How a replica passes requests on to its primary.
    pub forward: Forward,
    /// How long a replica considers itself up to date after it last heard that it is.
    pub max_staleness: Duration,
    /// The number of replicas that every write waits for.
    pub min_acks: usize,
    /// How long a write waits for replicas. Longer than `max_staleness`.
    pub ack_timeout: Duration,
    /// The change log. This is the only field that also applies to a standalone node.
    pub log: ChangeLog,
    /// Full copies that a primary sends.
    pub snapshots: Snapshots,
}

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicationRole {
    /// Standalone: neither primary nor replica.
    None,
    /// It takes the writes.
    Primary,
    /// It follows a primary.
    Replica,
}

/// `replication.tls`: TLS of the connections between nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicationTls {
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// A PEM file of the certificate authorities that the other side's certificate must come from.
    pub ca: Option<PathBuf>,
    /// The name in the primary's certificate. Always set for a replica with `ca`.
    pub server_name: Option<String>,
}

impl ReplicationTls {
    /// The node's own certificate and its private key, both PEM files. The node presents them to
    /// replicas and to its primary.
    #[must_use]
    pub fn own(&self) -> Option<(&Path, &Path)> {
        self.cert.as_deref().zip(self.key.as_deref())
    }
}

/// `replication.log`: how much of the change log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeLog {
    /// Changes older than this may be deleted.
    pub retention: Duration,
    /// The approximate size limit, in bytes.
    pub bytes_max: u64,
}

/// `replication.snapshots`: full copies that a primary sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshots {
    /// The most copies at a time.
    pub concurrent: usize,
    /// The bandwidth limit of all copies together.
    pub bytes_per_second: u64,
}

impl Replication {
    /// The state before any setter of the table of keys has run.
    pub(crate) fn blank() -> Self {
        Self {
            role: ReplicationRole::None,
            listen: SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)),
            allowed_addresses: Vec::new(),
            primary: None,
            primary_url: None,
            secret: None,
            secrets_retired: Vec::new(),
            tls: ReplicationTls::default(),
            forward: Forward::default(),
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

    /// Keys that the role needs and that no source sets.
    pub(crate) fn missing(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.role != ReplicationRole::None && self.secret.is_none() {
            problems.push(Problem::of_key(
                "replication.secret",
                "required unless replication.role is none; make one with `openssl rand -hex 32` and give the same one to every node, as TALOS_REPLICATION_SECRET or in the file",
            ));
        }
        if self.role == ReplicationRole::Replica && self.primary.is_none() {
            problems.push(Problem::of_key(
                "replication.primary",
                "required for a replica; set it to the HOST:PORT of the primary's replication.listen, in the file or as TALOS_REPLICATION_PRIMARY",
            ));
        }
        problems
    }

    /// Combinations of values that are not allowed.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.secrets_retired.len() > REPLICATION_SECRETS_RETIRED_MAX {
            let secrets = self.secrets_retired.len();
            problems.push(Problem::of_key(
                "replication.secret_retired",
                format!("{secrets} secrets are too many; allowed: at most {REPLICATION_SECRETS_RETIRED_MAX}"),
            ));
        }
        if let Some((present, absent)) = self.tls.unpaired() {
            problems.push(Problem::of_key(
                absent,
                format!("missing beside {present}; set both, or neither for no TLS"),
            ));
        } else {
            problems.extend(self.missing_for_mutual_tls());
        }
        problems.extend(self.forward.problem());
        if self.role != ReplicationRole::None && self.ack_timeout <= self.max_staleness {
            problems.push(Problem::of_key(
                "replication.ack_timeout",
                "not longer than replication.max_staleness: a write may have to wait that long until a lost replica stops considering itself up to date; make it longer, or make replication.max_staleness shorter",
            ));
        }
        problems
    }

    /// A certificate or authority that the role needs for mutual TLS and that is not set.
    fn missing_for_mutual_tls(&self) -> Option<Problem> {
        match (self.role, self.tls.own(), &self.tls.ca) {
            (ReplicationRole::Primary, None, Some(_)) => Some(Problem::of_key(
                "replication.tls.cert",
                "missing beside replication.tls.ca: a primary that checks the certificates of replicas needs one itself; set replication.tls.cert and replication.tls.key",
            )),
            (ReplicationRole::Replica, Some(_), None) => Some(Problem::of_key(
                "replication.tls.ca",
                "missing beside replication.tls.cert: a replica that presents a certificate must check the one of its primary; set replication.tls.ca",
            )),
            _ => None,
        }
    }

    /// Values that are allowed, but that probably do not do what the operator wants.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if self.role == ReplicationRole::None && self.primary.is_some() {
            warnings.push(Warning {
                key: "replication.primary",
                message: "has no effect while replication.role is none".to_owned(),
            });
        }
        if self.role == ReplicationRole::Replica
            && let Some(url) = &self.primary_url
        {
            warnings.extend(self.forward.warnings(url));
        }
        if self.role == ReplicationRole::Replica
            && self.tls.ca.is_some()
            && self.tls.own().is_none()
        {
            warnings.push(Warning {
                key: "replication.tls.cert",
                message: "not set, so this node cannot listen with TLS after it is promoted"
                    .to_owned(),
            });
        }
        warnings
    }

    /// Fills in unset values that follow from `replication.primary`.
    pub(crate) fn fill_in_defaults(&mut self) {
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
    /// If only one of certificate and key is set: the one that is set, and the one that is missing.
    fn unpaired(&self) -> Option<(&'static str, &'static str)> {
        match (&self.cert, &self.key) {
            (Some(_), None) => Some(("replication.tls.cert", "replication.tls.key")),
            (None, Some(_)) => Some(("replication.tls.key", "replication.tls.cert")),
            _ => None,
        }
    }
}

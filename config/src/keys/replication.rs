//! `replication.*`: what a node is among others.

use std::path::PathBuf;
use std::time::Duration;

use crate::address;
use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;
use crate::replication::{REPLICATION_MIN_ACKS_MAX, ReplicationRole};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const STALENESS_MAX: Duration = Duration::from_secs(10 * 60);
/// Longer than any staleness, so that the greatest one leaves room.
const ACK_TIMEOUT_MAX: Duration = Duration::from_secs(20 * 60);
const LOG_RETENTION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
const LOG_BYTES_MIN: u64 = 1 << 20;
const LOG_BYTES_MAX: u64 = 16 << 40;
/// Each keeps the files of its time from being deleted.
const SNAPSHOTS_MAX: u64 = 16;
const SNAPSHOTS_RATE_MIN: u64 = 64 << 10;
const SNAPSHOTS_RATE_MAX: u64 = 64 << 30;

const _: () = assert!(STALENESS_MAX.as_secs() < ACK_TIMEOUT_MAX.as_secs());

pub(super) const ROLE: Key = public(
    "replication.role",
    Fallback::Value("none"),
    Kind::Choice(&[
        ("none", |s| s.replication.role = ReplicationRole::None),
        ("primary", |s| s.replication.role = ReplicationRole::Primary),
        ("replica", |s| s.replication.role = ReplicationRole::Replica),
    ]),
);
pub(super) const LISTEN: Key = public(
    "replication.listen",
    Fallback::Value("0.0.0.0:4421"),
    Kind::Form {
        what: "HOST:PORT, the host an IP address or localhost, an IPv6 address in brackets",
        read: |s, text| {
            s.replication.listen = address::listener(text)?;
            Ok(())
        },
    },
);
pub(super) const PRIMARY: Key = public(
    "replication.primary",
    Fallback::Unset("this node follows nobody"),
    Kind::Form {
        what: "HOST:PORT, the host a name or an IP address, an IPv6 address in brackets",
        read: |s, text| {
            s.replication.primary = Some(address::host_port(text)?);
            Ok(())
        },
    },
);
pub(super) const PRIMARY_URL: Key = public(
    "replication.primary_url",
    Fallback::Unset("http://HOST:4420 with the host of replication.primary"),
    Kind::Form {
        what: "http://HOST:PORT or https://HOST:PORT, without a path",
        read: |s, text| {
            s.replication.primary_url = Some(address::origin_url(text)?);
            Ok(())
        },
    },
);
pub(super) const SECRET: Key = secret(
    "replication.secret",
    Fallback::Unset("this node stands alone"),
    Kind::Secret {
        set: |s, secret| s.replication.secret = Some(secret),
    },
);
pub(super) const SECRET_RETIRED: Key = secret(
    "replication.secret_retired",
    Fallback::Unset("none"),
    Kind::Secrets {
        set: |s, secrets| s.replication.secrets_retired = secrets,
    },
);
pub(super) const TLS_CERT: Key = public(
    "replication.tls.cert",
    Fallback::Unset("no TLS, or none that shows who this node is"),
    Kind::Text {
        set: |s, path| s.replication.tls.cert = Some(PathBuf::from(path)),
    },
);
pub(super) const TLS_KEY: Key = public(
    "replication.tls.key",
    Fallback::Unset("as replication.tls.cert"),
    Kind::Text {
        set: |s, path| s.replication.tls.key = Some(PathBuf::from(path)),
    },
);
pub(super) const TLS_CA: Key = public(
    "replication.tls.ca",
    Fallback::Unset("no certificate is asked for"),
    Kind::Text {
        set: |s, path| s.replication.tls.ca = Some(PathBuf::from(path)),
    },
);
pub(super) const TLS_SERVER_NAME: Key = public(
    "replication.tls.server_name",
    Fallback::Unset("the host of replication.primary"),
    Kind::Text {
        set: |s, name| s.replication.tls.server_name = Some(name),
    },
);
pub(super) const MAX_STALENESS: Key = public(
    "replication.max_staleness",
    Fallback::Value("10s"),
    Kind::Duration {
        min: SECOND,
        max: STALENESS_MAX,
        set: |s, staleness| s.replication.max_staleness = staleness,
    },
);
pub(super) const MIN_ACKS: Key = public(
    "replication.min_acks",
    Fallback::Value("0"),
    Kind::Integer {
        min: 0,
        max: REPLICATION_MIN_ACKS_MAX,
        set: |s, replicas| s.replication.min_acks = super::saturate_usize(replicas),
    },
);
pub(super) const ACK_TIMEOUT: Key = public(
    "replication.ack_timeout",
    Fallback::Value("15s"),
    Kind::Duration {
        min: SECOND,
        max: ACK_TIMEOUT_MAX,
        set: |s, timeout| s.replication.ack_timeout = timeout,
    },
);
pub(super) const LOG_RETENTION: Key = public(
    "replication.log.retention",
    Fallback::Value("7d"),
    Kind::Duration {
        min: MINUTE,
        max: LOG_RETENTION_MAX,
        set: |s, retention| s.replication.log.retention = retention,
    },
);
pub(super) const LOG_MAX_BYTES: Key = public(
    "replication.log.max_bytes",
    Fallback::Value("1 GiB"),
    Kind::Bytes {
        min: LOG_BYTES_MIN,
        max: LOG_BYTES_MAX,
        set: |s, bytes| s.replication.log.bytes_max = bytes,
    },
);
pub(super) const SNAPSHOTS_CONCURRENT: Key = public(
    "replication.snapshots.concurrent",
    Fallback::Value("2"),
    Kind::Integer {
        min: 1,
        max: SNAPSHOTS_MAX,
        set: |s, copies| s.replication.snapshots.concurrent = super::saturate_usize(copies),
    },
);
pub(super) const SNAPSHOTS_RATE: Key = public(
    "replication.snapshots.rate",
    Fallback::Value("64 MiB"),
    Kind::Bytes {
        min: SNAPSHOTS_RATE_MIN,
        max: SNAPSHOTS_RATE_MAX,
        set: |s, bytes| s.replication.snapshots.bytes_per_second = bytes,
    },
);

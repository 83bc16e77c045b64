//! `replication`: the role of this node in a cluster.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use talos_model::cidr::Cidr;

use super::number;
use crate::address;
use crate::key::{Fallback, Key, public, secret};
use crate::kind::Kind;
use crate::replication::{REPLICATION_MIN_ACKS_MAX, ReplicationRole};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const STALENESS_MAX: Duration = Duration::from_secs(10 * 60);
/// Longer than the greatest staleness, because `ack_timeout` must exceed `max_staleness`.
const ACK_TIMEOUT_MAX: Duration = Duration::from_secs(20 * 60);
const LOG_RETENTION_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
const LOG_BYTES_MIN: u64 = 1 << 20;
const LOG_BYTES_MAX: u64 = 16 << 40;
/// Each running copy prevents old files from being deleted.
const SNAPSHOTS_MAX: u64 = 16;
const SNAPSHOTS_RATE_MIN: u64 = 64 << 10;
const SNAPSHOTS_RATE_MAX: u64 = 64 << 30;

const _: () = assert!(STALENESS_MAX.as_secs() < ACK_TIMEOUT_MAX.as_secs());

pub(super) const KEYS: &[Key] = &[
    public(
        "replication.role",
        Fallback::Value("none"),
        Kind::Choice(&[
            ("none", |s| s.replication.role = ReplicationRole::None),
            ("primary", |s| s.replication.role = ReplicationRole::Primary),
            ("replica", |s| s.replication.role = ReplicationRole::Replica),
        ]),
    )
    .restart()
    .about(
        "none = this node is standalone. primary = it takes the writes, and replicas \
         follow it. replica = it follows a primary.",
    )
    .example("primary"),
    public(
        "replication.listen",
        Fallback::Value("127.0.0.1:4421"),
        Kind::Custom {
            allowed: "HOST:PORT, the host an IP address or localhost, an IPv6 address in brackets",
            read: |s, text| {
                s.replication.listen = address::listener(text)?;
                Ok(())
            },
        },
    )
    .restart()
    .about(
        "Where a primary listens for replicas. A replica uses it after it is promoted. \
         Replicas on other machines need an address that they can reach; choose one in a \
         private network.",
    )
    .example("10.0.0.5:4421"),
    public(
        "replication.allowed_addresses",
        Fallback::Unset("any address"),
        Kind::List {
            what: "IP addresses and networks in CIDR notation",
            item: network,
            set: |s, networks| {
                let networks = networks.iter().filter_map(|text| text.parse().ok());
                s.replication.allowed_addresses = networks.collect();
            },
        },
    )
    .restart()
    .about(
        "The IP addresses and networks from which replicas may connect. Nodes must prove \
         the secret in any case.",
    )
    .example("[10.0.0.0/24]"),
    public(
        "replication.primary",
        Fallback::Unset("this node follows no primary"),
        Kind::Custom {
            allowed: "HOST:PORT, the host a name or an IP address, an IPv6 address in brackets",
            read: |s, text| {
                s.replication.primary = Some(address::host_port(text)?);
                Ok(())
            },
        },
    )
    .restart()
    .about(
        "The primary of a replica: HOST:PORT of the primary's replication.listen. A host \
         name is looked up for every connection.",
    )
    .example("primary.internal:4421"),
    public(
        "replication.primary_url",
        Fallback::Unset("http://HOST:4420 with the host of replication.primary"),
        Kind::Custom {
            allowed: "http://HOST:PORT or https://HOST:PORT, without a path",
            read: |s, text| {
                s.replication.primary_url = Some(address::origin_url(text)?);
                Ok(())
            },
        },
    )
    .restart()
    .about("The HTTP URL of the primary: a replica forwards writes to it.")
    .example("https://primary.internal:4420"),
    secret(
        "replication.secret",
        Fallback::Unset("this node is standalone"),
        Kind::Secret {
            set: |s, secret| s.replication.secret = Some(secret),
        },
    )
    .restart()
    .about(
        "The nodes authenticate each other with it. Required unless the role is none; the \
         same on every node.",
    )
    .example("4f1b0c9d2e7a6853f1b0c9d2e7a68534"),
    secret(
        "replication.secret_retired",
        Fallback::Unset("none"),
        Kind::Secrets {
            set: |s, secrets| s.replication.secrets_retired = secrets,
        },
    )
    .restart()
    .about("Up to 8 more secrets that are accepted while the secret is being replaced.")
    .example("[9a3c5e7f1b2d4806a3c5e7f1b2d48069]"),
    public(
        "replication.tls.cert",
        Fallback::Unset("no TLS, or TLS without a certificate of this node"),
        Kind::Text {
            set: |s, path| s.replication.tls.cert = Some(PathBuf::from(path)),
        },
    )
    .restart()
    .about(
        "PEM file with this node's own certificate and its chain. It presents it to \
         replicas and to its primary.",
    )
    .example("/etc/talos/node.pem"),
    public(
        "replication.tls.key",
        Fallback::Unset("see replication.tls.cert"),
        Kind::Text {
            set: |s, path| s.replication.tls.key = Some(PathBuf::from(path)),
        },
    )
    .restart()
    .about("PEM file with the private key of replication.tls.cert.")
    .example("/etc/talos/node-key.pem"),
    public(
        "replication.tls.ca",
        Fallback::Unset("the other side needs no certificate"),
        Kind::Text {
            set: |s, path| s.replication.tls.ca = Some(PathBuf::from(path)),
        },
    )
    .restart()
    .about(
        "PEM file with the certificate authorities that the other side's certificate must \
         come from. A replica needs it for TLS. A primary that has it serves only \
         replicas that present a certificate.",
    )
    .example("/etc/talos/ca.pem"),
    public(
        "replication.tls.server_name",
        Fallback::Unset("the host of replication.primary"),
        Kind::Text {
            set: |s, name| s.replication.tls.server_name = Some(name),
        },
    )
    .restart()
    .about("The name in the primary's certificate.")
    .example("primary.internal"),
    public(
        "replication.forward.ca",
        Fallback::Unset("the authorities that browsers trust"),
        Kind::Text {
            set: |s, path| s.replication.forward.ca = Some(PathBuf::from(path)),
        },
    )
    .restart()
    .about(
        "PEM file of the only authorities that the certificate of an https:// primary_url \
         may come from.",
    )
    .example("/etc/talos/ca.pem"),
    public(
        "replication.forward.cert",
        Fallback::Unset("no certificate"),
        Kind::Text {
            set: |s, path| s.replication.forward.cert = Some(PathBuf::from(path)),
        },
    )
    .restart()
    .about("PEM file with the certificate that this node presents to the primary.")
    .example("/etc/talos/node.pem"),
    public(
        "replication.forward.key",
        Fallback::Unset("see replication.forward.cert"),
        Kind::Text {
            set: |s, path| s.replication.forward.key = Some(PathBuf::from(path)),
        },
    )
    .restart()
    .about("PEM file with the private key of replication.forward.cert.")
    .example("/etc/talos/node-key.pem"),
    public(
        "replication.forward.allow_plain",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, allowed| s.replication.forward.allow_plain = allowed,
        },
    )
    .restart()
    .about(
        "Pass on requests with secrets (issue, import, rotate, self-revoke, or with a \
         token of the caller) over plain HTTP to another machine, too. With false they \
         get 503, unless primary_url is https:// or on loopback.",
    )
    .example("true"),
    public(
        "replication.max_staleness",
        Fallback::Value("10s"),
        Kind::Duration {
            min: SECOND,
            max: STALENESS_MAX,
            set: |s, staleness| s.replication.max_staleness = staleness,
        },
    )
    .restart()
    .about(
        "How long a replica considers itself up to date without news from its primary. A \
         replica that is staler is not ready.",
    ),
    public(
        "replication.min_acks",
        Fallback::Value("0"),
        Kind::Integer {
            min: 0,
            max: REPLICATION_MIN_ACKS_MAX,
            set: |s, replicas| s.replication.min_acks = number::to_usize(replicas),
        },
    )
    .restart()
    .about("The number of replicas that must have a write on disk before it is acknowledged.")
    .example("1"),
    public(
        "replication.ack_timeout",
        Fallback::Value("15s"),
        Kind::Duration {
            min: SECOND,
            max: ACK_TIMEOUT_MAX,
            set: |s, timeout| s.replication.ack_timeout = timeout,
        },
    )
    .restart()
    .about("How long a write waits for replicas. Must be longer than max_staleness."),
    public(
        "replication.log.retention",
        Fallback::Value("7d"),
        Kind::Duration {
            min: MINUTE,
            max: LOG_RETENTION_MAX,
            set: |s, retention| s.replication.log.retention = retention,
        },
    )
    .restart()
    .about(
        "Older changes may be deleted. A replica that was away for longer gets a full \
         copy.",
    ),
    public(
        "replication.log.max_bytes",
        Fallback::Value("1 GiB"),
        Kind::Bytes {
            min: LOG_BYTES_MIN,
            max: LOG_BYTES_MAX,
            set: |s, bytes| s.replication.log.bytes_max = bytes,
        },
    )
    .restart()
    .about(
        "The approximate size limit: the oldest changes are deleted until the rest fits, \
         however young they are.",
    ),
    public(
        "replication.snapshots.concurrent",
        Fallback::Value("2"),
        Kind::Integer {
            min: 1,
            max: SNAPSHOTS_MAX,
            set: |s, copies| s.replication.snapshots.concurrent = number::to_usize(copies),
        },
    )
    .restart()
    .about(
        "The most copies at a time. Each prevents old files from being deleted until it \
         ends.",
    ),
    public(
        "replication.snapshots.rate",
        Fallback::Value("64 MiB"),
        Kind::Bytes {
            min: SNAPSHOTS_RATE_MIN,
            max: SNAPSHOTS_RATE_MAX,
            set: |s, bytes| s.replication.snapshots.bytes_per_second = bytes,
        },
    )
    .restart()
    .about("Bytes per second, of all copies together."),
];

/// Parses an address or a network, and writes it as a network.
fn network(text: &str) -> Result<String, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Cidr::new(address, if address.is_ipv4() { 32 } else { 128 }),
        Err(_) => text.parse().ok(),
    };
    let network = network.ok_or_else(|| {
        format!("{text:?} is neither an IP address nor a network such as 10.0.0.0/24")
    })?;
    Ok(network.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_network_of_one() {
        assert_eq!(network("10.0.0.7").as_deref(), Ok("10.0.0.7/32"));
        assert_eq!(network("2001:db8::7").as_deref(), Ok("2001:db8::7/128"));
        assert_eq!(network("10.0.0.0/24").as_deref(), Ok("10.0.0.0/24"));
        for wrong in ["", "replica.example", "10.0.0.0/33", "10.0.0"] {
            network(wrong).unwrap_err();
        }
    }
}

//! `serve.http`: the listener of the API. `serve.http.cors` is in `cors.rs`.

use std::net::Ipv6Addr;
use std::path::PathBuf;

use super::number;
use crate::client_ip_source::CLIENT_IP_SOURCES;
use crate::key::{Fallback, Key, public};
use crate::kind::Kind;
use crate::trusted_proxies::{self, TrustedProxies};

pub(super) const KEYS: &[Key] = &[
    public(
        "serve.http.host",
        Fallback::Value("0.0.0.0"),
        Kind::Host {
            set: |s, host| s.serve.http.listener.host = host,
        },
    ),
    public(
        "serve.http.port",
        Fallback::Value("4420"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.http.listener.port = number::to_u16(port),
        },
    ),
    public(
        "serve.http.client_ip_source",
        Fallback::Value("CLIENT_IP_SOURCE_UNSPECIFIED"),
        Kind::Choice(&CLIENT_IP_SOURCES),
    ),
    public(
        "serve.http.trusted_proxies",
        Fallback::Unset("none"),
        Kind::List {
            what: "addresses or CIDR blocks such as 10.0.0.0/8, or unix for the Unix socket",
            item: trusted_proxies::check,
            set: |s, proxies| s.serve.http.trusted_proxies = TrustedProxies::parse(&proxies),
        },
    ),
    public(
        "serve.http.allowed_hosts",
        Fallback::Unset("none"),
        Kind::List {
            what: "host names without a port, *.NAME for the names below NAME, or * for any",
            item: allowed_host,
            set: |s, hosts| s.serve.http.allowed_hosts = hosts,
        },
    ),
    public(
        "serve.http.socket",
        Fallback::Unset("none"),
        Kind::Text {
            set: |s, path| s.serve.http.socket = Some(PathBuf::from(path)),
        },
    ),
    public(
        "serve.http.trust_forwarded_host",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, trust| s.serve.http.trust_forwarded_host = trust,
        },
    ),
    public(
        "serve.http.request_log.exclude_health_endpoints",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, exclude| s.serve.http.exclude_health_endpoints = exclude,
        },
    ),
];

/// Parses a host name as it stands in `Host`, without a port. The result is in lower case and has
/// no final dot.
fn allowed_host(text: &str) -> Result<String, String> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_literal = name.parse::<Ipv6Addr>().is_ok();
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = name.chars().all(in_name) && !name.starts_with('.') && !name.contains("..");
    if name.is_empty() || !(is_name || is_literal) {
        return Err("not a host name; leave out scheme, port and path".to_owned());
    }
    Ok(text.trim_end_matches('.').to_ascii_lowercase())
}

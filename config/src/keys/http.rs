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
    )
    .restart()
    .about(
        "An IP address or localhost. Anyone who reaches this port can issue keys, unless \
         serve.admin.auth.enabled is true: bind it to a private interface.",
    )
    .example("127.0.0.1"),
    public(
        "serve.http.port",
        Fallback::Value("4420"),
        Kind::Integer {
            min: 0,
            max: 65_535,
            set: |s, port| s.serve.http.listener.port = number::to_u16(port),
        },
    )
    .restart()
    .about("The TCP port of the API. 0 = the system picks one."),
    public(
        "serve.http.client_ip_source",
        Fallback::Value("CLIENT_IP_SOURCE_UNSPECIFIED"),
        Kind::Choice(&CLIENT_IP_SOURCES),
    )
    .about(
        "The source of the client address, for IP restrictions. Use a header only if \
         every request comes through a proxy that sets it. UNSPECIFIED, REMOTE_ADDRESS \
         and REMOTE_ADDR = the connection; CF_CONNECTING_IP = the header \
         Cf-Connecting-Ip; X_REAL_IP = X-Real-Ip; TRUE_CLIENT_IP = True-Client-Ip; \
         X_FORWARDED_FOR = X-Forwarded-For, of which without serve.http.trusted_proxies \
         the leftmost address counts, so the proxy must overwrite the header. If the \
         header is absent or empty, the address of the connection is used. If it is \
         malformed or sent twice (X-Forwarded-For may be), the address is unknown, and \
         every IP restriction refuses the client.",
    )
    .example("CLIENT_IP_SOURCE_X_FORWARDED_FOR"),
    public(
        "serve.http.trusted_proxies",
        Fallback::Unset("none"),
        Kind::List {
            what: "addresses or CIDR blocks such as 10.0.0.0/8, or unix for the Unix socket",
            item: trusted_proxies::check,
            set: |s, proxies| s.serve.http.trusted_proxies = TrustedProxies::parse(&proxies),
        },
    )
    .about(
        "The proxies in front of this server: addresses or CIDR blocks, and unix for \
         every peer on serve.http.socket. The header of serve.http.client_ip_source is \
         used only if one of them sent it. Of X-Forwarded-For the rightmost address that \
         is not a trusted proxy is used. Without them any client can claim any address, \
         so IP restrictions do not hold; a warning at the start says so.",
    )
    .example("[10.0.0.0/8, unix]"),
    public(
        "serve.http.allowed_hosts",
        Fallback::Unset("none"),
        Kind::List {
            what: "host names without a port, *.NAME for the names below NAME, or * for any",
            item: allowed_host,
            set: |s, hosts| s.serve.http.allowed_hosts = hosts,
        },
    )
    .about(
        "Further host names under which administrators reach this server: names without a \
         port, *.example.com for the names below one, or * for any. Requests to the \
         routes of administrators under another name are refused, because a web page can \
         make its own name lead here (DNS rebinding). Always allowed are IP addresses, \
         localhost and *.localhost. Unless the server listens on loopback or runs with \
         --dev, so are the host of credentials.issuer, names without a dot, and names \
         below .local, .internal, .svc and .home.arpa.",
    )
    .example("[keys.example.com]"),
    public(
        "serve.http.socket",
        Fallback::Unset("none"),
        Kind::Text {
            set: |s, path| s.serve.http.socket = Some(PathBuf::from(path)),
        },
    )
    .restart()
    .about(
        "A Unix socket to listen on as well, readable and writable by owner and group. \
         The address of its clients is unknown unless serve.http.client_ip_source names a \
         header; keys with an IP restriction are then refused.",
    )
    .example("/run/talos/talos.sock"),
    public(
        "serve.http.trust_forwarded_host",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, trust| s.serve.http.trust_forwarded_host = trust,
        },
    )
    .restart()
    .about(
        "true = X-Forwarded-Host of a trusted proxy chooses the tenant. Has no effect unless \
         multitenancy.enabled is true, and then needs serve.http.trusted_proxies.",
    ),
    public(
        "serve.http.request_log.exclude_health_endpoints",
        Fallback::Value("false"),
        Kind::Boolean {
            set: |s, exclude| s.serve.http.exclude_health_endpoints = exclude,
        },
    )
    .about("true = the request log leaves out /health/….")
    .example("true"),
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

//! Settings of a proxy.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};
use talos_tls::{ClientFiles, ServerFiles};

use crate::cache::CacheSettings;
use crate::host::{AllowedHosts, HostSource};

/// Settings of a proxy.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// The server behind the proxy.
    pub upstream: UpstreamUrl,
    /// The authorities that may have issued the upstream's certificate, and the proxy's own
    /// certificate for the upstream.
    pub upstream_tls: ClientFiles,
    /// Time for the upstream to begin its response, at most
    /// [`crate::limits::UPSTREAM_TIMEOUT_MAX`].
    pub upstream_timeout: Duration,
    /// Where to listen. Port 0 = the system picks one.
    pub listen: SocketAddr,
    /// The certificate for clients, and the authorities of clients' certificates. `None` = plain
    /// HTTP.
    pub listen_tls: Option<ServerFiles>,
    /// What the connections of clients may cost.
    pub connections: ConnectionLimits,
    /// Size and lifetime of the cache.
    pub cache: CacheSettings,
    /// The hosts that are served.
    pub allowed_hosts: AllowedHosts,
    /// The header that names the host of a request.
    pub host_source: HostSource,
    /// What becomes of the addresses that a client's headers claim.
    pub claimed_addresses: ClaimedAddresses,
}

/// What the connections of clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at the same time.
    pub all: usize,
    /// Connections from one address at the same time.
    pub per_address: usize,
    /// Time for a client to send a request head, including idle time before it.
    pub head_timeout: Duration,
    /// Time without a byte in either direction after which a connection is closed. Longer than
    /// [`ProxySettings::upstream_timeout`].
    pub stall_timeout: Duration,
}

/// What becomes of the addresses that a client's headers claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimedAddresses {
    /// They are passed on, and the client's own address is appended to `X-Forwarded-For`.
    Kept,
    /// They are replaced: `X-Forwarded-For` has the address of the client only, and the other
    /// headers that name an address are removed.
    Replaced,
}

/// The URL of a server: `http` or `https`, a host, and optionally a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

/// The text is not the URL of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the URL of a server; write http:// or https://, a host and perhaps a port, such as http://localhost:4420"
)]
pub struct InvalidUpstreamUrl;

impl UpstreamUrl {
    /// Whether the server is asked over TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }
}

impl FromStr for UpstreamUrl {
    type Err = InvalidUpstreamUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUpstreamUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidUpstreamUrl)?;
        let is_bare = uri.path().trim_end_matches('/').is_empty() && uri.query().is_none();
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(InvalidUpstreamUrl);
        };
        let is_http = scheme == Scheme::HTTP || scheme == Scheme::HTTPS;
        // User name and password are rejected: the proxy would not send them, but would log them.
        let is_plain = !authority.as_str().contains('@') && !authority.host().is_empty();
        if is_http && is_plain && is_bare {
            Ok(Self { scheme, authority })
        } else {
            Err(InvalidUpstreamUrl)
        }
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_scheme_host_and_port() {
        for url in ["http://h", "https://h.example:8443", "http://[::1]:4420"] {
            let parsed: UpstreamUrl = url.parse().expect("a URL");
            assert_eq!(parsed.to_string(), url);
        }
        let slash: UpstreamUrl = "http://h:1/".parse().expect("a URL");
        assert_eq!(slash.to_string(), "http://h:1");
        for url in [
            "",
            "h",
            "h:1",
            "/",
            "ftp://h",
            "http://",
            "http://h/base",
            "http://h?a",
            "http://u:p@h",
            "postgres://h",
        ] {
            assert_eq!(url.parse::<UpstreamUrl>(), Err(InvalidUpstreamUrl), "{url}");
        }
    }
}

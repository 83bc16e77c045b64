//! What a proxy is told when it starts.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use hyper::Uri;
use hyper::http::uri::{Authority, Scheme};

use crate::cache::CacheSettings;
use crate::host::{AllowedHosts, HostSource};

/// What a proxy is told when it starts.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// The server behind.
    pub upstream: UpstreamUrl,
    /// Certificates (PEM) that the upstream's must descend from; without, those that browsers trust.
    pub upstream_ca: Option<PathBuf>,
    /// How long the upstream may take to begin its answer, at most [`crate::limits::UPSTREAM_TIMEOUT_MAX`].
    pub upstream_timeout: Duration,
    /// Where to listen; port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// How large the cache is.
    pub cache: CacheSettings,
    /// Hosts that are served.
    pub allowed_hosts: AllowedHosts,
    /// Who says which host a request is for.
    pub host_source: HostSource,
}

/// Where the server behind is: `http` or `https`, a host, perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamUrl {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

/// A text that is not the URL of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the URL of a server; write http:// or https://, a host and perhaps a port, such as http://localhost:4420"
)]
pub struct InvalidUpstreamUrl;

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
        // A name and a password would be sent to nobody, and would appear in logs.
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

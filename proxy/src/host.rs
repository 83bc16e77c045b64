//! Which host a request is for. The host names the tenant and is checked against
//! `--allowed-hosts`.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Authority;
use talos_api::error::ApiError;

use crate::limits;

/// The host that the client of a proxy before this one asked for.
pub(crate) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The header that names the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostSource {
    /// `Host`. `X-Forwarded-Host` is removed, so that no server behind the proxy trusts a host
    /// that was not checked here.
    Host,
    /// The first `X-Forwarded-Host` if there is one, else `Host`.
    ForwardedHost,
}

/// The hosts that the proxy serves.
#[derive(Clone, Debug, Default)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// Allows `names`, in any case and with or without a port. Without any name every host is
    /// allowed.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names = names.into_iter().map(str::trim);
        Self(
            names
                .filter(|name| !name.is_empty())
                .map(normalize)
                .collect(),
        )
    }

    /// Whether `host` is served. It must be in the form that [`prepare`] returns.
    pub(crate) fn allow(&self, host: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|allowed| allowed == host)
    }
}

/// Sets `Host` to the requested host, removes untrusted headers, and returns the name of the host:
/// in lower case, without a port and without the brackets of an IPv6 address.
///
/// # Errors
/// 400 for a request without exactly one host (RFC 9112 §3.2) or with a malformed one.
pub(crate) fn prepare(
    headers: &mut HeaderMap,
    authority: Option<&Authority>,
    source: HostSource,
) -> Result<String, ApiError> {
    // A request target in absolute form replaces `Host` (RFC 9112 §3.2.2).
    if let Some(authority) = authority {
        let value = HeaderValue::from_str(authority.as_str());
        headers.insert(HOST, value.map_err(|_| malformed())?);
    }
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(ApiError::bad_request("exactly one Host header is needed"));
    };
    let host = name(host.as_bytes())?;
    if source == HostSource::Host {
        headers.remove(X_FORWARDED_HOST);
        return Ok(host);
    }
    let forwarded = headers
        .get(X_FORWARDED_HOST)
        .and_then(|value| value.as_bytes().split(|byte| *byte == b',').next());
    match forwarded.map(<[u8]>::trim_ascii) {
        None | Some([]) => Ok(host),
        Some(first) => name(first),
    }
}

fn malformed() -> ApiError {
    ApiError::bad_request("malformed host")
}

fn name(value: &[u8]) -> Result<String, ApiError> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    let fits = (1..=limits::HOST_BYTES).contains(&value.len()) && value.iter().all(allowed);
    let text = std::str::from_utf8(value).ok().filter(|_| fits);
    text.map(normalize).ok_or_else(malformed)
}

fn normalize(host: &str) -> String {
    let name = match host.strip_prefix('[') {
        Some(address) => address.split_once(']').map_or(address, |(name, _)| name),
        // Several colons: an IPv6 address without brackets, which has no port.
        None => match host.split_once(':') {
            Some((name, port)) if !port.contains(':') => name,
            _ => host,
        },
    };
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(lines: &[(&'static str, &str)], source: HostSource) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        prepare(&mut headers, None, source).map_err(|error| error.status())
    }

    #[test]
    fn names_have_one_form() {
        let table = [
            ("Example.COM", "example.com"),
            ("example.com:8080", "example.com"),
            ("example.com:", "example.com"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:80", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
            ("a.example.", "a.example."),
        ];
        for (host, wanted) in table {
            let found = prepared(&[("host", host)], HostSource::Host);
            assert_eq!(found.as_deref(), Ok(wanted), "{host}");
            assert!(AllowedHosts::new([host]).allow(wanted));
        }
        let long = "a".repeat(limits::HOST_BYTES + 1);
        for host in ["", "a b", "a/b", "user@host", "a,b", &long] {
            assert_eq!(prepared(&[("host", host)], HostSource::Host), Err(400));
        }
    }

    #[test]
    fn exactly_one_host() {
        let both = [("host", "a"), ("host", "b")];
        assert_eq!(prepared(&both, HostSource::Host), Err(400));
        let forwarded = [("x-forwarded-host", "a")];
        assert_eq!(prepared(&forwarded, HostSource::ForwardedHost), Err(400));
    }

    #[test]
    fn a_forwarded_host_decides_only_when_it_is_trusted() {
        let lines = |forwarded| [("host", "h"), ("x-forwarded-host", forwarded)];
        for (forwarded, wanted) in [
            ("F.example:1", Ok("f.example")),
            (" f.example , g.example", Ok("f.example")),
            ("", Ok("h")),
            (",g", Ok("h")),
            ("f g", Err(400)),
        ] {
            let found = prepared(&lines(forwarded), HostSource::ForwardedHost);
            assert_eq!(
                found.as_deref().map_err(|status| *status),
                wanted,
                "{forwarded}"
            );
            let found = prepared(&lines(forwarded), HostSource::Host);
            assert_eq!(found.as_deref(), Ok("h"));
        }
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        headers.insert("x-forwarded-host", HeaderValue::from_static("f"));
        prepare(&mut headers, None, HostSource::Host).expect("a host");
        assert!(!headers.contains_key("x-forwarded-host"));
    }

    #[test]
    fn the_absolute_form_replaces_the_host() {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("h"));
        let authority = Authority::from_static("Other:81");
        let host = prepare(&mut headers, Some(&authority), HostSource::Host);
        assert_eq!(host.as_deref(), Ok("other"));
        assert_eq!(headers["host"], "Other:81");
    }

    #[test]
    fn no_name_allows_every_host() {
        assert!(AllowedHosts::default().allow("a"));
        assert!(AllowedHosts::new(["", " "]).allow("a"));
        let some = AllowedHosts::new(["a.example", " B.example:80 "]);
        assert!(some.allow("a.example") && some.allow("b.example"));
        assert!(!some.allow("c.example") && !some.allow("x.a.example"));
    }
}

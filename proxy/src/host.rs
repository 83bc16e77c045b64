//! Which host a request is for. The host names the tenant and is checked against
//! `--allowed-hosts`.

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{Request, Version};
use talos_api::error::ApiError;
use talos_api::host::{self, HostField};

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
    let host = of_request(headers, authority, HostField::Required)?;
    let name_of_host = name(host.as_bytes())?;
    // A request target in absolute form replaces `Host` (RFC 9112 §3.2.2).
    let value = HeaderValue::from_str(host).map_err(|_| malformed())?;
    headers.insert(HOST, value);
    if source == HostSource::Host {
        headers.remove(X_FORWARDED_HOST);
        return Ok(name_of_host);
    }
    let forwarded = headers
        .get(X_FORWARDED_HOST)
        .and_then(|value| value.as_bytes().split(|byte| *byte == b',').next());
    match forwarded.map(<[u8]>::trim_ascii) {
        None | Some([]) => Ok(name_of_host),
        Some(first) => name(first),
    }
}

fn malformed() -> ApiError {
    ApiError::bad_request("malformed host")
}

/// The host of a request with its port.
fn of_request<'r>(
    headers: &'r HeaderMap,
    authority: Option<&'r Authority>,
    needed: HostField,
) -> Result<&'r str, ApiError> {
    let fields = headers.get_all(HOST).into_iter().map(HeaderValue::as_bytes);
    host::of_request(authority.map(Authority::as_str), fields, needed)
}

/// Checks the host of a request that is answered here, whatever its host.
///
/// # Errors
/// 400 for a request of HTTP/1.1 without a host, for several and for a malformed one.
pub(crate) fn check<B>(request: &Request<B>) -> Result<(), ApiError> {
    let needed = match request.version() {
        Version::HTTP_11 => HostField::Required,
        _ => HostField::Optional,
    };
    of_request(request.headers(), request.uri().authority(), needed).map(drop)
}

fn name(value: &[u8]) -> Result<String, ApiError> {
    let host = host::authority(value).filter(|host| !host.is_empty());
    host.map(normalize).ok_or_else(malformed)
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
            ("a.example.", "a.example."),
        ];
        for (host, wanted) in table {
            let found = prepared(&[("host", host)], HostSource::Host);
            assert_eq!(found.as_deref(), Ok(wanted), "{host}");
            assert!(AllowedHosts::new([host]).allow(wanted));
        }
        let long = "a".repeat(host::BYTES_MAX + 1);
        for host in [
            "",
            "a b",
            "a/b",
            "user@host",
            "a,b",
            "::1",
            "[::1",
            "[::1]80",
            "a:port",
            "a:1:2",
            &long,
        ] {
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
    fn a_malformed_host_is_refused_even_if_the_target_replaces_it() {
        let prepared = |field: &str, target: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("host", field.parse().expect("a value"));
            let authority = Authority::from_static(target);
            prepare(&mut headers, Some(&authority), HostSource::Host)
                .map_err(|error| error.status())
        };
        assert_eq!(prepared("h", "a").as_deref(), Ok("a"));
        for (field, target) in [("[::1", "a"), ("h", "a:port"), ("h", "user@a")] {
            assert_eq!(prepared(field, target), Err(400), "{field} {target}");
        }
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

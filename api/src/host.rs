//! The host of a request: the form of a `Host` field, a host with an optional port (RFC 9110 §7.2,
//! RFC 3986 §3.2), and how many of them there may be (RFC 9112 §3.2).

use std::net::Ipv6Addr;

use crate::error::ApiError;

/// The length of a host with its port, in bytes: a name of 253 characters, a trailing dot and a
/// port.
pub const BYTES_MAX: usize = 260;

/// Whether `text` is a host with an optional port: a name, an IPv4 address, or an IPv6 address in
/// brackets. Which characters a name may have is not checked; it may be empty. Future versions of
/// IP addresses in brackets are refused.
#[inline]
fn is_well_formed(text: &str) -> bool {
    let port = if let Some(rest) = text.strip_prefix('[') {
        match rest.split_once(']') {
            Some((address, port)) if address.parse::<Ipv6Addr>().is_ok() => port,
            _ => return false,
        }
    } else {
        let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
        if name.contains(['[', ']']) {
            return false;
        }
        port
    };
    // RFC 3986 allows a colon without a port.
    match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => port.is_empty(),
    }
}

/// For every byte: whether an authority may contain it (RFC 3986 §3.2).
#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time, where a wrong index is an error"
)]
const AUTHORITY: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        allowed[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"-._~%!$&'()*+;=:[]";
    let mut at = 0;
    while at < marks.len() {
        allowed[marks[at] as usize] = true;
        at += 1;
    }
    allowed
};

/// Checks a host with an optional port: its form, its length, and that it has only characters that
/// RFC 3986 §3.2 allows, without user information. It may be empty.
#[must_use]
#[inline]
pub fn authority(value: &[u8]) -> Option<&str> {
    let allowed = |byte: &u8| AUTHORITY.get(usize::from(*byte)) == Some(&true);
    if value.len() > BYTES_MAX || !value.iter().all(allowed) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    is_well_formed(text).then_some(text)
}

/// The version of HTTP of a request, as far as its host depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostField {
    /// HTTP/1.0: a request may have no `Host` field.
    Optional,
    /// HTTP/1.1: it has one.
    Required,
}

/// Returns the host of a request with its port. `target` is the authority of a target in absolute
/// form, which replaces `Host`. Empty for a request of HTTP/1.0 without either.
///
/// # Errors
/// 400 unless the request has one `Host` field and both are well-formed.
pub fn of_request<'a>(
    target: Option<&'a str>,
    mut fields: impl Iterator<Item = &'a [u8]>,
    needed: HostField,
) -> Result<&'a str, ApiError> {
    let field = match (fields.next(), fields.next()) {
        (Some(_), Some(_)) => return Err(ApiError::bad_request("more than one Host field")),
        (Some(value), None) => {
            let host = authority(value);
            host.ok_or_else(|| ApiError::bad_request("malformed Host field"))?
        }
        (None, _) if needed == HostField::Required => {
            return Err(ApiError::bad_request("HTTP/1.1 needs a Host field"));
        }
        (None, _) => "",
    };
    match target {
        None => Ok(field),
        Some(target) => authority(target.as_bytes())
            .filter(|host| !host.is_empty())
            .ok_or_else(|| ApiError::bad_request("malformed request target")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_and_without_ports() {
        for good in [
            "",
            "localhost",
            "localhost:4420",
            "localhost:",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:4420",
            "[::ffff:127.0.0.1]:1",
            "a-b.c_d.example.",
            "a!$&'()*+,;=",
        ] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in [
            "[::1",
            "::1",
            "[::1]4420",
            "[::1]:port",
            "[]",
            "[::1]]",
            "[[::1]]",
            "[127.0.0.1]",
            "[v1.a]",
            "localhost:port",
            "localhost:44:20",
            "localhost:123456",
            "localhost:+80",
            "localhost: 80",
            "local[host",
            "localhost]:80",
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }

    #[test]
    fn a_request_has_one_host() {
        use HostField::{Optional, Required};
        let host = |target, fields: &[&'static str], needed| {
            let fields = fields.iter().map(|field| field.as_bytes());
            of_request(target, fields, needed).map_err(|error| error.to_string())
        };
        assert_eq!(host(None, &["a:1"], Required), Ok("a:1"));
        assert_eq!(host(None, &[""], Required), Ok(""));
        assert_eq!(host(Some("b:2"), &["a:1"], Required), Ok("b:2"));
        assert_eq!(host(Some("b"), &[], Optional), Ok("b"));
        assert_eq!(host(None, &[], Optional), Ok(""));
        let long = "a".repeat(BYTES_MAX + 1);
        for (target, fields, needed) in [
            (None, &[][..], Required),
            (Some("b"), &[], Required),
            (None, &["a", "a"], Required),
            (Some("b"), &["a", "a"], Optional),
            (None, &["[::1"], Required),
            (None, &["user@a"], Required),
            (None, &["a b"], Optional),
            (Some("b"), &["a:port"], Required),
            (Some(""), &["a"], Required),
            (Some("b:port"), &["a"], Required),
            (Some("[::1"), &["a"], Required),
            (Some("user@b"), &["a"], Required),
            (Some(&long), &["a"], Required),
        ] {
            assert!(
                host(target, fields, needed).is_err(),
                "{target:?} {fields:?}"
            );
        }
    }
}

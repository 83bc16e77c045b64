//! The form of a `Host` field: a host with an optional port (RFC 9110 §7.2, RFC 3986 §3.2).

use std::net::Ipv6Addr;

/// Whether `text` is a host with an optional port: a name, an IPv4 address, or an IPv6 address in
/// brackets. Which characters a name may have is not checked; it may be empty. Future versions of
/// IP addresses in brackets are refused.
#[must_use]
#[inline]
pub fn is_well_formed(text: &str) -> bool {
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
}

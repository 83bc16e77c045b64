//! Addresses as text: of other nodes, of listeners, and of HTTP servers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The longest DNS name.
const HOST_CHARACTERS_MAX: usize = 253;

/// A host, by name or address, and a port. The caller looks the name up each time it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// The name or the address; an IPv6 address without brackets.
    pub host: String,
    /// The TCP port; never 0.
    pub port: u16,
}

impl HostPort {
    /// The host as written in a URL: an IPv6 address in brackets.
    pub(crate) fn host_in_url(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host_in_url(), self.port)
    }
}

/// Parses `HOST:PORT` of another node. The host is a name, an IPv4 address, or an IPv6 address in
/// brackets.
pub(crate) fn host_port(text: &str) -> Result<HostPort, String> {
    let (host, port) = text.rsplit_once(':').ok_or("no port")?;
    let port = port_number(port)?;
    if port == 0 {
        return Err("port 0 cannot be connected to".to_owned());
    }
    let host = match bracketed(host) {
        Some(address) => {
            let address: Ipv6Addr = address
                .parse()
                .map_err(|_| "not an IPv6 address in brackets".to_owned())?;
            address.to_string()
        }
        None => name(host)?,
    };
    Ok(HostPort { host, port })
}

/// Parses `HOST:PORT` of an interface of this machine. The host is an IP address or `localhost`.
/// Port 0 = the system picks one.
pub(crate) fn listener(text: &str) -> Result<SocketAddr, String> {
    let (host, port) = text.rsplit_once(':').ok_or("no port")?;
    let port = port_number(port)?;
    let address = if host.eq_ignore_ascii_case("localhost") {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else if let Some(address) = bracketed(host) {
        let address = address.parse().map(IpAddr::V6);
        address.map_err(|_| "not an IPv6 address in brackets".to_owned())?
    } else {
        let address = host.parse().map(IpAddr::V4);
        address.map_err(|_| "not an IP address".to_owned())?
    };
    Ok(SocketAddr::new(address, port))
}

/// Parses `http://HOST[:PORT]` or `https://HOST[:PORT]`. A slash at the end is removed; anything
/// else after the port is an error.
pub(crate) fn origin_url(text: &str) -> Result<String, String> {
    let text = text.strip_suffix('/').unwrap_or(text);
    let (scheme, authority) = text.split_once("://").ok_or("not a URL")?;
    let scheme = scheme.to_ascii_lowercase();
    if scheme != "http" && scheme != "https" {
        return Err("neither http:// nor https://".to_owned());
    }
    if authority.contains(['/', '?', '#', '@']) {
        return Err("more than a host and a port".to_owned());
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']'));
    let with_port = if has_port {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    host_port(&with_port)?;
    Ok(format!("{scheme}://{authority}"))
}

fn port_number(text: &str) -> Result<u16, String> {
    let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let port = is_decimal.then(|| text.parse().ok()).flatten();
    port.ok_or_else(|| "the port is not a number from 0 to 65535".to_owned())
}

fn bracketed(host: &str) -> Option<&str> {
    host.strip_prefix('[')?.strip_suffix(']')
}

/// A host name or an IPv4 address.
fn name(host: &str) -> Result<String, String> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    let fits = (1..=HOST_CHARACTERS_MAX).contains(&host.len()) && host.chars().all(in_name);
    fits.then(|| host.to_ascii_lowercase()).ok_or_else(|| {
        "the host is neither a name, nor an IPv4 address, nor an IPv6 address in brackets"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        for (text, host, shown) in [
            (
                "db-1.Example.com:4421",
                "db-1.example.com",
                "db-1.example.com:4421",
            ),
            ("10.0.0.1:4421", "10.0.0.1", "10.0.0.1:4421"),
            ("[2001:DB8::1]:4421", "2001:db8::1", "[2001:db8::1]:4421"),
        ] {
            let read = host_port(text).unwrap();
            assert_eq!((read.host.as_str(), read.port), (host, 4421));
            assert_eq!(read.to_string(), shown);
        }
        for text in [
            "",
            "host",
            ":1",
            "host:",
            "host:0",
            "host:65536",
            "host:+1",
            "::1:4421",
            "[::1",
            "[x]:1",
            "[10.0.0.1]:1",
            "a b:1",
            "http://host:1",
            "user@host:1",
        ] {
            assert!(host_port(text).is_err(), "{text}");
        }
        assert!(host_port(&format!("{}:1", "x".repeat(254))).is_err());
    }

    #[test]
    fn listeners_are_addresses() {
        for (text, address) in [
            ("0.0.0.0:4421", "0.0.0.0:4421"),
            ("localhost:0", "127.0.0.1:0"),
            ("[::]:4421", "[::]:4421"),
        ] {
            assert_eq!(listener(text).unwrap().to_string(), address);
        }
        for text in [
            "4421",
            ":4421",
            "example.com:4421",
            "::1:4421",
            "0.0.0.0:x",
            "[0.0.0.0]:1",
        ] {
            assert!(listener(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls_have_no_path() {
        for (text, url) in [
            ("http://Primary:4420", "http://Primary:4420"),
            ("HTTPS://primary.example/", "https://primary.example"),
            ("http://[::1]", "http://[::1]"),
            ("http://[::1]:4420/", "http://[::1]:4420"),
        ] {
            assert_eq!(origin_url(text).as_deref(), Ok(url));
        }
        for text in [
            "",
            "primary:4420",
            "ftp://primary",
            "http://",
            "http:///",
            "http://a/b",
            "http://a//",
            "http://a?b",
            "http://a#b",
            "http://u:p@a",
            "http://a:x",
            "http://a:0",
            "http://::1",
            "http://a b",
        ] {
            assert!(origin_url(text).is_err(), "{text}");
        }
    }
}

//! The client's address: the address of the connection, or the one that a proxy in front of the
//! server reports.
//!
//! A header is used only when the configuration names it, because every client can send one. If the
//! configuration names the proxies, too, it is used only when one of them sent it.
//! Without the header, or when it is empty, the address of the connection counts, as for a client
//! that does not use the proxy. Any other value that is not exactly one address makes the client
//! unknown, and an unknown client fails every IP restriction: a guess could admit a client that is
//! not allowed.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use httparse::Header;
use talos_config::{ClientIpSource, TrustedProxies};

/// The client's address; `None` when it is unknown. `remote` is the address of the connection.
pub(crate) fn client_address(
    source: ClientIpSource,
    proxies: &TrustedProxies,
    remote: Option<IpAddr>,
    fields: &[Header<'_>],
) -> Option<IpAddr> {
    if source != ClientIpSource::RemoteAddress && !proxies.is_empty() {
        if !proxies.contain(remote) {
            return remote;
        }
        if source == ClientIpSource::XForwardedFor {
            return rightmost(proxies, remote, fields);
        }
    }
    let reported = match source {
        ClientIpSource::RemoteAddress => return remote,
        ClientIpSource::CfConnectingIp => single(fields, "cf-connecting-ip"),
        ClientIpSource::XForwardedFor => leftmost(fields),
        ClientIpSource::XRealIp => single(fields, "x-real-ip"),
        ClientIpSource::TrueClientIp => single(fields, "true-client-ip"),
    };
    match reported {
        Reported::Nothing => remote,
        Reported::Address(address) => parse(address),
        Reported::Contradiction => None,
    }
}

/// What a header reports.
enum Reported<'a> {
    Nothing,
    Address(&'a [u8]),
    /// The header occurs more than once. One of the lines may come from the client.
    Contradiction,
}

/// The values of all lines of a header, in order, without surrounding white space.
fn lines<'f>(fields: &'f [Header<'_>], name: &'static str) -> impl Iterator<Item = &'f [u8]> {
    fields
        .iter()
        .filter(move |field| field.name.eq_ignore_ascii_case(name))
        .map(|field| field.value.trim_ascii())
}

/// Reads a header with a single value. Empty lines are ignored.
fn single<'f>(fields: &'f [Header<'_>], name: &'static str) -> Reported<'f> {
    let mut values = lines(fields, name).filter(|value| !value.is_empty());
    match (values.next(), values.next()) {
        (None, _) => Reported::Nothing,
        (Some(value), None) => Reported::Address(value),
        (Some(_), Some(_)) => Reported::Contradiction,
    }
}

/// Reads the first element of `X-Forwarded-For`. Several lines count as one list, in their order,
/// and empty elements are ignored (RFC 9110 §5.3, §5.6.1).
fn leftmost<'f>(fields: &'f [Header<'_>]) -> Reported<'f> {
    lines(fields, "x-forwarded-for")
        .flat_map(|line| line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii))
        .find(|element| !element.is_empty())
        .map_or(Reported::Nothing, Reported::Address)
}

/// Reads `X-Forwarded-For` from its end, where the proxies append: the first address that is not
/// one of them. If all are proxies, the request began at the leftmost. An element that is no
/// address makes the client unknown.
fn rightmost(
    proxies: &TrustedProxies,
    remote: Option<IpAddr>,
    fields: &[Header<'_>],
) -> Option<IpAddr> {
    let elements = fields
        .iter()
        .rev()
        .filter(|field| field.name.eq_ignore_ascii_case("x-forwarded-for"))
        .flat_map(|field| field.value.rsplit(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|element| !element.is_empty());
    let mut client = remote;
    for element in elements {
        let address = parse(element)?;
        client = Some(address);
        if !proxies.contain(client) {
            break;
        }
    }
    client
}

/// Parses an address as proxies write it: alone, in brackets if it is IPv6, or with the port that
/// some load balancers add. An IPv4-mapped IPv6 address becomes the IPv4 address. Zones, names and
/// obfuscated identifiers are refused.
fn parse(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    // `SocketAddr` would accept a zone.
    if text.contains('%') {
        return None;
    }
    let bracketed = || {
        let v6: Ipv6Addr = text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?;
        Some(IpAddr::V6(v6))
    };
    let with_port = || text.parse().ok().map(|address: SocketAddr| address.ip());
    let address = text.parse().ok().or_else(bracketed).or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REMOTE: &str = "192.0.2.7";

    fn address(source: ClientIpSource, fields: &[(&'static str, &'static str)]) -> Option<String> {
        let fields: Vec<_> = fields
            .iter()
            .map(|&(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let address = client_address(
            source,
            &TrustedProxies::default(),
            REMOTE.parse().ok(),
            &fields,
        );
        address.map(|address| address.to_string())
    }

    const HEADERS: [(ClientIpSource, &str); 4] = [
        (ClientIpSource::CfConnectingIp, "CF-Connecting-IP"),
        (ClientIpSource::XForwardedFor, "x-forwarded-for"),
        (ClientIpSource::XRealIp, "X-Real-Ip"),
        (ClientIpSource::TrueClientIp, "TRUE-CLIENT-IP"),
    ];

    #[test]
    fn only_the_header_that_is_configured_is_believed() {
        let all: Vec<_> = HEADERS
            .iter()
            .zip(["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"])
            .map(|(&(_, name), value)| (name, value))
            .collect();
        for ((source, name), (_, value)) in HEADERS.iter().zip(&all) {
            assert_eq!(address(*source, &all).as_deref(), Some(*value), "{name}");
            let others: Vec<_> = all
                .iter()
                .copied()
                .filter(|field| field.0 != *name)
                .collect();
            assert_eq!(address(*source, &others).as_deref(), Some(REMOTE), "{name}");
        }
        let remote = address(ClientIpSource::RemoteAddress, &all);
        assert_eq!(remote.as_deref(), Some(REMOTE));
    }

    #[test]
    fn addresses_as_proxies_write_them() {
        for (text, wanted) in [
            ("", Some(REMOTE)),
            ("  \t", Some(REMOTE)),
            ("10.0.0.1", Some("10.0.0.1")),
            (" 10.0.0.1\t", Some("10.0.0.1")),
            ("10.0.0.1:5678", Some("10.0.0.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:80", Some("2001:db8::1")),
            ("::ffff:10.0.0.1", Some("10.0.0.1")),
            ("[::ffff:a00:1]:1", Some("10.0.0.1")),
            ("10.0.0.1:", None),
            ("10.0.0.1:65536", None),
            ("10.0.0.1:-1", None),
            ("10.0.0.1 10.0.0.2", None),
            ("10.0.0.256", None),
            ("10.0.0", None),
            ("010.0.0.1", None),
            ("[10.0.0.1]", None),
            ("[2001:db8::1", None),
            ("2001:db8::1]", None),
            ("fe80::1%eth0", None),
            ("[fe80::1%1]:80", None),
            ("unknown", None),
            ("_hidden", None),
            ("localhost", None),
            ("\"10.0.0.1\"", None),
            ("10.0.0.1/32", None),
            ("10.0.0.1;", None),
        ] {
            for (source, name) in HEADERS {
                assert_eq!(
                    address(source, &[(name, text)]).as_deref(),
                    wanted,
                    "{name}: {text}"
                );
            }
        }
    }

    #[test]
    fn a_list_has_a_first_element_and_nothing_else_is_a_list() {
        for (lines, wanted) in [
            (&["10.0.0.1, 10.0.0.2"][..], Some("10.0.0.1")),
            (&["10.0.0.1:9,[::1]:8"], Some("10.0.0.1")),
            (&["10.0.0.1", "10.0.0.2"], Some("10.0.0.1")),
            (&["10.0.0.2", "10.0.0.1"], Some("10.0.0.2")),
            (&["", " , ,10.0.0.3"], Some("10.0.0.3")),
            (&[",", ""], Some(REMOTE)),
            (&["nobody, 10.0.0.2"], None),
            (&["nobody", "10.0.0.2"], None),
        ] {
            let fields: Vec<_> = lines
                .iter()
                .map(|line| ("X-Forwarded-For", *line))
                .collect();
            let first = address(ClientIpSource::XForwardedFor, &fields);
            assert_eq!(first.as_deref(), wanted, "{lines:?}");
        }
        for (source, name) in [HEADERS[0], HEADERS[2], HEADERS[3]] {
            for (lines, wanted) in [
                (&["10.0.0.1, 10.0.0.2"][..], None),
                (&["10.0.0.1", "10.0.0.2"], None),
                (&["10.0.0.1", "10.0.0.1"], None),
                (&["", "10.0.0.1"], Some("10.0.0.1")),
                (&["", ""], Some(REMOTE)),
            ] {
                let fields: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
                assert_eq!(
                    address(source, &fields).as_deref(),
                    wanted,
                    "{name}: {lines:?}"
                );
            }
        }
    }

    /// The address over these proxies, for a header that `remote` sent.
    fn behind(
        proxies: &[&str],
        remote: Option<&str>,
        source: ClientIpSource,
        lines: &[(&'static str, &'static str)],
    ) -> Option<String> {
        let proxies: Vec<_> = proxies.iter().map(|item| (*item).to_owned()).collect();
        let fields: Vec<_> = lines
            .iter()
            .map(|&(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let remote = remote.map(|text| text.parse().expect("an address"));
        let address = client_address(source, &TrustedProxies::parse(&proxies), remote, &fields);
        address.map(|address| address.to_string())
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        for (source, name) in HEADERS {
            for (proxies, remote, wanted) in [
                (["10.0.0.0/8"], Some("10.9.9.9"), Some("203.0.113.1")),
                (["10.0.0.0/8"], Some("::ffff:10.9.9.9"), Some("203.0.113.1")),
                (["10.0.0.0/8"], Some("192.0.2.7"), Some("192.0.2.7")),
                (["10.0.0.0/8"], None, None),
                (["unix"], None, Some("203.0.113.1")),
                (["unix"], Some("192.0.2.7"), Some("192.0.2.7")),
                (["192.0.2.7"], Some("192.0.2.7"), Some("203.0.113.1")),
                (["192.0.2.7"], Some("192.0.2.8"), Some("192.0.2.8")),
            ] {
                let found = behind(&proxies, remote, source, &[(name, "203.0.113.1")]);
                assert_eq!(found.as_deref(), wanted, "{name} {proxies:?} {remote:?}");
            }
        }
    }

    #[test]
    fn the_rightmost_that_is_no_proxy_is_the_client() {
        let proxies = ["10.0.0.0/8", "2001:db8::/32"];
        for (lines, wanted) in [
            (&["203.0.113.1"][..], Some("203.0.113.1")),
            // The client has sent the part on the left.
            (&["198.51.100.1, 203.0.113.1"], Some("203.0.113.1")),
            (&["198.51.100.1", "203.0.113.1"], Some("203.0.113.1")),
            (&["198.51.100.1,203.0.113.1,10.0.0.2"], Some("203.0.113.1")),
            (
                &["198.51.100.1", "203.0.113.1, 10.0.0.2", "2001:db8::1"],
                Some("203.0.113.1"),
            ),
            (
                &["10.0.0.9, 203.0.113.1, ::ffff:10.0.0.2"],
                Some("203.0.113.1"),
            ),
            (
                &["nonsense, 203.0.113.1:99, [2001:db8::1]:1"],
                Some("203.0.113.1"),
            ),
            (&["203.0.113.1, nonsense, 10.0.0.2"], None),
            (&["203.0.113.1, unknown"], None),
            (&["10.0.0.3, 10.0.0.2"], Some("10.0.0.3")),
            (&["", " , "], Some("10.0.0.1")),
            (&[], Some("10.0.0.1")),
        ] {
            let fields: Vec<_> = lines
                .iter()
                .map(|line| ("X-Forwarded-For", *line))
                .collect();
            let found = behind(
                &proxies,
                Some("10.0.0.1"),
                ClientIpSource::XForwardedFor,
                &fields,
            );
            assert_eq!(found.as_deref(), wanted, "{lines:?}");
        }
    }
}

//! Header changes of messages that are forwarded (RFC 9110 §7.6).

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, ORIGIN,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};

use crate::host::X_FORWARDED_HOST;
use crate::settings::ClaimedAddresses;

/// The addresses of the client and of the proxies before this one.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Headers of one connection, besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The headers that are part of the cache key. A server tells tenants and clients apart by them:
/// the host, every source of the client address that `serve.http.client_ip_source` can name, the
/// origin of a cross-origin request, and the credentials of the caller, without which a server may
/// refuse to answer.
pub(crate) const KEY_HEADERS: [HeaderName; 9] = [
    HOST,
    X_FORWARDED_HOST,
    X_FORWARDED_FOR,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
    ORIGIN,
    AUTHORIZATION,
    HeaderName::from_static("x-talos-token"),
];

/// The headers by which a client may claim an address.
const CLAIMS: [HeaderName; 5] = [
    X_FORWARDED_FOR,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
    HeaderName::from_static("forwarded"),
];

/// How this proxy names itself in `Via`.
const VIA_VALUE: &str = "1.1 talos-proxy";

/// Removes the headers of one connection, from a request or a response.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // A client must not make the proxy drop these: they change the meaning of the message.
        .filter(|name| *name != CONTENT_LENGTH && !KEY_HEADERS.contains(name))
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Turns the headers of a client's request into those of the request to the upstream, except for
/// the host. `client` is the address of the connection.
pub(crate) fn prepare_request(headers: &mut HeaderMap, client: IpAddr, claimed: ClaimedAddresses) {
    remove_hop_by_hop(headers);
    // The proxy sends `100 Continue` itself when it begins to read the body.
    if expects_continue(headers) {
        headers.remove(EXPECT);
    }
    if claimed == ClaimedAddresses::Replaced {
        for name in CLAIMS {
            headers.remove(name);
        }
    }
    append(headers, X_FORWARDED_FOR, &client.to_canonical().to_string());
    append(headers, VIA, VIA_VALUE);
}

/// Whether the client waits for `100 Continue` before it sends the body.
pub(crate) fn expects_continue(headers: &HeaderMap) -> bool {
    headers
        .get(EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Appends a member to a comma-separated list and joins all its lines into one (RFC 9110 §5.3).
fn append(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(&name) {
        if !value.is_empty() {
            list.extend_from_slice(value.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(member.as_bytes());
    // Cannot fail: all parts are valid header values.
    if let Ok(value) = HeaderValue::from_bytes(&list) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().expect("a value"));
        }
        headers
    }

    fn client() -> IpAddr {
        "192.0.2.7".parse().expect("an address")
    }

    #[test]
    fn what_concerns_one_connection_stays_behind() {
        let mut map = headers(&[
            ("connection", "close, X-Secret-Of-The-Hop, Host"),
            ("connection", "x-other,content-length"),
            ("x-secret-of-the-hop", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authorization", "x"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("host", "h"),
            ("content-length", "1"),
            ("x-request-id", "r"),
            ("accept", "a"),
            ("accept", "b"),
        ]);
        remove_hop_by_hop(&mut map);
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "content-length", "host", "x-request-id"]);
        assert_eq!(map.get_all("accept").iter().count(), 2);
    }

    #[test]
    fn the_client_is_added_at_the_end() {
        let mut map = headers(&[]);
        prepare_request(&mut map, client(), ClaimedAddresses::Kept);
        assert_eq!(map["x-forwarded-for"], "192.0.2.7");
        assert_eq!(map["via"], "1.1 talos-proxy");

        let mut map = headers(&[
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
            ("x-forwarded-for", "10.0.0.3"),
            ("connection", "x-forwarded-for"),
        ]);
        let mapped = "::ffff:192.0.2.7".parse().expect("an address");
        prepare_request(&mut map, mapped, ClaimedAddresses::Kept);
        let all: Vec<_> = map.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7"]);
    }

    #[test]
    fn an_expectation_that_is_met_here_is_not_passed_on() {
        let mut map = headers(&[("expect", "100-Continue")]);
        prepare_request(&mut map, client(), ClaimedAddresses::Kept);
        assert!(!map.contains_key("expect"));
        let mut map = headers(&[("expect", "a miracle")]);
        prepare_request(&mut map, client(), ClaimedAddresses::Kept);
        assert_eq!(map["expect"], "a miracle");
    }

    #[test]
    fn claims_are_replaced_on_demand() {
        let mut map = headers(&[
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
            ("x-forwarded-for", "10.0.0.3"),
            ("x-real-ip", "10.0.0.1"),
            ("cf-connecting-ip", "10.0.0.1"),
            ("true-client-ip", "10.0.0.1"),
            ("forwarded", "for=10.0.0.1"),
            ("accept", "a"),
        ]);
        prepare_request(&mut map, client(), ClaimedAddresses::Replaced);
        let all: Vec<_> = map.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["192.0.2.7"]);
        let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "via", "x-forwarded-for"]);
    }
}

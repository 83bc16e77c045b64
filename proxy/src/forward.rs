//! What changes in the headers of a message that passes through (RFC 9110 §7.6).

use std::net::IpAddr;

use hyper::HeaderMap;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderName, HeaderValue, ORIGIN, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
};

use crate::host::X_FORWARDED_HOST;

/// Where the address of each sender on the way is kept.
pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The headers that concern one connection only, besides those that `Connection` names.
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

/// The headers by which a server tells tenants and clients apart, and which answers therefore depend on: the host, every
/// source of the client's address that `serve.http.client_ip_source` can name, and the origin of a cross-origin request.
pub(crate) const DECIDING: [HeaderName; 7] = [
    HOST,
    X_FORWARDED_HOST,
    X_FORWARDED_FOR,
    HeaderName::from_static("x-real-ip"),
    HeaderName::from_static("cf-connecting-ip"),
    HeaderName::from_static("true-client-ip"),
    ORIGIN,
];

/// How this proxy calls itself in `Via`.
const VIA_VALUE: &str = "1.1 talos-proxy";

/// Removes what concerns one connection only, on the way to the upstream or back.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // Without these the message would be another one, whatever its sender says.
        .filter(|name| *name != CONTENT_LENGTH && !DECIDING.contains(name))
        .collect();
    for name in HOP_BY_HOP.iter().chain(&named) {
        headers.remove(name);
    }
}

/// Makes the headers of a request those that the upstream gets, but for its host. `client` is who sent it.
pub(crate) fn prepare_request(headers: &mut HeaderMap, client: IpAddr) {
    remove_hop_by_hop(headers);
    // This proxy has said `100 Continue` itself when it began to read the body.
    if expects_continue(headers) {
        headers.remove(EXPECT);
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

/// Adds a member to a comma-separated list, which then is one header (RFC 9110 §5.3).
fn append(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let mut list: Vec<u8> = Vec::new();
    for value in headers.get_all(&name) {
        if !value.is_empty() {
            list.extend_from_slice(value.as_bytes());
            list.extend_from_slice(b", ");
        }
    }
    list.extend_from_slice(member.as_bytes());
    // Values and text without control characters are a value again.
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
        prepare_request(&mut map, client());
        assert_eq!(map["x-forwarded-for"], "192.0.2.7");
        assert_eq!(map["via"], "1.1 talos-proxy");

        let mut map = headers(&[
            ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
            ("x-forwarded-for", "10.0.0.3"),
            ("connection", "x-forwarded-for"),
        ]);
        prepare_request(&mut map, "::ffff:192.0.2.7".parse().expect("an address"));
        let all: Vec<_> = map.get_all("x-forwarded-for").iter().collect();
        assert_eq!(all, ["10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7"]);
    }

    #[test]
    fn an_expectation_that_is_met_here_is_not_passed_on() {
        let mut map = headers(&[("expect", "100-Continue")]);
        prepare_request(&mut map, client());
        assert!(!map.contains_key("expect"));
        let mut map = headers(&[("expect", "a miracle")]);
        prepare_request(&mut map, client());
        assert_eq!(map["expect"], "a miracle");
    }
}

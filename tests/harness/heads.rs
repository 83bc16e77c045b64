//! Request heads that every port must refuse.

/// Requests whose host is missing, there twice or malformed.
pub fn malformed_hosts(path: &str) -> Vec<String> {
    let mut heads = vec![
        format!("GET {path} HTTP/1.1\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        format!("GET http://a{path} HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        format!("GET http://a{path} HTTP/1.1\r\n\r\n"),
    ];
    for host in [
        "[::1",
        "::1",
        "[::1]80",
        "[::1]:port",
        "localhost:port",
        "localhost:1:2",
        "user@a",
        "a/b",
        "localhost:999999",
        "[]",
        "[v1.a]",
    ] {
        heads.push(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    heads
}

/// Requests whose target has a malformed host or a blank.
pub fn malformed_targets(path: &str) -> Vec<String> {
    let mut targets = vec![
        format!("{path} b"),
        format!("/a {path}"),
        format!("{path} "),
    ];
    for authority in [
        "localhost:port",
        "user@a",
        "a:1:2",
        "[::1",
        "[::1]80",
        "",
        "::1",
        "localhost:999999",
    ] {
        targets.push(format!("http://{authority}{path}"));
    }
    let head = |target| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    targets.into_iter().map(head).collect()
}

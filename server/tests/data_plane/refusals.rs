//! What is refused, and that nothing behind it is answered.

use crate::support::{ALIVE, ECHO, Fixture, both_drivers, post};
use talos_server::limits;

#[test]
fn a_refused_head_is_answered_and_the_connection_ends() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let long = "x".repeat(limits::HEAD_BYTES);
        let many = "X: y\r\n".repeat(limits::HEADERS);
        let cases = [
            (
                "Content-Length: 5\r\nContent-Length: 5\r\n",
                400,
                "BAD_REQUEST",
            ),
            (
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                400,
                "BAD_REQUEST",
            ),
            ("Transfer-Encoding: gzip, chunked\r\n", 400, "BAD_REQUEST"),
            ("X: a\n", 400, "BAD_REQUEST"),
            ("X: a\r\n b\r\n", 400, "BAD_REQUEST"),
            ("X : a\r\n", 400, "BAD_REQUEST"),
            ("X: \0\r\n", 400, "BAD_REQUEST"),
            ("Host: i\r\n", 400, "BAD_REQUEST"),
            ("Expect: a-miracle\r\n", 417, "EXPECTATION_FAILED"),
            (
                &format!("X: {long}\r\n"),
                431,
                "REQUEST_HEADER_FIELDS_TOO_LARGE",
            ),
            (&many, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
            ("Content-Length: 1048577\r\n", 413, "PAYLOAD_TOO_LARGE"),
            (
                "Content-Length: 99999999999999999\r\n",
                413,
                "PAYLOAD_TOO_LARGE",
            ),
        ];
        for (fields, status, reason) in cases {
            let mut client = fixture.connect();
            // A good request before it is answered, one behind it is not.
            client.send(
                format!("{ALIVE}POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{fields}\r\n{ALIVE}").as_bytes(),
            );
            assert_eq!(client.answer().status, 200);
            let answer = client.answer();
            assert_eq!(
                (answer.status, &*answer.reason()),
                (status, reason),
                "{fields:.60}"
            );
            assert_eq!(answer.header("Connection"), Some("close"));
            assert!(client.is_closed(), "{fields:.60}");
        }
        for (line, status) in [
            ("GET / HTTP/2.0", 505),
            ("OPTIONS * HTTP/1.1", 400),
            ("CONNECT h:80 HTTP/1.1", 400),
            ("\x16\x03\x01", 400),
            (
                &format!("GET /{} HTTP/1.1", "x".repeat(limits::TARGET_BYTES)),
                414,
            ),
        ] {
            let mut client = fixture.connect();
            client.send(format!("{line}\r\nHost: h\r\n\r\n").as_bytes());
            assert_eq!(client.answer().status, status, "{line:.60}");
            assert!(client.is_closed());
        }
    });
}

#[test]
fn unknown_routes_and_methods_keep_the_connection() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(b"GET /nowhere HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, &*answer.reason()), (404, "NOT_FOUND"));
        assert_eq!(answer.header("X-Request-Id"), Some("mine"));
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        client.send(b"DELETE /health/alive HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}");
        let answer = client.answer();
        assert_eq!(
            (answer.status, &*answer.reason()),
            (405, "METHOD_NOT_ALLOWED")
        );
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"));
        client.send(b"GET /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().header("Allow"), Some("POST"));
        client.send(b"GET http://elsewhere/health/alive HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(client.answer().status, 200);
        client.send(
            b"POST http://elsewhere:1/v2alpha1/admin/issuedApiKeys?a=b HTTP/1.1\r\nHost: h\r\n\r\n",
        );
        assert!(
            client
                .answer()
                .text()
                .starts_with("POST /v2alpha1/admin/issuedApiKeys?a=b elsewhere:1 ")
        );
        assert_eq!(
            [404, 405].map(|status| fixture.total(|core| core.requests.unknown.of(status).get())),
            [1, 2]
        );
    });
}

#[test]
fn ids_are_echoed_or_made() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let answer = fixture.ask(&post("X-Request-Id: a-b\r\n", ""));
        assert_eq!(answer.header("X-Request-Id"), Some("a-b"));
        assert!(
            answer.text().starts_with(&format!("POST {ECHO}? h a-b\n")),
            "{}",
            answer.text()
        );
        let answer = fixture.ask(&post("X-Request-Id: a b\r\n", ""));
        let made = answer.header("X-Request-Id").unwrap();
        assert_eq!(made.len(), 32);
        assert!(
            answer
                .text()
                .starts_with(&format!("POST {ECHO}? h {made}\n")),
            "both sides know the same id"
        );
    });
}

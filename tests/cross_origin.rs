//! Cross-origin requests of browsers: preflights and simple requests, on both planes.

use std::collections::BTreeMap;

use serde_json::json;
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, VERIFY};

use crate::harness::Driver;
use crate::harness::site::{Server, Site};

const PAGE: &str = "https://app.example";

/// Starts a server with these settings below `serve.http.cors`.
fn start(driver: Driver, settings: &[(&str, &str)]) -> (Site, Server) {
    let site = Site::new(driver);
    let mut command = site.command();
    for (name, value) in settings {
        command.env(format!("TALOS_SERVE_HTTP_CORS_{name}"), value);
    }
    let server = Server::start(command, site.directory().join("cors.log"));
    (site, server)
}

/// The CORS headers and `Vary` of an answer, each at most once.
fn said(answer: &Answer) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    for (name, value) in &answer.headers {
        if name.starts_with("access-control-") || name == "vary" {
            let before = said.insert(name.clone(), value.clone());
            assert_eq!(before, None, "{name} appears twice: {answer:?}");
        }
    }
    said
}

fn fields(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn preflight(connection: &mut Connection, origin: &str) -> Answer {
    let headers = [
        ("Origin", origin),
        ("Access-Control-Request-Method", "POST"),
        ("Access-Control-Request-Headers", "content-type"),
    ];
    connection.call("OPTIONS", VERIFY, &headers, b"")
}

/// Requests to both planes: one that succeeds and two that fail.
const REQUESTS: [(&str, &str); 4] = [
    ("GET", "/health/alive"),
    ("GET", ISSUE),
    ("POST", VERIFY),
    ("GET", "/nowhere"),
];

both_drivers! {
    fn without_settings_no_answer_has_cors_headers(driver: Driver) {
        let (_site, server) = start(driver, &[]);
        let mut connection = server.connect();
        for (method, path) in REQUESTS {
            let answer = connection.call(method, path, &[("Origin", PAGE)], b"");
            assert_eq!(said(&answer), fields(&[]), "{method} {path}");
        }
        preflight(&mut connection, PAGE).assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        server.stop();
    }

    fn every_origin(driver: Driver) {
        let (_site, server) = start(driver, &[("ENABLED", "true")]);
        let mut connection = server.connect();
        let wanted = fields(&[
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "Content-Type"),
        ]);
        for (method, path) in REQUESTS {
            for headers in [[].as_slice(), &[("Origin", PAGE)], &[("Origin", "null")]] {
                let answer = connection.call(method, path, headers, b"");
                // For the routes of administrators an origin must be listed.
                let wanted = if path == ISSUE { fields(&[]) } else { wanted.clone() };
                assert_eq!(said(&answer), wanted, "{method} {path} {headers:?}");
            }
        }
        let answer = preflight(&mut connection, PAGE);
        assert_eq!((answer.status, answer.body.as_slice()), (204, b"".as_slice()));
        assert_eq!(said(&answer), fields(&[
            ("access-control-allow-origin", "*"),
            ("access-control-expose-headers", "Content-Type"),
            ("access-control-allow-methods", "GET, POST, PUT, PATCH, DELETE"),
            ("access-control-allow-headers", "Authorization, Content-Type"),
        ]));
        // OPTIONS without the headers of a preflight is an ordinary method.
        let options = connection.call("OPTIONS", VERIFY, &[("Origin", PAGE)], b"");
        options.assert_error(405, "UNIMPLEMENTED", "METHOD_NOT_ALLOWED");
        server.stop();
    }

    fn listed_origins(driver: Driver) {
        let (site, server) = start(driver, &[
            ("ENABLED", "true"),
            ("ALLOWED_ORIGINS", "https://app.example,https://*.pages.example"),
            ("ALLOWED_METHODS", "GET,POST"),
            ("ALLOWED_HEADERS", "X-Request-Id"),
            ("EXPOSED_HEADERS", "X-Request-Id,Ory-Talos-Cache"),
            ("ALLOW_CREDENTIALS", "true"),
            ("MAX_AGE", "600"),
            ("DEBUG", "true"),
        ]);
        let mut connection = server.connect();
        for origin in [PAGE, "https://a.pages.example"] {
            let mut wanted = fields(&[
                ("vary", "Origin"),
                ("access-control-allow-origin", origin),
                ("access-control-allow-credentials", "true"),
                ("access-control-expose-headers", "X-Request-Id, Ory-Talos-Cache"),
            ]);
            for (method, path) in REQUESTS {
                let answer = connection.call(method, path, &[("Origin", origin)], b"");
                assert_eq!(said(&answer), wanted, "{method} {path}");
            }
            wanted.extend(fields(&[
                ("access-control-allow-methods", "GET, POST"),
                ("access-control-allow-headers", "X-Request-Id"),
                ("access-control-max-age", "600"),
            ]));
            let answer = preflight(&mut connection, origin);
            assert_eq!((answer.status, said(&answer)), (204, wanted));
        }
        // Other origins get no CORS headers, and `Vary` keeps caches from giving them those of an
        // allowed origin.
        let vary = fields(&[("vary", "Origin")]);
        for origin in ["https://evil.example", "null", "https://app.example.evil", "https://pages.example", "*"] {
            for (method, path) in REQUESTS {
                let answer = connection.call(method, path, &[("Origin", origin)], b"");
                assert_eq!(said(&answer), vary, "{origin} {method} {path}");
            }
            assert_eq!(said(&preflight(&mut connection, origin)), vary, "{origin}");
        }
        let without = connection.call("GET", "/health/alive", &[], b"");
        assert_eq!(said(&without), vary);
        // The connection still works after answers without a body.
        let key = connection.issue("key");
        assert_eq!(connection.verify(&key.secret)["is_valid"], json!(true));
        server.stop();
        let log = std::fs::read_to_string(site.directory().join("cors.log")).unwrap();
        assert!(log.contains("another origin") && log.contains("evil.example"), "{log}");
    }

    fn any_header_is_the_one_asked_for(driver: Driver) {
        let (_site, server) = start(driver, &[
            ("ENABLED", "true"), ("ALLOWED_ORIGINS", PAGE), ("ALLOWED_HEADERS", "*"),
        ]);
        let answer = preflight(&mut server.connect(), PAGE);
        let values = |name: &str| -> Vec<String> {
            let named = answer.headers.iter().filter(|(header, _)| header == name);
            named.map(|(_, value)| value.clone()).collect()
        };
        assert_eq!(values("access-control-allow-headers"), ["content-type"]);
        assert_eq!(values("vary"), ["Origin", "Access-Control-Request-Headers"]);
        server.stop();
    }
}

#[test]
fn credentials_for_every_origin_stop_the_start() {
    let site = Site::new(Driver::Epoll);
    let mut command = site.command();
    command
        .env("TALOS_SERVE_HTTP_CORS_ENABLED", "true")
        .env("TALOS_SERVE_HTTP_CORS_ALLOW_CREDENTIALS", "true");
    crate::harness::cli::run(command).assert_one_line_and_code_1(&[
        "talos: ",
        "serve.http.cors.allow_credentials",
        "allowed_origins",
    ]);
}

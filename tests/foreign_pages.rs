//! Web pages that a user of the server visits: none administers the server through the browser,
//! whatever it sends. Programs that are not browsers go on as before.

use serde_json::json;
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, VERIFY, assert_refused, assert_valid};

use crate::dev_mode::DevServer;
use crate::harness::site::{Server, Site};

const ADMIN: &str = "/v2alpha1/admin";
const JSON: (&str, &str) = ("Content-Type", "application/json");
const TEXT: (&str, &str) = ("Content-Type", "text/plain;charset=UTF-8");
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const EVIL: (&str, &str) = ("Origin", "https://evil.example");
const CROSS: (&str, &str) = ("Sec-Fetch-Site", "cross-site");
const ANOTHER_PORT: (&str, &str) = ("Origin", "http://localhost:3000");
const LOCAL: &str = "localhost";

/// Starts a server with these settings below `serve.http`.
fn start(site: &Site, settings: &[(&str, &str)]) -> Server {
    let mut command = site.command();
    for (name, value) in settings {
        command.env(format!("TALOS_SERVE_HTTP_{name}"), value);
    }
    Server::start(command, site.directory().join("pages.log"))
}

/// Sends exactly these headers.
fn send(
    connection: &mut Connection,
    (method, path): (&str, &str),
    host: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {}\r\n\r\n{body}", body.len());
    connection.exchange(head.as_bytes()).unwrap()
}

/// Every kind of route for administrators, with a body that it accepts.
fn attacks(id: &str, secret: &str) -> Vec<(&'static str, String, String)> {
    let new = json!({"name": "n", "actor_id": "a", "raw_key": "sk_evil"});
    let post = |path: String, body: serde_json::Value| ("POST", path, body.to_string());
    let get = |path: &str| ("GET", format!("{ADMIN}/{path}"), String::new());
    vec![
        post(ISSUE.to_owned(), json!({"name": "n", "actor_id": "a"})),
        post("/keys".to_owned(), json!({"name": "n"})),
        post(format!("{ADMIN}/importedApiKeys"), new.clone()),
        post(
            format!("{ADMIN}/importedApiKeys:batchCreate"),
            json!({"requests": [new]}),
        ),
        post(
            format!("{ADMIN}/importedApiKeys:batchImport"),
            json!({"requests": [new]}),
        ),
        post(
            format!("{ADMIN}/apiKeys:revokeWhere"),
            json!({"all": true, "actor_id": "a"}),
        ),
        post(
            format!("{ADMIN}/apiKeys:derive"),
            json!({"credential": secret}),
        ),
        post(format!("{ADMIN}/apiKeys/{id}:revoke"), json!({})),
        post(format!("{ADMIN}/issuedApiKeys/{id}:revoke"), json!({})),
        post(format!("{ADMIN}/issuedApiKeys/{id}:rotate"), json!({})),
        post(format!("/keys/{id}/derive"), json!({})),
        post(
            format!("{ADMIN}/replication:promote"),
            json!({"force": true}),
        ),
        post(format!("{ADMIN}/replication:rejoin"), json!({})),
        (
            "PATCH",
            format!("{ISSUE}/{id}"),
            json!({"name": "evil"}).to_string(),
        ),
        ("DELETE", format!("/keys/{id}"), String::new()),
        get("issuedApiKeys"),
        get("importedApiKeys"),
        get(&format!("issuedApiKeys/{id}")),
        get("replication"),
        get("replication:state"),
        get("replication:diverged"),
        get("changes?after=0"),
        get("backup"),
    ]
}

fn assert_forbidden(answer: &Answer, key: &str, what: &str) {
    answer.assert_error(403, "PERMISSION_DENIED", "FORBIDDEN");
    assert!(answer.text().contains(key), "{what}: {answer:?}");
}

both_drivers! {
    fn a_page_of_another_site_administers_nothing(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[]);
        let key = server.connect().issue("key");
        for (method, path, body) in attacks(&key.key_id, &key.secret) {
            for marks in [
                &[EVIL][..], &[CROSS], &[EVIL, CROSS], &[("Origin", "null")], &[ANOTHER_PORT], &[("Origin", "")],
                &[("Origin", "http://localhost.evil.example")], &[("Origin", "http://localhost"), EVIL],
                &[("sec-fetch-site", "Cross-Site")], &[CROSS, ("Sec-Fetch-Site", "none")],
            ] {
                // A request of JSON comes from a browser only after a preflight, but no browser is
                // relied on to ask.
                for kind in [TEXT, JSON, FORM] {
                    let headers = [marks, &[kind]].concat();
                    let answer = send(&mut server.connect(), (method, &path), LOCAL, &headers, &body);
                    assert_forbidden(&answer, "serve.http.cors.allowed_origins", &path);
                }
            }
        }
        // Nothing has changed, and the key is what it was.
        let list = server.connect().call("GET", ISSUE, &[], b"").json();
        assert_eq!(list["issued_api_keys"].as_array().unwrap().len(), 1);
        assert_eq!(server.connect().get(&key.key_id)["name"], "key");
        assert_valid(&server.connect().verify(&key.secret), &key.key_id);
        assert_refused(&server.connect().verify("sk_evil"), "NOT_FOUND");
        server.stop();
    }

    fn bodies_are_declared_as_json(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[]);
        let mut connection = server.connect();
        let body = json!({"name": "n", "actor_id": "a"}).to_string();
        let mut status = |headers: &[(&str, &str)], body: &str| {
            send(&mut connection, ("POST", ISSUE), LOCAL, headers, body).status
        };
        for headers in [
            &[][..], &[TEXT], &[("Content-Type", "multipart/form-data; boundary=x")], &[("Content-Type", "")],
            &[("Content-Type", "text/plain; application/json")], &[("Content-Type", "application/jsonp")],
            &[JSON, TEXT], &[TEXT, JSON], &[JSON, FORM],
            &[FORM, ("Origin", "http://localhost")], &[FORM, ("Referer", "http://localhost/")], &[FORM, ("Cookie", "a=b")],
            &[FORM, ("Sec-Fetch-Site", "same-origin")], &[FORM, ("Sec-Fetch-Site", "none")],
        ] {
            assert_eq!(status(headers, &body), 415, "{headers:?}");
        }
        for headers in [
            &[JSON][..], &[JSON, JSON], &[FORM], &[("content-type", "Application/JSON ; charset=utf-8")],
            &[JSON, ("Origin", "http://localhost")], &[JSON, ("Referer", "https://evil.example/"), ("Cookie", "a=b")],
            &[JSON, ("Sec-Fetch-Site", "same-origin"), ("Origin", "https://localhost:443")],
        ] {
            assert_eq!(status(headers, &body), 201, "{headers:?}");
        }
        // A request without a body has no type: here the body is what is missing.
        assert_eq!(status(&[], ""), 400);
        assert_eq!(status(&[("Cookie", "a=b")], ""), 415);
        server.stop();
    }

    fn a_name_that_leads_here_is_not_enough(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[]);
        let key = server.connect().issue("key");
        for host in ["evil.example", "evil.example:4420", "127.0.0.1.nip.io", "talos", "talos.local", "issuer.example"] {
            let origin = format!("http://{host}");
            for (method, path, body) in attacks(&key.key_id, &key.secret) {
                for headers in [&[JSON][..], &[JSON, ("Origin", &origin)]] {
                    let answer = send(&mut server.connect(), (method, &path), host, headers, &body);
                    assert_forbidden(&answer, "serve.http.allowed_hosts", &path);
                }
            }
            let absolute = format!("http://{host}{ISSUE}");
            let answer = send(&mut server.connect(), ("GET", &absolute), LOCAL, &[], "");
            assert_forbidden(&answer, "serve.http.allowed_hosts", host);
            // The holder of a key verifies it under any name.
            let body = json!({"credential": key.secret}).to_string();
            let verified = send(&mut server.connect(), ("POST", VERIFY), host, &[TEXT, EVIL, CROSS], &body);
            assert_valid(&verified.json(), &key.key_id);
        }
        for host in ["localhost", "LOCALHOST:1", "a.localhost", "127.0.0.1:4420", "[::1]:80", "192.0.2.1"] {
            assert_eq!(send(&mut server.connect(), ("GET", ISSUE), host, &[], "").status, 200, "{host}");
        }
        server.stop();
    }

    fn hosts_that_the_operator_allows(driver: Driver) {
        let site = Site::new(driver);
        for (host, allowed, wanted) in [
            ("127.0.0.1", "Admin.example,*.pages.example", &[200, 200, 403, 403, 403][..]),
            ("127.0.0.1", "*", &[200; 5]),
            ("0.0.0.0", "admin.example", &[200, 403, 200, 200, 403]),
        ] {
            let server = start(&site, &[("HOST", host), ("ALLOWED_HOSTS", allowed)]);
            let hosts = ["admin.example:443", "a.pages.example", "talos.keys.svc", "issuer.example", "evil.example"];
            for (host, wanted) in hosts.into_iter().zip(wanted) {
                let address = std::net::SocketAddr::from(([127, 0, 0, 1], server.address.port()));
                let answer = send(&mut Connection::open(address), ("GET", ISSUE), host, &[], "");
                assert_eq!(answer.status, *wanted, "{host} of {allowed}");
            }
            server.stop();
        }
    }

    fn listed_origins_administer_and_others_do_not(driver: Driver) {
        let site = Site::new(driver);
        let page = ("Origin", "https://app.example");
        for (origins, wanted) in [("*", 403), ("https://*", 403), ("https://app.example,*", 200), ("https://app.example", 200)] {
            let server = start(&site, &[("CORS_ENABLED", "true"), ("CORS_ALLOWED_ORIGINS", origins)]);
            let mut connection = server.connect();
            for path in [ISSUE, "/v2alpha1/admin/replication"] {
                let answer = send(&mut connection, ("GET", path), LOCAL, &[page, CROSS], "");
                assert_eq!(answer.status, wanted, "{path} {origins}");
                let readable = answer.header("access-control-allow-origin");
                assert_eq!(readable, Some(page.1).filter(|_| wanted == 200), "{path} {origins}");
            }
            for path in [ISSUE, "/keys", "/keys/x/derive", "/keys/x", "/verify"] {
                let asked = [page, ("Access-Control-Request-Method", "POST")];
                let answer = send(&mut connection, ("OPTIONS", path), LOCAL, &asked, "");
                let readable = answer.header("access-control-allow-origin");
                assert_eq!(readable, Some(page.1).filter(|_| wanted == 200), "{path} {origins}");
            }
            let evil = send(&mut connection, ("GET", ISSUE), LOCAL, &[EVIL], "");
            assert_eq!((evil.status, evil.header("access-control-allow-origin")), (403, None));
            server.stop();
        }
    }
}

#[test]
fn a_development_server_takes_local_names_only() {
    let directory = tempfile::tempdir().unwrap();
    let open = [("TALOS_SERVE_HTTP_HOST".to_owned(), "0.0.0.0".to_owned())];
    let server = DevServer::start_with(directory.path(), &open);
    let body = json!({"name": "n", "actor_id": "a"}).to_string();
    for (host, status) in [
        ("localhost", 201),
        ("127.0.0.1", 201),
        ("talos", 403),
        ("evil.example", 403),
    ] {
        let mut connection = Connection::open(server.address);
        let answer = send(&mut connection, ("POST", ISSUE), host, &[JSON], &body);
        assert_eq!(answer.status, status, "{host}");
    }
    server.stop();
}

//! IP restrictions: which address each source takes for the client's, and that an unknown address
//! is refused.

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::site::{Server, Site};

const SOURCES: [(&str, Option<&str>); 6] = [
    ("UNSPECIFIED", None),
    ("REMOTE_ADDRESS", None),
    ("CF_CONNECTING_IP", Some("Cf-Connecting-Ip")),
    ("X_FORWARDED_FOR", Some("X-Forwarded-For")),
    ("X_REAL_IP", Some("X-Real-Ip")),
    ("TRUE_CLIENT_IP", Some("True-Client-Ip")),
];

fn start(site: &Site, source: &str) -> Server {
    let mut command = site.command();
    let value = format!("CLIENT_IP_SOURCE_{source}");
    command.env("TALOS_SERVE_HTTP_CLIENT_IP_SOURCE", value);
    Server::start(command, site.directory().join(format!("{source}.log")))
}

fn issue(connection: &mut Connection, cidr: &str) -> Issued {
    let restriction = json!({"allowed_cidrs": [cidr]});
    let body = json!({"name": "n", "actor_id": "a", "ip_restriction": restriction});
    Issued::from(&connection.post(ISSUE, &body))
}

/// The verdict of a verification from memory, of one that bypasses memory, and of a batch. All must
/// agree.
fn verdict(connection: &mut Connection, key: &Issued, headers: &[(&str, &str)]) -> Value {
    let alone = connection.verify_with(&key.secret, headers);
    assert_eq!(connection.verify_with(&key.secret, headers), alone);
    let no_store = [headers, &[("Cache-Control", "no-store")]].concat();
    assert_eq!(connection.verify_with(&key.secret, &no_store), alone);
    let body = json!({"requests": [{"credential": key.secret}]}).to_string();
    let path = "/v2alpha1/admin/apiKeys:batchVerify";
    let batch = connection
        .call("POST", path, headers, body.as_bytes())
        .json();
    assert_eq!(batch["results"][0], alone);
    alone
}

both_drivers! {
    fn only_the_configured_source_counts(driver: Driver) {
        let site = Site::new(driver);
        for (source, header) in SOURCES {
            let server = start(&site, source);
            let mut connection = server.connect();
            let (loopback, net) = (issue(&mut connection, "127.0.0.0/8"), issue(&mut connection, "10.0.0.0/8"));
            let all = |value| {
                let names = SOURCES.iter().filter_map(|(_, name)| *name);
                names.map(|name| (name, value)).collect::<Vec<_>>()
            };
            // Without the header, or with an empty one, the address of the connection counts.
            for headers in [vec![], all(""), all(" ")] {
                assert_valid(&verdict(&mut connection, &loopback, &headers), &loopback.key_id);
                assert_refused(&verdict(&mut connection, &net, &headers), "IP_NOT_ALLOWED");
            }
            let Some(header) = header else {
                for value in ["10.1.1.1", "nonsense"] {
                    assert_valid(&verdict(&mut connection, &loopback, &all(value)), &loopback.key_id);
                    assert_refused(&verdict(&mut connection, &net, &all(value)), "IP_NOT_ALLOWED");
                }
                server.stop();
                continue;
            };
            for value in ["10.1.1.1", "::ffff:10.1.1.1", "10.1.1.1:5678", "[::ffff:10.1.1.1]:80"] {
                let headers = [(header, value)];
                assert_valid(&verdict(&mut connection, &net, &headers), &net.key_id);
                assert_refused(&verdict(&mut connection, &loopback, &headers), "IP_NOT_ALLOWED");
            }
            let others: Vec<_> = all("10.1.1.1").into_iter().filter(|(name, _)| *name != header).collect();
            assert_refused(&verdict(&mut connection, &net, &others), "IP_NOT_ALLOWED");
            assert_valid(&verdict(&mut connection, &loopback, &others), &loopback.key_id);
            // A header that cannot be parsed names no address; the address of the connection does
            // not replace it.
            let anywhere = issue(&mut connection, "0.0.0.0/0");
            for value in ["nonsense", "10.1.1", "127.0.0.1 10.1.1.1", "unknown", "127.0.0.1%1"] {
                for key in [&loopback, &net, &anywhere] {
                    assert_refused(&verdict(&mut connection, key, &[(header, value)]), "IP_NOT_ALLOWED");
                }
            }
            let free = connection.issue("free");
            assert_valid(&verdict(&mut connection, &free, &[(header, "nonsense")]), &free.key_id);

            let twice = [(header, "10.1.1.1"), (header, "127.0.0.1")];
            let joined = [(header, "10.1.1.1, 127.0.0.1")];
            for headers in [&twice[..], &joined] {
                let verdict = verdict(&mut connection, &net, headers);
                if source == "X_FORWARDED_FOR" {
                    assert_valid(&verdict, &net.key_id);
                } else {
                    assert_refused(&verdict, "IP_NOT_ALLOWED");
                }
            }
            server.stop();
        }
    }

    /// A client that writes the header itself gains nothing, whether it comes through the proxy or
    /// around it.
    fn a_header_counts_only_from_trusted_proxies(driver: Driver) {
        let site = Site::new(driver);
        for (source, header) in SOURCES {
            let Some(header) = header else { continue };
            for (proxies, trusted) in [("127.0.0.0/8", true), ("127.0.0.1", true), ("10.0.0.0/8,unix", false)] {
                let mut command = site.command();
                command
                    .env("TALOS_SERVE_HTTP_CLIENT_IP_SOURCE", format!("CLIENT_IP_SOURCE_{source}"))
                    .env("TALOS_SERVE_HTTP_TRUSTED_PROXIES", proxies);
                let server = Server::start(command, site.directory().join("proxies.log"));
                let mut connection = server.connect();
                let office = issue(&mut connection, "203.0.113.0/24");
                let here = issue(&mut connection, "127.0.0.0/8");
                let (inside, outside) = ([(header, "203.0.113.9")], [(header, "198.51.100.9")]);
                if trusted {
                    assert_valid(&verdict(&mut connection, &office, &inside), &office.key_id);
                    assert_refused(&verdict(&mut connection, &office, &outside), "IP_NOT_ALLOWED");
                    assert_refused(&verdict(&mut connection, &here, &inside), "IP_NOT_ALLOWED");
                } else {
                    assert_refused(&verdict(&mut connection, &office, &inside), "IP_NOT_ALLOWED");
                    assert_valid(&verdict(&mut connection, &here, &inside), &here.key_id);
                    assert_valid(&verdict(&mut connection, &here, &[(header, "nonsense")]), &here.key_id);
                }
                if source == "X_FORWARDED_FOR" && trusted {
                    for (forged, seen) in [
                        ("203.0.113.9, 198.51.100.9", "IP_NOT_ALLOWED"),
                        ("203.0.113.9, 198.51.100.9, 127.0.0.1", "IP_NOT_ALLOWED"),
                        ("203.0.113.9, nonsense", "IP_NOT_ALLOWED"),
                        ("198.51.100.9, 203.0.113.9", ""),
                        ("nonsense, 203.0.113.9, ::ffff:127.0.0.1", ""),
                    ] {
                        let verdict = verdict(&mut connection, &office, &[(header, forged)]);
                        match seen {
                            "" => assert_valid(&verdict, &office.key_id),
                            code => assert_refused(&verdict, code),
                        }
                    }
                    let lines = [(header, "203.0.113.9"), (header, "198.51.100.9")];
                    assert_refused(&verdict(&mut connection, &office, &lines), "IP_NOT_ALLOWED");
                }
                server.stop();
            }
        }
    }

    /// The old behaviour without the setting is announced.
    fn without_trusted_proxies_a_start_warns(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, "X_FORWARDED_FOR");
        let warns = |line: &Value| line["level"] == "WARN" && line.to_string().contains("serve.http.trusted_proxies");
        assert!(server.log_lines().iter().any(warns), "{:?}", server.log_lines());
        server.stop();
    }
}

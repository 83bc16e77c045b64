//! How a request proves who makes it, and when it is refused.

use std::os::unix::net::UnixStream;

use talos_api::fleet::{ForwardedClient, ForwardingKeys, SealedRequest, body_digest};
use talos_config::{AdminAuth, CertificateName, CertificateRule, PeerRule};
use talos_model::{Principal, Proof, Role, Secret, clock};
use talos_server::{AdminHosts, DriverChoice, ListenScope, ServerOptions};
use talos_test_kit::certificates::Authority;
use talos_test_kit::tls;
use talos_tls::ClientCertificate;

use crate::support::{Answer, Connection, ECHO, Fixture, both_drivers, post};
use crate::tokens::{create, revoke, token};
use crate::verification::issue;

const VERIFY: &str = "/v2alpha1/admin/apiKeys:verify";

/// A server that needs a principal.
fn closed(driver: DriverChoice, change: impl FnOnce(&mut ServerOptions)) -> Fixture {
    Fixture::with(driver, |options| {
        options.admin_auth.enabled = true;
        change(options);
    })
}

fn bearer(number: u8) -> String {
    format!("Authorization: Bearer {}\r\n", token(number))
}

fn own(number: u8) -> String {
    format!("X-Talos-Token: {}\r\n", token(number))
}

#[track_caller]
fn assert_unauthenticated(answer: &Answer) {
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(
        answer.header("WWW-Authenticate"),
        Some("Bearer realm=\"talos\"")
    );
}

#[test]
fn a_request_names_one_token() {
    both_drivers(|driver| {
        let fixture = closed(driver, |_| {});
        create(&fixture.engine, 1, Role::Write, None, None);
        create(&fixture.engine, 2, Role::Read, None, None);
        let (good, bad) = (token(1), token(9));
        for (fields, status) in [
            (bearer(1), 201),
            (own(1), 201),
            (format!("authorization: bearer   {good} \r\n"), 201),
            (format!("x-talos-token:{good}\r\n"), 201),
            // The header of tokens decides.
            (own(1) + &bearer(2), 201),
            (bearer(2) + &own(1), 201),
            (bearer(1) + &own(2), 403),
            (own(1) + &bearer(9) + &bearer(9), 201),
            (own(9) + &bearer(1), 401),
            (own(1) + &own(1), 401),
            (own(1) + &own(9), 401),
            (bearer(1) + &bearer(1), 401),
            (bearer(9) + &bearer(1), 401),
            ("X-Talos-Token: \r\n".to_owned() + &bearer(1), 401),
            (format!("X-Talos-Token: Bearer {good}\r\n"), 401),
            (format!("Authorization: {good}\r\n"), 401),
            (format!("Authorization: Basic {good}\r\n"), 401),
            (
                format!("Authorization: Bearer {good}, Bearer {bad}\r\n"),
                401,
            ),
            (format!("Authorization: Bearer {good}x\r\n"), 401),
            (format!("Authorization: Bearer {}\r\n", &good[1..]), 401),
            (
                format!("Authorization: Bearer {}\r\n", "x".repeat(8000)),
                401,
            ),
            ("Authorization: Bearer\r\n".to_owned(), 401),
            (format!("Cookie: X-Talos-Token={good}\r\n"), 401),
            (String::new(), 401),
        ] {
            let answer = fixture.ask(&post(&fields, "{}"));
            assert_eq!(answer.status, status, "{fields}");
            if status == 401 {
                assert_unauthenticated(&answer);
            }
        }
        let query =
            format!("GET {ECHO}?token={good}&access_token={good} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_unauthenticated(&fixture.ask(&query));
    });
}

#[test]
fn the_control_plane_learns_who_asks() {
    both_drivers(|driver| {
        let fixture = closed(driver, |_| {});
        create(&fixture.engine, 1, Role::Write, None, None);
        let ask = |fields: &str| fixture.ask(&post(&format!("X-Test: caller\r\n{fields}"), "{}"));
        let answer = ask(&bearer(1));
        assert_eq!(answer.text(), "token 1 by token from 127.0.0.1, open");
        let public = format!(
            "POST /v2alpha1/apiKeys:selfRevoke HTTP/1.1\r\nHost: h\r\nX-Test: caller\r\n{}Content-Length: 0\r\n\r\n",
            bearer(1)
        );
        assert_eq!(fixture.ask(&public).text(), "nobody from 127.0.0.1, open");
    });
}

#[test]
fn a_token_ends_on_connections_that_are_open() {
    both_drivers(|driver| {
        let fixture = closed(driver, |_| {});
        let id = create(&fixture.engine, 1, Role::Write, None, None);
        let mut connection = fixture.connect();
        let request = post(&bearer(1), "{}");
        for _ in 0..3 {
            connection.send(request.as_bytes());
            assert_eq!(connection.answer().status, 201);
        }
        revoke(&fixture.engine, id);
        connection.send(request.as_bytes());
        assert_unauthenticated(&connection.answer());
        create(&fixture.engine, 2, Role::Verify, None, None);
        connection.send(post(&bearer(2), "{}").as_bytes());
        assert_eq!(connection.answer().status, 403);
    });
}

/// The credential of `/verify` is no token of an administrator, nor the other way round.
#[test]
fn a_verification_by_bearer_has_both_credentials() {
    both_drivers(|driver| {
        let fixture = closed(driver, |_| {});
        create(&fixture.engine, 1, Role::Verify, None, None);
        let (key, _) = issue(&fixture.engine, None);
        let ask =
            |fields: &str| fixture.ask(&format!("GET /verify HTTP/1.1\r\nHost: h\r\n{fields}\r\n"));
        let credential = format!("Authorization: Bearer {key}\r\n");
        assert_unauthenticated(&ask(&credential));
        assert_unauthenticated(&ask(&bearer(1)));
        assert_unauthenticated(&ask(&(own(9) + &credential)));
        let answer = ask(&(own(1) + &credential));
        assert_eq!(
            (answer.status, answer.json()["is_valid"].clone()),
            (200, true.into())
        );
        let missing = ask(&own(1));
        assert_eq!(missing.header("WWW-Authenticate"), Some("Bearer"));
    });
}

#[test]
fn verifications_can_stay_open() {
    both_drivers(|driver| {
        let fixture = closed(driver, |options| {
            options.admin_auth.open_verification = true;
        });
        let (key, _) = issue(&fixture.engine, None);
        let body = format!("{{\"credential\":\"{key}\"}}");
        let verify = format!(
            "POST {VERIFY} HTTP/1.1\r\nHost: h\r\nX-Talos-Token: x\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(fixture.ask(&verify).json()["is_valid"], true);
        let bearer =
            format!("GET /verify HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {key}\r\n\r\n");
        assert_eq!(fixture.ask(&bearer).json()["is_valid"], true);
        assert_unauthenticated(&fixture.ask(&post("", "{}")));
    });
}

/// Eight mebibytes that will not come are not waited for.
#[test]
fn a_stranger_is_refused_before_the_body() {
    both_drivers(|driver| {
        let fixture = closed(driver, |_| {});
        create(&fixture.engine, 1, Role::Read, None, None);
        create(&fixture.engine, 2, Role::Write, None, None);
        let import = "/v2alpha1/admin/importedApiKeys:batchCreate";
        for path in [import, VERIFY, ECHO] {
            for length in ["Content-Length: 900000", "Transfer-Encoding: chunked"] {
                for expectation in ["", "Expect: 100-continue\r\n"] {
                    let head =
                        format!("POST {path} HTTP/1.1\r\nHost: h\r\n{length}\r\n{expectation}\r\n");
                    let mut connection = fixture.connect();
                    connection.send(head.as_bytes());
                    let answer = connection.answer();
                    assert_unauthenticated(&answer);
                    assert_eq!(answer.header("Connection"), Some("close"));
                }
            }
        }
        // Neither is a body that no route takes.
        let huge = format!("POST {import} HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n");
        assert_unauthenticated(&fixture.ask(&format!("{huge}\r\n")));
        assert_eq!(fixture.ask(&format!("{huge}{}\r\n", bearer(1))).status, 403);
        assert_eq!(fixture.ask(&format!("{huge}{}\r\n", bearer(2))).status, 413);
        // With a token the body is read.
        let mut connection = fixture.connect();
        let head = format!(
            "POST {import} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 2\r\n{}\r\n",
            bearer(2)
        );
        connection.send(head.as_bytes());
        assert!(connection.hears_nothing());
        connection.send(b"{}");
        assert_eq!(connection.answer().status, 201);
    });
}

/// A position that never comes occupies nobody.
#[test]
fn a_stranger_is_refused_before_a_wait() {
    both_drivers(|driver| {
        let fixture = closed(driver, |_| {});
        let position = "Talos-Min-Position: 1.999\r\n";
        assert_unauthenticated(&fixture.ask(&post(position, "{}")));
        let verify =
            format!("POST {VERIFY} HTTP/1.1\r\nHost: h\r\n{position}Content-Length: 2\r\n\r\n{{}}");
        assert_unauthenticated(&fixture.ask(&verify));
        let health = format!("GET /health/alive HTTP/1.1\r\nHost: h\r\n{position}\r\n");
        let mut waiting = fixture.connect();
        waiting.send(health.as_bytes());
        fixture.fleet.await_waiting(1);
        fixture.fleet.release(&Ok(()));
    });
}

/// A page whose name leads here has no token. A certificate or a user it would have.
#[test]
fn a_token_is_beyond_the_reach_of_pages() {
    both_drivers(|driver| {
        let fixture = closed(driver, |options| {
            options.listeners[0].admin_hosts = AdminHosts::new(ListenScope::Loopback, &[]);
        });
        create(&fixture.engine, 1, Role::Admin, None, None);
        let ask = |fields: &str| {
            let request = post(fields, "{}").replacen("Host: h", "Host: keys.example", 1);
            fixture.ask(&request).status
        };
        assert_eq!(ask(&bearer(1)), 201);
        assert_eq!(ask(&own(1)), 201);
        assert_eq!(ask(""), 401);
        // The other checks stay.
        assert_eq!(
            ask(&format!("{}Origin: https://evil.example\r\n", bearer(1))),
            403
        );
        let typed = post(&bearer(1), "{}").replacen("application/json", "text/plain", 1);
        assert_eq!(fixture.ask(&typed).status, 415);
        // A server that asks nobody still looks at the host.
        let open = Fixture::with(driver, |options| {
            options.listeners[0].admin_hosts = AdminHosts::new(ListenScope::Loopback, &[]);
        });
        let request = post(&bearer(1), "{}").replacen("Host: h", "Host: keys.example", 1);
        assert_eq!(open.ask(&request).status, 403);
    });
}

/// A certificate proves a principal, and keeps the checks that keep pages away.
#[test]
fn a_client_certificate_is_a_principal() {
    both_drivers(|driver| {
        let authority = Authority::new();
        let fixture = closed(driver, |options| {
            let listener = &mut options.listeners[0];
            listener.tls = Some(tls::server(&authority, Some(ClientCertificate::Optional)));
            listener.admin_hosts = AdminHosts::new(ListenScope::Loopback, &[]);
            let rule = |name: &str, role| CertificateRule {
                certificate: CertificateName::CommonName(name.to_owned()),
                principal: Principal {
                    name: format!("the {name}"),
                    proof: Proof::Certificate,
                    role,
                    tenant: None,
                },
            };
            options.admin_auth.certificates =
                vec![rule("deployer", Role::Write), rule("reader", Role::Read)];
        });
        create(&fixture.engine, 1, Role::Write, None, None);
        let connect = |name: Option<&str>| {
            let own = name.map(|name| authority.certified_as(name));
            tls::connect(fixture.address, &tls::client(&authority, own)).unwrap()
        };
        let local = |fields: &str| {
            post(&format!("X-Test: caller\r\n{fields}"), "{}").replacen(
                "Host: h",
                "Host: localhost",
                1,
            )
        };
        let mut deployer = connect(Some("deployer"));
        for _ in 0..2 {
            deployer.send(local("").as_bytes());
            assert_eq!(
                deployer.answer().text(),
                "the deployer by certificate from 127.0.0.1, open"
            );
        }
        deployer.send(local(&bearer(1)).as_bytes());
        assert_eq!(
            deployer.answer().text(),
            "token 1 by token from 127.0.0.1, open"
        );
        deployer.send(local(&bearer(9)).as_bytes());
        assert_unauthenticated(&deployer.answer());
        // A page whose name leads here would have the certificate of its visitor.
        deployer.send(
            post("", "{}")
                .replacen("Host: h", "Host: keys.example", 1)
                .as_bytes(),
        );
        assert_eq!(deployer.answer().status, 403);
        deployer.send(local("Origin: https://evil.example\r\n").as_bytes());
        assert_eq!(deployer.answer().status, 403);
        let mut reader = connect(Some("reader"));
        reader.send(local("").as_bytes());
        assert_eq!(reader.answer().status, 403);
        for name in [None, Some("Deployer"), Some("stranger")] {
            let mut nobody = connect(name);
            nobody.send(local("").as_bytes());
            assert_unauthenticated(&nobody.answer());
        }
    });
}

/// The keys of the fleet, and those of another one.
fn keys(secret: &str) -> ForwardingKeys {
    ForwardingKeys::new(&Secret::new(secret.to_owned()), &[])
}

/// A request that another node forwards for a user of its host.
fn forwarded(keys: &ForwardingKeys, principal: Option<Role>, fields: &str, body: &str) -> String {
    let principal = principal.map(|role| Principal {
        name: "ops".to_owned(),
        proof: Proof::PeerCredentials,
        role,
        tenant: None,
    });
    let client = ForwardedClient {
        principal,
        address: Some([192, 0, 2, 7].into()),
        body: body_digest(b"{}"),
        time: clock::now(),
    };
    let request = SealedRequest {
        method: "POST",
        path: ECHO,
        query: "",
        host: "h",
    };
    let value = keys.seal(&request, &client).unwrap();
    post(
        &format!(
            "X-Test: caller\r\nTalos-Forwarded: 1\r\nTalos-Forwarded-Client: {value}\r\n{fields}"
        ),
        body,
    )
}

#[test]
fn another_node_says_who_the_client_is() {
    both_drivers(|driver| {
        let fixture = closed(driver, |options| {
            options.forwarding_keys = Some(keys("of the fleet"));
            options.listeners[0].admin_hosts = AdminHosts::new(ListenScope::Network, &[]);
        });
        create(&fixture.engine, 1, Role::Write, None, None);
        let ours = keys("of the fleet");
        let ask = |request: &str| fixture.ask(request);
        let answer = ask(&forwarded(&ours, Some(Role::Write), "", "{}"));
        assert_eq!(
            answer.text(),
            "ops by peer_credentials from 192.0.2.7, sealed"
        );
        // The control plane refuses an altered body.
        let answer = ask(&forwarded(&ours, Some(Role::Write), "", "[]"));
        assert_eq!(
            answer.text(),
            "ops by peer_credentials from 192.0.2.7, altered"
        );
        assert_eq!(
            ask(&forwarded(&ours, Some(Role::Read), "", "{}")).status,
            403
        );
        assert_unauthenticated(&ask(&forwarded(&ours, None, "", "{}")));
        // A token is judged here.
        let answer = ask(&forwarded(&ours, None, &bearer(1), "{}"));
        assert_eq!(answer.text(), "token 1 by token from 192.0.2.7, sealed");
        assert_unauthenticated(&ask(&forwarded(&ours, Some(Role::Write), &bearer(9), "{}")));
        // What a stranger says counts for nothing.
        let theirs = keys("of another fleet");
        assert_unauthenticated(&ask(&forwarded(&theirs, Some(Role::Admin), "", "{}")));
        let answer = ask(&forwarded(&theirs, Some(Role::Admin), &bearer(1), "{}"));
        assert_eq!(answer.text(), "token 1 by token from 127.0.0.1, open");
        let request = forwarded(&ours, Some(Role::Write), "", "{}");
        for altered in [
            request.replacen(ECHO, "/v2alpha1/admin/importedApiKeys", 1),
            request.replacen(ECHO, &format!("{ECHO}?wait=replicas"), 1),
            request.replacen("Host: h", "Host: i", 1),
            request.replacen("Client: v1.", "Client: v1.A", 1),
            request.replacen(
                "Talos-Forwarded-Client: ",
                "Talos-Forwarded-Client: a\r\nTalos-Forwarded-Client: ",
                1,
            ),
        ] {
            assert_unauthenticated(&ask(&altered));
        }
    });
}

/// The other node has rights of its own. Its clients do not get them.
#[test]
fn the_connection_of_another_node_proves_nothing() {
    both_drivers(|driver| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("talos.sock");
        let fixture = closed(driver, |options| {
            options.socket = Some(path.clone());
            options.forwarding_keys = Some(keys("of the fleet"));
            options.admin_auth = AdminAuth {
                peers: vec![PeerRule {
                    uid: rustix::process::geteuid().as_raw(),
                    principal: Principal {
                        name: "node".to_owned(),
                        proof: Proof::PeerCredentials,
                        role: Role::Admin,
                        tenant: None,
                    },
                }],
                ..options.admin_auth.clone()
            };
        });
        let ask = |request: &str| {
            let mut connection = Connection::over(UnixStream::connect(&path).unwrap());
            connection.send(request.as_bytes());
            connection.answer()
        };
        let answer = ask(&post("X-Test: caller\r\n", "{}"));
        assert_eq!(answer.text(), "node by peer_credentials from nowhere, open");
        assert_unauthenticated(&ask(&post("Talos-Forwarded: 1\r\n", "{}")));
        assert_unauthenticated(&ask(&forwarded(&keys("of the fleet"), None, "", "{}")));
        assert_unauthenticated(&ask(&forwarded(
            &keys("other"),
            Some(Role::Admin),
            "",
            "{}",
        )));
        drop(fixture);
    });
}

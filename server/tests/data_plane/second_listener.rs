//! A second listener that has no routes for administrators, whatever a request looks like.

use std::net::SocketAddr;

use talos_api::route::Surface;
use talos_server::{AdminHosts, ListenScope, ListenerOptions};

use crate::support::{ALIVE, Answer, Connection, ECHO, Fixture, both_drivers};
use crate::verification::{issue, of, request};

/// A server with all routes on the first listener, and those for verification on the second.
fn start(driver: talos_server::DriverChoice) -> (Fixture, SocketAddr) {
    let fixture = Fixture::with(driver, |options| {
        options.workers = 2;
        let mut second = ListenerOptions::new("127.0.0.1:0".parse().unwrap());
        second.surface = Surface::Data;
        second.admin_hosts = AdminHosts::new(ListenScope::Loopback, &["*".to_owned()]);
        options.listeners.push(second);
    });
    let second = fixture.server().other_addrs()[0];
    (fixture, second)
}

fn ask(address: SocketAddr, method: &str, target: &str, fields: &str) -> Answer {
    let mut client = Connection::open(address);
    let host = if fields.starts_with("Host:") {
        ""
    } else {
        "Host: localhost\r\n"
    };
    let request = format!(
        "{method} {target} HTTP/1.1\r\n{host}Content-Type: application/json\r\nContent-Length: 0\r\n{fields}\r\n"
    );
    client.send(request.as_bytes());
    client.answer_to(method)
}

const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW",
];

/// Paths of routes for administrators, one of each kind.
const ADMIN: [&str; 22] = [
    ECHO,
    "/v2alpha1/admin/issuedApiKeys/x",
    "/v2alpha1/admin/issuedApiKeys/x:rotate",
    "/v2alpha1/admin/issuedApiKeys/x:revoke",
    "/v2alpha1/admin/importedApiKeys",
    "/v2alpha1/admin/importedApiKeys:batchCreate",
    "/v2alpha1/admin/importedApiKeys:batchImport",
    "/v2alpha1/admin/importedApiKeys/x",
    "/v2alpha1/admin/apiKeys/x:revoke",
    "/v2alpha1/admin/apiKeys:revokeWhere",
    "/v2alpha1/admin/apiKeys:derive",
    "/v2alpha1/admin/derivedKeys/jwks.json",
    "/v2alpha1/admin/changes",
    "/v2alpha1/admin/backup",
    "/v2alpha1/admin/replication",
    "/v2alpha1/admin/replication:promote",
    "/keys",
    "/keys/x",
    "/keys/x/derive",
    "/version",
    "/openapi.json",
    "/metrics",
];

/// Other spellings of such paths.
const SPELLINGS: [&str; 24] = [
    "/v2alpha1/admin/issuedApiKeys/",
    "//v2alpha1/admin/issuedApiKeys",
    "/v2alpha1//admin/issuedApiKeys",
    "/v2alpha1/admin//issuedApiKeys",
    "/./v2alpha1/admin/issuedApiKeys",
    "/v2alpha1/./admin/issuedApiKeys",
    "/V2ALPHA1/ADMIN/ISSUEDAPIKEYS",
    "/v2alpha1/Admin/issuedApiKeys",
    "/v2alpha1/%61dmin/issuedApiKeys",
    "/v2alpha1/admin%2FissuedApiKeys",
    "/v2alpha1%2fadmin/issuedApiKeys",
    "/%76%32alpha1/admin/issuedApiKeys",
    "/v2alpha1/admin/issuedApiKeys;a=b",
    "/v2alpha1/admin/issuedApiKeys?x=/health/alive",
    "/health/alive/../../v2alpha1/admin/issuedApiKeys",
    "/health/alive/%2e%2e/%2e%2e/v2alpha1/admin/issuedApiKeys",
    "/v2alpha1/apiKeys:selfRevoke/../admin/issuedApiKeys",
    "/v2alpha1/admin/apiKeys:verify/../issuedApiKeys",
    "/v2alpha1/admin/apiKeys%3Averify",
    "/v2alpha1/admin/apiKeys:verify/",
    "http://localhost/v2alpha1/admin/issuedApiKeys",
    "HTTP://LOCALHOST:4420/v2alpha1/admin/issuedApiKeys",
    "https://127.0.0.1/keys",
    "http://admin.internal//keys",
];

/// Fields by which some servers let a request name another host, path or method.
const FIELDS: [&str; 9] = [
    "Host: 127.0.0.1:4420\r\n",
    "Host: admin.internal\r\n",
    "Host: localhost:4422\r\n",
    "X-Forwarded-Host: localhost:4420\r\nX-Forwarded-Port: 4420\r\n",
    "Forwarded: for=127.0.0.1;host=localhost:4420\r\n",
    "X-Forwarded-For: 127.0.0.1\r\nX-Real-Ip: 127.0.0.1\r\n",
    "X-Original-URL: /v2alpha1/admin/issuedApiKeys\r\nX-Rewrite-URL: /keys\r\n",
    "X-HTTP-Method-Override: POST\r\nX-Http-Method: POST\r\n",
    "Talos-Forwarded: 1\r\nTalos-Min-Position: 0.0\r\n",
];

#[track_caller]
fn assert_unknown(answer: &Answer, method: &str) {
    assert_eq!(answer.status, 404, "{answer:?}");
    if method != "HEAD" {
        answer.assert_error(404, "NOT_FOUND", "NOT_FOUND");
    }
}

#[test]
fn routes_of_administrators_are_unknown_under_every_method_and_spelling() {
    both_drivers(|driver| {
        let (fixture, second) = start(driver);
        // They are there on the first listener, so the table below means something.
        assert_eq!(ask(fixture.address, "GET", ECHO, "").status, 201);
        assert_eq!(ask(fixture.address, "POST", "/keys", "").status, 201);
        for path in ADMIN.into_iter().chain(SPELLINGS) {
            for method in METHODS {
                eprintln!("{method} {path}");
                assert_unknown(&ask(second, method, path, ""), method);
            }
        }
        for fields in FIELDS {
            for path in [ECHO, "/keys", "/keys/x", "/nowhere"] {
                for method in ["GET", "POST", "DELETE"] {
                    eprintln!("{method} {path} {fields}");
                    assert_unknown(&ask(second, method, path, fields), method);
                }
            }
        }
    });
}

#[test]
fn a_request_that_is_allowed_opens_nothing_for_the_next() {
    both_drivers(|driver| {
        let (fixture, second) = start(driver);
        let (credential, _) = issue(&fixture.engine, None);
        let mut client = Connection::open(second);
        let admin = format!("GET {ECHO} HTTP/1.1\r\nHost: h\r\n\r\n");
        let verification = request("", &of(&credential));
        let pipelined = [&*verification, &admin, ALIVE, &admin];
        client.send(pipelined.concat().as_bytes());
        let answers: Vec<u16> = (0..4).map(|_| client.answer().status).collect();
        assert_eq!(answers, [200, 404, 200, 404]);
    });
}

#[test]
fn verification_and_health_work_on_both() {
    both_drivers(|driver| {
        let (fixture, second) = start(driver);
        let (credential, _) = issue(&fixture.engine, None);
        let body = of(&credential);
        let batch = format!(r#"{{"requests":[{body}]}}"#);
        for address in [fixture.address, second] {
            let one = |request: &str| {
                let mut client = Connection::open(address);
                client.send(request.as_bytes());
                client.answer()
            };
            assert_eq!(one(&request("", &body)).json()["is_valid"], true);
            let batched = one(&request("", &batch).replace(":verify", ":batchVerify"));
            assert_eq!(batched.json()["results"][0]["is_valid"], true);
            let fields = format!("Authorization: Bearer {credential}\r\n");
            for method in ["GET", "POST"] {
                let answer = ask(address, method, "/verify", &fields);
                assert_eq!(answer.json()["is_valid"], true);
            }
            for path in ["/health/alive", "/health/ready"] {
                assert_eq!(ask(address, "GET", path, "").json()["status"], "ok");
            }
            // The control plane answers these.
            assert_eq!(
                ask(address, "POST", "/v2alpha1/apiKeys:selfRevoke", "").status,
                201
            );
            assert_eq!(
                ask(address, "GET", "/v2alpha1/derivedKeys/jwks.json", "").status,
                201
            );
        }
    });
}

//! `talos serve admin`, `talos serve data` and `talos serve public`, and a second listener: each
//! has its routes and no others.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{ISSUE, VERIFY, assert_refused, assert_valid};

use crate::harness::site::{Server, Site};

/// Starts a server of this surface.
fn start(site: &Site, surface: &[&str]) -> Server {
    let mut command: Command = site.command();
    command.args(surface);
    Server::start(command, site.directory().join("surface.log"))
}

/// All routes, by surface.
const EVERYWHERE: [(&str, &str); 3] = [
    ("GET", "/health/alive"),
    ("GET", "/health/ready"),
    ("GET", "/v2alpha1/derivedKeys/jwks.json"),
];
const ADMIN: [(&str, &str); 16] = [
    ("GET", "/v2alpha1/admin/issuedApiKeys"),
    ("POST", "/v2alpha1/admin/issuedApiKeys"),
    ("GET", "/v2alpha1/admin/issuedApiKeys/x"),
    ("POST", "/v2alpha1/admin/importedApiKeys"),
    ("POST", "/v2alpha1/admin/importedApiKeys:batchCreate"),
    ("POST", "/v2alpha1/admin/apiKeys/x:revoke"),
    ("POST", "/v2alpha1/admin/apiKeys:verify"),
    ("POST", "/v2alpha1/admin/apiKeys:batchVerify"),
    ("GET", "/v2alpha1/admin/derivedKeys/jwks.json"),
    ("GET", "/v2alpha1/admin/tokens"),
    ("POST", "/v2alpha1/admin/tokens"),
    ("GET", "/v2alpha1/admin/whoami"),
    ("POST", "/keys"),
    ("DELETE", "/keys/x"),
    ("GET", "/verify"),
    ("POST", "/verify"),
];
/// Of these, the routes that verify credentials.
const DATA: [(&str, &str); 4] = [
    ("POST", "/v2alpha1/admin/apiKeys:verify"),
    ("POST", "/v2alpha1/admin/apiKeys:batchVerify"),
    ("GET", "/verify"),
    ("POST", "/verify"),
];
const PUBLIC: [(&str, &str); 1] = [("POST", "/v2alpha1/apiKeys:selfRevoke")];
const NEITHER: [(&str, &str); 1] = [("GET", "/version")];

/// Whether the listener at this address has the route.
fn exists(address: SocketAddr, (method, path): (&str, &str)) -> bool {
    let answer = Connection::open(address).call(method, path, &[], b"");
    let reason = answer.json()["error"]["details"][0]["reason"].clone();
    assert!(answer.status != 405, "{method} {path}");
    assert_eq!(
        answer.status == 404 && reason != "API_KEY_NOT_FOUND",
        reason == "NOT_FOUND"
    );
    reason != json!("NOT_FOUND")
}

#[track_caller]
fn assert_routes(address: SocketAddr, there: &[&[(&str, &str)]], absent: &[&[(&str, &str)]]) {
    for route in there.concat() {
        assert!(exists(address, route), "{route:?} is missing");
    }
    for route in absent.concat() {
        assert!(!exists(address, route), "{route:?} is there");
    }
}

/// The routes for administrators that verify nothing.
fn only_admin() -> Vec<(&'static str, &'static str)> {
    let is_data = |route: &(&str, &str)| DATA.contains(route);
    ADMIN.into_iter().filter(|route| !is_data(route)).collect()
}

/// The line of the log that says what is served.
fn serving(server: &Server) -> Value {
    let lines = server.log_lines();
    let serving = lines.iter().find(|line| line["message"] == "serving");
    serving.unwrap().clone()
}

/// The surface that the log names.
fn surface(server: &Server) -> Value {
    serving(server)["surface"].clone()
}

/// Starts a server that has a second listener, of which the log names the address.
fn start_two(site: &Site, arguments: &[&str], second: &str) -> (Server, SocketAddr) {
    let mut command: Command = site.command();
    command.args(arguments).envs([
        ("TALOS_SERVE_PUBLIC_HOST", "127.0.0.1"),
        ("TALOS_SERVE_PUBLIC_PORT", "0"),
        ("TALOS_SERVE_PUBLIC_SURFACE", second),
    ]);
    let server = Server::start(command, site.directory().join("two.log"));
    let line = serving(&server);
    assert_eq!(line["public_surface"], second);
    let address = line["public"].as_str().unwrap().parse().unwrap();
    (server, address)
}

both_drivers! {
    fn all_routes(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[]);
        assert_eq!(surface(&server), "all");
        assert_routes(server.address, &[&EVERYWHERE, &ADMIN, &PUBLIC, &NEITHER], &[]);
        server.stop();
    }

    fn admin_routes(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &["admin"]);
        assert_eq!(surface(&server), "admin");
        assert_routes(server.address, &[&EVERYWHERE, &ADMIN], &[&PUBLIC, &NEITHER]);
        server.stop();
    }

    fn public_routes(driver: Driver) {
        let site = Site::new(driver);
        for name in ["public", "self-service"] {
            let server = start(&site, &[name]);
            assert_eq!(surface(&server), "public");
            assert_routes(server.address, &[&EVERYWHERE, &PUBLIC], &[&ADMIN, &NEITHER]);
            // It has no verification, which another surface would answer from memory, and does not
            // answer a wrong method with 405.
            let mut connection = server.connect();
            connection.post(VERIFY, &json!({"credential": "x"})).assert_error(404, "NOT_FOUND", "NOT_FOUND");
            connection.call("PUT", ISSUE, &[], b"").assert_error(404, "NOT_FOUND", "NOT_FOUND");
            server.stop();
        }
    }

    fn data_routes(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &["data"]);
        assert_eq!(surface(&server), "data");
        assert_routes(server.address, &[&EVERYWHERE, &PUBLIC, &DATA], &[&only_admin(), &NEITHER]);
        server.stop();
    }

    fn two_listeners(driver: Driver) {
        let site = Site::new(driver);
        let (server, data) = start_two(&site, &[], "data");
        assert_routes(server.address, &[&EVERYWHERE, &ADMIN, &PUBLIC, &NEITHER], &[]);
        assert_routes(data, &[&EVERYWHERE, &PUBLIC, &DATA], &[&only_admin(), &NEITHER]);
        // Both see the same keys at once.
        let key = server.connect().issue("key");
        let mut verifier = Connection::open(data);
        assert_valid(&verifier.verify(&key.secret), &key.key_id);
        assert_eq!(server.connect().revoke(&key.key_id).status, 204);
        assert_refused(&verifier.verify(&key.secret), "REVOKED");
        let body = json!({"name": "n", "actor_id": "a"});
        verifier.post(ISSUE, &body).assert_error(404, "NOT_FOUND", "NOT_FOUND");
        server.stop();
    }

    fn administrators_and_holders_apart(driver: Driver) {
        let site = Site::new(driver);
        let (server, public) = start_two(&site, &["admin"], "public");
        assert_eq!(surface(&server), "admin");
        assert_routes(server.address, &[&EVERYWHERE, &ADMIN], &[&PUBLIC, &NEITHER]);
        assert_routes(public, &[&EVERYWHERE, &PUBLIC], &[&ADMIN, &NEITHER]);
        server.stop();
    }

    fn a_second_listener_needs_a_first_for_administrators(driver: Driver) {
        let site = Site::new(driver);
        for surface in ["data", "public"] {
            let mut command: Command = site.command();
            command.arg(surface).env("TALOS_SERVE_PUBLIC_PORT", "0");
            let output = command.output().unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{text}");
            assert!(text.contains("serve.public.port") && text.contains("talos serve admin"), "{text}");
        }
    }

    fn a_holder_revokes_on_the_public_surface(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &["admin"]);
        let key = server.connect().issue("key");
        server.stop();
        let server = start(&site, &["public"]);
        let body = json!({"credential": key.secret});
        assert_eq!(server.connect().post("/v2alpha1/apiKeys:selfRevoke", &body).status, 204);
        server.stop();
        let server = start(&site, &["admin"]);
        assert_refused(&server.connect().verify(&key.secret), "REVOKED");
        server.stop();
    }
}

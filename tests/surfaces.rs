//! `talos serve admin` and `talos serve public`: each has its routes and no others.

use std::process::Command;

use serde_json::{Value, json};
use talos_test_kit::keys::{ISSUE, VERIFY, assert_refused};

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
const PUBLIC: [(&str, &str); 1] = [("POST", "/v2alpha1/apiKeys:selfRevoke")];
const NEITHER: [(&str, &str); 1] = [("GET", "/version")];

/// Whether the server has the route.
fn exists(server: &Server, (method, path): (&str, &str)) -> bool {
    let answer = server.connect().call(method, path, &[], b"");
    let reason = answer.json()["error"]["details"][0]["reason"].clone();
    assert!(answer.status != 405, "{method} {path}");
    assert_eq!(
        answer.status == 404 && reason != "API_KEY_NOT_FOUND",
        reason == "NOT_FOUND"
    );
    reason != json!("NOT_FOUND")
}

#[track_caller]
fn assert_routes(server: &Server, there: &[&[(&str, &str)]], absent: &[&[(&str, &str)]]) {
    for route in there.concat() {
        assert!(exists(server, route), "{route:?} is missing");
    }
    for route in absent.concat() {
        assert!(!exists(server, route), "{route:?} is there");
    }
}

/// The surface that the log names.
fn surface(server: &Server) -> Value {
    let lines = server.log_lines();
    lines
        .iter()
        .find(|line| line["message"] == "serving")
        .unwrap()["surface"]
        .clone()
}

both_drivers! {
    fn all_routes(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &[]);
        assert_eq!(surface(&server), "all");
        assert_routes(&server, &[&EVERYWHERE, &ADMIN, &PUBLIC, &NEITHER], &[]);
        server.stop();
    }

    fn admin_routes(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &["admin"]);
        assert_eq!(surface(&server), "admin");
        assert_routes(&server, &[&EVERYWHERE, &ADMIN], &[&PUBLIC, &NEITHER]);
        server.stop();
    }

    fn public_routes(driver: Driver) {
        let site = Site::new(driver);
        for name in ["public", "self-service"] {
            let server = start(&site, &[name]);
            assert_eq!(surface(&server), "public");
            assert_routes(&server, &[&EVERYWHERE, &PUBLIC], &[&ADMIN, &NEITHER]);
            // It has no verification, which another surface would answer from memory, and does not
            // answer a wrong method with 405.
            let mut connection = server.connect();
            connection.post(VERIFY, &json!({"credential": "x"})).assert_error(404, "NOT_FOUND", "NOT_FOUND");
            connection.call("PUT", ISSUE, &[], b"").assert_error(404, "NOT_FOUND", "NOT_FOUND");
            server.stop();
        }
    }

    fn a_holder_revokes_on_the_public_surface(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, &["admin"]);
        let key = server.connect().issue("key");
        server.stop();
        let server = start(&site, &["public"]);
        let body = json!({"credential": key.secret});
        assert_eq!(server.connect().post("/v2alpha1/apiKeys:selfRevoke", &body).status, 200);
        server.stop();
        let server = start(&site, &["admin"]);
        assert_refused(&server.connect().verify(&key.secret), "REVOKED");
        server.stop();
    }
}

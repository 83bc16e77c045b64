//! The proxies of `deploy/` let callers outside reach the data plane and nothing else, and
//! `deploy/check-boundary` finds out whether that is so.

mod proxies;
mod upstream;

use std::process::Command;

use serde_json::json;
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use self::proxies::{Kind, Proxy, root};
use self::upstream::Upstream;
use crate::harness::Driver;
use crate::harness::site::{Server, Site};
use crate::pages::run_blocks;

/// What a proxy may forward: methods and paths.
const OPEN: [&str; 12] = [
    "POST /v2alpha1/admin/apiKeys:verify",
    "POST /v2alpha1/admin/apiKeys:batchVerify",
    "GET /verify",
    "HEAD /verify",
    "POST /verify",
    "POST /v2alpha1/apiKeys:selfRevoke",
    "GET /v2alpha1/derivedKeys/jwks.json",
    "HEAD /v2alpha1/derivedKeys/jwks.json",
    "GET /health/alive",
    "HEAD /health/alive",
    "POST /v2alpha1/admin/apiKeys:verify?x=/keys",
    "GET /verify?../keys",
];
/// Headers that strangers must not send to the server.
const INNER_HEADERS: [&str; 7] = [
    "X-Talos-Token",
    "x-talos-TOKEN",
    "Talos-Forwarded",
    "Talos-Forwarded-Client",
    "X-Real-Ip",
    "True-Client-Ip",
    "Cf-Connecting-Ip",
];

/// A bootstrap token.
const TOKEN: &str = "0f4bd92c6a1e85730f4bd92c6a1e8573";

/// Runs `deploy/check-boundary`. Returns whether it found no hole, and what it printed.
fn check(url: &str) -> (bool, String) {
    let output = Command::new(root().join("deploy/check-boundary"))
        .arg(url)
        .output();
    let output = output.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), printed + &said)
}

/// A server that believes the header of a proxy on this machine.
fn server(site: &Site) -> Server {
    let mut command = site.command();
    command
        .env(
            "TALOS_SERVE_HTTP_CLIENT_IP_SOURCE",
            "CLIENT_IP_SOURCE_X_FORWARDED_FOR",
        )
        .env("TALOS_SERVE_HTTP_TRUSTED_PROXIES", "127.0.0.1");
    Server::start(command, site.directory().join("server.log"))
}

fn send(proxy: &Proxy, request: &str, headers: &str, body: &str) -> Option<Answer> {
    let length = body.len();
    let text = format!(
        "{request} HTTP/1.1\r\nHost: keys.example\r\n{headers}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    Connection::open(proxy.address)
        .exchange(text.as_bytes())
        .ok()
}

/// The data plane works through the proxy, and the script finds no hole, although the server behind
/// it has all routes and no authentication.
fn only_the_data_plane_is_outside(kind: Kind) {
    let site = Site::new(Driver::Epoll);
    let server = server(&site);
    let proxy = Proxy::start(kind, server.address);
    let key = server.connect().issue("outside");
    let body = json!({"credential": key.secret}).to_string();
    let verified = send(&proxy, &format!("POST {VERIFY}"), "", &body).unwrap();
    assert_valid(&verified.json(), &key.key_id);
    let bearer = format!("Authorization: Bearer {}\r\n", key.secret);
    let verified = send(&proxy, "GET /verify", &bearer, "").unwrap();
    assert_valid(&verified.json(), &key.key_id);

    let (holds, printed) = check(&format!("http://{}", proxy.address));
    assert!(
        holds && printed.ends_with("the boundary holds\n"),
        "{printed}"
    );
    let reachable = printed.lines().any(|line| line.starts_with("token"));
    assert!(!reachable, "{printed}");

    // A caller does not choose its own address.
    let near = Issued::from(&server.connect().post(
        ISSUE,
        &json!({"name": "n", "actor_id": "a", "ip_restriction": {"allowed_cidrs": ["192.0.2.9/32"]}}),
    ));
    let body = json!({"credential": near.secret}).to_string();
    let forged = "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-For: 192.0.2.9\r\n";
    let refused = send(&proxy, &format!("POST {VERIFY}"), forged, &body).unwrap();
    assert_refused(&refused.json(), "IP_NOT_ALLOWED");
    server.stop();
}

/// What reaches the server, whatever is sent: paths of the list, and no header of the inside.
fn nothing_else_reaches_the_server(kind: Kind) {
    let upstream = Upstream::start();
    let proxy = Proxy::start(kind, upstream.address);
    let inner: String = INNER_HEADERS
        .iter()
        .map(|name| format!("{name}: forged\r\n"))
        .collect();
    let headers = inner + "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-Host: evil.example\r\n";
    let sent = OPEN
        .into_iter()
        .filter(|request| !request.starts_with("HEAD"));
    for request in sent.clone() {
        send(&proxy, request, &headers, "").unwrap();
    }
    let (_, printed) = check(&format!("http://{}", proxy.address));
    assert!(!printed.contains("EXPOSED"), "{printed}");
    for request in [
        "GET /keys/../verify",
        "GET /verify/../keys",
        "GET /verify/",
        "GET //verify",
        "GET /VERIFY",
        "GET /%76erify",
        "GET /verify%2f..%2fkeys",
        "GET /verify;/../keys",
        "GET http://x/keys",
        "GET http://x/keys?/verify",
        "DELETE /verify",
        "PUT /verify",
        "PATCH /health/alive",
        "OPTIONS /verify",
        "GET /v2alpha1/admin/apiKeys:verify",
        "DELETE /keys/../verify",
        "POST /v2alpha1/admin/issuedApiKeys/x:revoke/../../apiKeys:verify",
        "POST /v2alpha1/admin/apiKeys%3Averify",
        "GET /verify#/keys",
        "GET /health/alive/../../keys",
    ] {
        // Some proxies close the connection without an answer.
        let _ = send(&proxy, request, &headers, "");
    }
    let heads = upstream.heads();
    for request in sent {
        assert!(
            heads.iter().any(|head| head.request == request),
            "{request}: {heads:#?}"
        );
    }
    for head in heads {
        assert!(OPEN.contains(&head.request.as_str()), "{}", head.request);
        for name in INNER_HEADERS {
            let name = name.to_ascii_lowercase();
            assert!(head.values(&name).is_empty(), "{name}: {head:?}");
        }
        assert_eq!(head.values("x-forwarded-for"), ["127.0.0.1"], "{head:?}");
        let believed = head.values("x-forwarded-host");
        assert!(!believed.contains(&"evil.example"), "{head:?}");
    }
}

macro_rules! each_proxy {
    ($($name:ident: $kind:ident,)*) => {$(
        mod $name {
            use super::*;

            #[test]
            fn only_the_data_plane_is_outside() {
                super::only_the_data_plane_is_outside(Kind::$kind);
            }

            #[test]
            fn nothing_else_reaches_the_server() {
                super::nothing_else_reaches_the_server(Kind::$kind);
            }
        }
    )*};
}

each_proxy! {
    nginx: Nginx,
    caddy: Caddy,
    haproxy: Haproxy,
    envoy: Envoy,
}

#[test]
fn the_page_shows_what_a_boundary_answers() {
    let name = "admin-protection.md";
    let page = std::fs::read_to_string(root().join("docs").join(name)).unwrap();
    let site = Site::new(Driver::Epoll);
    // As the page recommends: a second listener, and tokens for administrators.
    let mut command = site.command();
    command
        .env("TALOS_SERVE_PUBLIC_HOST", "127.0.0.1")
        .env("TALOS_SERVE_PUBLIC_PORT", "0")
        .env("TALOS_SERVE_ADMIN_AUTH_ENABLED", "true")
        .env("TALOS_SERVE_ADMIN_AUTH_OPEN_VERIFICATION", "true")
        .env("TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN", TOKEN);
    let server = Server::start(command, site.directory().join("server.log"));
    let lines = server.log_lines();
    let serving = lines
        .iter()
        .find(|line| line["message"] == "serving")
        .unwrap();
    let second = serving["public"].as_str().unwrap().parse().unwrap();
    let proxy = Proxy::start(Kind::Nginx, second);
    // The script holds for the second listener itself, too, and says so of tokens on the first.
    let (holds, printed) = check(&format!("http://{second}"));
    assert!(holds && !printed.contains("\ntoken"), "{printed}");
    let (holds, printed) = check(&format!("http://{}", server.address));
    assert!(
        holds && printed.contains("\ntoken    401  GET /v2alpha1/admin/issuedApiKeys\n"),
        "{printed}"
    );
    let outside = format!("http://{}", proxy.address);
    let here = |text: &str| text.replace("http://localhost:8080", &outside);
    run_blocks(name, &page, here, &outside, site.directory());
    server.stop();
}

#[test]
fn the_script_finds_a_server_without_a_boundary() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let (holds, printed) = check(&format!("http://{}", server.address));
    assert!(!holds, "{printed}");
    for route in [
        "GET /v2alpha1/admin/issuedApiKeys\n",
        "POST /v2alpha1/admin/issuedApiKeys\n",
        "DELETE /keys/00000000-0000-4000-8000-000000000000 (",
        "POST /keys\n",
        "GET /v2alpha1/admin/backup\n",
        "POST /v2alpha1/admin/apiKeys:revokeWhere\n",
    ] {
        let exposed =
            |line: &str| line.starts_with("EXPOSED") && (line.to_owned() + "\n").contains(route);
        assert!(printed.lines().any(exposed), "{route}: {printed}");
    }
    // A name that the server does not serve administrators under is no boundary either.
    let renamed = format!("http://keys.example:{}", server.address.port());
    let resolved = Command::new("bash")
        .args(["-c", "curl() { command curl --resolve \"keys.example:$PORT:127.0.0.1\" \"$@\"; }; export -f curl; \"$0\" \"$1\""])
        .arg(root().join("deploy/check-boundary"))
        .arg(renamed)
        .env("PORT", server.address.port().to_string())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&resolved.stdout).into_owned();
    assert!(
        !resolved.status.success() && printed.contains("only the name"),
        "{printed}"
    );
    server.stop();
}

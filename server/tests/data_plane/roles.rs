//! Which caller may use which route: every route, role, surface, kind of listener and driver.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use talos_api::route::Surface;
use talos_config::{AdminAuth, PeerRule};
use talos_model::{Principal, Proof, Role, Secret, TenantId};
use talos_server::DriverChoice;
use talos_test_kit::http::request;

use crate::support::{Answer, Connection, Fixture, both_drivers};
use crate::tokens::{create, revoke, rotate, token};

/// The clients that may use a route, as letters of [`callers`]. They are not computed from the
/// roles, on purpose.
const VERIFY: &str = "VRWOAt";
const READ: &str = "RWOAt";
const WRITE: &str = "WAt";
const OPERATE: &str = "OA";
const FOLLOW: &str = "OAt";
const ADMINISTER: &str = "A";
const ANYBODY: &str = "*";

/// Every route: its method and template, who may use it, and the surfaces that have it (**a**ll,
/// ad**m**in, **d**ata, **p**ublic).
const ROUTES: &[(&str, &str, &str, &str)] = &[
    ("POST", "/v2alpha1/admin/apiKeys:verify", VERIFY, "amd"),
    ("POST", "/v2alpha1/admin/apiKeys:batchVerify", VERIFY, "amd"),
    ("GET", "/verify", VERIFY, "amd"),
    ("POST", "/verify", VERIFY, "amd"),
    ("GET", "/health/alive", ANYBODY, "amdp"),
    ("GET", "/health/ready", ANYBODY, "amdp"),
    ("GET", "/v2alpha1/derivedKeys/jwks.json", ANYBODY, "amdp"),
    (
        "GET",
        "/v2alpha1/admin/derivedKeys/jwks.json",
        ANYBODY,
        "am",
    ),
    ("POST", "/v2alpha1/apiKeys:selfRevoke", ANYBODY, "adp"),
    ("GET", "/version", ANYBODY, "a"),
    ("GET", "/openapi.json", ANYBODY, "a"),
    ("GET", "/v2alpha1/admin/issuedApiKeys", READ, "am"),
    ("GET", "/v2alpha1/admin/issuedApiKeys/{key_id}", READ, "am"),
    ("GET", "/v2alpha1/admin/importedApiKeys", READ, "am"),
    (
        "GET",
        "/v2alpha1/admin/importedApiKeys/{key_id}",
        READ,
        "am",
    ),
    ("POST", "/v2alpha1/admin/issuedApiKeys", WRITE, "am"),
    (
        "PATCH",
        "/v2alpha1/admin/issuedApiKeys/{key_id}",
        WRITE,
        "am",
    ),
    (
        "POST",
        "/v2alpha1/admin/issuedApiKeys/{key_id}:rotate",
        WRITE,
        "am",
    ),
    (
        "POST",
        "/v2alpha1/admin/issuedApiKeys/{key_id}:revoke",
        WRITE,
        "am",
    ),
    ("POST", "/v2alpha1/admin/importedApiKeys", WRITE, "am"),
    (
        "POST",
        "/v2alpha1/admin/importedApiKeys:batchCreate",
        WRITE,
        "am",
    ),
    (
        "POST",
        "/v2alpha1/admin/importedApiKeys:batchImport",
        WRITE,
        "am",
    ),
    (
        "PATCH",
        "/v2alpha1/admin/importedApiKeys/{key_id}",
        WRITE,
        "am",
    ),
    (
        "DELETE",
        "/v2alpha1/admin/importedApiKeys/{key_id}",
        WRITE,
        "am",
    ),
    (
        "POST",
        "/v2alpha1/admin/importedApiKeys/{key_id}:revoke",
        WRITE,
        "am",
    ),
    (
        "POST",
        "/v2alpha1/admin/apiKeys/{key_id}:revoke",
        WRITE,
        "am",
    ),
    ("POST", "/v2alpha1/admin/apiKeys:revokeWhere", WRITE, "am"),
    ("POST", "/v2alpha1/admin/apiKeys:derive", WRITE, "am"),
    ("POST", "/keys", WRITE, "am"),
    ("DELETE", "/keys/{key_id}", WRITE, "am"),
    ("POST", "/keys/{key_id}/derive", WRITE, "am"),
    ("GET", "/v2alpha1/admin/replication", OPERATE, "am"),
    ("GET", "/v2alpha1/admin/replication:state", OPERATE, "am"),
    ("GET", "/v2alpha1/admin/replication:diverged", OPERATE, "am"),
    ("POST", "/v2alpha1/admin/replication:promote", OPERATE, "am"),
    ("POST", "/v2alpha1/admin/replication:rejoin", OPERATE, "am"),
    ("GET", "/v2alpha1/admin/changes", FOLLOW, "am"),
    ("GET", "/v2alpha1/admin/backup", OPERATE, "am"),
    ("POST", "/v2alpha1/admin/config:reload", OPERATE, "am"),
    ("GET", "/v2alpha1/admin/whoami", VERIFY, "am"),
    ("POST", "/v2alpha1/admin/tokens", ADMINISTER, "am"),
    ("GET", "/v2alpha1/admin/tokens", ADMINISTER, "am"),
    ("GET", "/v2alpha1/admin/tokens/{token_id}", ADMINISTER, "am"),
    (
        "POST",
        "/v2alpha1/admin/tokens/{token_id}:rotate",
        ADMINISTER,
        "am",
    ),
    (
        "DELETE",
        "/v2alpha1/admin/tokens/{token_id}",
        ADMINISTER,
        "am",
    ),
];

/// The roles, each with its letter in the table.
const ROLES: [(char, Role); 5] = [
    ('V', Role::Verify),
    ('R', Role::Read),
    ('W', Role::Write),
    ('O', Role::Operate),
    ('A', Role::Admin),
];
const SURFACES: [(char, Surface); 4] = [
    ('a', Surface::All),
    ('m', Surface::Admin),
    ('d', Surface::Data),
    ('p', Surface::Public),
];
const BOOTSTRAP: &str = "a-bootstrap-token-of-this-test-0123456789";

/// A client, and what it may expect.
struct Caller {
    what: String,
    /// The token that it sends.
    token: Option<String>,
    is: Is,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    /// It proves no principal that is accepted.
    Nobody,
    /// It may use the routes whose row has this letter.
    Letter(char),
    /// Its token is for another tenant.
    OfAnotherTenant,
}

/// Clients with a token of each role, of each role's end, and without.
fn callers(fixture: &Fixture) -> Vec<Caller> {
    let engine = &fixture.engine;
    let mut callers = Vec::new();
    let mut add = |what: &str, token: Option<&str>, is| {
        callers.push(Caller {
            what: what.to_owned(),
            token: token.map(ToOwned::to_owned),
            is,
        });
    };
    add("nobody", None, Is::Nobody);
    add("an empty token", Some(""), Is::Nobody);
    add("an unknown token", Some(&token(99)), Is::Nobody);
    add("a text that is no token", Some("talos_admin_0"), Is::Nobody);
    add(
        "almost the bootstrap token",
        Some(&BOOTSTRAP[1..]),
        Is::Nobody,
    );
    add("the bootstrap token", Some(BOOTSTRAP), Is::Letter('A'));
    for (number, (letter, role)) in (1..).zip(ROLES) {
        create(engine, number, role, None, None);
        add(role.name(), Some(&token(number)), Is::Letter(letter));
    }
    create(engine, 11, Role::Admin, Some(TenantId::SINGLE), None);
    add("an admin of this tenant", Some(&token(11)), Is::Letter('t'));
    let other = TenantId(uuid::Uuid::from_u128(7));
    create(engine, 12, Role::Admin, Some(other), None);
    add(
        "an admin of another tenant",
        Some(&token(12)),
        Is::OfAnotherTenant,
    );
    create(engine, 13, Role::Admin, None, Some(1));
    add("an expired admin", Some(&token(13)), Is::Nobody);
    let id = create(engine, 14, Role::Admin, None, None);
    revoke(engine, id);
    add("a revoked admin", Some(&token(14)), Is::Nobody);
    let id = create(engine, 15, Role::Admin, None, None);
    rotate(engine, id, 16);
    add("a replaced token", Some(&token(15)), Is::Nobody);
    add("its successor", Some(&token(16)), Is::Letter('A'));
    // The lifetime of the expired one.
    thread::sleep(Duration::from_millis(5));
    callers
}

/// A server with this surface on TCP and on a Unix socket at `path`.
fn server(driver: DriverChoice, surface: Surface, path: &Path, auth: AdminAuth) -> Fixture {
    Fixture::with(driver, |options| {
        options.listeners[0].surface = surface;
        options.socket = Some(path.to_owned());
        options.admin_auth = auth;
    })
}

fn auth() -> AdminAuth {
    AdminAuth {
        enabled: true,
        bootstrap_token: Some(Secret::new(BOOTSTRAP.to_owned())),
        ..AdminAuth::default()
    }
}

/// The request of a caller for a route.
fn request_of(method: &str, template: &str, header: Option<(&str, &str)>) -> Vec<u8> {
    let id = "00000000-0000-4000-8000-000000000001";
    let path = template.replace("{key_id}", id).replace("{token_id}", id);
    let body: &[u8] = match method {
        "POST" | "PATCH" => b"{}",
        _ => b"",
    };
    let headers: Vec<_> = header.into_iter().collect();
    request(method, &path, &headers, body)
}

/// Sends every request of `caller` and compares the answers with the table.
fn compare<S: Read + Write>(
    connect: impl Fn() -> Connection<S>,
    surface: char,
    header: &str,
    caller: &Caller,
) {
    let mut connection = connect();
    let methods = |method: &'static str| match method {
        "GET" => vec!["GET", "HEAD"],
        method => vec![method],
    };
    for &(method, template, allowed, surfaces) in ROUTES {
        for method in methods(method) {
            // The other header of this route holds the credential to be verified.
            let name = if template == "/verify" {
                "X-Talos-Token"
            } else {
                header
            };
            let value = caller.token.as_ref().map(|token| match name {
                "Authorization" => format!("Bearer {token}"),
                _ => token.clone(),
            });
            let sent = value.as_ref().map(|value| (name, value.as_str()));
            connection.send(&request_of(method, template, sent));
            let answer = connection.answer_to(method);
            let what = format!(
                "{} {method} {template} on {surface}: {answer:?}",
                caller.what
            );
            let is_there = surfaces.contains(surface);
            check(&answer, method, is_there, allowed, caller.is, &what);
            if answer.header("Connection") == Some("close") {
                connection = connect();
            }
        }
    }
}

fn check(answer: &Answer, method: &str, is_there: bool, allowed: &str, is: Is, what: &str) {
    // The answer to HEAD has no body that names a reason.
    let reason = || match method {
        "HEAD" => Value::Null,
        _ => answer.json()["error"]["details"][0]["reason"].clone(),
    };
    let wanted_reason = |reason: &str| match method {
        "HEAD" => Value::Null,
        _ => Value::from(reason),
    };
    let challenge = answer.header("WWW-Authenticate");
    let wanted = match is {
        _ if !is_there => Some((404, "NOT_FOUND")),
        _ if allowed == ANYBODY => None,
        Is::Letter(letter) if allowed.contains(letter) => None,
        Is::Nobody => Some((401, "UNAUTHORIZED")),
        Is::Letter(_) | Is::OfAnotherTenant => Some((403, "FORBIDDEN")),
    };
    if let Some((status, wanted)) = wanted {
        assert_eq!(
            (answer.status, reason()),
            (status, wanted_reason(wanted)),
            "{what}"
        );
        let wanted = (status == 401).then_some("Bearer realm=\"talos\"");
        assert_eq!(challenge, wanted, "{what}");
    } else {
        // `/verify` finds no credential to verify here. That answer has a challenge of its own.
        let is_verdict = answer.status == 401 && challenge == Some("Bearer");
        let is_refused = matches!(answer.status, 401 | 403 | 404 | 405);
        assert!(is_verdict || !is_refused, "{what}");
    }
}

#[test]
fn every_route_has_a_row() {
    let server = talos_api::openapi::Server {
        version: "1",
        lifetime_max_s: 60,
        issues_public_keys: true,
    };
    let document: Value = serde_json::from_slice(&talos_api::openapi::render(&server)).unwrap();
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let rows: BTreeSet<_> = ROUTES
        .iter()
        .map(|(method, path, _, _)| ((*method).to_owned(), (*path).to_owned()))
        .collect();
    assert_eq!(rows.len(), ROUTES.len(), "a route has two rows");
    assert_eq!(rows, described);
}

#[test]
fn each_caller_may_do_what_its_token_allows() {
    both_drivers(|driver| {
        for (letter, surface) in SURFACES {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("talos.sock");
            let fixture = server(driver, surface, &path, auth());
            for caller in callers(&fixture) {
                compare(|| fixture.connect(), letter, "Authorization", &caller);
                let unix = || Connection::over(UnixStream::connect(&path).unwrap());
                compare(unix, letter, "X-Talos-Token", &caller);
            }
        }
    });
}

/// The user of this process has each role in turn.
#[test]
fn each_user_of_the_host_may_do_what_its_role_allows() {
    let uid = rustix::process::geteuid().as_raw();
    let peer = |uid, role, tenant| PeerRule {
        uid,
        principal: Principal {
            name: "user".to_owned(),
            proof: Proof::PeerCredentials,
            role,
            tenant,
        },
    };
    let here = Some(TenantId::SINGLE);
    let elsewhere = Some(TenantId(uuid::Uuid::from_u128(7)));
    let mut rules: Vec<_> = ROLES
        .iter()
        .map(|(letter, role)| (peer(uid, *role, None), Is::Letter(*letter)))
        .collect();
    rules.push((peer(uid, Role::Admin, here), Is::Letter('t')));
    rules.push((peer(uid, Role::Admin, elsewhere), Is::OfAnotherTenant));
    rules.push((peer(uid + 1, Role::Admin, None), Is::Nobody));
    both_drivers(|driver| {
        for (rule, is) in &rules {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("talos.sock");
            let rules = AdminAuth {
                peers: vec![rule.clone()],
                ..auth()
            };
            let fixture = server(driver, Surface::All, &path, rules);
            let unix = || Connection::over(UnixStream::connect(&path).unwrap());
            let without_token = |is| Caller {
                what: format!("{rule:?}"),
                token: None,
                is,
            };
            compare(unix, 'a', "Authorization", &without_token(*is));
            // The connection over TCP proves nothing.
            let nobody = without_token(Is::Nobody);
            compare(|| fixture.connect(), 'a', "Authorization", &nobody);
            // A token that is there decides, even a wrong one.
            for caller in callers(&fixture)
                .into_iter()
                .filter(|caller| caller.token.is_some())
            {
                compare(unix, 'a', "Authorization", &caller);
            }
        }
    });
}

/// Without the setting every caller is served, whatever it sends.
#[test]
fn an_open_server_asks_nobody() {
    both_drivers(|driver| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("talos.sock");
        let fixture = server(driver, Surface::All, &path, AdminAuth::default());
        for token in [None, Some("x".to_owned())] {
            let caller = Caller {
                what: "anyone".to_owned(),
                token,
                is: Is::Letter('A'),
            };
            compare(|| fixture.connect(), 'a', "X-Talos-Token", &caller);
        }
    });
}

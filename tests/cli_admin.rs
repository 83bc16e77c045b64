//! `talos admin token …`, `talos whoami`, and the options that name a server and a token.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::harness::cli::{Ran, run, talos};
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

/// The command line with nothing but these arguments.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command.args(arguments);
    command
}

/// `talos admin token bootstrap` on the configuration of a site.
fn bootstrap(site: &Site, arguments: &[&str]) -> Ran {
    let mut command = command(&["admin", "token", "bootstrap"]);
    command.arg("--config").arg(site.config()).args(arguments);
    run(command)
}

#[track_caller]
fn names(server: &Server) -> Vec<String> {
    let listed = talos(
        server.address,
        &["admin", "token", "list", "--format", "json"],
    )
    .json();
    let tokens = listed["tokens"].as_array().unwrap().clone();
    tokens
        .iter()
        .map(|token| token["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_token_lives_on_the_command_line() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let admin = |arguments: &[&str]| {
        let line = [&["admin", "token"], arguments].concat();
        talos(server.address, &line)
    };
    let create = ["create", "ci", "--role", "write", "--ttl", "90d"];
    let made = admin(&[&create[..], &["--format", "json"]].concat());
    let (id, secret) = (
        made.json()["token"]["id"].clone(),
        made.json()["secret"].clone(),
    );
    let (id, secret) = (id.as_str().unwrap(), secret.as_str().unwrap());
    assert!(secret.starts_with("talos_admin_"));
    assert_eq!(
        made.stderr,
        "The secret is shown this once; store it now.\n"
    );
    let again = admin(&create);
    assert_eq!((again.code, again.stdout.as_str()), (Some(1), ""));
    assert!(again.stderr.contains("(CONFLICT, HTTP 409)"), "{again:?}");
    let listed = admin(&["list"]);
    assert!(listed.succeeded().contains(id) && !listed.stdout.contains(secret));
    let rotated = admin(&["rotate", "ci", "-q"]);
    assert!(rotated.succeeded().starts_with("talos_admin_"));
    assert_ne!(rotated.stdout.trim_end(), secret);
    assert_eq!(rotated.stderr, "");
    assert_eq!(admin(&["list", "-q"]).succeeded(), format!("{id}\n"));
    admin(&["revoke", "ci"]).succeeded();
    let gone = admin(&["revoke", id]);
    assert!(gone.stderr.contains("no such admin token"), "{gone:?}");
    let unknown = admin(&["rotate", "ci"]);
    assert_eq!(unknown.code, Some(1));
    assert!(
        unknown.stderr.contains("no admin token has the name"),
        "{unknown:?}"
    );
    let whoami = talos(server.address, &["whoami", "--format", "json"]);
    assert_eq!(whoami.json(), json!({"anonymous": true}));
    server.stop();
}

#[test]
fn every_command_reaches_a_server_by_its_socket() {
    for driver in [Driver::Epoll, Driver::IoUring] {
        if !driver.is_available() {
            continue;
        }
        let site = Site::new(driver);
        let path = site.directory().join("talos.sock");
        let mut start = site.command();
        start.env("TALOS_SERVE_HTTP_SOCKET", &path);
        let server = Server::start(start, site.directory().join("socket.log"));
        let endpoint = format!("unix:{}", path.display());
        let talos = |arguments: &[&str]| run(command(&[arguments, &["-e", &endpoint]].concat()));
        let issue = ["keys", "issue", "n", "--actor", "a", "--ttl", "1h", "-q"];
        let secret = talos(&issue).succeeded().trim_end().to_owned();
        talos(&["keys", "verify", &secret]).succeeded();
        talos(&["keys", "issued", "list"]).succeeded();
        talos(&["admin", "token", "create", "ci", "--role", "read"]).succeeded();
        talos(&["admin", "token", "revoke", "ci"]).succeeded();
        talos(&["fleet", "status"]).succeeded();
        talos(&["jwk", "get"]).succeeded();
        talos(&["whoami"]).succeeded();
        let backup = site.directory().join("backup");
        talos(&["backup", "create", "-o", backup.to_str().unwrap()]).succeeded();
        // A long answer comes in many reads.
        for _ in 0..3 {
            let many: Vec<_> = (0..400)
                .map(|_| json!({"raw_key": random(), "name": "x".repeat(200), "actor_id": "a"}))
                .collect();
            let file = site.directory().join("keys.json");
            fs::write(&file, json!(many).to_string()).unwrap();
            talos(&[
                "keys",
                "imported",
                "batch-import",
                "--file",
                file.to_str().unwrap(),
            ])
            .succeeded();
        }
        let listed = talos(&[
            "keys",
            "imported",
            "list",
            "--page-size",
            "1000",
            "--format",
            "json",
        ]);
        assert_eq!(
            listed.json()["imported_api_keys"].as_array().unwrap().len(),
            1000
        );
        server.stop();
        let gone = talos(&["whoami"]);
        assert_eq!(gone.code, Some(1), "{gone:?}");
        assert!(gone.stderr.contains("no server at unix:"), "{gone:?}");
    }
}

/// A server that authenticates administrators, the users of its socket among them.
fn start_with_authentication(site: &Site) -> Server {
    let mut command = site.command();
    let user = rustix::process::geteuid().as_raw();
    let peers = json!([{"uid": user, "role": "operate"}]).to_string();
    command
        .env("TALOS_SERVE_ADMIN_AUTH_ENABLED", "true")
        .env("TALOS_SERVE_ADMIN_AUTH_PEERS", peers)
        .env(
            "TALOS_SERVE_HTTP_SOCKET",
            site.directory().join("talos.sock"),
        );
    Server::start(command, site.directory().join("auth.log"))
}

#[test]
fn a_token_opens_what_its_role_may_until_it_is_replaced() {
    let site = Site::new(Driver::Epoll);
    let first = bootstrap(&site, &["-q"]).succeeded().trim_end().to_owned();
    let server = start_with_authentication(&site);
    let issue = ["keys", "issue", "n", "--actor", "a", "-q"];
    let refused = talos(server.address, &issue);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("--token-file or TALOS_TOKEN"),
        "{refused:?}"
    );
    let url = format!("http://{}", server.address);
    let with = |token: &str, arguments: &[&str]| {
        let mut command = command(&[arguments, &["-e", &url]].concat());
        command.env("TALOS_TOKEN", token);
        run(command)
    };
    let create = ["admin", "token", "create", "ci", "--role", "write", "-q"];
    let token = with(&first, &create).succeeded().trim_end().to_owned();
    let whoami = ["whoami", "--format", "json"];
    let shown = json!({"anonymous": false, "name": "ci", "role": "write", "proof": "token"});
    assert_eq!(with(&token, &whoami).json(), shown);
    with(&token, &issue).succeeded();
    let list = ["admin", "token", "list"];
    let refused = with(&token, &list);
    assert!(
        refused.stderr.contains("(FORBIDDEN, HTTP 403)"),
        "{refused:?}"
    );
    let backup = site.directory().join("backup");
    let backup = ["backup", "create", "-o", backup.to_str().unwrap()];
    assert!(with(&token, &backup).stderr.contains("HTTP 403"));

    let rotate = ["admin", "token", "rotate", "ci", "-q"];
    let rotated = with(&first, &rotate).succeeded().trim_end().to_owned();
    let former = with(&token, &issue);
    assert!(
        former.stderr.contains("(UNAUTHORIZED, HTTP 401)"),
        "{former:?}"
    );
    assert!(
        !former.stderr.contains("--token-file"),
        "a token was shown: {former:?}"
    );
    with(&rotated, &issue).succeeded();
    with(&first, &["admin", "token", "revoke", "ci"]).succeeded();
    assert_eq!(with(&rotated, &issue).code, Some(1));
    with(&first, &backup).succeeded();

    // The user of this test needs no token at the socket.
    let endpoint = format!("unix:{}", site.directory().join("talos.sock").display());
    let local = |arguments: &[&str]| run(command(&[arguments, &["-e", &endpoint]].concat()));
    let shown = local(&whoami).json();
    assert_eq!(
        (&shown["role"], &shown["proof"]),
        (&json!("operate"), &json!("peer_credentials"))
    );
    local(&["fleet", "status"]).succeeded();
    assert!(local(&issue).stderr.contains("HTTP 403"));
    let log = fs::read_to_string(&server.log).unwrap();
    for secret in [&first, &token, &rotated] {
        assert!(!log.contains(secret.as_str()), "{log}");
    }
    server.stop();
}

/// A text that no other call returns.
fn random() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("raw-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

#[test]
fn a_token_of_a_file_is_private_or_warned_about() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let path = site.directory().join("token");
    fs::write(&path, "talos_admin_s3cret\n").unwrap();
    let ask = |path: &Path| {
        let path = path.to_str().unwrap();
        talos(server.address, &["whoami", "--token-file", path])
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(ask(&path).stderr, "");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let warned = ask(&path);
    warned.succeeded();
    assert!(
        warned.stderr.contains("chmod 600") && !warned.stderr.contains("s3cret"),
        "{warned:?}"
    );
    let missing = ask(&site.directory().join("missing"));
    missing.assert_one_line_and_code_1(&["missing"]);
    // A token that cannot be sent is bad usage, and is not repeated.
    for token in ["s3cret x", "s3cret\u{e9}", ""] {
        let refused = talos(server.address, &["whoami", "--token", token]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(!refused.stderr.contains("s3cret"), "{refused:?}");
    }
    server.stop();
}

#[test]
fn the_first_token_is_made_on_the_host() {
    let mut site = Site::new(Driver::Epoll);
    let made = bootstrap(&site, &["-q"]);
    let secret = made.succeeded().trim_end();
    assert!(secret.starts_with("talos_admin_"));
    let place = site.data().display().to_string();
    assert!(made.stderr.contains(&place), "{made:?}");
    let server = site.start();
    assert_eq!(names(&server), ["admin"]);
    // The server has the database.
    let refused = bootstrap(&site, &["other"]);
    refused.assert_one_line_and_code_1(&[
        "in use",
        "unix:PATH",
        "TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN_FILE",
    ]);
    server.stop();
    let taken = bootstrap(&site, &[]);
    taken.assert_one_line_and_code_1(&["not created", "another admin token has this name"]);
    bootstrap(&site, &["reader", "--role", "read"]).succeeded();
    let bad = bootstrap(&site, &["a\u{7}b"]);
    assert_eq!(bad.code, Some(2), "{bad:?}");
    let server = site.start();
    assert_eq!(names(&server), ["admin", "reader"]);
    server.stop();
}

#[test]
fn the_first_token_of_a_development_server() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = command(&["admin", "token", "bootstrap", "--dev", "-q"]);
    command.current_dir(directory.path());
    let made = run(command);
    assert!(made.succeeded().starts_with("talos_admin_"), "{made:?}");
}

#[test]
fn the_database_of_another_user_is_left_alone() {
    use std::os::unix::fs::chown;
    let site = Site::new(Driver::Epoll).start_and_stop();
    // Only root can give files away, and only then can the mistake happen.
    if rustix::process::geteuid().is_root() {
        chown(site.data(), Some(65534), None).unwrap();
        let refused = bootstrap(&site, &[]);
        refused.assert_one_line_and_code_1(&["belongs to the user with id 65534"]);
        chown(site.data(), Some(0), None).unwrap();
    }
    bootstrap(&site, &[]).succeeded();
}

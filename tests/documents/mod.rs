//! The command lines that Ory publishes for Talos work here unchanged. The test replaces only what
//! belongs to a deployment: the container (`docker run … IMAGE keys issue` is `talos keys issue`),
//! the address of the server and the DSN.
//!
//! Sources: the commercial and the open-source quickstart, the integration guide, "Issue and verify
//! API keys" (all ory.com/docs), and an article on dev.to. Each row names its source, so that it
//! can be checked that none is left out.

mod rows;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use talos_test_kit::keys::assert_valid;

use self::rows::{COMMAND_LINE, CURL, QUICKSTART_CONFIG, Row};
use crate::harness::cli::{Ran, run};
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::{Driver, TALOS};

const DRIVER: Driver = Driver::Epoll;

const POSTGRES: &str = "postgres://talos:talos@talos-postgres:5432/talos?sslmode=disable";

/// A shell with the variables that earlier commands have set.
struct Shell {
    url: String,
    variables: Vec<(&'static str, String)>,
}

impl Shell {
    fn new(server: &Server) -> Self {
        Self {
            url: format!("http://{}", server.address),
            variables: Vec::new(),
        }
    }

    fn run(&self, script: &str) -> Ran {
        let script = [
            "http://talos:8080",
            "http://localhost:8080",
            "http://localhost:4420",
        ]
        .iter()
        .fold(script.to_owned(), |script, url| {
            script.replace(url, &self.url)
        });
        let directory = Path::new(TALOS).parent().unwrap().display().to_string();
        let mut command = Command::new("bash");
        without_talos_variables(&mut command);
        command
            .args(["-uc", &script])
            .env(
                "PATH",
                format!("{directory}:{}", std::env::var("PATH").unwrap()),
            )
            .env("TALOS_URL", &self.url)
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        run(command)
    }

    fn run_all(&mut self, rows: &[Row]) {
        for row in rows {
            eprintln!("{:?}: {}", row.source, row.command);
            let ran = self.run(row.command);
            (row.expects)(&ran);
            for (name, pointer) in row.sets {
                let json: Value = serde_json::from_str(&ran.stdout).unwrap();
                let value = json.pointer(pointer).and_then(Value::as_str);
                let value = value
                    .unwrap_or_else(|| panic!("{pointer}: {json}"))
                    .to_owned();
                self.variables.retain(|(other, _)| other != name);
                self.variables.push((*name, value));
            }
        }
    }
}

/// Starts the server of the commercial quickstart with its own configuration. The environment moves
/// it to free ports.
fn quickstart(site: &Site) -> Server {
    let data = format!("rocksdb://{}", site.data().display());
    let config = site.directory().join("config.yaml");
    fs::write(&config, QUICKSTART_CONFIG.replace("DSN", &data)).unwrap();
    let migrate = talos(site, &["migrate", "up", "--database", &data]);
    assert!(migrate.succeeded().contains("made"), "{migrate:?}");
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["serve", "--config"])
        .arg(config)
        .env("TALOS_SERVE_HTTP_HOST", "127.0.0.1")
        .env("TALOS_SERVE_HTTP_PORT", "0")
        .env("TALOS_SERVE_METRICS_HOST", "127.0.0.1")
        .env("TALOS_SERVE_METRICS_PORT", "0")
        .env("TALOS_SERVE_DRIVER", DRIVER.name());
    Server::start(command, site.directory().join("quickstart.log"))
}

fn talos(site: &Site, arguments: &[&str]) -> Ran {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command.args(arguments).current_dir(site.directory());
    run(command)
}

#[test]
fn the_command_lines() {
    let site = Site::new(DRIVER);
    let server = quickstart(&site);
    Shell::new(&server).run_all(COMMAND_LINE);
    server.stop();
}

#[test]
fn the_curl_commands() {
    let site = Site::new(DRIVER);
    let server = quickstart(&site);
    Shell::new(&server).run_all(CURL);
    server.stop();
}

#[test]
fn the_configuration_takes_effect() {
    let site = Site::new(DRIVER);
    let server = quickstart(&site);
    let mut connection = server.connect();
    let key = connection.issue("key");
    assert!(key.secret.starts_with("talos_v1_"), "{}", key.secret);
    let verdict = connection.verify(&key.secret);
    assert_valid(&verdict, &key.key_id);
    assert_eq!(verdict["issuer"], "http://localhost:8080");
    assert!(
        verdict["expire_time"].is_string(),
        "the default life: {verdict}"
    );
    let set = connection
        .call("GET", "/v2alpha1/derivedKeys/jwks.json", &[], b"")
        .json();
    assert_eq!(set["keys"][0]["kid"], "docker-dev-001");
    server.stop();
}

/// The DSN of a database that is not supported is refused with a line that names the supported
/// ones.
#[test]
fn other_databases_are_refused() {
    let site = Site::new(DRIVER);
    let config = site.directory().join("config.yaml");
    for dsn in [
        POSTGRES,
        "mysql://talos:talos@db/talos",
        "cockroach://talos:talos@db/talos",
    ] {
        fs::write(&config, QUICKSTART_CONFIG.replace("DSN", dsn)).unwrap();
        let words = [
            "talos: ",
            "db.dsn",
            dsn.split_once("://").unwrap().0,
            "rocksdb://DIRECTORY",
            "sqlite://PATH",
        ];
        talos(&site, &["serve", "--config", "config.yaml"]).assert_one_line_and_code_1(&words);
        talos(&site, &["migrate", "up", "--database", dsn]).assert_one_line_and_code_1(&words);
    }
}

/// Every path that the integration guide names, most of them for a proxy that passes only some of
/// them on.
#[test]
fn the_paths_of_the_integration_guide() {
    let mut site = Site::new(DRIVER);
    let server = site.start();
    let mut connection = server.connect();
    let key = connection.issue("key");
    let admin = "/v2alpha1/admin";
    let resource = format!("{admin}/issuedApiKeys/{}", key.key_id);
    let credential = json!({"credential": key.secret});
    let rotate = format!("{resource}:rotate");
    let revoke = format!("{resource}:revoke");
    let import = json!({"raw_key": "sk_1", "name": "n", "actor_id": "a"});
    for (method, path, body, status) in [
        (
            "POST",
            "/v2alpha1/admin/issuedApiKeys",
            json!({"name": "n", "actor_id": "a"}),
            201,
        ),
        ("POST", "/v2alpha1/admin/importedApiKeys", import, 201),
        (
            "POST",
            "/v2alpha1/admin/apiKeys:verify",
            credential.clone(),
            200,
        ),
        (
            "POST",
            "/v2alpha1/admin/apiKeys:batchVerify",
            json!({"requests": [credential]}),
            200,
        ),
        ("PATCH", &resource, json!({"name": "m"}), 200),
        ("POST", &rotate, json!({}), 201),
        // The key was rotated, so there is nothing to revoke; the paths exist.
        ("POST", &revoke, json!({}), 409),
        (
            "POST",
            "/v2alpha1/apiKeys:selfRevoke",
            credential.clone(),
            204,
        ),
        ("GET", "/health/alive", json!({}), 200),
        ("GET", "/health/ready", json!({}), 200),
    ] {
        let body = body.to_string();
        let body = if method == "GET" {
            b""
        } else {
            body.as_bytes()
        };
        let answer = connection.call(method, path, &[], body);
        assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    }
    server.stop();
}

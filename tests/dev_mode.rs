//! `talos serve --dev`: a server without configuration. It makes its secrets at the first start and
//! keeps them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{assert_refused, assert_valid};
use tempfile::TempDir;

use crate::harness::TALOS;
use crate::harness::site::without_talos_variables;

/// A development server in a directory of its own. Dropping it kills it.
pub struct DevServer {
    /// Where it listens.
    pub address: SocketAddr,
    child: Child,
    banner: PathBuf,
}

impl DevServer {
    /// Starts it and waits until it is ready.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// Starts it with these environment variables and waits until it is ready.
    pub fn start_with(directory: &Path, variables: &[(String, String)]) -> Self {
        // The test chooses the port: no log line names it, and the banner is under test.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let banner = directory.join("banner");
        let mut command = Command::new(TALOS);
        without_talos_variables(&mut command);
        let child = command
            .args(["serve", "--dev"])
            .env("TALOS_SERVE_HTTP_PORT", port.to_string())
            .env("TALOS_SERVE_METRICS_PORT", "0")
            .envs(variables.iter().cloned())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(File::create(&banner).unwrap())
            .spawn()
            .unwrap();
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            child,
            banner,
        };
        for _ in 0..6000 {
            let probe = Connection::try_open(server.address);
            if probe
                .is_ok_and(|mut probe| probe.call("GET", "/health/ready", &[], b"").status == 200)
            {
                return server;
            }
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "the server ended"
            );
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("not ready in a minute");
    }

    /// The text that it wrote to standard output when it became ready.
    pub fn banner(&self) -> String {
        for _ in 0..6000 {
            let banner = fs::read_to_string(&self.banner).unwrap();
            if !banner.is_empty() {
                return banner;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("no banner in a minute");
    }

    /// Stops it by SIGTERM.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for DevServer {
    fn drop(&mut self) {
        // Both calls fail only if the server has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All files below `talos-data/dev`, with their modes and contents.
fn secrets(directory: &TempDir) -> BTreeMap<PathBuf, (u32, String)> {
    let dev = directory.path().join("talos-data/dev");
    assert_eq!(
        fs::metadata(&dev).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let files = fs::read_dir(dev)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .map(|path| {
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            let text = fs::read_to_string(&path).unwrap();
            (path, (mode, text))
        })
        .collect()
}

#[test]
fn secrets_are_made_once_and_keys_outlive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start(directory.path());
    let made = secrets(&directory);
    assert_eq!(
        made.len(),
        2,
        "a secret and a signing key: {:?}",
        made.keys()
    );
    assert!(
        made.values()
            .all(|(mode, text)| *mode == 0o600 && text.len() > 32),
        "{made:?}"
    );
    let key = server.connect().issue("key");
    let jwks = server
        .connect()
        .call("GET", "/v2alpha1/derivedKeys/jwks.json", &[], b"")
        .json();
    assert_eq!(jwks["keys"][0]["crv"], "Ed25519");
    assert!(
        jwks["keys"][0].get("d").is_none(),
        "a private key is public"
    );
    server.stop();

    let server = DevServer::start(directory.path());
    assert_eq!(secrets(&directory), made);
    let verdict = server.connect().verify(&key.secret);
    assert_valid(&verdict, &key.key_id);
    // The second start uses another port, so the issuer is another, too.
    assert_eq!(
        verdict["issuer"],
        format!("http://localhost:{}", server.address.port())
    );
    assert_eq!(
        server
            .connect()
            .call("GET", "/v2alpha1/derivedKeys/jwks.json", &[], b"")
            .json(),
        jwks
    );
    server.stop();
}

impl DevServer {
    fn connect(&self) -> Connection {
        Connection::open(self.address)
    }
}

/// The curl commands in the banner work as printed.
#[test]
fn the_banner_can_be_pasted() {
    let directory = tempfile::tempdir().unwrap();
    let server = DevServer::start(directory.path());
    let banner = server.banner();
    assert!(banner.lines().count() < 30, "short: {banner}");
    assert!(
        !secrets(&directory)
            .values()
            .any(|(_, text)| banner.contains(text.trim())),
        "a secret in the banner"
    );
    let url = format!("http://localhost:{}", server.address.port());
    assert!(banner.contains(&url), "{banner}");

    let mut commands = banner.split("\n\n").filter(|part| part.contains("curl "));
    let mut paste = |environment: &[(&str, &str)]| {
        let part = commands.next().expect("another command");
        let lines = part
            .lines()
            .filter(|line| line.starts_with("  ") && !line.contains("=..."));
        let script: String = lines.map(|line| format!("{line}\n")).collect();
        let output = Command::new("bash")
            .args(["-euc", &script])
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        assert!(output.status.success(), "{script}: {output:?}");
        (String::from_utf8(output.stdout).unwrap(), script)
    };
    let json = |(text, script): (String, String)| {
        serde_json::from_str::<serde_json::Value>(&text)
            .unwrap_or_else(|error| panic!("{error}: {text}\n{script}"))
    };
    let issued = json(paste(&[]));
    let (secret, key_id) = (
        issued["secret"].as_str().unwrap(),
        issued["issued_api_key"]["key_id"].as_str().unwrap(),
    );
    assert_valid(&json(paste(&[("API_SECRET", secret)])), key_id);
    let (text, _) = paste(&[("KEY_ID", key_id)]);
    assert_eq!(text, "", "204 has no body");
    assert_refused(&server.connect().verify(secret), "REVOKED");
    server.stop();
}

//! Several tenants on one server: each has its hosts, its settings and its keys.

mod borders;
mod configuration;
mod hosts;
mod reloading;
mod shared;
mod under_load;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, VERIFY};

use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::tokens::{ED25519_JWK, SECRET, url};
use crate::harness::{Driver, TALOS};

pub const A: &str = "a.example";
pub const B: &str = "b.example";
/// Another host of the tenant of [`B`].
pub const B2: &str = "b2.example";
pub const C: &str = "c.example";
pub const ID_A: &str = "00000000-0000-4000-8000-00000000000a";
const ID_B: &str = "00000000-0000-4000-8000-00000000000b";
const ID_C: &str = "00000000-0000-4000-8000-00000000000c";

/// Writes the configuration of three tenants, followed by `more` lines. The one of [`B`] has its
/// own file with `overlay` in it; the other two have the same settings.
pub fn configure(site: &Site, more: &str, overlay: &str) -> PathBuf {
    let path = site.config();
    fs::write(site.directory().join("b.yaml"), overlay).unwrap();
    let yaml = fs::read_to_string(&path).unwrap();
    let tenants = format!(
        "multitenancy:\n  enabled: true\n  networks:\n  \
         - {{hostname: {A}, id: {ID_A}}}\n  \
         - {{hostname: {B}, id: {ID_B}, config_path: b.yaml}}\n  \
         - {{hostname: {B2}, id: {ID_B}}}\n  \
         - {{hostname: {C}, id: {ID_C}}}\n"
    );
    fs::write(&path, yaml + &tenants + more).unwrap();
    path
}

/// The settings of the tenant of [`B`].
pub fn overlay() -> String {
    format!(
        "credentials:\n  issuer: https://b.example\n  api_keys: {{prefix: {{current: bee}}}}\n  \
         derived_tokens: {{jwt: {{signing_keys: {{urls: ['{url}']}}}}}}\n\
         secrets: {{hmac: {{current: 'the secret of the second tenant, long'}}}}\n\
         quota: {{api_keys_max: 2}}\n",
        url = url(ED25519_JWK)
    )
}

/// The command that starts a server with the configuration at `path`.
pub fn command(site: &Site, path: &Path) -> Command {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .arg("--config")
        .arg(path)
        .arg("serve")
        .current_dir(site.directory());
    command
}

/// Starts a server with three tenants, whose configuration ends with `more`.
pub fn start_with(site: &Site, more: &str) -> Server {
    let path = configure(site, more, &overlay());
    Server::start(command(site, &path), site.directory().join("tenants.log"))
}

/// A client of one host.
pub struct Client {
    connection: Connection,
    host: &'static str,
    headers: Vec<(&'static str, &'static str)>,
}

impl Client {
    pub fn new(address: SocketAddr, host: &'static str) -> Self {
        Self {
            connection: Connection::open(address),
            host,
            headers: Vec::new(),
        }
    }

    pub fn with_header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    pub fn call(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if method != "GET" {
            let length = body.len();
            head += &format!("Content-Type: application/json\r\nContent-Length: {length}\r\n");
        }
        self.connection.send(format!("{head}\r\n{body}").as_bytes());
        self.connection.answer_to(method)
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.call("GET", path, "")
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &body.to_string())
    }

    /// Issues a key; its id and its secret.
    #[track_caller]
    pub fn issue(&mut self, name: &str) -> (String, String) {
        let answer = self.post(ISSUE, &json!({"name": name, "actor_id": "actor"}));
        assert_eq!(answer.status, 201, "{}", answer.text());
        let body = answer.json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            text(&body["issued_api_key"]["key_id"]),
            text(&body["secret"]),
        )
    }

    /// The verdict: `None` = valid, or the error code without its beginning.
    #[track_caller]
    pub fn verdict(&mut self, credential: &str) -> Option<String> {
        let answer = self.post(VERIFY, &json!({"credential": credential}));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let body = answer.json();
        if body["is_valid"] == true {
            return None;
        }
        let code = body["error_code"].as_str().unwrap();
        Some(code.strip_prefix("VERIFICATION_ERROR_").unwrap().to_owned())
    }
}

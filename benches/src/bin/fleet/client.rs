//! A client that keeps its connection and reads the answers as JSON.

use std::net::SocketAddr;

use serde_json::Value;
use talos_test_kit::http::Connection;
use talos_test_kit::keys::VERIFY;

/// A connection to a server.
pub struct Client(Connection);

/// A complete answer.
pub struct Answer {
    pub status: u16,
    pub position: Option<String>,
    /// The body, or null if it is not JSON.
    pub body: Value,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self(Connection::open(address))
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body)
    }

    fn ask(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.0.call(method, path, headers, body.as_bytes());
        Answer {
            status: answer.status,
            position: answer.header("Talos-Position").map(str::to_owned),
            body: serde_json::from_slice(&answer.body).unwrap_or(Value::Null),
        }
    }

    /// Whether a credential is accepted by a node that has applied all changes up to `position`,
    /// if one is named. `None` if the node gives no verdict.
    pub fn accepts(&mut self, credential: &str, position: Option<&str>) -> Option<bool> {
        let demanded = position.map(|position| ("Talos-Min-Position", position));
        let body = format!(r#"{{"credential":"{credential}"}}"#);
        let answer = self.ask("POST", VERIFY, demanded.as_slice(), &body);
        (answer.status == 200).then(|| answer.body["is_valid"] == true)
    }
}

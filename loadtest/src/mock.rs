//! A server of a few lines for tests. It knows which keys it issued and revoked, and can be told to
//! lie, to fail, or not to answer.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::answer::NO_CONTENT;
use crate::target::Target;
use crate::tls::TlsFiles;

struct Key {
    id: String,
    actor: String,
    revoked: bool,
}

/// The server.
#[derive(Default)]
pub struct Mock {
    /// By secret.
    keys: Mutex<HashMap<String, Key>>,
    next: AtomicU32,
    /// Connections accepted so far.
    pub connections: AtomicU32,
    /// Answer revoked keys as valid.
    pub lies: AtomicBool,
    /// Answer 503 to every verification.
    pub fails: AtomicBool,
    /// Do not answer verifications.
    pub hangs: AtomicBool,
    address: OnceLock<SocketAddr>,
}

impl Mock {
    /// Starts a server on a free port. It runs until the process ends.
    pub fn start() -> (Arc<Self>, Target) {
        let (mock, address) = Self::start_over(|stream| stream);
        let target = Target::running(&format!("http://{address}"), &TlsFiles::default());
        (mock, target.unwrap())
    }

    /// Does so over TLS. The certificate of the authority that signed the server's own is written
    /// to `authority`.
    pub fn start_over_tls(authority: &Path) -> (Arc<Self>, Target) {
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        std::fs::write(authority, own.cert.pem()).unwrap();
        let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let config = Arc::new(config);
        let (mock, address) = Self::start_over(move |stream| {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            StreamOwned::new(session, stream)
        });
        let files = TlsFiles {
            ca: Some(authority.to_owned()),
            own: None,
        };
        let url = format!("https://localhost:{}", address.port());
        (mock, Target::running(&url, &files).unwrap())
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        *self.address.get().unwrap()
    }

    fn start_over<S: Read + Write>(
        wrap: impl Fn(TcpStream) -> S + Send + Sync + 'static,
    ) -> (Arc<Self>, SocketAddr) {
        let mock = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        mock.address.set(address).unwrap();
        let (serving, wrap) = (Arc::clone(&mock), Arc::new(wrap));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (mock, wrap) = (Arc::clone(&serving), Arc::clone(&wrap));
                mock.connections.fetch_add(1, Ordering::Relaxed);
                std::thread::spawn(move || mock.serve(wrap(stream.unwrap())));
            }
        });
        (mock, address)
    }

    fn serve(&self, stream: impl Read + Write) {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
            loop {
                line.clear();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if let Some(rest) = line.strip_prefix("POST ") {
                    path = rest.split(' ').next().unwrap().to_owned();
                } else if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().unwrap();
                } else if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let body = serde_json::from_slice(&body).unwrap();
            let Some((status, answer)) = self.answer(&path, &body) else {
                continue;
            };
            let length = match status {
                NO_CONTENT => String::new(),
                _ => format!("Content-Length: {}\r\n", answer.len()),
            };
            // One write: with Nagle's algorithm a second small one would wait for an
            // acknowledgement.
            let answer = format!("HTTP/1.1 {status} X\r\n{length}\r\n{answer}");
            let stream = reader.get_mut();
            if stream.write_all(answer.as_bytes()).is_err() || stream.flush().is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str, body: &Value) -> Option<(u16, String)> {
        let text = |body: &Value, name: &str| body[name].as_str().unwrap().to_owned();
        if let Some(id) = path
            .strip_prefix("/v2alpha1/admin/apiKeys/")
            .and_then(|rest| rest.strip_suffix(":revoke"))
        {
            let mut keys = self.keys.lock().unwrap();
            let key = keys.values_mut().find(|key| key.id == id).unwrap();
            assert!(!std::mem::replace(&mut key.revoked, true), "revoked once");
            return Some((NO_CONTENT, String::new()));
        }
        match path {
            "/v2alpha1/admin/issuedApiKeys" => {
                let secret = format!("ory_ak_v1_{}_x", self.next.fetch_add(1, Ordering::Relaxed));
                let id = self.keep(&secret, text(body, "actor_id"))?;
                let answer = json!({"issued_api_key": {"key_id": id}, "secret": secret});
                Some((201, answer.to_string()))
            }
            "/v2alpha1/admin/importedApiKeys" => {
                let id = self.keep(&text(body, "raw_key"), text(body, "actor_id"))?;
                Some((201, json!({"key_id": id}).to_string()))
            }
            "/v2alpha1/admin/importedApiKeys:batchCreate" => {
                let results: Vec<Value> = body["requests"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| match self.keep(&text(one, "raw_key"), text(one, "actor_id")) {
                        Some(id) => json!({"imported_api_key": {"key_id": id}}),
                        None => json!({"error_code": "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_ALREADY_EXISTS"}),
                    })
                    .collect();
                let failed = results
                    .iter()
                    .filter(|result| result.get("error_code").is_some())
                    .count();
                if failed == results.len() {
                    return Some((409, json!({"error": {}}).to_string()));
                }
                let answer = json!({"results": results, "failure_count": failed});
                Some((200, answer.to_string()))
            }
            "/v2alpha1/admin/apiKeys:derive" => {
                let token = format!(
                    "{}.of.{}",
                    text(body, "algorithm"),
                    text(body, "credential")
                );
                self.keep(&token, "parent".to_owned());
                Some((200, json!({"token": {"token": token}}).to_string()))
            }
            _ if self.hangs.load(Ordering::Relaxed) => None,
            _ if self.fails.load(Ordering::Relaxed) => Some((503, "{}".to_owned())),
            "/v2alpha1/admin/apiKeys:verify" => {
                Some((200, self.verdict(&text(body, "credential"))))
            }
            "/v2alpha1/admin/apiKeys:batchVerify" => {
                let requests = body["requests"].as_array().unwrap();
                let verdicts = requests
                    .iter()
                    .map(|one| self.verdict(one["credential"].as_str().unwrap()));
                let verdicts: Vec<_> = verdicts.collect();
                Some((200, format!(r#"{{"results":[{}]}}"#, verdicts.join(","))))
            }
            other => panic!("{other}"),
        }
    }

    /// Stores a key and returns its id. `None` if the secret is there already.
    fn keep(&self, secret: &str, actor: String) -> Option<String> {
        let mut keys = self.keys.lock().unwrap();
        if keys.contains_key(secret) {
            return None;
        }
        let id = format!("id-{}", keys.len());
        let key = Key {
            id: id.clone(),
            actor,
            revoked: false,
        };
        keys.insert(secret.to_owned(), key);
        Some(id)
    }

    fn verdict(&self, credential: &str) -> String {
        let refused = |code: &str| {
            format!(r#"{{"is_valid":false,"error_code":"VERIFICATION_ERROR_{code}"}}"#)
        };
        let keys = self.keys.lock().unwrap();
        match keys.get(credential) {
            Some(key) if key.revoked && !self.lies.load(Ordering::Relaxed) => refused("REVOKED"),
            Some(Key { id, actor, .. }) => {
                format!(r#"{{"is_valid":true,"key_id":"{id}","actor_id":"{actor}"}}"#)
            }
            None => refused("NOT_FOUND"),
        }
    }

    /// How many keys it holds, revoked ones included.
    pub fn held(&self) -> usize {
        self.keys.lock().unwrap().len()
    }

    /// How many of them are revoked.
    pub fn revoked(&self) -> usize {
        let keys = self.keys.lock().unwrap();
        keys.values().filter(|key| key.revoked).count()
    }
}

//! The requests that make, revoke and look up keys.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::answer::NO_CONTENT;
use crate::client::{Client, Reply};
use crate::error::LoadError;

/// How often a request is sent again to a server that is too busy.
const TRIES: u32 = 200;
const BETWEEN_TRIES: Duration = Duration::from_millis(50);
const IMPORTING: &str = "importing keys";

/// A connection to the admin endpoints. It repeats a request while the server answers 503.
#[derive(Debug)]
pub struct AdminApi<'a> {
    client: Client,
    /// Ends the repetition early.
    interrupted: &'a AtomicBool,
}

/// An issued key.
#[derive(Debug)]
pub struct Issued {
    /// Its id.
    pub key_id: String,
    /// The credential.
    pub secret: String,
}

/// A key to be imported.
#[derive(Debug)]
pub struct ImportedKey {
    /// The credential.
    pub raw_key: String,
    /// Whose it is.
    pub actor_id: String,
}

/// What became of one key of an import.
#[derive(Debug)]
pub enum ImportResult {
    /// It is new.
    Imported {
        /// Its id.
        key_id: String,
    },
    /// An earlier run has imported it.
    AlreadyExists,
}

/// The answer to an import of many keys.
#[derive(Debug)]
pub struct ImportReply(Reply);

#[derive(Deserialize)]
struct BatchReply {
    results: Vec<BatchResult>,
}

#[derive(Deserialize)]
struct BatchResult {
    #[serde(default)]
    error_code: String,
    #[serde(default)]
    error_message: String,
    imported_api_key: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    key_id: String,
}

impl ImportReply {
    /// Whether the server has every key now: it imported all of them, or had all of them. Reads the
    /// answer without parsing it.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.0.status == 409
            || memchr::memmem::find(&self.0.body, br#""failure_count":0"#).is_some()
    }

    /// What became of each key, in order. The answer to an import of keys that all existed names
    /// none.
    ///
    /// # Errors
    /// When the server refused a key.
    pub fn results(&self) -> Result<Vec<ImportResult>, LoadError> {
        let Ok(parsed) = serde_json::from_slice::<BatchReply>(&self.0.body) else {
            return Ok(Vec::new());
        };
        let result = |result: BatchResult| match result.imported_api_key {
            Some(Named { key_id }) => Ok(ImportResult::Imported { key_id }),
            None if result.error_code.ends_with("_ALREADY_EXISTS") => {
                Ok(ImportResult::AlreadyExists)
            }
            None => Err(LoadError::Refused {
                doing: IMPORTING,
                status: 200,
                body: result.error_code + ": " + &result.error_message,
            }),
        };
        parsed.results.into_iter().map(result).collect()
    }
}

impl<'a> AdminApi<'a> {
    /// Uses a client. It does not connect yet.
    #[must_use]
    pub fn new(client: Client, interrupted: &'a AtomicBool) -> Self {
        Self {
            client,
            interrupted,
        }
    }

    /// Sends this `Host` header from now on.
    pub fn set_host(&mut self, host: String) {
        self.client.set_host(host);
    }

    /// Issues a key.
    ///
    /// # Errors
    /// When the server refuses, or the connection breaks.
    pub fn issue(&mut self, actor: &str) -> Result<Issued, LoadError> {
        let body = format!(r#"{{"name":"load","actor_id":"{actor}","scopes":["read","write"]}}"#);
        self.issue_by(&body)
    }

    /// Issues a key with so many bytes of metadata, at least 8.
    ///
    /// # Errors
    /// When the server refuses, or the connection breaks.
    pub fn issue_heavy(&mut self, actor: &str, metadata: usize) -> Result<Issued, LoadError> {
        let text = "m".repeat(metadata.saturating_sub(r#"{"x":""}"#.len()));
        let body = format!(r#"{{"name":"load","actor_id":"{actor}","metadata":{{"x":"{text}"}}}}"#);
        self.issue_by(&body)
    }

    fn issue_by(&mut self, body: &str) -> Result<Issued, LoadError> {
        let doing = "issuing a key";
        let reply = self.call(doing, "/v2alpha1/admin/issuedApiKeys", body.as_bytes())?;
        let answer = reply.json();
        let key = text_at(&answer, "/issued_api_key/key_id").zip(text_at(&answer, "/secret"));
        key.map(|(key_id, secret)| Issued { key_id, secret })
            .ok_or_else(|| refused(doing, &reply))
    }

    /// Imports keys, at most 1000.
    ///
    /// # Errors
    /// When the server refuses all of them, or the connection breaks.
    pub fn import(
        &mut self,
        keys: impl IntoIterator<Item = ImportedKey>,
    ) -> Result<ImportReply, LoadError> {
        let item = |ImportedKey { raw_key, actor_id }| {
            format!(
                r#"{{"raw_key":"{raw_key}","name":"load","actor_id":"{actor_id}","scopes":["read","write"]}}"#
            )
        };
        let items: Vec<String> = keys.into_iter().map(item).collect();
        let body = format!(r#"{{"requests":[{}]}}"#, items.join(","));
        let path = "/v2alpha1/admin/importedApiKeys:batchCreate";
        let reply = self.call(IMPORTING, path, body.as_bytes())?;
        // 409: all of them exist already.
        if matches!(reply.status, 200 | 409) {
            Ok(ImportReply(reply))
        } else {
            Err(refused(IMPORTING, &reply))
        }
    }

    /// Verifies a credential.
    ///
    /// # Errors
    /// When the server answers with another status than 200, or the connection breaks.
    pub fn verify(&mut self, credential: &str) -> Result<Reply, LoadError> {
        let body = json!({"credential": credential}).to_string();
        let path = "/v2alpha1/admin/apiKeys:verify";
        let doing = "verifying a key";
        let reply = self.call(doing, path, body.as_bytes())?;
        if reply.status == 200 {
            Ok(reply)
        } else {
            Err(refused(doing, &reply))
        }
    }

    /// Revokes a key.
    ///
    /// # Errors
    /// When the server refuses, or the connection breaks.
    pub fn revoke(&mut self, key_id: &str) -> Result<(), LoadError> {
        let path = format!("/v2alpha1/admin/apiKeys/{key_id}:revoke");
        let body = br#"{"reason":"REVOCATION_REASON_SUPERSEDED"}"#;
        let doing = "revoking a key";
        let reply = self.call(doing, &path, body)?;
        if reply.status == NO_CONTENT {
            Ok(())
        } else {
            Err(refused(doing, &reply))
        }
    }

    /// Derives a token that is valid for a day.
    ///
    /// # Errors
    /// When the server refuses, or the connection breaks.
    pub fn derive(&mut self, credential: &str, algorithm: &str) -> Result<String, LoadError> {
        let body = json!({"credential": credential, "algorithm": algorithm, "ttl": "24h"});
        let doing = "deriving a token";
        let path = "/v2alpha1/admin/apiKeys:derive";
        let reply = self.call(doing, path, body.to_string().as_bytes())?;
        text_at(&reply.json(), "/token/token").ok_or_else(|| refused(doing, &reply))
    }

    fn call(&mut self, doing: &'static str, path: &str, body: &[u8]) -> Result<Reply, LoadError> {
        let mut tries = 0;
        loop {
            let reply = self.client.post(path, body).map_err(LoadError::io(doing))?;
            tries += 1;
            if reply.status != 503 || tries == TRIES || self.interrupted.load(Ordering::Relaxed) {
                return Ok(reply);
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }
}

/// The string at a JSON pointer.
#[must_use]
pub fn text_at(value: &Value, pointer: &str) -> Option<String> {
    Some(value.pointer(pointer)?.as_str()?.to_owned())
}

fn refused(doing: &'static str, reply: &Reply) -> LoadError {
    LoadError::Refused {
        doing,
        status: reply.status,
        body: reply.text(),
    }
}

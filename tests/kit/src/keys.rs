//! The requests that most tests make over HTTP: to issue, verify, revoke and derive.

use std::io::{Read, Write};

use serde_json::{Value, json};

use super::http::{Answer, Connection};

/// Where keys are issued.
pub const ISSUE: &str = "/v2alpha1/admin/issuedApiKeys";
/// Where credentials are verified.
pub const VERIFY: &str = "/v2alpha1/admin/apiKeys:verify";
/// Where tokens are derived.
pub const DERIVE: &str = "/v2alpha1/admin/apiKeys:derive";

/// A key that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its id.
    pub key_id: String,
    /// Its credential.
    pub secret: String,
}

impl Issued {
    /// From the answer to an issue.
    #[track_caller]
    pub fn from(answer: &Answer) -> Self {
        assert_eq!(
            answer.status,
            201,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        let body = answer.json();
        let text = |value: &Value| {
            value
                .as_str()
                .unwrap_or_else(|| panic!("{body}"))
                .to_owned()
        };
        Self {
            key_id: text(&body["issued_api_key"]["key_id"]),
            secret: text(&body["secret"]),
        }
    }
}

impl<S: Read + Write> Connection<S> {
    /// Issues a key.
    #[track_caller]
    pub fn issue(&mut self, name: &str) -> Issued {
        let body = json!({"name": name, "actor_id": "tester", "scopes": ["read:*"]});
        Issued::from(&self.post(ISSUE, &body))
    }

    /// Posts JSON.
    pub fn post(&mut self, path: &str, body: &Value) -> Answer {
        self.call("POST", path, &[], body.to_string().as_bytes())
    }

    /// Verifies a credential.
    pub fn verify(&mut self, credential: &str) -> Value {
        self.verify_with(credential, &[])
    }

    /// Verifies a credential, with further headers.
    #[track_caller]
    pub fn verify_with(&mut self, credential: &str, headers: &[(&str, &str)]) -> Value {
        let body = json!({"credential": credential}).to_string();
        let answer = self.call("POST", VERIFY, headers, body.as_bytes());
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    }

    /// Requests the revocation of a key.
    pub fn revoke(&mut self, key_id: &str) -> Answer {
        let path = format!("/v2alpha1/admin/apiKeys/{key_id}:revoke");
        self.post(&path, &json!({"reason": "REVOCATION_REASON_SUPERSEDED"}))
    }

    /// The resource of a key.
    #[track_caller]
    pub fn get(&mut self, key_id: &str) -> Value {
        let answer = self.call("GET", &format!("{ISSUE}/{key_id}"), &[], b"");
        assert_eq!(
            answer.status,
            200,
            "{}",
            String::from_utf8_lossy(&answer.body)
        );
        answer.json()
    }

    /// Requests a token derived from a key.
    pub fn ask_for_token(&mut self, credential: &str, algorithm: &str, more: &Value) -> Answer {
        let mut body = json!({"credential": credential, "algorithm": algorithm});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        self.post(DERIVE, &body)
    }

    /// Derives a token; the member `token` of the answer.
    #[track_caller]
    pub fn derive(&mut self, credential: &str, algorithm: &str, more: &Value) -> Value {
        let answer = self.ask_for_token(credential, algorithm, more);
        let body = answer.json();
        assert_eq!(answer.status, 200, "{body}");
        body["token"].clone()
    }

    /// Derives a token with the default options; its text.
    #[track_caller]
    pub fn token(&mut self, credential: &str, algorithm: &str) -> String {
        let derived = self.derive(credential, algorithm, &json!({}));
        derived["token"].as_str().unwrap().to_owned()
    }
}

/// Asserts that a verification accepted this key.
#[track_caller]
pub fn assert_valid(verdict: &Value, key_id: &str) {
    assert_eq!(
        (&verdict["is_valid"], &verdict["key_id"]),
        (&json!(true), &json!(key_id)),
        "{verdict}"
    );
}

/// Asserts that a verification refused with this code, given without its common prefix.
#[track_caller]
pub fn assert_refused(verdict: &Value, code: &str) {
    let code = format!("VERIFICATION_ERROR_{code}");
    assert_eq!(
        (&verdict["is_valid"], &verdict["error_code"]),
        (&json!(false), &json!(code)),
        "{verdict}"
    );
}

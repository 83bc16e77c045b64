//! The command lines, and what each must do.

mod command_line;
mod curl;

pub use command_line::COMMAND_LINE;
pub use curl::CURL;

use serde_json::{Value, json};
use talos_test_kit::keys::assert_refused;

use crate::harness::cli::Ran;

/// The configuration of the commercial quickstart, unchanged but for the DSN.
pub const QUICKSTART_CONFIG: &str = r#"serve:
  http: { host: "0.0.0.0", port: 8080 }
  metrics: { host: "0.0.0.0", port: 4422 }
credentials:
  issuer: "http://localhost:8080"
  api_keys:
    default_ttl: "720h"
    prefix: { current: "talos" }
  derived_tokens:
    default_ttl: "1h"
    jwt:
      signing_keys:
        urls:
          - "base64://eyAgImtleXMiOiBbICAgIHsgICAgICAiYWxnIjogIkVkRFNBIiwgICAgICAiY3J2IjogIkVkMjU1MTkiLCAgICAgICJkIjogIjl3VTNfV3p0dmx3TXg0SGlfN2dsSVduY09XNlVIR2I5amxDdDZEZkVGa2MiLCAgICAgICJraWQiOiAiZG9ja2VyLWRldi0wMDEiLCAgICAgICJrdHkiOiAiT0tQIiwgICAgICAidXNlIjogInNpZyIsICAgICAgIngiOiAiNGtTQTdtNU5jYnFDUC1mZk9fNGhQM2tsNHB0NGctLTNRQ21zQmwzb05lVSIgICAgfSAgXX0="
    macaroon:
      prefix: { current: "mc" }
db:
  dsn: "DSN"
secrets:
  default: { current: "preview-default-secret-minimum-32-chars-long" }
  hmac: { current: "preview-hmac-secret-minimum-32-chars-long" }
  pagination: { current: "preview-pagination-secret-32-chars-min" }
cache: { type: "memory", ttl: "5m" }
multitenancy: { enabled: false }
log: { level: "info", format: "json" }
"#;
/// The source of a command.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    CommercialQuickstart,
    OpenSourceQuickstart,
    IssueAndVerify,
    Article,
}
use Source::{Article, CommercialQuickstart, IssueAndVerify, OpenSourceQuickstart};

/// One command line, the variables that it sets for later ones, and what it must do.
pub struct Row {
    pub source: Source,
    pub command: &'static str,
    /// Variables to set, each with the JSON pointer of its value in the answer.
    pub sets: &'static [(&'static str, &'static str)],
    pub expects: fn(&Ran),
}

/// The answer of a command that must have succeeded.
#[track_caller]
fn answer(ran: &Ran) -> Value {
    ran.json()
}

fn succeeds(ran: &Ran) {
    ran.succeeded();
}

/// Expects a table with the verdict.
fn says_valid(ran: &Ran) {
    let table = ran.succeeded();
    assert!(
        table.contains("is_valid") && table.contains("true"),
        "{table}"
    );
}

fn is_valid(ran: &Ran) {
    let verdict = answer(ran);
    assert_eq!(
        (&verdict["is_valid"], &verdict["is_active"]),
        (&json!(true), &json!(true)),
        "{verdict}"
    );
    for field in ["actor_id", "scopes", "issuer", "expire_time"] {
        assert!(!verdict[field].is_null(), "{field}: {verdict}");
    }
}

fn is_revoked(ran: &Ran) {
    assert_refused(&answer(ran), "REVOKED");
}

fn says_revoked(ran: &Ran) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("VERIFICATION_ERROR_REVOKED"), "{ran:?}");
}

/// Expects a token with the requested claims.
fn is_derived(ran: &Ran) {
    let claims = &answer(ran)["token"]["claims"];
    assert_eq!(
        (&claims["role"], &claims["environment"]),
        (&json!("preview-user"), &json!("demo")),
        "{claims}"
    );
}

/// Expects an answer without a body.
fn is_empty(ran: &Ran) {
    assert_eq!(ran.succeeded(), "");
}

fn is_healthy(ran: &Ran) {
    assert_eq!(answer(ran), json!({"status": "ok"}));
}

const ISSUED: &[(&str, &str)] = &[
    ("API_SECRET", "/secret"),
    ("KEY_ID", "/issued_api_key/key_id"),
];
const DERIVED: &[(&str, &str)] = &[("JWT_TOKEN", "/token/token")];
const IMPORTED: &[(&str, &str)] = &[("IMPORTED_KEY_ID", "/imported_api_key/key_id")];

//! The command lines, and what each must do.

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

fn is_empty(ran: &Ran) {
    assert_eq!(answer(ran), json!({}));
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

/// Every command line of `talos`.
pub const COMMAND_LINE: &[Row] = &[
    Row {
        source: CommercialQuickstart,
        command: r#"talos keys issue "preview-issued-key" \
--actor preview-user \
--scopes "read:profile,write:profile" \
--ttl 720h \
--format json \
-e "http://talos:8080" 2>/dev/null"#,
        sets: ISSUED,
        expects: succeeds,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"talos keys verify "$API_SECRET" -e "http://talos:8080""#,
        sets: &[],
        expects: says_valid,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"talos keys derive-token "$API_SECRET" \
--algorithm jwt \
--ttl 1h \
--claims '{"role":"preview-user","environment":"demo"}' \
--format json \
-e "http://talos:8080" 2>/dev/null"#,
        sets: DERIVED,
        expects: is_derived,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"export IMPORTED_RAW_KEY=sk_preview_demo_001
talos keys imported import "preview-imported-key" \
--raw-key "$IMPORTED_RAW_KEY" \
--actor preview-import-user \
--scopes "payments:read,payments:write" \
--ttl 720h \
--format json \
-e "http://talos:8080" 2>/dev/null"#,
        sets: IMPORTED,
        expects: succeeds,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"IMPORTED_RAW_KEY=sk_preview_demo_001
talos keys verify "$IMPORTED_RAW_KEY" -e "http://talos:8080""#,
        sets: &[],
        expects: says_valid,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"talos keys issue "My first key" \
--actor quickstart-user \
--scopes "read:*,write:*" \
--ttl 168h \
--format json \
-e "$TALOS_URL" 2>/dev/null"#,
        sets: ISSUED,
        expects: succeeds,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"talos keys verify "$API_SECRET" -e "$TALOS_URL""#,
        sets: &[],
        expects: says_valid,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"talos keys revoke "$KEY_ID" --reason superseded -e "$TALOS_URL""#,
        sets: &[],
        expects: succeeds,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"talos keys verify "$API_SECRET" --no-cache -e "$TALOS_URL""#,
        sets: &[],
        expects: says_revoked,
    },
    Row {
        source: IssueAndVerify,
        command: r#"talos keys issue "backend-service" \
--actor user_42 \
--scopes "read:orders,write:orders" \
--ttl 720h \
--metadata '{"team": "payments", "environment": "staging"}' \
--format json \
-e "$TALOS_URL" 2>/dev/null"#,
        sets: ISSUED,
        expects: |ran| {
            let metadata = &answer(ran)["issued_api_key"]["metadata"];
            assert_eq!(
                metadata,
                &json!({"team": "payments", "environment": "staging"})
            );
        },
    },
    Row {
        source: IssueAndVerify,
        command: r#"talos keys verify "$API_SECRET" -e "$TALOS_URL""#,
        sets: &[],
        expects: says_valid,
    },
    Row {
        source: IssueAndVerify,
        command: r#"talos keys issued get "$KEY_ID" -e "$TALOS_URL""#,
        sets: &[],
        expects: |ran| assert!(ran.succeeded().contains("backend-service"), "{ran:?}"),
    },
    Row {
        source: IssueAndVerify,
        command: r#"talos keys issued list --actor user_42 --page-size 10 -e "$TALOS_URL""#,
        sets: &[],
        expects: |ran| {
            let table = ran.succeeded();
            assert!(
                table.contains("backend-service") && !table.contains("quickstart-user"),
                "{table}"
            );
        },
    },
];

/// Every request with curl.
pub const CURL: &[Row] = &[
    Row {
        source: CommercialQuickstart,
        command: "curl -sf http://localhost:8080/health/alive",
        sets: &[],
        expects: is_healthy,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/issuedApiKeys" \
-H "Content-Type: application/json" \
-d '{
"name": "preview-issued-key",
"actor_id": "preview-user",
"scopes": ["read:profile", "write:profile"],
"ttl": "720h"
}'"#,
        sets: ISSUED,
        expects: succeeds,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/apiKeys:verify" \
-H "Content-Type: application/json" \
-d "{\"credential\":\"$API_SECRET\"}""#,
        sets: &[],
        expects: is_valid,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/apiKeys:derive" \
-H "Content-Type: application/json" \
-d "{
\"credential\": \"$API_SECRET\",
\"algorithm\": \"TOKEN_ALGORITHM_JWT\",
\"ttl\": \"1h\",
\"custom_claims\": {\"role\": \"preview-user\", \"environment\": \"demo\"}
}""#,
        sets: DERIVED,
        expects: is_derived,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"export IMPORTED_RAW_KEY=sk_preview_demo_001
curl -s -X POST "$TALOS_URL/v2alpha1/admin/importedApiKeys" \
-H "Content-Type: application/json" \
-d "{
\"raw_key\": \"$IMPORTED_RAW_KEY\",
\"name\": \"preview-imported-key\",
\"actor_id\": \"preview-import-user\",
\"scopes\": [\"payments:read\", \"payments:write\"],
\"ttl\": \"720h\"
}""#,
        sets: IMPORTED,
        expects: succeeds,
    },
    Row {
        source: CommercialQuickstart,
        command: r#"IMPORTED_RAW_KEY=sk_preview_demo_001
curl -s -X POST "$TALOS_URL/v2alpha1/admin/apiKeys:verify" \
-H "Content-Type: application/json" \
-d "{\"credential\":\"$IMPORTED_RAW_KEY\"}""#,
        sets: &[],
        expects: is_valid,
    },
    Row {
        source: OpenSourceQuickstart,
        command: "curl -sf http://localhost:4420/health/alive > /dev/null 2>&1",
        sets: &[],
        expects: succeeds,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"curl -sf "$TALOS_URL/health/alive" | head -c 200"#,
        sets: &[],
        expects: is_healthy,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/issuedApiKeys" \
-H "Content-Type: application/json" \
-d '{
"name": "My first key",
"actor_id": "quickstart-user",
"scopes": ["read:*", "write:*"],
"ttl": "168h"
}'"#,
        sets: ISSUED,
        expects: succeeds,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/apiKeys:verify" \
-H "Content-Type: application/json" \
-d "{\"credential\":\"$API_SECRET\"}""#,
        sets: &[],
        expects: is_valid,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/apiKeys/${KEY_ID}:revoke" \
-H "Content-Type: application/json" \
-d '{"reason":"REVOCATION_REASON_SUPERSEDED"}'"#,
        sets: &[],
        expects: is_empty,
    },
    Row {
        source: OpenSourceQuickstart,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/apiKeys:verify" \
-H "Content-Type: application/json" \
-H "Cache-Control: no-cache" \
-d "{\"credential\":\"$API_SECRET\"}""#,
        sets: &[],
        expects: is_revoked,
    },
    Row {
        source: IssueAndVerify,
        command: r#"curl -s -X POST "$TALOS_URL/v2alpha1/admin/apiKeys:verify" \
-H "Content-Type: application/json" \
-H "Cache-Control: no-cache" \
-d '{"credential":"sk_..."}'"#,
        sets: &[],
        expects: |ran| assert_refused(&answer(ran), "NOT_FOUND"),
    },
    Row {
        source: IssueAndVerify,
        command: r#"curl -s -G "$TALOS_URL/v2alpha1/admin/issuedApiKeys" --data-urlencode 'filter=actor_id="user_42"'"#,
        sets: &[],
        expects: |ran| assert_eq!(answer(ran)["issued_api_keys"], json!([])),
    },
    Row {
        source: IssueAndVerify,
        command: r#"curl -s "$TALOS_URL/v2alpha1/admin/issuedApiKeys?filter=status=KEY_STATUS_ACTIVE""#,
        sets: &[],
        expects: |ran| {
            let keys = answer(ran)["issued_api_keys"].clone();
            assert_eq!(keys.as_array().map(Vec::len), Some(1), "{keys}");
        },
    },
    Row {
        source: Article,
        command: r#"curl -X POST http://localhost:4420/keys \
  -H "Content-Type: application/json" \
  -d '{"name": "my-first-key", "permissions": ["read:docs"]}'"#,
        sets: &[("API_KEY", "/key"), ("ID", "/id")],
        expects: |ran| {
            let key = &answer(ran)["issued_api_key"];
            assert_eq!(
                (&key["scopes"], &key["actor_id"]),
                (&json!(["read:docs"]), &json!("default"))
            );
        },
    },
    Row {
        source: Article,
        command: r#"curl http://localhost:4420/verify \
  -H "Authorization: Bearer $API_KEY""#,
        sets: &[],
        expects: is_valid,
    },
    Row {
        source: Article,
        command: r#"curl -X POST http://localhost:4420/keys/$ID/derive \
  -H "Content-Type: application/json" \
  -d '{"permissions": ["read:docs"], "ttl": "15m"}'"#,
        sets: &[("JWT_TOKEN", "/token/token")],
        expects: |ran| assert_eq!(answer(ran)["token"]["scopes"], json!(["read:docs"])),
    },
    Row {
        source: Article,
        command: r#"curl http://localhost:4420/verify \
  -H "Authorization: Bearer $JWT_TOKEN""#,
        sets: &[],
        expects: is_valid,
    },
    Row {
        source: Article,
        command: "curl -X DELETE http://localhost:4420/keys/$ID",
        sets: &[],
        expects: is_empty,
    },
    Row {
        source: Article,
        command: r#"curl http://localhost:4420/verify \
  -H "Authorization: Bearer $API_KEY""#,
        sets: &[],
        expects: is_revoked,
    },
];

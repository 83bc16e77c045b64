//! The requests with curl.

use serde_json::json;
use talos_test_kit::keys::assert_refused;

use super::{
    Article, CommercialQuickstart, DERIVED, IMPORTED, ISSUED, IssueAndVerify, OpenSourceQuickstart,
    Row, answer, is_derived, is_empty, is_healthy, is_revoked, is_valid, succeeds,
};

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

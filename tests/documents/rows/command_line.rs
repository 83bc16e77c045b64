//! The command lines of `talos`.

use serde_json::json;

use super::{
    CommercialQuickstart, DERIVED, IMPORTED, ISSUED, IssueAndVerify, OpenSourceQuickstart, Row,
    answer, is_derived, says_revoked, says_valid, succeeds,
};

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

//! `talos keys revoke-where`.

use super::*;

const DECIDED: &str = r#"{"matched":2,"dry_run":false,"rule_id":"r","position":"1.4"}"#;

fn decided() -> Value {
    serde_json::from_str(DECIDED).expect("JSON")
}

#[test]
fn every_condition_is_sent() {
    let line = [
        "revoke-where",
        "--actor",
        "a",
        "--prefix",
        "p",
        "--created-before",
        "2026-11-21T00:00:00Z",
        "--scope",
        "s",
        "--metadata",
        "k=v=w",
        "--metadata",
        "l=",
        "--reason",
        "superseded",
        "--yes",
    ];
    let done = run(&line, "", 200, &decided());
    assert_eq!(code(&done.result), code(&Ok(ExitCode::SUCCESS)));
    assert_eq!(
        done.request.line,
        "POST /v2alpha1/admin/apiKeys:revokeWhere HTTP/1.1"
    );
    let sent: Value = serde_json::from_str(&done.request.body).expect("JSON");
    let wanted = json!({
        "actor_id": "a", "prefix": "p", "created_before": "2026-11-21T00:00:00Z", "scope": "s",
        "metadata": {"k": "v=w", "l": ""}, "reason": "REVOCATION_REASON_SUPERSEDED",
    });
    assert_eq!(sent, wanted);
    assert!(
        done.out.contains("rule_id") && done.out.contains("1.4"),
        "{}",
        done.out
    );
    assert!(done.remarks.contains("from now on"), "{}", done.remarks);
}

#[test]
fn a_dry_run_counts_and_says_nothing_else() {
    let counted = json!({"matched": 7, "dry_run": true});
    let done = run(
        &["revoke-where", "--scope", "s", "--dry-run", "-q"],
        "",
        200,
        &counted,
    );
    assert_eq!((done.out.as_str(), done.remarks.as_str()), ("7\n", ""));
    assert_eq!(done.request.body, r#"{"dry_run":true,"scope":"s"}"#);
}

/// The server answers only one request, the count. A second request would fail.
#[test]
fn whoever_does_not_say_yes_revokes_nothing() {
    let counted = json!({"matched": 7, "dry_run": true});
    for input in ["", "\n", "no\n", "y\n", "YES\n"] {
        let done = run(&["revoke-where", "--scope", "s"], input, 200, &counted);
        assert_eq!(code(&done.result), code(&Ok(ExitCode::FAILURE)), "{input}");
        assert_eq!(done.request.body, r#"{"dry_run":true,"scope":"s"}"#);
        assert!(done.remarks.starts_with("7 keys match"), "{}", done.remarks);
        assert!(
            done.remarks.ends_with("Nothing was revoked.\n"),
            "{}",
            done.remarks
        );
        assert_eq!(done.out, "");
    }
    let done = run(&["revoke-where", "--scope", "s"], "yes\n", 200, &counted);
    assert!(
        matches!(
            done.result,
            Err(CliError::NoServer { .. } | CliError::Transport { .. })
        ),
        "it asked again: {}",
        code(&done.result)
    );
}

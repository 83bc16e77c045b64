//! What is sent when a flag is absent or zero.

use super::*;

/// The body of the request of this command.
fn body(line: &[&str], input: &str, status: u16, answer: &Value) -> Value {
    let done = run(line, input, status, answer);
    assert_eq!(code(&done.result), code(&Ok(ExitCode::SUCCESS)), "{line:?}");
    serde_json::from_str(&done.request.body).expect("JSON")
}

#[test]
fn a_lifetime_has_a_default_and_zero_leaves_it_to_the_server() {
    let issue = ["issue", "n", "--actor", "a"];
    let issued_issue = ["issued", "issue", "n", "--actor", "a"];
    let import = ["imported", "import", "n", "--actor", "a", "--raw-key", "k"];
    let derive = ["derive-token", "cred"];
    let token = json!({"token": {"token": "eyJ"}});
    let key = json!({"key_id": "k"});
    for (line, answer, default) in [
        (&issue[..], issued(), json!("24h")),
        (&issued_issue, issued(), json!("24h")),
        (&import, key, Value::Null),
        (&derive, token, json!("1h")),
    ] {
        assert_eq!(body(line, "", 201, &answer)["ttl"], default, "{line:?}");
        for (given, wanted) in [
            ("0", Value::Null),
            ("0s", Value::Null),
            ("0h0m", Value::Null),
            ("90s", json!("90s")),
            ("1y6mo", json!("1y6mo")),
        ] {
            let line = [line, &["--ttl", given]].concat();
            assert_eq!(body(&line, "", 201, &answer)["ttl"], wanted, "{line:?}");
        }
    }
}

#[test]
fn a_quota_of_zero_is_no_limit() {
    let issue = ["issue", "n", "--actor", "a"];
    let import = ["imported", "import", "n", "--actor", "a", "--raw-key", "k"];
    for line in [&issue[..], &import] {
        for limit in [
            &["--rate-limit-quota", "0"][..],
            &["--rate-limit-quota", "0", "--rate-limit-window", "1m"],
            &["--rate-limit-quota", "000"],
        ] {
            let line = [line, limit].concat();
            let sent = body(&line, "", 201, &issued());
            assert!(sent.get("rate_limit_policy").is_none(), "{line:?}: {sent}");
        }
        let line = [line, &["--rate-limit-quota", "5"]].concat();
        let (result, ..) = run_at("http://127.0.0.1:9", &line, "");
        let error = result.expect_err("a quota without its window");
        assert!(matches!(error, CliError::Usage(_)), "{error}");
        assert!(error.to_string().contains("--rate-limit-window"), "{error}");
    }
}

#[test]
fn a_request_id_is_sent_as_it_is() {
    let issue = ["issue", "n", "--actor", "a"];
    let import = ["imported", "import", "n", "--actor", "a", "--raw-key", "k"];
    for line in [&issue[..], &import] {
        assert!(body(line, "", 201, &issued()).get("request_id").is_none());
        let line = [line, &["--request-id", "deploy-1"]].concat();
        assert_eq!(body(&line, "", 201, &issued())["request_id"], "deploy-1");
    }
}

#[test]
fn a_key_of_an_earlier_request_comes_with_a_remark() {
    let known = json!({"issued_api_key": {"key_id": "k-1"}});
    for more in [&[][..], &["-q"]] {
        let line = [&["issue", "n", "--actor", "a", "--request-id", "r"], more].concat();
        let done = run(&line, "", 201, &known);
        assert_eq!(code(&done.result), code(&Ok(ExitCode::SUCCESS)));
        assert!(
            done.remarks.contains("An earlier request"),
            "{}",
            done.remarks
        );
        let done = run(&line, "", 201, &issued());
        assert!(!done.remarks.contains("earlier"), "{}", done.remarks);
    }
}

//! What is noted of each request, and that nothing secret is.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Stdio;
use std::slice;

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::{DERIVE, ISSUE, Issued, VERIFY, assert_refused};

use super::{REQUIRED, lines, said, start, verify};
use crate::harness::cli::run;
use crate::harness::site::{Server, Site};
use crate::harness::tokens::SECRET;
use crate::metrics::{self, Page};

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const SELF_REVOKE: &str = "/v2alpha1/apiKeys:selfRevoke";

/// The last entry of an operation.
#[track_caller]
fn last<'a>(lines: &'a [Value], operation: &str) -> &'a Value {
    let mut found = lines.iter().filter(|line| line["operation"] == operation);
    found
        .next_back()
        .unwrap_or_else(|| panic!("no entry of {operation}: {lines:#?}"))
}

/// Sends one of each request; returns every secret of the run.
fn act(server: &Server) -> (Vec<String>, Vec<String>) {
    let mut client = server.connect();
    let mut secrets = vec![SECRET.to_owned()];
    let issued = client.issue("one");
    let read = client.call("GET", &format!("{ISSUE}?page_size=5"), &[], b"");
    assert_eq!(read.status, 200);
    client.get(&issued.key_id);
    let update = json!({"name": "a-name-that-is-not-noted"}).to_string();
    let path = format!("{ISSUE}/{}?update_mask=name", issued.key_id);
    assert_eq!(
        client.call("PATCH", &path, &[], update.as_bytes()).status,
        200
    );
    let rotated = client.post(&format!("{ISSUE}/{}:rotate", issued.key_id), &json!({}));
    let rotated = Issued::from(&rotated);
    let derived = client.derive(&rotated.secret, "TOKEN_ALGORITHM_MACAROON", &json!({}));
    let raw = [
        "raw-key-of-another-system-1",
        "raw-key-of-another-system-2",
        "raw-key-3",
    ];
    let imported = client.post(
        IMPORT,
        &json!({"raw_key": raw[0], "name": "n", "actor_id": "a"}),
    );
    assert_eq!(imported.status, 201);
    let imported_id = imported.json()["key_id"].as_str().unwrap().to_owned();
    let item = |raw: &str| json!({"raw_key": raw, "name": "n", "actor_id": "a"});
    let batch = json!({"requests": [item(raw[1]), item(raw[2]), item(raw[0])]});
    assert_eq!(
        client.post(&format!("{IMPORT}:batchCreate"), &batch).status,
        200
    );
    let deleted = client.call("DELETE", &format!("{IMPORT}/{imported_id}"), &[], b"");
    assert_eq!(deleted.status, 204, "{deleted:?}");
    assert_eq!(client.revoke(&rotated.key_id).status, 204);
    assert_eq!(client.revoke(&rotated.key_id).status, 409);
    let own = client.issue("own");
    let credential = json!({"credential": own.secret});
    for _ in 0..3 {
        assert_eq!(client.post(SELF_REVOKE, &credential).status, 204);
    }
    let many = json!({"actor_id": "nobody", "reason": "REVOCATION_REASON_KEY_COMPROMISE"});
    let many = client.post("/v2alpha1/admin/apiKeys:revokeWhere", &many);
    assert_eq!(many.status, 200, "{many:?}");
    assert_refused(&client.verify(&own.secret), "REVOKED");
    assert_refused(&client.verify("a-foreign-secret-of-somebody"), "NOT_FOUND");
    let both = json!({"requests": [{"credential": own.secret}, {"credential": "also-foreign"}]});
    let batch = "/v2alpha1/admin/apiKeys:batchVerify";
    assert_eq!(client.post(batch, &both).status, 200);
    let bearer = format!("Bearer {}", own.secret);
    let verified = client.call("GET", "/verify", &[("Authorization", &bearer)], b"");
    assert_eq!(verified.status, 200);
    // A page of another site, and a body of another type.
    let page = [
        ("Origin", "http://evil.example"),
        ("X-Request-Id", "from-a-page"),
    ];
    let refused = client.call("POST", ISSUE, &page, br#"{"name":"n","actor_id":"a"}"#);
    assert_eq!(refused.status, 403);
    let malformed = client.post(ISSUE, &json!({"name": "name-in-a-bad-body"}));
    assert_eq!(malformed.status, 400);
    secrets.extend([issued.secret, rotated.secret, own.secret, update, bearer]);
    secrets.extend(raw.map(str::to_owned));
    secrets.push(derived["token"].as_str().unwrap().to_owned());
    secrets.extend(["a-foreign-secret", "also-foreign", "name-in-a-bad-body"].map(str::to_owned));
    let ids = vec![issued.key_id, rotated.key_id, imported_id, own.key_id];
    (secrets, ids)
}

both_drivers! {
    fn each_action_is_noted_and_no_secret_is(driver: Driver) {
        let site = Site::new(driver);
        let file = site.directory().join("audit.log");
        let server = start(&site, &file, &[]);
        let (secrets, ids) = act(&server);
        let (page, text) = Page::scrape(metrics::listener(&server));
        assert!(page.sum("talos_audit_entries_total", &[]) > 10.0, "{text}");
        assert!(page.sum("talos_audit_dropped_total", &[]).abs() < 0.5, "{text}");
        server.stop();

        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = fs::read_to_string(&file).unwrap();
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in the log");
            // Nor any part that is long enough to be of use.
            let middle = secret.get(20..36).unwrap_or(secret);
            assert!(!text.contains(middle), "a part of {secret} is in the log");
        }
        let lines = lines(slice::from_ref(&file));
        let [issued, rotated, imported, own] = &ids[..] else { panic!("{ids:?}") };
        assert_eq!(lines[0]["event"], "AuditLogOpened");
        assert_eq!(lines.last().unwrap()["event"], "AuditLogClosed");
        let entry = last(&lines, "adminRotateIssuedApiKey");
        assert_eq!(entry["key_ids"], json!([issued, rotated]));
        assert_eq!((&entry["event"], &entry["status"]), (&json!("Request"), &json!(201)));
        assert_eq!((&entry["principal"], &entry["client"]), (&Value::Null, &json!("127.0.0.1")));
        assert_eq!((&entry["method"], &entry["route"]), (&json!("POST"), &json!(format!("{ISSUE}/{{key_id}}:rotate"))));
        assert_eq!(entry["tenant"], "00000000-0000-0000-0000-000000000000");
        assert!(entry["position"].as_str().unwrap().starts_with("1."), "{entry}");
        assert!(!entry["request_id"].as_str().unwrap().is_empty() && !entry["node"].as_str().unwrap().is_empty());
        for (operation, ids) in [
            ("adminGetIssuedApiKey", json!([issued])),
            ("adminUpdateIssuedApiKey", json!([issued])),
            ("adminDeleteImportedApiKey", json!([imported])),
            ("revokeApiKey", json!([own])),
        ] {
            assert_eq!(last(&lines, operation)["key_ids"], ids, "{operation}");
        }
        assert!(last(&lines, "adminListIssuedApiKeys")["key_ids"].is_null());
        let derived = last(&lines, "adminDeriveToken");
        assert_eq!(derived["key_ids"], json!([rotated]));
        assert_eq!(derived["token_ids"].as_array().map(Vec::len), Some(1), "{derived}");
        let batch = last(&lines, "adminBatchCreateImportedApiKeys");
        assert_eq!((&batch["count"], batch["key_ids"].as_array().map(Vec::len)), (&json!(2), Some(2)));
        let many = last(&lines, "adminRevokeApiKeysWhere");
        assert_eq!(many["count"], 0, "{many}");
        let again = last(&lines, "adminRevokeApiKey");
        assert_eq!((&again["status"], &again["reason"]), (&json!(409), &json!("FAILED_PRECONDITION")));
        assert!(again["position"].is_null());
        let page = lines.iter().find(|line| line["request_id"] == "from-a-page").unwrap();
        assert_eq!((&page["event"], &page["reason"]), (&json!("RequestRefused"), &json!("FORBIDDEN")));
        let malformed = last(&lines, "adminIssueApiKey");
        assert_eq!((&malformed["status"], &malformed["reason"]), (&json!(400), &json!("BAD_REQUEST")));

        let failures: Vec<_> = lines.iter().filter(|line| line["event"] == "APIKeyVerificationFailed").collect();
        assert_eq!(failures.len(), 5, "{failures:#?}");
        assert_eq!(failures[0]["reason"], "VERIFICATION_ERROR_REVOKED");
        let start = failures[0]["credential"]["start"].as_str().unwrap();
        assert!(secrets.iter().any(|secret| secret.starts_with(start)), "{start}");
        assert_eq!(failures[1]["credential"], json!({"kind": "other"}));
        assert_eq!((&failures[2]["route"], &failures[4]["route"]), (&json!("/v2alpha1/admin/apiKeys:batchVerify"), &json!("/verify")));

        let verified = verify(slice::from_ref(&file), &[]);
        let output = verified.succeeded();
        assert!(output.starts_with("whole and unaltered\n"), "{output}");
        let anchor = said(output, "last").to_owned();
        assert_eq!(verify(slice::from_ref(&file), &["--expect-last", &anchor]).code, Some(0));
        // One digit of one entry.
        let line = text.lines().position(|line| line.contains("\"status\":409")).unwrap() + 1;
        fs::write(&file, text.replace("\"status\":409", "\"status\":200")).unwrap();
        let found = verify(slice::from_ref(&file), &[]);
        assert_eq!(found.code, Some(1), "{found:?}");
        let wanted = format!("{}:{line}: entry {line} was altered", file.display());
        assert!(found.stdout.starts_with(&wanted), "{found:?}");
        // A cut is found by the anchor only.
        let whole: Vec<&str> = text.lines().collect();
        fs::write(&file, whole[..5].join("\n") + "\n").unwrap();
        assert_eq!(verify(slice::from_ref(&file), &[]).code, Some(0));
        let cut = verify(slice::from_ref(&file), &["--expect-last", &anchor]);
        assert_eq!(cut.code, Some(1), "{cut:?}");
        assert!(cut.stdout.contains("cut off"), "{cut:?}");
    }

    fn a_flood_of_refusals_and_failures_takes_a_few_lines(driver: Driver) {
        let site = Site::new(driver);
        let file = site.directory().join("audit.log");
        let server = start(&site, &file, &REQUIRED);
        let page = [("Origin", "http://evil.example")];
        let mut client = server.connect();
        let own = client.issue("own");
        let credential = json!({"credential": own.secret});
        assert_eq!(client.post(SELF_REVOKE, &credential).status, 204);
        for _ in 0..400 {
            assert_eq!(client.call("POST", DERIVE, &page, b"{}").status, 403);
            assert_refused(&client.verify("unknown"), "NOT_FOUND");
            assert_eq!(client.post(SELF_REVOKE, &json!({"credential": "unknown"})).status, 400);
            assert_eq!(client.post(SELF_REVOKE, &credential).status, 204);
        }
        client.issue("noted all the same");
        server.stop();
        let lines = lines(slice::from_ref(&file));
        // A minute may end meanwhile.
        let noted = lines.iter().filter(|line| line["status"] != 201 && line["operation"].is_string()).count();
        assert!((60..=1 + 2 * 70).contains(&noted), "{noted}");
        assert_eq!(lines.iter().filter(|line| line["status"] == 201).count(), 2);
        let suppressed: u64 = lines
            .iter()
            .map(|line| &line["suppressed"])
            .map(|counts| counts["requests"].as_u64().unwrap_or(0) + counts["verifications"].as_u64().unwrap_or(0))
            .sum();
        assert_eq!(noted as u64 + suppressed, 4 * 400 + 1);
        assert_eq!(verify(&[file], &[]).code, Some(0));
    }
}

#[test]
fn full_files_are_kept_and_verified_together() {
    let site = Site::new(crate::harness::Driver::Epoll);
    let file = site.directory().join("audit.log");
    let rotating = [
        ("TALOS_AUDIT_ROTATE_SIZE", "256 KiB"),
        ("TALOS_AUDIT_KEEP", "100"),
    ];
    let server = start(&site, &file, &rotating);
    let mut client = server.connect();
    for _ in 0..700 {
        assert_eq!(client.call("GET", ISSUE, &[], b"").status, 200);
    }
    server.stop();
    let mut files: Vec<_> = fs::read_dir(site.directory())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("audit.log"))
        .collect();
    assert!(files.len() >= 2, "{files:?}");
    files.sort();
    // In any order.
    files.reverse();
    let verified = verify(&files, &[]);
    assert_eq!(
        said(verified.succeeded(), "entries").split(' ').next(),
        Some("702,")
    );
    let without = verify(
        &files[1..],
        &["--expect-last", said(&verified.stdout, "last")],
    );
    // Without the current or the oldest file, whichever was first here.
    assert!(without.stdout.contains("expected") || without.stderr.contains("begins with"));
}

#[test]
fn standard_output_is_apart_from_the_log() {
    let site = Site::new(crate::harness::Driver::Epoll);
    let (output, log) = (
        site.directory().join("output"),
        site.directory().join("server.log"),
    );
    for _ in 0..2 {
        let file = fs::File::options().create(true).append(true).open(&output);
        let mut command = site.command();
        command
            .env("TALOS_AUDIT_FILE", "-")
            .stdout(Stdio::from(file.unwrap()))
            .stderr(fs::File::create(&log).unwrap());
        let mut child = command.spawn().unwrap();
        let address = loop {
            let text = fs::read_to_string(&log).unwrap();
            let lines = text
                .lines()
                .filter_map(|line| serde_json::from_str(line).ok());
            let serving = lines
                .filter(|line: &Value| line["message"] == "serving")
                .find_map(|line| line["address"].as_str()?.parse().ok());
            if let Some(address) = serving {
                break address;
            }
            assert!(child.try_wait().unwrap().is_none(), "{text}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        Connection::open(address).issue("one");
        let process = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
    let lines = lines(slice::from_ref(&output));
    assert_eq!(lines.len(), 6, "{lines:#?}");
    assert!(lines.iter().all(|line| line["mac"].is_string()));
    assert!(!fs::read_to_string(&log).unwrap().contains("\"mac\""));
    let strict = verify(slice::from_ref(&output), &[]);
    assert!(
        strict.stdout.contains(":4: a new chain begins here"),
        "{strict:?}"
    );
    assert_eq!(verify(&[output], &["--restarts"]).code, Some(0));
}

#[test]
fn a_file_that_cannot_be_used_stops_the_start() {
    let site = Site::new(crate::harness::Driver::Epoll);
    let target = site.directory().join("target");
    fs::write(&target, "something of value\n").unwrap();
    let link = site.directory().join("link");
    symlink(&target, &link).unwrap();
    for (file, says) in [
        (&link, "symbolic link"),
        (&target, "something else than an audit log"),
        (&site.directory().join("absent/audit.log"), "No such file"),
    ] {
        let mut command = site.command();
        command.env("TALOS_AUDIT_FILE", file);
        let ran = run(command);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stderr.contains(says) && ran.stderr.contains("audit.file"),
            "{ran:?}"
        );
    }
    assert_eq!(fs::read_to_string(&target).unwrap(), "something of value\n");
}

#[test]
fn the_verification_needs_the_secret_and_a_file() {
    let site = Site::new(crate::harness::Driver::Epoll);
    let file = site.directory().join("audit.log");
    let server = start(&site, &file, &[]);
    assert_refused(&server.connect().verify("x"), "NOT_FOUND");
    server.stop();
    let talos = |arguments: &[&str]| {
        let mut command = std::process::Command::new(crate::harness::TALOS);
        crate::harness::site::without_talos_variables(&mut command);
        command.args(["audit", "verify"]).args(arguments);
        run(command)
    };
    let file = file.to_str().unwrap();
    let config = site.config();
    let config = config.to_str().unwrap();
    for flag in ["--config", "--from-secret-of"] {
        let ran = talos(&[flag, config, file]);
        assert!(ran.succeeded().contains("whole and unaltered"));
    }
    let without = talos(&[file]);
    assert_eq!(without.code, Some(1));
    assert!(
        without.stderr.contains("secrets.hmac.current"),
        "{without:?}"
    );
    let absent = talos(&["--config", config, "/absent"]);
    assert_eq!(absent.code, Some(1));
    assert!(absent.stderr.contains("/absent"), "{absent:?}");
    // The route of verification itself is not noted when it succeeds.
    assert!(
        !fs::read_to_string(file)
            .unwrap()
            .contains(&format!("\"{VERIFY}\",\"status\":201"))
    );
}

#[test]
fn administrators_are_named_and_strangers_are_not() {
    let site = Site::new(crate::harness::Driver::Epoll);
    let file = site.directory().join("audit.log");
    let bootstrap = "a-bootstrap-token-of-forty-characters-xyz";
    let access = [
        ("TALOS_SERVE_ADMIN_AUTH_ENABLED", "true"),
        ("TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN", bootstrap),
    ];
    let server = start(&site, &file, &access);
    let mut client = server.connect();
    let mut call = |token: Option<&str>, method: &str, path: &str, body: Value| {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer
            .iter()
            .map(|value| ("Authorization", value.as_str()))
            .collect();
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        client.call(method, path, &headers, body.as_bytes())
    };
    let tokens = "/v2alpha1/admin/tokens";
    let made = call(
        Some(bootstrap),
        "POST",
        tokens,
        json!({"name": "reader", "role": "read"}),
    );
    assert_eq!(made.status, 201, "{made:?}");
    let made = made.json();
    let (id, reader) = (
        &made["token"]["id"],
        made["secret"].as_str().unwrap().to_owned(),
    );
    let path = format!("{tokens}/{}", id.as_str().unwrap());
    assert_eq!(call(Some(&reader), "GET", ISSUE, Value::Null).status, 200);
    let key = json!({"name": "n", "actor_id": "a"});
    assert_eq!(call(Some(&reader), "POST", ISSUE, key.clone()).status, 403);
    assert_eq!(call(None, "POST", ISSUE, key.clone()).status, 401);
    let unknown = "talos_admin_3yZe7dUqB1v8mX5tJ2wKpLr9sHn4cGaF6EoQTiDhVMkR";
    assert_eq!(call(Some(unknown), "POST", ISSUE, key).status, 401);
    assert_eq!(
        call(Some(bootstrap), "DELETE", &path, Value::Null).status,
        204
    );
    server.stop();

    let text = fs::read_to_string(&file).unwrap();
    for secret in [bootstrap, &reader, unknown] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
    let lines = lines(slice::from_ref(&file));
    let noted: Vec<_> = lines
        .iter()
        .filter(|line| line["operation"].is_string())
        .map(|line| {
            let principal = &line["principal"];
            json!([
                line["event"],
                line["status"],
                principal["name"],
                principal["role"],
                principal["proof"],
                line["token_ids"]
            ])
        })
        .collect();
    assert_eq!(
        noted,
        [
            json!([
                "Request",
                201,
                "bootstrap",
                "admin",
                "bootstrap_token",
                [id]
            ]),
            json!(["Request", 200, "reader", "read", "token", null]),
            json!(["RequestRefused", 403, "reader", "read", "token", null]),
            json!(["RequestRefused", 401, null, null, null, null]),
            json!(["RequestRefused", 401, null, null, null, null]),
            json!([
                "Request",
                204,
                "bootstrap",
                "admin",
                "bootstrap_token",
                [id]
            ]),
        ]
    );
    assert_eq!(verify(&[file], &[]).code, Some(0));
}

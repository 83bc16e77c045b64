//! `talos keys imported …` against a real server.

use std::fs;

use serde_json::{Value, json};
use talos_test_kit::keys::{assert_refused, assert_valid};

use crate::harness::Driver;
use crate::harness::cli::{Ran, talos, talos_with_input};
use crate::harness::site::{Server, Site};

/// The flow of the public quick start: import, find the id in the answer, verify, and the life
/// after.
#[test]
fn a_key_is_imported_verified_revoked_and_deleted() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let keys = |arguments: &[&str]| talos(server.address, &[&["keys"], arguments].concat());
    let imported = keys(&[
        "imported",
        "import",
        "preview-imported-key",
        "--raw-key",
        "sk_preview_demo_001",
        "--actor",
        "preview-import-user",
        "--scopes",
        "payments:read,payments:write",
        "--ttl",
        "720h",
        "--format",
        "json",
    ]);
    let key = imported.json()["imported_api_key"].clone();
    let key_id = key["key_id"].as_str().unwrap();
    assert_eq!(key["scopes"], json!(["payments:read", "payments:write"]));
    assert!(!imported.stdout.contains("sk_preview_demo_001"));
    let verified = keys(&["verify", "sk_preview_demo_001"]);
    assert!(
        verified.succeeded().contains("payments:write"),
        "{verified:?}"
    );
    let shown = keys(&["imported", "get", key_id]);
    assert!(
        shown.succeeded().contains("preview-imported-key"),
        "{shown:?}"
    );
    assert_eq!(shown.stdout.matches(key_id).count(), 1, "{shown:?}");

    let again = [
        "imported",
        "import",
        "n",
        "--actor",
        "a",
        "--raw-key",
        "sk_preview_demo_001",
    ];
    let again = keys(&again);
    assert_eq!(again.code, Some(1));
    assert!(again.stderr.contains("API_KEY_EXISTS"), "{again:?}");

    keys(&["imported", "revoke", key_id, "--reason", "key_compromise"]).succeeded();
    let mut connection = server.connect();
    assert_refused(&connection.verify("sk_preview_demo_001"), "REVOKED");
    keys(&["imported", "delete", key_id]).succeeded();
    assert_refused(&connection.verify("sk_preview_demo_001"), "NOT_FOUND");
    assert_eq!(keys(&["imported", "get", key_id]).code, Some(1));
    assert_eq!(keys(&["imported", "delete", key_id]).code, Some(1));
    server.stop();
}

#[test]
fn a_raw_key_can_come_from_standard_input() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let import = [
        "keys",
        "imported",
        "import",
        "n",
        "--actor",
        "a",
        "--raw-key",
        "-",
        "-q",
    ];
    let imported = talos_with_input(server.address, &import, "sk from stdin\n");
    let key_id = imported.succeeded().trim();
    assert_valid(&server.connect().verify("sk from stdin"), key_id);
    server.stop();
}

fn batch_import(server: &Server, arguments: &[&str], input: &str) -> Ran {
    let line = [
        &["keys", "imported", "batch-import", "--format", "json"],
        arguments,
    ]
    .concat();
    talos_with_input(server.address, &line, input)
}

fn counts(ran: &Ran) -> [u64; 3] {
    let answer: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    ["success_count", "failure_count", "skipped_count"].map(|name| answer[name].as_u64().unwrap())
}

#[test]
fn a_file_of_many_batches_is_imported_once() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let file = site.directory().join("keys.json");
    let report = site.directory().join("report.jsonl");
    let total: usize = 2500;
    let item = |number| json!({"raw_key": format!("sk_{number}"), "name": "n", "actor_id": "a", "scopes": ["read"]});
    let mut items: Vec<Value> = (0..total).map(item).collect();
    // The first batch contains an invalid item, the last one a key that exists already.
    items[7] = json!({"raw_key": "", "name": "n", "actor_id": "a"});
    items[total - 1] = item(0);
    fs::write(&file, Value::from(items).to_string()).unwrap();
    let arguments = [
        "--file",
        file.to_str().unwrap(),
        "--report",
        report.to_str().unwrap(),
    ];
    let first = batch_import(&server, &arguments, "");
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    assert_eq!(counts(&first), [2498, 2, 0]);
    assert_eq!(first.stderr, "", "no progress without a terminal");
    let results: Value = serde_json::from_str(&first.stdout).unwrap();
    let results = results["results"].as_array().unwrap();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index);
    }
    let invalid = "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_INVALID_ARGUMENT";
    assert_eq!(
        (&results[7]["outcome"], &results[7]["error_code"]),
        (&json!("failed"), &json!(invalid))
    );
    assert_eq!(results[total - 1]["outcome"], "exists");
    let mut connection = server.connect();
    for index in [0, 999, 1000, 1999, 2000, 2498] {
        assert_valid(
            &connection.verify(&format!("sk_{index}")),
            results[index]["key_id"].as_str().unwrap(),
        );
    }
    let noted = fs::read_to_string(&report).unwrap();
    assert_eq!(noted.lines().count(), 1 + total);
    assert!(!noted.contains("sk_"), "no raw key");

    // The second run sends only the item that failed. The server refuses the request as a whole,
    // because it contains no valid item.
    let second = batch_import(&server, &arguments, "");
    assert_eq!((second.code, counts(&second)), (Some(1), [0, 1, 2499]));
    // After a crash in the middle of a run the command sends the items without a whole line again;
    // the server has them already.
    let kept: String = noted
        .lines()
        .take(1 + 2400)
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&report, kept + "{\"index\":24").unwrap();
    let third = batch_import(&server, &arguments, "");
    assert_eq!(counts(&third), [0, 101, 2399]);
    let outcomes: Value = serde_json::from_str(&third.stdout).unwrap();
    let exist = outcomes["results"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|result| result["outcome"] == "exists");
    assert_eq!(exist.count(), 100);
    server.stop();
}

#[test]
fn a_batch_from_standard_input() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let items = r#"[
        {"raw_key": "legacy_key_aaa", "name": "Legacy Key A", "actor_id": "migration"},
        {"raw_key": "legacy_key_bbb", "name": "Legacy Key B", "actor_id": "migration", "scopes": ["read"]}
    ]"#;
    let imported = batch_import(&server, &["--file", "-"], items);
    imported.succeeded();
    assert_eq!(counts(&imported), [2, 0, 0]);
    assert_eq!(
        server.connect().verify("legacy_key_bbb")["scopes"],
        json!(["read"])
    );
    for input in ["", "{}", "[", "[]", "[1,]"] {
        let refused = batch_import(&server, &["--file", "-"], input);
        assert_eq!(
            (refused.code, refused.stdout.as_str()),
            (Some(1), ""),
            "{input}: {refused:?}"
        );
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
    }
    let foreign = site.directory().join("precious");
    fs::write(&foreign, "not a report").unwrap();
    let refused = batch_import(
        &server,
        &["--file", "-", "--report", foreign.to_str().unwrap()],
        items,
    );
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "not a report");
    server.stop();
}

#[test]
fn an_item_whose_request_id_was_used_for_another_key_fails() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let item = |raw_key: &str, request_id: &str| json!({"raw_key": raw_key, "name": "n", "actor_id": "a", "request_id": request_id});
    let lines =
        |items: &[Value]| -> String { items.iter().map(|item| format!("{item}\n")).collect() };
    let first = batch_import(
        &server,
        &["--file", "-"],
        &lines(&[item("one", "r1"), item("two", "r2")]),
    );
    assert_eq!(counts(&first), [2, 0, 0]);
    let report = site.directory().join("report.jsonl");
    let arguments = ["--file", "-", "--report", report.to_str().unwrap()];
    // A repetition, another key under the id of the second one, a key that exists, a new one.
    let items = lines(&[
        item("one", "r1"),
        item("three", "r2"),
        item("one", "r3"),
        item("four", "r4"),
    ]);
    let second = batch_import(&server, &arguments, &items);
    assert_eq!(
        (second.code, counts(&second)),
        (Some(1), [2, 2, 0]),
        "{second:?}"
    );
    let outcomes: Value = serde_json::from_str(&second.stdout).unwrap();
    let outcome = |index: usize| outcomes["results"][index]["outcome"].as_str().unwrap();
    assert_eq!(
        [0, 1, 2, 3].map(outcome),
        ["imported", "failed", "exists", "imported"]
    );
    let message = outcomes["results"][1]["error_message"].as_str().unwrap();
    assert!(message.contains("another raw_key;"), "{message}");
    // The report does not list it as done.
    let third = batch_import(&server, &arguments, &items);
    assert_eq!(
        (third.code, counts(&third)),
        (Some(1), [0, 1, 3]),
        "{third:?}"
    );
    assert_refused(&server.connect().verify("three"), "NOT_FOUND");
    server.stop();
}

#[test]
fn a_request_id_makes_commands_safe_to_repeat() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let keys = |arguments: &[&str]| talos(server.address, &[&["keys"], arguments].concat());
    let issue = |name: &str| keys(&["issue", name, "--actor", "a", "--request-id", "r", "-q"]);
    let secret = issue("n").succeeded().trim().to_owned();
    assert_valid(
        &server.connect().verify(&secret),
        &key_id_of(&secret, &server),
    );
    let again = issue("n");
    assert_eq!((again.code, again.stdout.trim()), (Some(0), ""));
    assert!(again.stderr.contains("An earlier request"), "{again:?}");
    let other = issue("m");
    assert_eq!(other.code, Some(1));
    assert!(
        other.stderr.contains("another name") && other.stderr.contains("CONFLICT"),
        "{other:?}"
    );
    let import = |raw_key: &str| {
        let line = [
            "imported",
            "import",
            "n",
            "--actor",
            "a",
            "--raw-key",
            raw_key,
        ];
        keys(&[&line[..], &["--request-id", "r", "-q"]].concat())
    };
    let first = import("sk-1").succeeded().to_owned();
    assert_eq!(import("sk-1").succeeded(), first);
    assert_eq!(import("sk-2").code, Some(1));
    server.stop();
}

fn key_id_of(secret: &str, server: &Server) -> String {
    let verdict = server.connect().verify(secret);
    verdict["key_id"].as_str().expect("a valid key").to_owned()
}

//! `--reason-text`: what no server stores is never sent. No server listens at the endpoint of these
//! tests, so a command that sends something fails in another way.

use super::*;

const NOWHERE: &str = "http://127.0.0.1:9";

#[test]
fn text_that_is_not_stored_is_refused_with_its_reason() {
    let reasons = ["key_compromise", "affiliation_changed", "superseded"];
    for command in [
        &["revoke", "k"][..],
        &["issued", "revoke", "k"],
        &["imported", "revoke", "k"],
        &["revoke-where", "--actor", "a", "--yes"],
        &["revoke-where", "--actor", "a", "--dry-run"],
        &["self-revoke", "cred"],
        &["self-revoke", "cred", "--reason", "privilege_withdrawn"],
    ] {
        let given = reasons.iter().map(|reason| Some(*reason)).chain([None]);
        for reason in given.filter(|reason| reason.is_none() || !command.contains(&"--reason")) {
            let flags = reason.map(|reason| ["--reason", reason]);
            let flags = flags.iter().flatten().copied();
            let line: Vec<_> = command.iter().copied().chain(flags).collect();
            let line = [&line[..], &["--reason-text", "left"]].concat();
            let (result, out, _) = run_at(NOWHERE, &line, "");
            let error = result.expect_err("refused");
            assert!(matches!(error, CliError::Usage(_)), "{line:?}: {error}");
            let named = line
                .windows(2)
                .find(|pair| pair[0] == "--reason")
                .map_or("without a reason", |pair| pair[1]);
            assert!(error.to_string().contains(named), "{line:?}: {error}");
            assert_eq!(out, "");
        }
    }
}

#[test]
fn text_has_a_length_that_servers_store() {
    let most = "é".repeat(talos_api::limits::REVOCATION_DESCRIPTION_CHARS);
    let line = ["revoke", "k", "--reason", "privilege_withdrawn"];
    let stored = run(
        &[&line[..], &["--reason-text", &most]].concat(),
        "",
        200,
        &json!({}),
    );
    assert!(stored.request.body.contains(&most));
    let more = most + "é";
    let (result, ..) = run_at(
        NOWHERE,
        &[&line[..], &["--reason-text", &more]].concat(),
        "",
    );
    let error = result.expect_err("too long");
    assert!(matches!(error, CliError::Usage(_)), "{error}");
    assert!(error.to_string().contains("privilege_withdrawn"), "{error}");
}

#[test]
fn an_empty_text_is_none() {
    let line = ["revoke", "k", "--reason", "superseded", "--reason-text", ""];
    let sent = run(&line, "", 200, &json!({}));
    assert_eq!(
        sent.request.body,
        r#"{"reason":"REVOCATION_REASON_SUPERSEDED"}"#
    );
}

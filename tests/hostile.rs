//! Hostile clients of every kind attack a server that valid clients use: a short part of what
//! `make hostile` does for ten minutes.

use std::process::ExitCode;

use serde_json::Value;

use crate::harness::{Driver, TALOS};

/// Runs `talos-loadtest hostile` in this process with these flags. Returns its exit code and its
/// report.
fn attack(driver: Driver, flags: &str) -> (ExitCode, Value) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("hostile.json");
    let file = file.to_str().unwrap();
    let words = [
        "talos-loadtest",
        "hostile",
        "--server",
        TALOS,
        "--driver",
        driver.name(),
        "--json",
        file,
    ];
    // The machine may have little time for this server: it is no failure to be slow.
    let calm = "--patience 60s --set serve.http.timeouts.head=60s";
    let words = words.into_iter().chain(calm.split_ascii_whitespace());
    let words = words.chain(flags.split_ascii_whitespace());
    let code = talos_loadtest::command_line(words.map(Into::into));
    (
        code,
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap(),
    )
}

fn number(row: &Value, name: &str) -> u64 {
    row[name].as_u64().unwrap()
}

/// Checks that there were clients of so many kinds.
fn assert_all_came(report: &Value, kinds: usize) {
    let rows = report["attacks"].as_array().unwrap();
    assert_eq!(rows.len(), kinds);
    for row in rows {
        assert!(number(row, "connections") > 0, "{row}");
    }
}

both_drivers! {
    fn valid_clients_notice_little(driver: Driver) {
        let flags = "--duration 10s --round 5s --rate 300 --keys 200 --connections 16 --intensity 0.2";
        let (code, report) = attack(driver, flags);
        assert_eq!((code, &report["failures"]), (ExitCode::SUCCESS, &serde_json::json!([])));
        assert_all_came(&report, 16);
        for part in ["calm", "attacked"] {
            assert!(number(&report["rounds"][1][part], "answers") > 0, "{report}");
        }
        assert!(number(&report["newcomers"], "answered") > 0, "{report}");
    }

    fn a_server_with_tls_holds(driver: Driver) {
        let flags = "--tls --duration 5s --round 5s --rate 100 --keys 200 --connections 16 --intensity 0.2";
        let (code, report) = attack(driver, flags);
        assert_eq!((code, &report["failures"]), (ExitCode::SUCCESS, &serde_json::json!([])));
        assert_all_came(&report, 19);
        for (index, kind) in [(16, "stalled-handshake"), (17, "broken-records"), (18, "renegotiating")] {
            assert_eq!(report["attacks"][index]["attack"], kind);
        }
        // They are answered within TLS, and what came without TLS is refused.
        let renegotiating = &report["attacks"][18];
        assert!(number(renegotiating, "successes") > 0, "{renegotiating}");
        let self_revoking = &report["attacks"][14];
        assert!(number(self_revoking, "refusals") > 0, "{self_revoking}");
        assert!(number(&report["newcomers"], "answered") > 0, "{report}");
    }

    fn without_a_token_nobody_administers(driver: Driver) {
        let flags = "--auth --duration 5s --round 5s --rate 100 --keys 200 --connections 16 --intensity 0.2";
        let (code, report) = attack(driver, flags);
        assert_eq!((code, &report["failures"]), (ExitCode::SUCCESS, &serde_json::json!([])));
        assert_all_came(&report, 17);
        let uninvited = &report["attacks"][16];
        assert!(uninvited["attack"] == "uninvited" && number(uninvited, "refusals") > 0, "{uninvited}");
        assert!(number(&report["rounds"][0]["attacked"], "writes") > 0, "{report}");
        let kept = report["settings"].to_string();
        assert!(!kept.contains("bootstrap"), "{kept}");
    }
}

#[test]
fn a_server_without_a_bound_is_found_out() {
    // Answers that nobody reads, and a server with room for all of them.
    let flags = "--duration 10s --round 10s --rate 50 --keys 100 --connections 4 --intensity 8 --only unread \
                 --set serve.http.limits.memory=1099511627776 --set serve.http.timeouts.write=600s";
    let (code, report) = attack(Driver::Epoll, flags);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(
        report["failures"].to_string().contains("resident memory"),
        "{report}"
    );
}

#[test]
fn a_server_without_tokens_is_found_out() {
    let flags = "--auth --duration 3s --round 3s --rate 50 --keys 100 --connections 4 --only uninvited \
                 --set serve.admin.auth.enabled=false";
    let (code, report) = attack(Driver::Epoll, flags);
    assert_eq!(code, ExitCode::FAILURE);
    assert!(
        report["failures"].to_string().contains("breaches"),
        "{report}"
    );
}

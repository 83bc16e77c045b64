//! What the commands show of answers, and of missing answers.

use super::*;

#[test]
fn list_asks_for_a_page_and_tells_of_the_next() {
    let key = json!({"key_id": "k", "name": "n", "actor_id": "a", "status": "KEY_STATUS_ACTIVE"});
    let page = json!({"issued_api_keys": [key], "next_page_token": "t/2"});
    let plain = run(&["issued", "list"], "", 200, &page);
    assert_eq!(
        plain.request.line,
        "GET /v2alpha1/admin/issuedApiKeys HTTP/1.1"
    );
    let lines: Vec<_> = plain.out.lines().collect();
    assert!(
        lines[0].starts_with("KEY_ID  NAME  ACTOR_ID") && lines[1].starts_with("k       n     a")
    );
    assert_eq!(plain.remarks, "There are more keys: --page-token t/2\n");
    let line = [
        "imported",
        "list",
        "--actor",
        "a \"b\\",
        "--status",
        "revoked",
        "--page-size",
        "10",
        "--page-token",
        "-t/2",
        "-q",
    ];
    let last =
        json!({"imported_api_keys": [{"key_id": "k1"}, {"key_id": "k2"}], "next_page_token": ""});
    let filtered = run(&line, "", 200, &last);
    assert_eq!(
        filtered.request.line,
        "GET /v2alpha1/admin/importedApiKeys?page_size=10&page_token=-t%2F2&filter=actor_id%3D%22a%20%5C%22b%5C%5C%22\
         %20AND%20status%3DKEY_STATUS_REVOKED HTTP/1.1"
    );
    assert_eq!(
        (filtered.out.as_str(), filtered.remarks.as_str()),
        ("k1\nk2\n", "")
    );
}

#[test]
fn get_shows_the_key() {
    let run = run(
        &["issued", "get", "k-1", "-q"],
        "",
        200,
        &json!({"key_id": "k-1"}),
    );
    assert_eq!(
        run.request.line,
        "GET /v2alpha1/admin/issuedApiKeys/k-1 HTTP/1.1"
    );
    assert_eq!(run.out, "k-1\n");
}

#[test]
fn the_servers_error_is_one_line_with_its_reason() {
    let details = json!([{"reason": "API_KEY_NOT_FOUND"}]);
    let body = json!({"error": {"code": 404, "message": "no such key", "details": details}});
    let run = run(&["issued", "get", "k"], "", 404, &body);
    assert_eq!(code(&run.result), format!("{:?}", ExitCode::FAILURE));
    assert_eq!(
        run.result.expect_err("refused").report(),
        "talos: no such key (API_KEY_NOT_FOUND, HTTP 404)"
    );
    assert_eq!(run.out, "");
}

#[test]
fn other_answers_are_not_taken_for_ours() {
    for (status, body) in [(200, "<html>"), (502, "<html>"), (301, "{}"), (500, "{}")] {
        let (endpoint, server) = serve_once(status, body);
        let (result, out, _) = run_at(&endpoint, &["issued", "get", "k"], "");
        server.join().expect("a request");
        let report = result.expect_err("foreign").report();
        assert!(
            report.contains("not an answer of a Talos server") && report.contains(&endpoint),
            "{report}"
        );
        assert_eq!(out, "");
    }
}

#[test]
fn no_server_says_where_and_how_to_start_one() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let (result, ..) = run_at(&endpoint, &["verify", "x"], "");
    let report = result.expect_err("nothing listens").report();
    assert!(
        report.contains(&endpoint)
            && report.contains("talos serve --dev")
            && report.lines().count() == 1,
        "{report}"
    );
}

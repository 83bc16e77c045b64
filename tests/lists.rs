//! Lists of keys: every page, filters, and page tokens that are valid for one list only.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::ISSUE;

use crate::harness::Driver;
use crate::harness::site::{Server, Site};

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";
const ACTIVE: &str = "status%3DKEY_STATUS_ACTIVE";
const REVOKED: &str = "status%3DKEY_STATUS_REVOKED";

/// The keys of a page, and the token of the next one.
fn page(connection: &mut Connection, path: &str, query: &str) -> (Vec<Value>, String) {
    let answer = connection.call("GET", &format!("{path}?{query}"), &[], b"");
    assert_eq!(answer.status, 200, "{query}: {answer:?}");
    let answer = answer.json();
    let list = if path == ISSUE {
        "issued_api_keys"
    } else {
        "imported_api_keys"
    };
    assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
    let token = answer["next_page_token"].as_str().unwrap().to_owned();
    (answer[list].as_array().unwrap().clone(), token)
}

/// The keys of all pages, in order.
fn all(connection: &mut Connection, path: &str, query: &str) -> Vec<Value> {
    let (mut keys, mut token) = page(connection, path, query);
    while !token.is_empty() {
        let (more, next) = page(connection, path, &format!("{query}&page_token={token}"));
        assert!(!more.is_empty(), "a token of an empty page");
        keys.extend(more);
        token = next;
    }
    keys
}

fn names(keys: &[Value]) -> Vec<&str> {
    keys.iter()
        .map(|key| key["name"].as_str().unwrap())
        .collect()
}

/// Seven keys of each kind; those of odd number belong to `odd`, and the first two of each kind are
/// revoked.
fn populate(connection: &mut Connection) {
    for index in 0..7 {
        let actor = if index % 2 == 1 { "odd" } else { "ev\"en" };
        let mut body = json!({"name": format!("key {index}"), "actor_id": actor});
        let issued = connection.post(ISSUE, &body).json()["issued_api_key"]["key_id"].clone();
        body["raw_key"] = json!(format!("raw key {index}"));
        let imported = connection.post(IMPORT, &body).json()["key_id"].clone();
        for key_id in [issued, imported] {
            if index < 2 {
                assert_eq!(connection.revoke(key_id.as_str().unwrap()).status, 204);
            }
        }
        // Keys are listed by the millisecond of their creation.
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

both_drivers! {
    fn every_key_is_on_one_page(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        for path in [ISSUE, IMPORT] {
            assert_eq!(page(&mut connection, path, ""), (Vec::new(), String::new()));
        }
        populate(&mut connection);
        let every = ["key 0", "key 1", "key 2", "key 3", "key 4", "key 5", "key 6"];
        for path in [ISSUE, IMPORT] {
            for query in ["", "page_size=1", "page_size=2", "page_size=3", "page_size=7", "page_size=5000", "page_size=0"] {
                let keys = all(&mut connection, path, query);
                assert_eq!(names(&keys), every, "{query}");
                for key in keys {
                    let path = format!("{path}/{}", key["key_id"].as_str().unwrap());
                    assert_eq!(connection.call("GET", &path, &[], b"").json(), key);
                }
            }
        }
        server.stop();

        let server = site.start();
        assert_eq!(names(&all(&mut server.connect(), ISSUE, "page_size=2")), every);
        server.stop();
    }

    fn a_filter_selects_the_keys_that_match(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        populate(&mut connection);
        let table: [(&str, &[&str]); 7] = [
            (ACTIVE, &["key 2", "key 3", "key 4", "key 5", "key 6"]),
            (REVOKED, &["key 0", "key 1"]),
            ("status%3DKEY_STATUS_EXPIRED", &[]),
            ("actor_id%3D%22odd%22", &["key 1", "key 3", "key 5"]),
            ("actor_id=\"odd\"+AND+status=KEY_STATUS_ACTIVE", &["key 3", "key 5"]),
            ("actor_id=%22ev%5C%22en%22%20AND%20status=KEY_STATUS_REVOKED", &["key 0"]),
            ("actor_id=\"nobody\"", &[]),
        ];
        for path in [ISSUE, IMPORT] {
            for (filter, wanted) in table {
                for size in [1, 2, 50] {
                    let keys = all(&mut connection, path, &format!("filter={filter}&page_size={size}"));
                    assert_eq!(names(&keys), wanted, "{filter}");
                }
            }
        }
        server.stop();
    }

    fn a_key_expires_into_another_list(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let body = json!({"name": "short", "actor_id": "a", "ttl": "1s"});
        assert_eq!(connection.post(ISSUE, &body).status, 201);
        let expired = "filter=status=KEY_STATUS_EXPIRED";
        while all(&mut connection, ISSUE, expired).is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_eq!(all(&mut connection, ISSUE, expired)[0]["status"], "KEY_STATUS_EXPIRED");
        assert_eq!(all(&mut connection, ISSUE, &format!("filter={ACTIVE}")), Vec::<Value>::new());
        server.stop();
    }

    fn page_tokens_belong_to_their_list(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        populate(&mut connection);
        let lists = [
            (ISSUE, ""), (IMPORT, ""), (ISSUE, ACTIVE), (IMPORT, ACTIVE), (ISSUE, REVOKED), (ISSUE, "actor_id=\"odd\""),
            (ISSUE, "actor_id=\"odd\"+AND+status=KEY_STATUS_ACTIVE"),
        ];
        let tokens: Vec<_> = lists
            .iter()
            .map(|(path, filter)| page(&mut connection, path, &format!("page_size=1&filter={filter}")).1)
            .collect();
        assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), lists.len());
        let again = page(&mut connection, ISSUE, "page_size=1").1;
        assert_ne!(again, tokens[0], "sealed anew each time");
        for (index, (path, filter)) in lists.iter().enumerate() {
            for (other, token) in tokens.iter().enumerate() {
                let query = format!("{path}?filter={filter}&page_token={token}");
                let answer = connection.call("GET", &query, &[], b"");
                if index == other {
                    assert_eq!(answer.status, 200, "{query}");
                } else {
                    answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
                }
            }
        }
        let token = &tokens[0];
        let swapped = if token.starts_with('A') { 'B' } else { 'A' };
        let middle = token.len() / 2;
        let altered = [
            format!("{swapped}{}", &token[1..]), format!("{}{}", &token[..middle], &token[middle + 1..]),
            format!("{token}A"), format!("{token}%3D"), format!("{token}%00"), format!("%2f{token}"), "x".to_owned(),
            token[..20].to_owned(), token.to_uppercase(), "A".repeat(7000), format!("{token}&page_token={token}"),
        ];
        for token in altered {
            let answer = connection.call("GET", &format!("{ISSUE}?page_token={token}"), &[], b"");
            eprintln!("{token}");
            answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        }
        // Page tokens stay valid over a restart, and not with another secret.
        server.stop();
        let server = site.start();
        assert_eq!(page(&mut server.connect(), ISSUE, &format!("page_token={token}")).0.len(), 6);
        server.stop();
        let stranger = Site::new(driver);
        let mut command = stranger.command();
        command.env("TALOS_SECRETS_HMAC_CURRENT", "another secret, of more than 32 characters");
        let server = crate::harness::site::Server::start(command, stranger.directory().join("stranger.log"));
        let answer = server.connect().call("GET", &format!("{ISSUE}?page_token={token}"), &[], b"");
        answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
        server.stop();
    }

    fn invalid_list_requests_are_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let long_actor = format!("filter=actor_id=\"{}\"", "x".repeat(256));
        let long_filter = format!("filter={}", "(".repeat(7000));
        for query in [
            "page_size=-1", "page_size=x", "page_size=1.5", "page_size=99999999999", "page_size=1&page_size=1",
            "filter=name=\"x\"", "filter=actor_id=x", "filter=status=ACTIVE", "filter=%22", "filter=%00", "filter=%zz",
            "filter=status=KEY_STATUS_ACTIVE+OR+status=KEY_STATUS_REVOKED", &long_actor, &long_filter,
        ] {
            for path in [ISSUE, IMPORT] {
                let answer = connection.call("GET", &format!("{path}?{query}"), &[], b"");
                eprintln!("{query}");
                answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            }
        }
        let answer = connection.call("GET", &format!("{ISSUE}?filter=actor_id=%22x%22+OR"), &[], b"");
        let message = answer.json()["error"]["message"].clone();
        assert_eq!(message, "filter: expected AND between spaces at character 14");
        server.stop();
    }
}

/// Which secret seals page tokens, over restarts: a retired secret still opens them, a removed one
/// does not.
#[test]
fn page_tokens_have_a_secret_of_their_own() {
    const OLD: &str = "the first secret of page tokens that is long enough";
    const NEW: &str = "the second secret of page tokens that is long enough";
    let site = Site::new(Driver::Epoll);
    let start = |settings: &[(&str, &str)]| {
        let mut command = site.command();
        for (name, value) in settings {
            command.env(format!("TALOS_SECRETS_{name}"), value);
        }
        Server::start(command, site.directory().join("pagination.log"))
    };
    let server = start(&[("PAGINATION_CURRENT", OLD)]);
    let mut connection = server.connect();
    for name in ["one", "two", "three"] {
        connection.issue(name);
    }
    let page = connection
        .call("GET", &format!("{ISSUE}?page_size=1"), &[], b"")
        .json();
    let next = format!(
        "{ISSUE}?page_token={}",
        page["next_page_token"].as_str().unwrap()
    );
    server.stop();
    for (settings, status) in [
        (vec![("PAGINATION_CURRENT", OLD)], 200),
        (
            vec![("PAGINATION_CURRENT", NEW), ("PAGINATION_RETIRED", OLD)],
            200,
        ),
        (vec![("DEFAULT_CURRENT", OLD)], 200),
        (
            vec![("DEFAULT_CURRENT", NEW), ("DEFAULT_RETIRED", OLD)],
            200,
        ),
        (
            vec![("DEFAULT_CURRENT", OLD), ("PAGINATION_CURRENT", NEW)],
            400,
        ),
        (vec![("PAGINATION_CURRENT", NEW)], 400),
        // Without secrets for page tokens the HMAC secret seals them.
        (vec![], 400),
    ] {
        let server = start(&settings);
        let answer = server.connect().call("GET", &next, &[], b"");
        assert_eq!(answer.status, status, "{settings:?}: {answer:?}");
        server.stop();
    }
}

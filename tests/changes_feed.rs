//! The feed of changes: it repeats and omits no change, over broken connections, restarts and slow
//! readers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use talos_engine::{Engine, Options};
use talos_model::{CopyCursor, CopyName, CopyPlace, Mode, ReadLimits};
use talos_test_kit::http::Connection;
use talos_test_kit::keys::ISSUE;

use crate::harness::Driver;
use crate::harness::cli::talos;
use crate::harness::engine::options;
use crate::harness::feed::{Event, Feed, Item};
use crate::harness::site::{Server, Site};

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys";

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn positions(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}

/// Asks for a feed that the server refuses.
fn refused(server: &Server, query: &str) -> (u16, String) {
    let answer =
        server
            .connect()
            .call("GET", &format!("/v2alpha1/admin/changes?{query}"), &[], b"");
    let message = answer.json()["error"]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    (answer.status, message)
}

/// Makes a change of every kind. Returns the credentials, which no event may contain.
pub fn make_every_change(connection: &mut Connection) -> Vec<String> {
    let issued = connection.issue("first");
    let path = format!("{ISSUE}/{}", issued.key_id);
    let json = [("Content-Type", "application/json")];
    let patched = connection.call("PATCH", &path, &json, br#"{"name":"renamed"}"#);
    assert_eq!(patched.status, 200);
    let rotated = connection.post(&format!("{path}:rotate"), &json!({}));
    let rotated = talos_test_kit::keys::Issued::from(&rotated);
    assert_eq!(connection.revoke(&rotated.key_id).status, 204);
    let raw_key = "a raw key of another system";
    let key = json!({"raw_key": raw_key, "name": "imported", "actor_id": "tester", "request_id": "import-1"});
    let imported = connection.post(IMPORT, &key);
    assert_eq!(imported.status, 201);
    let path = format!("{IMPORT}/{}", imported.json()["key_id"].as_str().unwrap());
    let patched = connection.call("PATCH", &path, &json, br#"{"scopes":["s"]}"#);
    assert_eq!(patched.status, 200);
    assert_eq!(
        connection
            .post(&format!("{path}:revoke"), &json!({}))
            .status,
        204
    );
    assert_eq!(connection.call("DELETE", &path, &[], b"").status, 204);
    vec![issued.secret, rotated.secret, raw_key.to_owned()]
}

const EVERYTHING: [&str; 9] = [
    "IssuedAPIKeyCreated",
    "IssuedAPIKeyUpdated",
    "IssuedAPIKeyRevoked",
    "IssuedAPIKeyRotated",
    "IssuedAPIKeyRevoked",
    "ImportedAPIKeyCreated",
    "ImportedAPIKeyUpdated",
    "ImportedAPIKeyRevoked",
    "ImportedAPIKeyDeleted",
];

/// A copy of the database in `from`, whose log is cut down to the last change.
fn copy(from: &Path, to: &Path) {
    let source = Engine::open(options(from)).unwrap();
    let node = Engine::open_as(
        Options {
            shards: Some(2),
            ..options(to)
        },
        Mode::Replica,
    )
    .unwrap();
    let snapshot = source.snapshot().unwrap();
    let place = CopyPlace {
        name: CopyName([1; 16]),
        position: snapshot.position(),
        digest: None,
        cursor: CopyCursor::default(),
    };
    let all = ReadLimits {
        entries: usize::MAX,
        bytes: usize::MAX,
    };
    let known = source.standing();
    node.begin_copy(known.cluster, known.epochs, place.clone())
        .unwrap();
    let chunk = snapshot.read(&place.cursor, all).unwrap();
    node.install(place.name, chunk).unwrap();
    node.promote(None).unwrap();
    drop(snapshot);
    for engine in [source, node] {
        engine.shutdown();
        assert_eq!(Arc::strong_count(&engine), 1);
    }
}

both_drivers! {
    fn every_change_is_an_event_that_holds_no_secret(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let secrets = make_every_change(&mut server.connect());
        let mut feed = Feed::open(server.address, "after=0", &[]);
        let events = feed.events(EVERYTHING.len());
        assert_eq!(names(&events), EVERYTHING);
        let whole: String = events.iter().map(|event| event.data.to_string()).collect();
        for secret in secrets {
            assert!(!whole.contains(&secret), "{whole}");
        }
        for event in &events {
            let data = &event.data;
            assert_eq!(data["tenant"], "00000000-0000-0000-0000-000000000000");
            assert_eq!(data["actor_id"], "tester");
            assert_eq!(data["key"]["key_id"], data["key_id"]);
            assert_eq!(data["key"]["actor_id"], "tester");
            assert!(data["time"].as_str().unwrap().ends_with('Z'), "{data}");
        }
        assert_eq!(events[0].data["key"]["status"], "KEY_STATUS_ACTIVE", "as it was then");
        assert_eq!(events[1].data["key"]["name"], "renamed");
        assert_eq!(events[2].data["key"]["revocation_reason"], "REVOCATION_REASON_SUPERSEDED");
        assert_eq!(events[0].data["key_id"], events[2].data["key_id"]);
        assert_ne!(events[0].data["key_id"], events[3].data["key_id"]);
        for (place, event) in events.iter().enumerate() {
            let (data, is_issued) = (&event.data, place < 5);
            assert_eq!(data["key_type"], if is_issued { "issued" } else { "imported" });
            assert_eq!(data.get("prefix"), is_issued.then(|| json!("ory_ak")).as_ref());
            assert_eq!(data["visibility"], "KEY_VISIBILITY_SECRET");
            assert_eq!(data.get("expire_time"), data["key"].get("expire_time"));
            assert_eq!(data.get("reason"), data["key"].get("revocation_reason"));
            assert_eq!(data.get("initiated_by"), None);
        }
        assert_eq!(events[2].data["reason"], "REVOCATION_REASON_SUPERSEDED");
        assert_eq!(events[5].data["request_id"], "import-1");
        assert_eq!(events[0].data["request_id"], Value::Null);
        server.stop();
    }

    fn a_revocation_by_the_holder_says_so(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("leaked");
        let body = json!({"credential": key.secret, "reason": "REVOCATION_REASON_KEY_COMPROMISE"});
        for _ in 0..2 {
            assert_eq!(connection.post("/v2alpha1/apiKeys:selfRevoke", &body).status, 204);
        }
        let events = Feed::open(server.address, "after=0", &[]).events(2);
        let data = &events[1].data;
        assert_eq!((&data["initiated_by"], &data["reason"]), (&json!("self"), &json!("REVOCATION_REASON_KEY_COMPROMISE")));
        assert_eq!(data["author"], json!({"name": "self", "proof": "credential", "address": "127.0.0.1"}));
        assert!(!data.to_string().contains(&key.secret));
        let log = server.log.clone();
        server.stop();
        let log = std::fs::read_to_string(log).unwrap();
        let lines: Vec<_> = log.lines().filter(|line| line.contains("IssuedAPIKeyRevoked")).collect();
        assert_eq!(lines.len(), 1, "{log}");
        let line: Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!((&line["initiated_by"], &line["reason"]), (&json!("self"), &json!("REVOCATION_REASON_KEY_COMPROMISE")));
        assert_eq!((&line["key_type"], &line["owner_id"]), (&json!("issued"), &json!("tester")));
    }

    fn a_feed_continues_after_the_last_event(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        make_every_change(&mut connection);
        let mut feed = Feed::open(server.address, "after=1.0", &[]);
        let all = feed.events(EVERYTHING.len());
        assert_eq!(feed.place.as_deref(), Some("1.9"));
        // The feed sends new changes as they are made.
        let key = connection.issue("new");
        let new = feed.event();
        assert_eq!((new.id.as_str(), &new.data["key_id"]), ("1.10", &json!(key.key_id)));
        drop(feed);
        for (query, header, left) in [
            ("after=1.4", None, 4),
            ("after=1.9", None, 9),
            ("after=0", Some("1.6"), 6),
            ("after=1.10", Some("1.0"), 0),
        ] {
            let headers: Vec<_> = header.iter().map(|id| ("Last-Event-ID", *id)).collect();
            let mut feed = Feed::open(server.address, query, &headers);
            assert_eq!(feed.place.as_deref().unwrap(), format!("1.{left}"));
            let rest = feed.events(10 - left);
            assert_eq!(rest[..9 - left], all[left..], "{query} {header:?}");
            assert_eq!(rest[9 - left], new);
        }
        // Without a position the feed begins at the newest change, and its first block names that
        // position.
        let mut feed = Feed::open(server.address, "", &[]);
        assert_eq!(feed.place.as_deref(), Some("1.10"));
        connection.issue("newer");
        assert_eq!(feed.event().id, "1.11");
        server.stop();
    }

    fn filters_and_tenants_select_the_events(driver: Driver) {
        let mut site = Site::new(driver);
        let mut server = site.start();
        let mut connection = server.connect();
        make_every_change(&mut connection);
        let revocations = ["1.3", "1.5", "1.8"];
        for query in [
            "after=0&kind=IssuedAPIKeyRevoked,ImportedAPIKeyRevoked",
            "after=0&kind=IssuedAPIKeyRevoked&kind=ImportedAPIKeyRevoked",
            "after=0&kind=IssuedAPIKeyRevoked%2CImportedAPIKeyRevoked&tenant=00000000-0000-0000-0000-000000000000",
        ] {
            let mut feed = Feed::open(server.address, query, &[]);
            assert_eq!(positions(&feed.events(3)), revocations, "{query}");
        }
        let tenant = "after=0&tenant=00000000-0000-0000-0000-000000000001";
        let mut foreign = Feed::open(server.address, tenant, &[]);
        let mut created = Feed::open(server.address, "kind=ImportedAPIKeyCreated", &[]);
        connection.issue("unwanted");
        let key = json!({"raw_key": "wanted", "name": "n", "actor_id": "a"});
        assert_eq!(connection.post(IMPORT, &key).status, 201);
        assert_eq!(created.event().id, "1.11");
        for (query, word) in [
            ("after=7", "after: "),
            ("kind=Everything", "IssuedAPIKeyCreated"),
            ("tenant=me", "tenant: "),
        ] {
            let (status, message) = refused(&server, query);
            assert_eq!(status, 400, "{query}");
            assert!(message.contains(word), "{message}");
        }
        // The feed has sent no change of another tenant so far.
        server.terminate();
        assert_eq!(foreign.next(), None);
        assert!(server.wait().success());
    }

    fn a_position_that_the_log_does_not_hold_is_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        make_every_change(&mut server.connect());
        let (status, message) = refused(&server, "after=1.10");
        assert_eq!(status, 503, "{message}");
        let (status, message) = refused(&server, "after=2.5");
        assert_eq!(status, 410, "{message}");
        server.stop();
        let copied = site.directory().join("copied");
        copy(site.data(), &copied);
        let mut site = site.with_data_in(&copied);
        let server = site.start();
        for place in ["1.0", "1.8"] {
            let (status, message) = refused(&server, &format!("after={place}"));
            assert_eq!(status, 410, "{message}");
            for words in [format!("after {place}"), "begins with change 1.9".to_owned(), "read the keys anew".to_owned()] {
                assert!(message.contains(&words), "{message}");
            }
            let ran = talos(server.address, &["changes", "tail", "--after", place]);
            ran.assert_one_line_and_code_1(&["POSITION_GONE", "read the keys anew"]);
        }
        let mut feed = Feed::open(server.address, "after=0", &[]);
        assert_eq!(feed.event().id, "1.9");
        let mut feed = Feed::open(server.address, "after=1.9", &[]);
        server.connect().issue("of another epoch");
        assert_eq!(feed.event().id, "2.10");
        server.stop();
    }

    fn what_the_log_has_dropped_is_refused_and_the_rest_has_no_gap(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        // Random bytes, which do not compress: the log is bounded by its size on disk.
        let mut state: u64 = 1;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            format!("{:08x}", state >> 32)
        };
        for (batch, count) in [(1, 1000), (2, 500)] {
            let mut key = |n: i32| {
                let metadata: String = (0..500).map(|_| random()).collect();
                json!({"raw_key": format!("{batch}-{n}"), "name": "n", "actor_id": "a", "metadata": {"m": metadata}})
            };
            let requests: Vec<_> = (0..count).map(&mut key).collect();
            let answer = connection.post(&format!("{IMPORT}:batchCreate"), &json!({"requests": requests}));
            assert_eq!((answer.status, &answer.json()["success_count"]), (200, &json!(count)));
        }
        server.stop();
        let mut command = site.command();
        command.env("TALOS_REPLICATION_LOG_MAX_BYTES", "1 MiB");
        let server = Server::start(command, site.directory().join("short-log.log"));
        let (status, message) = refused(&server, "after=1.1");
        assert_eq!(status, 410, "{message}");
        let mut feed = Feed::open(server.address, "after=0", &[]);
        let first = feed.event().id;
        assert!(message.contains(&format!("begins with change {first}")), "{message}");
        let first: usize = first.strip_prefix("1.").unwrap().parse().unwrap();
        assert!(first > 1, "{first}");
        let rest: Vec<_> = (first + 1..=1500).map(|sequence| format!("1.{sequence}")).collect();
        assert_eq!(positions(&feed.events(rest.len())), rest);
        server.stop();
    }

    /// Changes that a reader has not read yet wait in the log, and not in memory.
    fn a_slow_reader_misses_nothing(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut slow = Feed::open(server.address, "", &[]);
        let mut connection = server.connect();
        let metadata = "x".repeat(60_000);
        let key = json!({"name": "large", "actor_id": "a", "metadata": {"large": metadata}});
        let count: usize = 400;
        for _ in 0..count {
            assert_eq!(connection.post(ISSUE, &key).status, 201);
        }
        let wanted: Vec<_> = (1..=count).map(|sequence| format!("1.{sequence}")).collect();
        assert_eq!(positions(&slow.events(count)), wanted);
        server.stop();
    }

    fn a_stop_ends_all_feeds_and_a_start_lets_them_go_on(driver: Driver) {
        let mut site = Site::new(driver);
        let mut server = site.start();
        server.connect().issue("one");
        let mut feeds: Vec<_> = (0..8).map(|_| Feed::open(server.address, "after=0", &[])).collect();
        for feed in &mut feeds {
            assert_eq!(feed.event().id, "1.1");
        }
        server.terminate();
        for feed in &mut feeds {
            assert_eq!(feed.next(), None, "an end in order");
        }
        assert!(server.wait().success());
        let server = site.start();
        let mut connection = server.connect();
        connection.issue("two");
        let place = feeds[0].place.clone().unwrap();
        let mut feed = Feed::open(server.address, "after=0", &[("Last-Event-ID", &place)]);
        assert_eq!(feed.event().id, "1.2");
        // After a crash every change that the feed has sent is durable.
        server.kill();
        let server = site.start();
        server.connect().issue("three");
        let mut feed = Feed::open(server.address, "", &[("Last-Event-ID", "1.2")]);
        assert_eq!(feed.event().id, "1.3");
        server.stop();
    }

    fn the_number_of_streams_is_bounded(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut open = Vec::new();
        let refused = loop {
            let (answer, connection) = Feed::ask(server.address, "", &[]);
            if answer.status != 200 {
                break answer;
            }
            open.push(connection);
            assert!(open.len() < 1000, "no bound");
        };
        assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
        open.pop();
        while Feed::ask(server.address, "", &[]).0.status != 200 {
            std::thread::sleep(Duration::from_millis(10));
        }
        server.connect().issue("goes on");
        server.stop();
    }

    fn a_head_request_for_a_feed_does_not_block_the_connection(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let head = b"HEAD /v2alpha1/admin/changes?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n";
        connection.send(head);
        let answer = connection.head();
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/event-stream")));
        connection.issue("goes on");
        server.stop();
    }
}

/// This takes 15 s, the interval after which an idle feed sends a comment.
#[test]
fn a_quiet_feed_sends_comments_with_its_position() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let mut feed = Feed::open(server.address, "kind=ImportedAPIKeyDeleted", &[]);
    assert_eq!(feed.place.as_deref(), Some("1.0"));
    server.connect().issue("unwanted");
    let sign = feed.next().unwrap();
    assert_eq!(
        sign,
        Item::Other(vec![": nothing new".to_owned(), "id: 1.1".to_owned()])
    );
    server.stop();
}

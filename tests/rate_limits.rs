//! Rate limits over HTTP: a key gets as many requests as its quota, over every route. Headers and
//! bodies report the quota.

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use crate::harness::site::{Server, Site};

/// A window so long that no request is given back during a test.
const HOUR: &str = "3600s";

fn start(site: &Site, name: &str, settings: &[(&str, &str)]) -> Server {
    let mut command = site.command();
    command.env("TALOS_RATE_LIMIT_ENABLED", "true");
    for (name, value) in settings {
        command.env(name, value);
    }
    Server::start(command, site.directory().join(format!("{name}.log")))
}

fn issue(connection: &mut Connection, quota: u64) -> Issued {
    let policy = json!({"quota": quota, "window": HOUR});
    let body = json!({"name": "n", "actor_id": "a", "rate_limit_policy": policy});
    Issued::from(&connection.post(ISSUE, &body))
}

fn ask(connection: &mut Connection, credential: &str, headers: &[(&str, &str)]) -> Answer {
    let body = json!({"credential": credential}).to_string();
    let answer = connection.call("POST", VERIFY, headers, body.as_bytes());
    assert_eq!(answer.status, 200);
    answer
}

fn update(connection: &mut Connection, key_id: &str, policy: &Value) {
    let path = format!("{ISSUE}/{key_id}?update_mask=rate_limit_policy");
    let body = json!({"rate_limit_policy": policy}).to_string();
    assert_eq!(
        connection.call("PATCH", &path, &[], body.as_bytes()).status,
        200
    );
}

/// Asserts that the answer refuses the request and says when to retry.
#[track_caller]
fn assert_limited(answer: &Answer) {
    let body = answer.json();
    assert_refused(&body, "RATE_LIMITED");
    assert_eq!(
        (&body["is_active"], &body["rate_limit_remaining"]),
        (&json!(false), &json!("0"))
    );
    assert!(
        body["rate_limit_reset_time"].is_string() && body.get("key_id").is_none(),
        "{body}"
    );
    assert_eq!(answer.header("ratelimit"), Some("\"default\";r=0"));
    let seconds: u64 = answer
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!((1..=3600).contains(&seconds), "{seconds}");
}

both_drivers! {
    fn a_quota_lasts_as_long_as_it_says(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, "first", &[]);
        let mut connection = server.connect();
        let key = issue(&mut connection, 4);
        for (left, headers, cache) in [
            (3, &[][..], "MISS"),
            (2, &[], "HIT"),
            (1, &[("Cache-Control", "no-store")], "SKIP"),
            (0, &[("Cache-Control", "no-cache")], "SKIP"),
        ] {
            let answer = ask(&mut connection, &key.secret, headers);
            let body = answer.json();
            assert_valid(&body, &key.key_id);
            assert_eq!(body["rate_limit_remaining"], left.to_string());
            let reset = body["rate_limit_reset_time"].as_str().expect("a time");
            assert!(reset.ends_with('Z') && reset.len() >= 20, "{reset}");
            assert_eq!(body["rate_limit_policy"]["window"], HOUR);
            assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=4;w=3600"));
            assert_eq!(answer.header("ratelimit"), Some(&*format!("\"default\";r={left}")));
            assert_eq!(answer.header("retry-after"), None);
            assert_eq!(answer.header("ory-talos-cache"), Some(cache));
        }
        for headers in [&[][..], &[("Cache-Control", "no-store")], &[("Pragma", "no-cache")]] {
            let answer = ask(&mut connection, &key.secret, headers);
            assert_limited(&answer);
            assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=4;w=3600"));
        }

        update(&mut connection, &key.key_id, &json!({"quota": 6, "window": HOUR}));
        for left in ["1", "0"] {
            let body = ask(&mut connection, &key.secret, &[]).json();
            assert_eq!(body["rate_limit_remaining"], left, "the higher quota holds at once, and four were used");
        }
        assert_limited(&ask(&mut connection, &key.secret, &[]));
        update(&mut connection, &key.key_id, &Value::Null);
        let unlimited = ask(&mut connection, &key.secret, &[]);
        assert_valid(&unlimited.json(), &key.key_id);
        assert_eq!((unlimited.header("ratelimit"), unlimited.header("ratelimit-policy")), (None, None));
        assert_eq!(unlimited.json().get("rate_limit_remaining"), None);
        update(&mut connection, &key.key_id, &json!({"quota": 6, "window": HOUR}));
        assert_limited(&ask(&mut connection, &key.secret, &[]));
        server.stop();

        let server = start(&site, "second", &[]);
        let body = ask(&mut server.connect(), &key.secret, &[]).json();
        assert_eq!(body["rate_limit_remaining"], "5", "a restart forgets what was used");
        server.stop();
    }

    fn without_a_cache_the_quota_is_the_same(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, "noop", &[("TALOS_CACHE_TYPE", "noop")]);
        let key = issue(&mut server.connect(), 50);
        let passed: usize = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut connection = server.connect();
                        let passes = |_: &i32| ask(&mut connection, &key.secret, &[]).json()["is_valid"] == true;
                        (0..20).filter(passes).count()
                    })
                })
                .collect();
            asking.into_iter().map(|client| client.join().unwrap()).sum()
        });
        assert_eq!(passed, 50);
        server.stop();
    }

    fn each_credential_of_a_batch_counts(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, "batch", &[]);
        let mut connection = server.connect();
        let (limited, free) = (issue(&mut connection, 3), connection.issue("free"));
        let requests: Vec<_> = [&limited, &free, &limited, &limited, &limited]
            .map(|key| json!({"credential": key.secret}))
            .to_vec();
        let answer = connection.post("/v2alpha1/admin/apiKeys:batchVerify", &json!({"requests": requests}));
        assert_eq!((answer.header("ratelimit"), answer.header("retry-after")), (None, None));
        let results = answer.json()["results"].as_array().unwrap().clone();
        for (place, left) in [(0, "2"), (2, "1"), (3, "0")] {
            assert_valid(&results[place], &limited.key_id);
            assert_eq!(results[place]["rate_limit_remaining"], left);
            assert!(results[place]["rate_limit_reset_time"].is_string());
        }
        assert_valid(&results[1], &free.key_id);
        assert_eq!(results[1].get("rate_limit_remaining"), None);
        assert_refused(&results[4], "RATE_LIMITED");
        assert_eq!(results[4]["rate_limit_remaining"], "0");
        assert_limited(&ask(&mut connection, &limited.secret, &[]));
        server.stop();
    }

    fn without_enforcement_the_answers_only_name_the_policy(driver: Driver) {
        let site = Site::new(driver);
        let server = start(&site, "off", &[("TALOS_RATE_LIMIT_ENABLED", "false")]);
        let mut connection = server.connect();
        let key = issue(&mut connection, 2);
        for _ in 0..5 {
            let answer = ask(&mut connection, &key.secret, &[]);
            assert_valid(&answer.json(), &key.key_id);
            assert_eq!(answer.header("ratelimit-policy"), Some("\"default\";q=2;w=3600"));
            assert_eq!(answer.header("ratelimit"), None);
            assert_eq!(answer.json().get("rate_limit_remaining"), None);
        }
        server.stop();
    }
}

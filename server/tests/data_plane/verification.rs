//! Verifications over HTTP, against a real engine.

use talos_engine::Engine;
use talos_model::{CacheStatus, IssueKey, KeyId, RateLimitPolicy, RevocationReason};
use talos_server::metrics::{Counter, Outcomes};
use talos_test_kit::engine::{new_key, revocation, run};

use crate::support::{ALIVE, Answer, Fixture, both_drivers};

/// A new key's credential and id.
pub(crate) fn issue(engine: &Engine, rate_limit: Option<RateLimitPolicy>) -> (String, KeyId) {
    let key = IssueKey {
        rate_limit,
        ..new_key("n")
    };
    let (record, credential) = talos_test_kit::engine::issue(engine, key);
    (credential, record.key_id)
}

pub(crate) fn revoke(engine: &Engine, key_id: KeyId) {
    run(engine, revocation(key_id, RevocationReason::KeyCompromise)).unwrap();
}

pub(crate) fn request(fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n{fields}\r\n{body}"
    )
}

pub(crate) fn of(credential: &str) -> String {
    format!(r#"{{"credential":"{credential}"}}"#)
}

fn verdict(answer: &Answer) -> (bool, Option<String>) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("Content-Type"), Some("application/json"));
    let value: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let code = value["error_code"].as_str();
    let code = code.map(|code| code.replace("VERIFICATION_ERROR_", ""));
    (value["is_valid"].as_bool().unwrap(), code)
}

fn refused(code: &str) -> (bool, Option<String>) {
    (false, Some(code.to_owned()))
}

#[test]
fn a_key_is_valid_until_it_is_revoked() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let policy = RateLimitPolicy {
            quota: 100,
            window_s: 60,
        };
        let (credential, key_id) = issue(&fixture.engine, Some(policy));
        let body = of(&credential);
        let mut client = fixture.connect();
        let mut ask = |fields: &str| {
            client.send(request(fields, &body).as_bytes());
            client.answer()
        };
        assert_eq!(verdict(&ask("")), (true, None));
        let answer = ask("");
        assert_eq!(verdict(&answer), (true, None));
        assert_eq!(answer.header("Ory-Talos-Cache"), Some("HIT"));
        assert_eq!(
            answer.header("RateLimit-Policy"),
            Some("\"default\";q=100;w=60")
        );
        for fields in [
            "Cache-Control: no-cache\r\n",
            "cache-control: No-Store\r\n",
            "Pragma: no-cache\r\n",
        ] {
            let answer = ask(fields);
            assert_eq!(verdict(&answer), (true, None));
            assert_eq!(answer.header("Ory-Talos-Cache"), Some("SKIP"), "{fields}");
        }
        revoke(&fixture.engine, key_id);
        for fields in [
            "",
            "Cache-Control: no-cache\r\n",
            "",
            "Pragma: no-cache\r\n",
        ] {
            let answer = ask(fields);
            assert_eq!(verdict(&answer), refused("REVOKED"), "{fields}");
            assert_eq!(answer.header("RateLimit-Policy"), None);
        }
        let sums = |outcome: fn(&Outcomes) -> &Counter| {
            [CacheStatus::Hit, CacheStatus::Miss, CacheStatus::Skip]
                .map(|cache| fixture.total(|core| outcome(core.verdicts.of(cache)).get()))
        };
        let [hits, misses, skips] = sums(|outcomes| &outcomes.valid);
        assert_eq!((hits + misses, skips), (2, 3));
        let [hits, misses, skips] = sums(|outcomes| &outcomes.revoked);
        assert_eq!((hits + misses, skips), (2, 2));
    });
}

#[test]
fn what_is_no_key_of_ours_is_not_found() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, _) = issue(&fixture.engine, None);
        let mut wrong = credential.clone();
        let last = wrong.pop().unwrap();
        wrong.push(if last == '2' { '3' } else { '2' });
        let foreign = credential.replacen("talos", "other", 1);
        let mut client = fixture.connect();
        for credential in [&wrong, &foreign] {
            client.send(request("", &of(credential)).as_bytes());
            assert_eq!(
                verdict(&client.answer()),
                refused("NOT_FOUND"),
                "{credential}"
            );
        }
    });
}

#[test]
fn bad_bodies_are_400_and_the_connection_goes_on() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        for (body, reason) in [
            ("", "CREDENTIAL_REQUIRED"),
            ("{}", "CREDENTIAL_REQUIRED"),
            (r#"{"credential":""}"#, "CREDENTIAL_REQUIRED"),
            (r#"{"credential":1}"#, "BAD_REQUEST"),
            (r#"{"credential":"a"#, "BAD_REQUEST"),
            (&of(&"x".repeat(8193)), "BAD_REQUEST"),
        ] {
            client.send(request("", body).as_bytes());
            let answer = client.answer();
            assert_eq!(
                (answer.status, &*answer.reason()),
                (400, reason),
                "{body:.40}"
            );
        }
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200);
    });
}

#[test]
fn verdicts_keep_the_order_of_pipelined_requests_also_across_reads() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let keys: Vec<_> = (0..20).map(|_| issue(&fixture.engine, None)).collect();
        for (_, key_id) in keys.iter().skip(1).step_by(2) {
            revoke(&fixture.engine, *key_id);
        }
        // Half of them read storage, the others need not.
        let mut requests = String::new();
        for (at, (credential, _)) in keys.iter().enumerate() {
            let fields = if at % 4 < 2 {
                "Cache-Control: no-store\r\n"
            } else {
                ""
            };
            requests += &request(fields, &of(credential));
        }
        let mut client = fixture.connect();
        for round in 0..10 {
            client.send(requests.as_bytes());
            for at in 0..keys.len() {
                let expected = if at % 2 == 0 {
                    (true, None)
                } else {
                    refused("REVOKED")
                };
                assert_eq!(verdict(&client.answer()), expected, "{round} {at}");
            }
        }
    });
}

#[test]
fn a_verification_in_chunks_that_reads_storage_is_answered() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, _) = issue(&fixture.engine, None);
        let body = of(&credential);
        let (first, second) = body.split_at(20);
        let mut client = fixture.connect();
        for _ in 0..2 {
            client.send(
                format!(
                    "POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nCache-Control: no-cache\r\n\
                     Transfer-Encoding: chunked\r\n\r\n14\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n{ALIVE}",
                    second.len()
                )
                .as_bytes(),
            );
            assert_eq!(verdict(&client.answer()), (true, None));
            assert_eq!(client.answer().text(), r#"{"status":"ok"}"#);
        }
    });
}

#[test]
fn a_key_that_is_not_in_memory_is_read_from_disk_once() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (valid, _) = issue(&fixture.engine, None);
        let (revoked, key_id) = issue(&fixture.engine, None);
        revoke(&fixture.engine, key_id);
        let fixture = fixture.restarted(driver);
        let mut client = fixture.connect();
        for cache in ["MISS", "HIT"] {
            for (credential, expected) in [(&valid, (true, None)), (&revoked, refused("REVOKED"))] {
                client.send(format!("{ALIVE}{}", request("", &of(credential))).as_bytes());
                assert_eq!(client.answer().text(), r#"{"status":"ok"}"#);
                let answer = client.answer();
                assert_eq!(verdict(&answer), expected);
                assert_eq!(answer.header("Ory-Talos-Cache"), Some(cache));
            }
        }
        assert_eq!(fixture.total(|core| core.disk_reads.get()), 2);
    });
}

#[test]
fn ready_says_so() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let answer = fixture.ask("GET /health/ready HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!((answer.status, answer.text()), (200, r#"{"status":"ok"}"#));
    });
}

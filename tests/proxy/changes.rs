//! A change that passes through the proxy takes effect there at once, whatever is in memory or on
//! its way into it.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::json;
use talos_test_kit::http::Answer;
use talos_test_kit::keys::{ISSUE, Issued, VERIFY};

use super::scripted::{self, Scripted};
use super::{Pair, assert_accepted, assert_refused, verify, wait_until};

type Change = fn(&Pair, &Issued) -> Answer;

const IMPORTED: &str = "/v2alpha1/admin/importedApiKeys";

/// A key with answers in memory, both for a direct client and for one behind another proxy.
fn kept(pair: &Pair, raw_key: Option<&str>) -> Issued {
    let mut connection = pair.proxy.connect();
    let key = match raw_key {
        None => connection.issue("key"),
        Some(raw_key) => {
            let body = json!({"name": "n", "actor_id": "a", "raw_key": raw_key});
            let answer = connection.post(IMPORTED, &body);
            assert_eq!(answer.status, 201);
            Issued {
                key_id: answer.json()["key_id"].as_str().unwrap().to_owned(),
                secret: raw_key.to_owned(),
            }
        }
    };
    for headers in ways() {
        assert_accepted(&verify(pair.proxy.address, &key.secret, headers), "MISS");
        assert_accepted(&verify(pair.proxy.address, &key.secret, headers), "HIT");
    }
    key
}

fn ways() -> [&'static [(&'static str, &'static str)]; 2] {
    [&[], &[("X-Forwarded-For", "192.0.2.1")]]
}

#[test]
fn every_change_of_a_key_ends_its_answers() {
    let pair = Pair::start(&[]);
    let revocations: [(&str, Option<&str>, Change); 8] = [
        ("revoke", None, |pair, key| {
            pair.proxy.connect().revoke(&key.key_id)
        }),
        ("revoke issued", None, |pair, key| {
            let path = format!("{ISSUE}/{}:revoke", key.key_id);
            pair.proxy.connect().post(&path, &json!({}))
        }),
        ("revoke issued, percent-encoded", None, |pair, key| {
            let id = key.key_id.replace('-', "%2D");
            let path = format!("{ISSUE}/{id}:revoke");
            pair.proxy.connect().post(&path, &json!({}))
        }),
        ("rotate", None, |pair, key| {
            let path = format!("{ISSUE}/{}:rotate", key.key_id);
            pair.proxy.connect().post(&path, &json!({}))
        }),
        ("self-revoke", None, |pair, key| {
            let body = json!({"credential": key.secret});
            pair.proxy
                .connect()
                .post("/v2alpha1/apiKeys:selfRevoke", &body)
        }),
        ("self-revoke imported", Some("raw 1"), |pair, key| {
            let body = json!({"credential": key.secret});
            pair.proxy
                .connect()
                .post("/v2alpha1/apiKeys:selfRevoke", &body)
        }),
        ("revoke imported", Some("raw 2"), |pair, key| {
            let path = format!("{IMPORTED}/{}:revoke", key.key_id);
            pair.proxy.connect().post(&path, &json!({}))
        }),
        ("delete imported", Some("raw 3"), |pair, key| {
            let path = format!("{IMPORTED}/{}", key.key_id);
            pair.proxy.connect().call("DELETE", &path, &[], b"")
        }),
    ];
    let bystander = kept(&pair, None);
    for (what, raw_key, change) in revocations {
        let key = kept(&pair, raw_key);
        let answer = change(&pair, &key);
        assert!((200..300).contains(&answer.status), "{what}: {answer:?}");
        for headers in ways() {
            let answer = verify(pair.proxy.address, &key.secret, headers);
            let code = if what.starts_with("delete") {
                "NOT_FOUND"
            } else {
                "REVOKED"
            };
            eprintln!("{what}");
            assert_refused(&answer, code);
        }
    }
    assert_accepted(&verify(pair.proxy.address, &bystander.secret, &[]), "HIT");
}

/// The proxy does not know which keys a bulk revocation revokes, so it drops all answers.
#[test]
fn a_revocation_of_many_keys_ends_their_answers() {
    let pair = Pair::start(&[]);
    let (leaver, stayer) = (kept(&pair, Some("raw 4")), kept(&pair, None));
    let path = "/v2alpha1/admin/apiKeys:revokeWhere";
    let answer = pair.proxy.connect().post(path, &json!({"actor_id": "a"}));
    assert_eq!(answer.json()["matched"], 1);
    for headers in ways() {
        let refused = verify(pair.proxy.address, &leaver.secret, headers);
        assert_refused(&refused, "REVOKED");
        let accepted = verify(pair.proxy.address, &stayer.secret, headers);
        assert_accepted(&accepted, "MISS");
    }
}

#[test]
fn an_update_is_seen_at_once() {
    let pair = Pair::start(&[]);
    let key = kept(&pair, None);
    let path = format!("{ISSUE}/{}", key.key_id);
    let body = json!({"scopes": ["write:*"]}).to_string();
    let mut connection = pair.proxy.connect();
    let answer = connection.call("PATCH", &path, &[], body.as_bytes());
    assert_eq!(answer.status, 200);
    for headers in ways() {
        let answer = verify(pair.proxy.address, &key.secret, headers);
        assert_accepted(&answer, "MISS");
        assert_eq!(answer.json()["scopes"], json!(["write:*"]));
    }
}

#[test]
fn a_change_that_was_refused_ends_nothing() {
    let pair = Pair::start(&[]);
    let key = kept(&pair, None);
    let path = format!("{ISSUE}/{}:revoke", key.key_id);
    let answer = pair.proxy.connect().post(&path, &json!({"reason": "NONE"}));
    assert_eq!(answer.status, 400);
    assert_eq!(
        pair.proxy.connect().get(&key.key_id)["status"],
        "KEY_STATUS_ACTIVE"
    );
    for headers in ways() {
        assert_accepted(&verify(pair.proxy.address, &key.secret, headers), "HIT");
    }
}

/// When a request that bypasses the cache finds a key revoked, the proxy drops its answers for all.
#[test]
fn a_refusal_drops_older_answers_for_all_clients() {
    let pair = Pair::start(&[]);
    let key = kept(&pair, None);
    assert_eq!(pair.server.connect().revoke(&key.key_id).status, 204);
    let [plain, forwarded] = ways();
    assert_accepted(&verify(pair.proxy.address, &key.secret, plain), "HIT");
    let no_store = [("Cache-Control", "no-store")];
    assert_refused(
        &verify(pair.proxy.address, &key.secret, &no_store),
        "REVOKED",
    );
    assert_refused(&verify(pair.proxy.address, &key.secret, plain), "REVOKED");
    assert_refused(
        &verify(pair.proxy.address, &key.secret, forwarded),
        "REVOKED",
    );
}

/// The upstream answers "valid" and then revokes the key, but the first answer arrives last.
#[test]
fn a_slow_verification_does_not_bring_a_revoked_key_back() {
    let (let_go, held) = mpsc::channel();
    let held = Mutex::new(Some(held));
    let key_id = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
    let valid = format!(r#"{{"is_valid":true,"key_id":"{key_id}"}}"#);
    let upstream = Scripted::start(move |request| {
        if !request.line().contains(VERIFY) {
            return scripted::json(200, "{}");
        }
        let first = held.lock().unwrap().take();
        if let Some(first) = first {
            first.recv().unwrap();
        }
        scripted::json(200, &valid)
    });
    let upstream = Arc::new(upstream);
    let (proxy, _directory) = upstream.proxy(&[]);
    let address = proxy.address;
    let slow = thread::spawn(move || verify(address, "x", &[]));
    wait_until("the verification is with the upstream", || {
        upstream.received().len() == 1
    });
    assert_eq!(proxy.connect().revoke(key_id).status, 200);
    let_go.send(()).unwrap();
    assert_accepted(&slow.join().unwrap(), "MISS");
    assert_accepted(&verify(address, "x", &[]), "MISS");
    assert_accepted(&verify(address, "x", &[]), "HIT");
}

/// A revocation whose answer was lost may have taken effect.
#[test]
fn a_change_without_an_answer_ends_the_answers_of_its_key() {
    let key_id = "0b5a7c5e-6f5e-4c39-9d0b-3a2f4e5d6c7b";
    let valid = format!(r#"{{"is_valid":true,"key_id":"{key_id}"}}"#);
    let upstream = Scripted::start(move |request| {
        if request.line().contains(VERIFY) {
            scripted::json(200, &valid)
        } else {
            Vec::new()
        }
    });
    let (proxy, _directory) = upstream.proxy(&[]);
    assert_accepted(&verify(proxy.address, "x", &[]), "MISS");
    assert_accepted(&verify(proxy.address, "x", &[]), "HIT");
    assert_eq!(proxy.connect().revoke(key_id).status, 502);
    assert_accepted(&verify(proxy.address, "x", &[]), "MISS");
}

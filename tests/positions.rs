//! The position that every answer names, and the position that a request may demand, on a
//! standalone server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;
use talos_model::{Position, Sequence};
use talos_test_kit::http::{Answer, Connection, request};
use talos_test_kit::keys::{ISSUE, Issued, VERIFY, assert_refused, assert_valid};

use crate::harness::site::Site;

const DEMAND: &str = "Talos-Min-Position";
/// How many keys are issued and revoked while other threads read.
const ROUNDS: usize = 50;

/// The one position that an answer names.
#[track_caller]
fn named(answer: &Answer) -> Position {
    let mut named = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "talos-position")
        .map(|(_, value)| value.parse().unwrap());
    let position = named.next().expect("a position");
    assert_eq!(named.next(), None, "{answer:?}");
    position
}

fn verify(connection: &mut Connection, key: &Issued, demanded: &str) -> Answer {
    let body = json!({"credential": key.secret}).to_string();
    connection.call("POST", VERIFY, &[(DEMAND, demanded)], body.as_bytes())
}

fn after(position: Position, changes: u64) -> Position {
    Position {
        sequence: Sequence(position.sequence.0 + changes),
        ..position
    }
}

both_drivers! {
    fn a_request_that_demands_the_position_of_a_write_sees_it(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let before = named(&connection.call("GET", "/version", &[], b""));
        let issued = connection.post(ISSUE, &json!({"name": "n", "actor_id": "a"}));
        assert_eq!(named(&issued), after(before, 1));
        let key = Issued::from(&issued);
        let verdict = verify(&mut connection, &key, &named(&issued).to_string());
        assert_eq!((verdict.status, named(&verdict)), (200, named(&issued)));
        assert_valid(&verdict.json(), &key.key_id);
        let revoked = connection.revoke(&key.key_id);
        assert_eq!(named(&revoked), after(before, 2));
        let verdict = verify(&mut connection, &key, &named(&revoked).to_string());
        assert_refused(&verdict.json(), "REVOKED");
        // Reads, lists, refusals and unknown routes name a position, too.
        for path in [
            format!("{ISSUE}/{}", key.key_id),
            ISSUE.to_owned(),
            format!("{ISSUE}/nobody"),
            "/health/ready".to_owned(),
            "/nowhere".to_owned(),
        ] {
            let demand = named(&revoked).to_string();
            let answer = connection.call("GET", &path, &[(DEMAND, &demand)], b"");
            assert_ne!(answer.status, 503, "{path}");
            assert_eq!(named(&answer), named(&revoked), "{path}");
        }
    }

    fn an_unknown_position_gets_503_and_delays_no_other_request(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("n");
        let head = named(&connection.call("GET", "/version", &[], b""));
        let body = json!({"credential": key.secret}).to_string();
        let later = Position { epoch: talos_model::Epoch(head.epoch.0 + 1), ..head };
        for demanded in [after(head, 1), later] {
            let demanded = demanded.to_string();
            let mut waiting = server.connect();
            let asked = request("POST", VERIFY, &[(DEMAND, &demanded)], body.as_bytes());
            // One segment with several requests, the last of which demands no position.
            let segment = [&asked[..], &asked, &request("POST", VERIFY, &[], body.as_bytes())].concat();
            waiting.send(&segment);
            assert_valid(&connection.verify(&key.secret), &key.key_id);
            for _ in 0..2 {
                let answer = waiting.answer();
                answer.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
                assert!(answer.header("retry-after").is_some());
                assert!(String::from_utf8_lossy(&answer.body).contains(&demanded));
            }
            assert_valid(&waiting.answer().json(), &key.key_id);
        }
        for demanded in ["", "42", "1.x", "1.1, 1.1"] {
            let answer = verify(&mut connection, &key, demanded);
            answer.assert_error(400, "INVALID_ARGUMENT", "BAD_REQUEST");
            let answer = connection.call("GET", ISSUE, &[(DEMAND, demanded)], b"");
            assert_eq!(answer.status, 400, "{demanded:?}");
            // What does not exist needs no position.
            let answer = connection.call("TRACE", ISSUE, &[(DEMAND, demanded)], b"");
            assert_eq!(answer.status, 405, "{demanded:?}");
        }
        assert_valid(&connection.verify(&key.secret), &key.key_id);
    }

    fn a_client_that_demands_positions_of_its_answers_is_never_refused(driver: Driver) {
        let mut site = Site::new(driver);
        let server = site.start();
        let key = server.connect().issue("read all the time");
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            let readers: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let mut connection = server.connect();
                        let mut seen = Position::START;
                        while !is_over.load(Ordering::Relaxed) {
                            let demanded = seen.to_string();
                            let path = format!("{ISSUE}/{}", key.key_id);
                            for answer in [
                                verify(&mut connection, &key, &demanded),
                                connection.call("GET", &path, &[(DEMAND, &demanded)], b""),
                            ] {
                                assert_eq!(answer.status, 200, "{demanded}: {answer:?}");
                                assert!(named(&answer) >= seen, "{demanded}: {answer:?}");
                                seen = seen.max(named(&answer));
                            }
                        }
                        seen
                    })
                })
                .collect();
            let mut connection = server.connect();
            let mut last = Position::START;
            for _ in 0..ROUNDS {
                let other = connection.issue("other");
                let revoked = connection.revoke(&other.key_id);
                last = named(&revoked);
                let verdict = verify(&mut connection, &other, &last.to_string());
                assert_refused(&verdict.json(), "REVOKED");
            }
            is_over.store(true, Ordering::Relaxed);
            for reader in readers {
                assert!(reader.join().unwrap() <= last, "nobody names what nobody wrote");
            }
        });
    }
}

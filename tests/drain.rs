//! SIGTERM under load: every answer that has begun is complete, every acknowledged write is
//! durable, and the exit code is 0.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use talos_test_kit::http::{Connection, NoAnswer, request};
use talos_test_kit::keys::{VERIFY, assert_valid};

use crate::harness::ledger::{check_all, write_from};
use crate::harness::site::Site;

/// Verifies until the server closes the connection, and checks every answer. Returns how many came.
fn verify_until_closed(mut connection: Connection, secret: &str, answers: &AtomicUsize) {
    let body = serde_json::json!({"credential": secret}).to_string();
    loop {
        match connection.exchange(&request("POST", VERIFY, &[], body.as_bytes())) {
            Ok(answer) => {
                assert_eq!(
                    (answer.status, &answer.json()["is_valid"]),
                    (200, &serde_json::json!(true))
                );
                answers.fetch_add(1, Ordering::Relaxed);
                if answer.closes() {
                    assert!(connection.is_closed());
                    return;
                }
            }
            // The server closed between two requests, so the last one got no answer.
            Err(NoAnswer::Closed) => return,
            Err(NoAnswer::Broken(error)) => {
                let kind = error.kind();
                let met_nobody = [
                    std::io::ErrorKind::BrokenPipe,
                    std::io::ErrorKind::ConnectionReset,
                ]
                .contains(&kind);
                assert!(met_nobody, "a cut answer: {error}");
                return;
            }
        }
    }
}

both_drivers! {
    fn a_stop_answers_the_verifications_that_have_begun(driver: Driver) {
        let mut site = Site::new(driver);
        let mut server = site.start();
        let key = server.connect().issue("key");
        let mut idle = server.connect();
        assert_valid(&idle.verify(&key.secret), &key.key_id);
        let answers = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                let connection = server.connect();
                scope.spawn(|| verify_until_closed(connection, &key.secret, &answers));
            }
            while answers.load(Ordering::Relaxed) < 1000 {
                std::thread::sleep(Duration::from_millis(1));
            }
            server.terminate();
            assert!(server.wait().success());
        });
        assert!(idle.is_closed());
        assert!(Connection::try_open(server.address).is_err(), "nobody listens any more");
    }

    fn acknowledged_writes_are_durable(driver: Driver) {
        let mut site = Site::new(driver);
        let mut server = site.start();
        let address = server.address;
        let mut ledgers = write_from(8, address, "drain", |progress| {
            progress.wait_for(200);
            server.terminate();
            assert!(server.wait().success());
        });
        let server = site.start();
        check_all(&mut ledgers, server.address);
        server.stop();
    }

    /// The server answers a request that has arrived in part, if the rest comes soon.
    fn a_request_that_has_begun_is_answered(driver: Driver) {
        let mut site = Site::new(driver);
        let mut server = site.start();
        let mut connection = server.connect();
        let key = connection.issue("key");
        let body = serde_json::json!({"credential": key.secret}).to_string();
        let whole = request("POST", VERIFY, &[], body.as_bytes());
        let (first, rest) = whole.split_at(whole.len() - 10);
        connection.send(first);
        // The other connection's answer shows that the server has had time to read the first part.
        assert_valid(&server.connect().verify(&key.secret), &key.key_id);
        std::thread::sleep(Duration::from_millis(50));
        server.terminate();
        std::thread::sleep(Duration::from_millis(300));
        let answer = connection.exchange(rest).unwrap();
        assert_valid(&answer.json(), &key.key_id);
        assert!(answer.closes(), "{answer:?}");
        assert!(connection.is_closed());
        assert!(server.wait().success());
    }

    /// Neither a second signal nor a client that never finishes its request keeps the server from
    /// ending.
    fn a_stuck_client_does_not_keep_it_from_ending(driver: Driver) {
        let mut site = Site::new(driver);
        let mut server = site.start();
        let mut stuck = server.connect();
        stuck.send(b"POST /v2alpha1/admin/apiKeys:verify HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{");
        let stopped = AtomicBool::new(false);
        std::thread::scope(|scope| {
            server.terminate();
            scope.spawn(|| {
                // The server answers 408 or closes the connection; both end the wait.
                let _ = stuck.receive();
                stopped.store(true, Ordering::Relaxed);
            });
            assert!(server.wait().success());
        });
        assert!(stopped.load(Ordering::Relaxed));
    }
}

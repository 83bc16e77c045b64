//! The position that every answer names, and the one that a request demands.

use talos_api::error::ApiError;
use talos_model::{Position, Sequence};

use crate::support::{ALIVE, Answer, Connection, Fixture, both_drivers, post};
use crate::verification::{issue, of, request, revoke};

/// The position that an answer names.
fn named(answer: &Answer) -> Position {
    let field = answer.header("Talos-Position");
    field
        .and_then(|text| text.parse().ok())
        .expect("a position")
}

fn demanding(position: &str) -> String {
    format!("Talos-Min-Position: {position}\r\n")
}

/// A position that the node does not show yet, so many changes from now.
fn ahead(fixture: &Fixture, changes: u64) -> Position {
    let head = fixture.engine.committed();
    Position {
        sequence: Sequence(head.sequence.0 + changes),
        ..head
    }
}

#[test]
fn every_answer_names_one_position() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            options.cors.enabled = true;
            options.cors.allowed_origins = vec!["*".to_owned()];
        });
        let (credential, _) = issue(&fixture.engine, None);
        let body = of(&credential);
        let length = body.len();
        let batch = format!(r#"{{"requests":[{body}]}}"#);
        let requests = [
            ALIVE.to_owned(),
            ALIVE.replace("alive", "ready"),
            request("", &body),
            request("", "{}"),
            request("Cache-Control: no-store\r\n", &body),
            request("", &batch).replace(":verify", ":batchVerify"),
            format!("GET /verify HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {credential}\r\n\r\n"),
            post("", ""),
            post("X-Test: later\r\n", ""),
            post("X-Test: drop\r\n", ""),
            post("X-Test: full\r\n", ""),
            "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            "OPTIONS /verify HTTP/1.1\r\nHost: h\r\nOrigin: http://o\r\nAccess-Control-Request-Method: GET\r\n\r\n"
                .to_owned(),
            "GET / HTTP/1.1\r\n\r\n".to_owned(),
            "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(),
            format!("POST /verify HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: {length}\r\n\r\n"),
        ];
        for request in requests {
            let answer = fixture.ask(&request);
            assert_eq!(named(&answer), fixture.engine.committed(), "{request}");
            assert!(answer.header("Date").is_some_and(|date| date.len() == 29));
            assert!(answer.header("X-Request-Id").is_some());
        }
        // Another node's answer speaks of that node's position.
        let forwarded = fixture.ask(&post("X-Test: forwarded\r\n", ""));
        assert_eq!(named(&forwarded).to_string(), "7.77");
        assert!(forwarded.header("Date").is_some());
    });
}

#[test]
fn positions_rise_with_changes() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        let mut ask = |request: &str| {
            client.send(request.as_bytes());
            named(&client.answer())
        };
        assert_eq!(ask(ALIVE), Position::START);
        let (credential, key_id) = issue(&fixture.engine, None);
        let verify = request("", &of(&credential));
        let issued = ask(&verify);
        assert_eq!(issued.sequence, Sequence(1));
        assert_eq!(ask(&verify), issued, "nothing has changed");
        revoke(&fixture.engine, key_id);
        assert_eq!(ask(&verify).sequence, Sequence(2));
        assert_eq!(ask(ALIVE).sequence, Sequence(2));
    });
}

#[test]
fn what_is_shown_already_costs_no_wait() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, _) = issue(&fixture.engine, None);
        let head = fixture.engine.committed();
        for demanded in [Position::START, head] {
            let fields = demanding(&demanded.to_string());
            for request in [
                request(&fields, &of(&credential)),
                request(&fields.to_lowercase(), &of(&credential)),
            ] {
                let answer = fixture.ask(&request);
                assert_eq!(answer.status, 200, "{}", answer.head);
                assert!(answer.text().contains(r#""is_valid":true"#));
            }
            assert_eq!(fixture.ask(&post(&fields, "")).status, 201);
        }
        fixture.fleet.await_waiting(0);
    });
}

#[test]
fn a_demand_that_is_no_position_is_refused_and_the_connection_goes_on() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, _) = issue(&fixture.engine, None);
        let mut client = fixture.connect();
        for fields in [
            demanding("42"),
            demanding("1.-1"),
            demanding(""),
            demanding("1.0, 1.0"),
            demanding("1.0") + &demanding("1.0"),
        ] {
            for request in [request(&fields, &of(&credential)), post(&fields, "{}")] {
                client.send(request.as_bytes());
                let answer = client.answer();
                assert_eq!(
                    (answer.status, answer.reason()),
                    (400, "BAD_REQUEST".to_owned())
                );
                assert!(
                    answer.text().contains("EPOCH.SEQUENCE"),
                    "{}",
                    answer.text()
                );
            }
        }
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200);
    });
}

/// A client that has asked for `position` on every kind of route, one connection each.
fn asking(fixture: &Fixture, position: Position, credential: &str) -> Vec<Connection> {
    let fields = demanding(&position.to_string());
    let batch = format!(r#"{{"requests":[{}]}}"#, of(credential));
    let requests = [
        request(&fields, &of(credential)),
        request(&fields, &batch).replace(":verify", ":batchVerify"),
        format!(
            "GET /verify HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {credential}\r\n{fields}\r\n"
        ),
        post(&fields, ""),
        post(&format!("{fields}X-Test: later\r\n"), ""),
    ];
    requests
        .map(|request| {
            let mut client = fixture.connect();
            client.send(request.as_bytes());
            client
        })
        .into()
}

#[test]
fn a_request_waits_for_its_position_while_others_are_served() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, key_id) = issue(&fixture.engine, None);
        // In memory before it is revoked.
        assert!(
            fixture
                .ask(&request("", &of(&credential)))
                .text()
                .contains("true")
        );
        let demanded = ahead(&fixture, 1);
        let mut waiting = asking(&fixture, demanded, &credential);
        fixture.fleet.await_waiting(waiting.len());
        assert_eq!(fixture.ask(ALIVE).status, 200, "the core goes on");
        revoke(&fixture.engine, key_id);
        fixture.fleet.release(&Ok(()));
        for (route, client) in waiting.iter_mut().enumerate() {
            let answer = client.answer();
            assert!(named(&answer) >= demanded);
            if route < 3 {
                assert_eq!(answer.status, 200);
                assert!(
                    answer.text().contains("REVOKED"),
                    "not the old state: {}",
                    answer.text()
                );
            } else {
                assert_eq!(answer.status, 201);
            }
        }
    });
}

#[test]
fn a_position_that_does_not_come_is_503_and_never_an_older_state() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, _) = issue(&fixture.engine, None);
        let demanded = ahead(&fixture, 1);
        let refused = |answer: &Answer, why: &str| {
            assert_eq!(answer.status, 503, "{}", answer.text());
            assert_eq!(answer.reason(), "SERVICE_UNAVAILABLE");
            assert!(answer.header("Retry-After").is_some());
            assert!(answer.text().contains(why), "{}", answer.text());
        };
        // The time runs out.
        for client in &mut asking(&fixture, demanded, &credential) {
            refused(&client.answer(), &demanded.to_string());
            client.send(ALIVE.as_bytes());
            assert_eq!(client.answer().status, 200, "the connection goes on");
        }
        fixture.fleet.release(&Ok(()));
        // The node says why not.
        let mut waiting = asking(&fixture, demanded, &credential);
        fixture.fleet.await_waiting(waiting.len());
        fixture
            .fleet
            .release(&Err(ApiError::service_unavailable("a copy has begun")));
        for client in &mut waiting {
            refused(&client.answer(), "a copy has begun");
        }
        // It says that it has come there, and has not.
        let mut waiting = asking(&fixture, demanded, &credential);
        fixture.fleet.await_waiting(waiting.len());
        fixture.fleet.release(&Ok(()));
        for client in &mut waiting {
            refused(&client.answer(), &demanded.to_string());
        }
    });
}

#[test]
fn pipelined_requests_wait_in_their_order() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (credential, key_id) = issue(&fixture.engine, None);
        let demanded = ahead(&fixture, 1);
        let verify = request(&demanding(&demanded.to_string()), &of(&credential));
        let mut client = fixture.connect();
        let requests = [ALIVE, &verify, ALIVE, &verify].concat();
        client.send(requests.as_bytes());
        assert_eq!(
            client.answer().text(),
            r#"{"status":"ok"}"#,
            "before the wait"
        );
        fixture.fleet.await_waiting(1);
        revoke(&fixture.engine, key_id);
        fixture.fleet.release(&Ok(()));
        for expected in ["REVOKED", r#"{"status":"ok"}"#, "REVOKED"] {
            let answer = client.answer();
            assert!(answer.text().contains(expected), "{}", answer.text());
        }
    });
}

#[test]
fn a_node_that_is_not_ready_says_so() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let ready = ALIVE.replace("alive", "ready");
        assert_eq!(fixture.ask(&ready).status, 200);
        fixture.fleet.set_unready();
        let answer = fixture.ask(&ready);
        assert_eq!(answer.status, 503);
        // Anybody may ask here, so the reason is on the metrics port.
        let text = answer.text();
        assert!(
            text.contains("not ready") && !text.contains("far behind"),
            "{text}"
        );
        assert_eq!(fixture.ask(ALIVE).status, 200);
    });
}

//! Requests as TCP may deliver them: together, and split anywhere.

use crate::support::{ALIVE, Answer, Fixture, both_drivers, post};

fn without_changing_fields(answer: Answer) -> (u16, Vec<u8>) {
    assert!(
        answer.header("Date").is_some_and(|date| date.len() == 29),
        "{}",
        answer.head
    );
    assert!(answer.header("X-Request-Id").is_some(), "{}", answer.head);
    (answer.status, answer.body)
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        // Hot, control and unknown in one segment; the control plane answers from another thread.
        let mut requests = String::new();
        for n in 0..50 {
            requests += ALIVE;
            requests += &post("X-Test: later\r\n", &n.to_string());
            requests += "GET /nowhere HTTP/1.1\r\nHost: h\r\n\r\n";
        }
        client.send(requests.as_bytes());
        for n in 0..50 {
            assert_eq!(client.answer().text(), r#"{"status":"ok"}"#);
            assert!(client.answer().text().ends_with(&format!("\n{n}")));
            assert_eq!(client.answer().status, 404);
        }
        client.finish_sending();
        assert!(client.is_closed());
    });
}

#[test]
fn many_pipelined_requests_are_answered_in_bounded_batches() {
    const COUNT: usize = 5000;
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        let mut sender = client.sender();
        let writer = std::thread::spawn(move || {
            std::io::Write::write_all(&mut sender, ALIVE.repeat(COUNT).as_bytes()).unwrap();
        });
        for _ in 0..COUNT {
            assert_eq!(client.answer().status, 200);
        }
        writer.join().unwrap();
        assert_eq!(
            fixture.total(|core| core.requests.alive.of(200).get()),
            COUNT as u64
        );
    });
}

#[test]
fn two_requests_split_at_every_byte_are_answered_alike() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let chunked = "POST /v2alpha1/admin/issuedApiKeys?q HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nX-Request-Id: 7\r\nTransfer-Encoding: chunked\r\n\r\n\
             3;x\r\nabc\r\n2\r\nde\r\n0\r\nT: t\r\n\r\n";
        let bytes = format!(
            "{}{chunked}{ALIVE}",
            post("X-Request-Id: 6\r\n", "{\"a\":1}")
        );
        let bytes = bytes.as_bytes();
        let mut client = fixture.connect();
        client.send(bytes);
        let expected: Vec<_> = (0..3)
            .map(|_| without_changing_fields(client.answer()))
            .collect();
        assert!(expected[0].1.ends_with(b"\n{\"a\":1}"));
        assert!(expected[1].1.ends_with(b"\nabcde"));
        for at in 1..bytes.len() {
            // On the same connection, so that what one split leaves behind would spoil the next.
            client.send(&bytes[..at]);
            std::thread::yield_now();
            if at % 16 == 0 {
                // Give the server the time to see this split as one, at least sometimes.
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            client.send(&bytes[at..]);
            for expected in &expected {
                assert_eq!(
                    &without_changing_fields(client.answer()),
                    expected,
                    "split at {at}"
                );
            }
        }
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        for byte in post("", "body").bytes() {
            client.send(&[byte]);
            std::thread::sleep(std::time::Duration::from_micros(300));
        }
        assert!(client.answer().text().ends_with("\nbody"));
    });
}

#[test]
fn http_1_0_closes_unless_asked_to_stay() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(b"GET /health/alive HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(client.answer().header("Connection"), Some("keep-alive"));
        client.send(b"GET /health/alive HTTP/1.0\r\n\r\n");
        let answer = client.answer();
        assert_eq!(
            (answer.status, answer.header("Connection")),
            (200, Some("close"))
        );
        assert!(client.is_closed());
    });
}

#[test]
fn a_client_may_say_that_it_is_done() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(
            format!(
                "{ALIVE}GET /health/alive HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n{ALIVE}"
            )
            .as_bytes(),
        );
        assert_eq!(client.answer().header("Connection"), None);
        assert_eq!(client.answer().header("Connection"), Some("close"));
        assert!(client.is_closed(), "the third request comes after the last");

        // Half-closed: the answers still come.
        let mut client = fixture.connect();
        client.send(post("X-Test: later\r\n", "x").as_bytes());
        client.finish_sending();
        assert_eq!(client.answer().status, 201);
        assert!(client.is_closed());

        // Gone in the middle of a request: nothing to answer.
        let mut client = fixture.connect();
        client.send(b"GET /hea");
        client.finish_sending();
        assert!(client.is_closed());
    });
}

#[test]
fn head_has_the_length_of_the_body_and_no_body() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        client.send(b"HEAD /health/alive HTTP/1.1\r\nHost: h\r\n\r\nHEAD /nowhere HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(b"HEAD /version HTTP/1.1\r\nHost: h\r\n\r\n");
        client.send(ALIVE.as_bytes());
        assert_eq!(
            client.answer_to("HEAD").header("Content-Length"),
            Some("15")
        );
        assert_eq!(client.answer_to("HEAD").status, 404);
        assert_eq!(client.answer_to("HEAD").status, 201);
        assert_eq!(client.answer().text(), r#"{"status":"ok"}"#);
    });
}

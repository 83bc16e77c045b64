//! Clients that are too slow. Nothing here measures time: each case waits for what must come.

use std::time::Duration;

use crate::support::{ALIVE, Connection, ECHO, Fixture, both_drivers, eventually, post};

const SHORT: Duration = Duration::from_millis(300);

#[test]
fn a_slow_head_is_408() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| deadlines.head = SHORT);
        let mut client = fixture.connect();
        client.send(format!("{ALIVE}GET /health/al").as_bytes());
        assert_eq!(client.answer().status, 200);
        let answer = client.answer();
        assert_eq!((answer.status, &*answer.reason()), (408, "REQUEST_TIMEOUT"));
        assert_eq!(answer.header("Connection"), Some("close"));
        assert!(client.is_closed());
        assert_eq!(fixture.total(|core| core.timeouts.head.get()), 1);
    });
}

#[test]
fn a_head_that_trickles_in_is_408() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| deadlines.head = SHORT);
        let mut client = fixture.connect();
        client.send(b"GET /health/alive HTTP/1.1\r\nHost: h\r\n");
        // Every byte comes in time for an idle connection, but the head as a whole does not.
        let trickle = |client: &mut Connection| {
            client.send(b"X: y\r\n");
            std::thread::sleep(Duration::from_millis(20));
        };
        while fixture.total(|core| core.timeouts.head.get()) == 0 {
            trickle(&mut client);
        }
        // What is on its way when the server gives up is no reason to reset the connection.
        for _ in 0..10 {
            trickle(&mut client);
        }
        assert_eq!(client.answer().status, 408);
        trickle(&mut client);
        client.finish_sending();
        assert!(client.is_closed());
    });
}

#[test]
fn every_head_has_its_own_deadline() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| {
            deadlines.head = Duration::from_secs(2);
        });
        let mut client = fixture.connect();
        let (first, second) = ALIVE.split_at(10);
        client.send(first.as_bytes());
        // The server has seen the first half once it has answered somebody who came later.
        assert_eq!(fixture.ask(ALIVE).status, 200);
        client.send(second.as_bytes());
        assert_eq!(client.answer().status, 200);
        // Now the deadline of the first head passes.
        assert!(fixture.connect().is_closed());
        client.send(first.as_bytes());
        std::thread::sleep(3 * talos_server::limits::TICK);
        client.send(second.as_bytes());
        assert_eq!(client.answer().status, 200);
    });
}

#[test]
fn a_slow_body_is_408() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| deadlines.body = SHORT);
        for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
            let mut client = fixture.connect();
            client.send(
                format!(
                    "POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nX-Request-Id: i\r\n{framing}\r\n\r\n5\r\nab"
                )
                .as_bytes(),
            );
            let answer = client.answer();
            assert_eq!(
                (answer.status, answer.header("X-Request-Id")),
                (408, Some("i"))
            );
            assert!(client.is_closed());
        }
        assert_eq!(fixture.total(|core| core.timeouts.body.get()), 2);
    });
}

#[test]
fn a_body_that_trickles_in_is_408() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| deadlines.body_pace = SHORT);
        for (framing, piece) in [
            ("Content-Length: 1000000", "x"),
            ("Transfer-Encoding: chunked", "1\r\nx\r\n"),
        ] {
            let before = fixture.total(|core| core.timeouts.body.get());
            let mut client = fixture.connect();
            client.send(format!("POST {ECHO} HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n").as_bytes());
            while fixture.total(|core| core.timeouts.body.get()) == before {
                client.send(piece.as_bytes());
                std::thread::sleep(Duration::from_millis(20));
            }
            assert_eq!(client.answer().status, 408);
            client.finish_sending();
            assert!(client.is_closed());
        }
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| {
            deadlines.idle = SHORT;
            deadlines.head = SHORT;
        });
        let mut silent = fixture.connect();
        let mut client = fixture.connect();
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200);
        assert!(client.is_closed());
        assert!(silent.is_closed(), "one that never said a word");
        assert_eq!(fixture.total(|core| core.timeouts.idle.get()), 2);
    });
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| deadlines.write = SHORT);
        let client = fixture.connect();
        let mut stream = client.sender();
        let request = post("", &"x".repeat(1_000_000));
        // Answers as large as the requests fill all buffers on the way back.
        let writer = std::thread::spawn(move || {
            while std::io::Write::write_all(&mut stream, request.as_bytes()).is_ok() {}
        });
        eventually("the write times out", || {
            fixture.total(|core| core.timeouts.write.get()) == 1
        });
        writer.join().unwrap();
        eventually("the connection is gone", || {
            fixture.total(|core| core.connections_open.get()) == 0
        });
        assert_eq!(fixture.ask(ALIVE).status, 200);
    });
}

#[test]
fn a_slow_answer_of_the_control_plane_is_no_timeout() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| {
            *deadlines = talos_server::Deadlines {
                idle: SHORT,
                head: SHORT,
                body: SHORT,
                body_pace: SHORT,
                write: SHORT,
                linger: SHORT,
            };
        });
        let mut client = fixture.connect();
        client.send(post("X-Test: hold\r\n", "").as_bytes());
        fixture.control.await_held(1);
        // An idle connection beside it shows that deadlines have passed meanwhile.
        assert!(fixture.connect().is_closed());
        fixture.control.release();
        assert_eq!(client.answer().status, 201);
    });
}

//! Bodies: lengths, chunks, expectations and bounds.

use std::fmt::Write;

use crate::support::{ALIVE, ECHO, Fixture, both_drivers, eventually, post};
use talos_server::limits;

#[test]
fn a_body_over_the_limit_is_refused_and_the_client_sees_it() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let big = "x".repeat(2 * limits::BODY_BYTES);
        let mut client = fixture.connect();
        client.send(post("", &big).as_bytes());
        let answer = client.answer();
        assert_eq!(
            (answer.status, &*answer.reason()),
            (413, "PAYLOAD_TOO_LARGE")
        );
        assert!(client.is_closed());

        // In chunks nobody knows beforehand.
        let mut client = fixture.connect();
        client.send(
            format!("POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
                .as_bytes(),
        );
        for _ in 0..32 {
            client.send(format!("10000\r\n{}\r\n", "x".repeat(0x10000)).as_bytes());
        }
        assert_eq!(client.answer().status, 413);
        assert!(client.is_closed());

        // The next connection is served.
        assert_eq!(fixture.ask(ALIVE).status, 200);
    });
}

#[test]
fn a_body_at_the_limit_arrives_whole() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let body: String = ('a'..='w').cycle().take(limits::BODY_BYTES).collect();
        let mut client = fixture.connect();
        client.send(post("", &body).as_bytes());
        assert!(client.answer().text().ends_with(&format!("\n{body}")));
        let mut chunked = format!(
            "POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        );
        for piece in body.as_bytes().chunks(9999) {
            write!(
                chunked,
                "{:x}\r\n{}\r\n",
                piece.len(),
                std::str::from_utf8(piece).unwrap()
            )
            .unwrap();
        }
        chunked.push_str("0\r\n\r\n");
        client.send(chunked.as_bytes());
        assert!(client.answer().text().ends_with(&format!("\n{body}")));
        // Buffers that grew are given back, and the connection goes on.
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200);
    });
}

#[test]
fn bad_chunks_are_refused() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        for body in [
            "+1\r\nx\r\n0\r\n\r\n",
            "1\nx\r\n0\r\n\r\n",
            "1;a\nb\r\nx\r\n0\r\n\r\n",
            "1\r\nxyz\r\n0\r\n\r\n",
            "g\r\n",
        ] {
            let mut client = fixture.connect();
            client.send(
                format!("POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nX-Request-Id: i\r\nTransfer-Encoding: chunked\r\n\r\n{body}{ALIVE}")
                    .as_bytes(),
            );
            let answer = client.answer();
            assert_eq!(
                (answer.status, answer.header("X-Request-Id")),
                (400, Some("i")),
                "{body:?}"
            );
            assert!(client.is_closed(), "{body:?}");
        }
    });
}

#[test]
fn a_client_is_told_to_go_on_only_if_that_has_a_prospect() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let expecting = |path: &str, framing: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n{framing}\r\n\r\n"
            )
        };
        for (framing, body) in [
            ("Content-Length: 3", "abc"),
            ("Transfer-Encoding: chunked", "3\r\nabc\r\n0\r\n\r\n"),
        ] {
            let mut client = fixture.connect();
            client.send(expecting(ECHO, framing).as_bytes());
            assert_eq!(client.answer().head, "HTTP/1.1 100 Continue\r\n\r\n");
            assert!(client.hears_nothing());
            client.send(body.as_bytes());
            let answer = client.answer();
            assert_eq!(answer.status, 201);
            assert!(answer.text().ends_with("\nabc"));
            // With the body there is nothing to wait for.
            client.send(format!("{}{body}", expecting(ECHO, framing)).as_bytes());
            assert_eq!(client.answer().status, 201);
        }
        for (path, framing, status) in [
            ("/nowhere", "Content-Length: 3", 404),
            ("/health/alive", "Content-Length: 3", 405),
            (ECHO, "Content-Length: 1048577", 413),
        ] {
            let mut client = fixture.connect();
            client.send(expecting(path, framing).as_bytes());
            let answer = client.answer();
            assert_eq!(
                (answer.status, answer.header("Connection")),
                (status, Some("close")),
                "{path}"
            );
            assert!(client.is_closed());
        }
        // Nothing to expect without a body.
        assert_eq!(
            fixture.ask(&expecting(ECHO, "Content-Length: 0")).status,
            201
        );
    });
}

#[test]
fn large_bodies_share_a_bound() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.memory_bytes = 300_000);
        let begin = |body: &str, sent: usize| {
            let mut client = fixture.connect();
            let request = post("", body);
            let (first, rest) = request.split_at(request.len() - body.len() + sent);
            client.send(first.as_bytes());
            (client, rest.to_owned())
        };
        let large = "x".repeat(200_000);
        let (mut first, rest) = begin(&large, 190_000);
        eventually("most of the first body has arrived", || {
            fixture.total(|core| core.memory_bytes.get()) > 190_000
        });
        let (mut second, _) = begin(&large, 190_000);
        let answer = second.answer();
        assert_eq!(
            (answer.status, answer.header("Retry-After")),
            (503, Some("1"))
        );
        assert!(second.is_closed());
        // Small ones have their place, whatever the large ones take.
        let (mut small, _) = begin(&"x".repeat(60_000), 60_000);
        assert_eq!(small.answer().status, 201);
        first.send(rest.as_bytes());
        assert_eq!(first.answer().status, 201);
        let (second, _) = begin(&large, 190_000);
        eventually("the first has given back what it took", || {
            fixture.total(|core| core.memory_bytes.get()) > 190_000
        });
        drop(second);
        eventually("a client that left gives it back, too", || {
            let (mut third, _) = begin(&large, 200_000);
            third.answer().status == 201
        });
    });
}

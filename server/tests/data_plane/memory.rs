//! The memory that clients can make a core hold.

use std::time::Duration;

use talos_api::route::{BATCH_IMPORT_PATHS, Surface};
use talos_model::IssueKey;
use talos_server::limits;
use talos_test_kit::engine::{issue, new_key};

use crate::support::{ALIVE, Connection, ECHO, Fixture, both_drivers, eventually, post};

const KIB: u64 = 1024;

/// The memory that the only core holds, in bytes.
fn held(client: &mut Connection) -> u64 {
    client.send(post("X-Test: memory\r\n", "").as_bytes());
    client.answer().text().parse().unwrap()
}

fn import(fields: &str) -> String {
    let path = BATCH_IMPORT_PATHS[0];
    format!("POST {path} HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n")
}

#[test]
fn a_large_request_leaves_no_memory_with_its_connection() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut watcher = fixture.connect();
        let before = held(&mut watcher);
        let length = limits::BATCH_BODY_BYTES;
        let sized = import(&format!("X-Test: drop\r\nContent-Length: {length}"));
        let sized = sized + &"x".repeat(length);
        let chunked = import("X-Test: drop\r\nTransfer-Encoding: chunked");
        let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
        let chunked = format!("{chunked}{}0\r\n\r\n", chunk.repeat(8));
        // 24 requests in one: the buffer holds many of them at once.
        let pipelined = ALIVE.repeat(24);
        let mut clients = Vec::new();
        for request in [sized, chunked, pipelined] {
            let mut client = fixture.connect();
            // The beginning of another request comes together with the end of this one.
            client.send(format!("{request}G").as_bytes());
            for _ in 0..request.matches("HTTP/1.1\r\n").count() {
                client.answer();
            }
            clients.push(client);
        }
        let after = held(&mut watcher);
        assert!(after < before + 256 * KIB, "{before} and then {after}");
        // Also while a later request waits for another thread.
        let small = post("X-Test: hold\r\n", "");
        for client in &mut clients {
            client.send(small.replacen("POST", "ET", 1).as_bytes());
        }
        fixture.control.await_held(clients.len());
        let after = held(&mut watcher);
        fixture.control.release();
        for client in &mut clients {
            assert_eq!(client.answer().status, 201);
        }
        assert!(after < before + 256 * KIB, "{before} and then {after}");
        eventually("the counters agree", || {
            fixture.total(|core| core.memory_bytes.get()) < 256 * KIB
        });
    });
}

#[test]
fn a_large_body_is_not_read_where_no_route_takes_it() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            options.listeners[0].surface = Surface::Public;
        });
        for (head, status) in [
            (import("Content-Length: 8388608"), 404),
            (import("Content-Length: 20000"), 404),
            (import("Transfer-Encoding: chunked"), 413),
            (
                import("Content-Length: 8388608").replace("POST", "BREW"),
                404,
            ),
            (
                import("Content-Length: 20000").replace(BATCH_IMPORT_PATHS[0], "/health/alive"),
                405,
            ),
        ] {
            let mut client = fixture.connect();
            client.send(head.as_bytes());
            if status == 413 {
                let chunk = format!("8000\r\n{}", "x".repeat(0x8000));
                client.send(chunk.as_bytes());
            }
            let answer = client.answer();
            assert_eq!(
                (answer.status, answer.header("Connection")),
                (status, Some("close")),
                "{head}"
            );
        }
        // A short body for an unknown route does not end the connection.
        let mut client = fixture.connect();
        let short = import("Content-Length: 3").replace(BATCH_IMPORT_PATHS[0], ECHO);
        client.send(short.as_bytes());
        client.send(b"abc");
        assert_eq!(client.answer().status, 404);
        client.send(ALIVE.as_bytes());
        assert_eq!(client.answer().status, 200);
    });
}

#[test]
fn a_body_takes_memory_as_it_arrives() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| options.memory_bytes = 512 << 10);
        let announce = |framing: &str| {
            let mut client = fixture.connect();
            client.send(format!("{}1", post_head(framing)).as_bytes());
            client
        };
        let _announced: Vec<_> = (0..32)
            .flat_map(|_| ["Transfer-Encoding: chunked", "Content-Length: 1048576"])
            .map(announce)
            .collect();
        eventually("all of them are read", || {
            fixture.total(|core| core.connections_open.get()) == 64
        });
        let body = "x".repeat(200_000);
        assert_eq!(fixture.ask(&post("", &body)).status, 201);
        let chunked = post_head("Transfer-Encoding: chunked");
        let chunked = format!("{chunked}30d40\r\n{body}\r\n0\r\n\r\n");
        assert_eq!(fixture.ask(&chunked).status, 201);
    });
}

#[test]
fn bodies_that_stall_make_room_for_others() {
    both_drivers(|driver| {
        let fixture = Fixture::with(driver, |options| {
            options.memory_bytes = 512 << 10;
            options.deadlines.body_pace = Duration::from_secs(600);
            options.deadlines.body = Duration::from_secs(600);
        });
        let stalled = |framing: &str, begin: &str| {
            let mut client = fixture.connect();
            client.send(format!("{}{begin}", post_head(framing)).as_bytes());
            client.send("x".repeat(250_000).as_bytes());
            client
        };
        let _clients = [
            stalled("Transfer-Encoding: chunked", "80000\r\n"),
            stalled("Content-Length: 1000000", ""),
        ];
        eventually("both have arrived", || {
            fixture.total(|core| core.memory_bytes.get()) >= 480_000
        });
        let request = post("", &"x".repeat(200_000));
        eventually("one of them is ended", || {
            let answer = fixture.ask(&request);
            answer.status == 201
        });
        eventually("it is told so", || {
            fixture.total(|core| core.requests.malformed.of(408).get()) > 0
        });
    });
}

#[test]
fn answers_that_nobody_reads_share_a_bound() {
    both_drivers(|driver| {
        let budget = 2048 * KIB;
        let fixture = Fixture::with(driver, |options| options.memory_bytes = 2 << 20);
        let mut watcher = fixture.connect();
        let before = held(&mut watcher);
        // Enough to fill all buffers of the kernel.
        let request = post("X-Test: large\r\n", "").replace("POST", "GET");
        let _clients: Vec<_> = (0..10)
            .map(|_| {
                let mut client = fixture.connect();
                client.send(request.repeat(24).as_bytes());
                client
            })
            .collect();
        eventually("some of them are refused or ended", || {
            let (all, open) = (
                fixture.total(|core| core.connections.get()),
                fixture.total(|core| core.connections_open.get()),
            );
            let memory = fixture.total(|core| core.memory_bytes.get());
            let is_ended = all == 11 && open < 11 && open > 0;
            fixture.total(|core| core.overloads.get()) > 0 || is_ended || memory > 2 * budget
        });
        let after = held(&mut watcher);
        assert!(
            after < before + budget + 1024 * KIB,
            "{before} and then {after}"
        );
        eventually("a client that reads is answered", || {
            fixture.ask(&request).status == 200
        });
    });
}

#[test]
fn the_results_of_a_batch_have_a_bound() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let metadata = format!(r#"{{"x":"{}"}}"#, "y".repeat(60_000));
        let key = IssueKey {
            metadata,
            ..new_key("n")
        };
        let (_, key) = issue(&fixture.engine, key);
        let requests = vec![format!(r#"{{"credential":"{key}"}}"#); 100].join(",");
        let body = format!(r#"{{"requests":[{requests}]}}"#);
        let path = "/v2alpha1/admin/apiKeys:batchVerify";
        let answer = fixture.connect().call("POST", path, &[], body.as_bytes());
        assert_eq!(answer.status, 200);
        let most = limits::BATCH_ANSWER_BYTES;
        assert!(answer.body.len() < most + 32 * 1024);
        let results = answer.json()["results"].clone();
        let results = results.as_array().unwrap();
        let valid = results
            .iter()
            .take_while(|result| result["is_valid"] == true)
            .count();
        assert!((most / 60_400..=most / 60_000).contains(&valid), "{valid}");
        for result in &results[valid..] {
            assert_eq!(result["error_code"], "VERIFICATION_ERROR_ANSWER_TOO_LARGE");
        }
    });
}

fn post_head(framing: &str) -> String {
    format!(
        "POST {ECHO} HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n{framing}\r\n\r\n"
    )
}

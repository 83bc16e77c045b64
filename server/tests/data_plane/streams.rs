//! Answers that come in parts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use talos_api::control::Chunk;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use crate::support::{ALIVE, Connection, Fixture, both_drivers, eventually, post};

fn send(stream: &Sender<Chunk>, text: &str) {
    stream
        .blocking_send(Chunk::Bytes(text.as_bytes().to_vec()))
        .unwrap();
}

fn begin(fixture: &Fixture, script: &str) -> (Connection, Sender<Chunk>) {
    let mut client = fixture.connect();
    client.send(post(&format!("X-Test: {script}\r\n"), "").as_bytes());
    let answer = client.answer();
    assert_eq!(
        (answer.status, answer.header("Transfer-Encoding")),
        (200, Some("chunked"))
    );
    assert_eq!(answer.header("Content-Length"), None);
    assert_eq!(client.chunk(), b"first");
    (client, fixture.control.last_stream())
}

#[test]
fn parts_come_one_by_one_and_the_next_request_waits_for_the_last() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (mut client, stream) = begin(&fixture, "file");
        client.send(ALIVE.as_bytes());
        for text in ["a", "bc", &"d".repeat(100_000)] {
            assert!(client.hears_nothing());
            send(&stream, text);
            assert_eq!(client.chunk(), text.as_bytes());
        }
        // An empty part is no end.
        send(&stream, "");
        send(&stream, "e");
        assert_eq!(client.chunk(), b"e");
        stream.blocking_send(Chunk::End).unwrap();
        assert_eq!(client.chunk(), b"");
        assert_eq!(client.answer().status, 200);
        assert!(stream.is_closed());
    });
}

#[test]
fn an_old_client_gets_the_parts_as_they_are() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        for fields in ["", "Connection: keep-alive\r\n"] {
            let mut client = fixture.connect();
            let head = post(&format!("X-Test: feed\r\n{fields}"), "");
            client.send(head.replace("HTTP/1.1", "HTTP/1.0").as_bytes());
            let answer = client.head();
            assert_eq!(answer.header("Transfer-Encoding"), None);
            assert_eq!(answer.header("Connection"), Some("close"));
            let stream = fixture.control.last_stream();
            send(&stream, " second");
            stream.blocking_send(Chunk::End).unwrap();
            assert_eq!(client.all(), b"first second");
        }
    });
}

#[test]
fn head_gets_no_part_and_the_connection_goes_on() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let mut client = fixture.connect();
        let head = post("X-Test: feed\r\n", "").replace("POST", "HEAD");
        client.send(format!("{head}{ALIVE}").as_bytes());
        let answer = client.answer_to("HEAD");
        assert_eq!(answer.header("Transfer-Encoding"), Some("chunked"));
        assert_eq!(client.answer().status, 200);
        assert!(fixture.control.last_stream().is_closed());
    });
}

#[test]
fn a_stream_that_breaks_is_seen_not_to_be_whole() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        for breaks in [Some(Chunk::Broken), None] {
            let (mut client, stream) = begin(&fixture, "file");
            send(&stream, "second");
            assert_eq!(client.chunk(), b"second");
            if let Some(part) = breaks {
                stream.blocking_send(part).unwrap();
            }
            drop(stream);
            assert_eq!(client.all(), b"", "no last chunk");
        }
    });
}

#[test]
fn a_client_that_leaves_ends_its_stream_although_nothing_is_sent() {
    both_drivers(|driver| {
        let fixture = Fixture::new(driver);
        let (client, stream) = begin(&fixture, "feed");
        assert!(!stream.is_closed());
        drop(client);
        eventually("the stream is given up", || stream.is_closed());
        eventually("the connection is gone", || {
            fixture.total(|core| core.connections_open.get()) == 0
        });
    });
}

#[test]
fn a_client_that_does_not_read_stops_the_stream_and_is_cut() {
    both_drivers(|driver| {
        let fixture = Fixture::with_deadlines(driver, |deadlines| {
            deadlines.write = Duration::from_secs(1);
        });
        let (_client, stream) = begin(&fixture, "file");
        let sent = AtomicUsize::new(0);
        eventually("it is cut", || {
            loop {
                match stream.try_send(Chunk::Bytes(vec![b'x'; 256 * 1024])) {
                    Ok(()) => sent.fetch_add(1, Ordering::Relaxed),
                    Err(TrySendError::Full(_)) => return false,
                    Err(TrySendError::Closed(_)) => return true,
                };
            }
        });
        assert_eq!(fixture.total(|core| core.timeouts.write.get()), 1);
        // 50 MiB: the kernel keeps some for both ends of the connection, the server one part.
        assert!(sent.into_inner() < 200);
        assert_eq!(fixture.ask(ALIVE).status, 200);
    });
}

#[test]
fn a_drain_ends_streams_at_once() {
    both_drivers(|driver| {
        let mut fixture = Fixture::new(driver);
        let (mut feed, _feed) = begin(&fixture, "feed");
        let (mut file, _file) = begin(&fixture, "file");
        let (_unread, unread) = begin(&fixture, "file");
        // The third client does not read, so that its stream is drained in the midst of a write.
        eventually("a write that cannot go on", || {
            while unread
                .try_send(Chunk::Bytes(vec![b'x'; 256 * 1024]))
                .is_ok()
            {}
            std::thread::sleep(Duration::from_millis(50));
            unread.capacity() == 0
        });
        fixture.server().handle().drain(Duration::from_secs(600));
        assert_eq!(feed.chunk(), b"", "a feed ends anywhere");
        assert!(feed.is_closed());
        assert_eq!(file.all(), b"", "a file does not");
        fixture.server.take().unwrap().join().unwrap();
        assert!(unread.is_closed());
    });
}

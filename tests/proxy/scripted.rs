//! A server whose answers a scenario chooses, and which records its requests.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::harness::site::Server;

use super::command;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    /// The request line and the headers.
    pub head: String,
    /// The body; with its chunk sizes, if it came in chunks.
    pub body: Vec<u8>,
}

impl Received {
    /// The values of a header, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    /// The first line.
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }
}

/// The server. Its threads run until the process ends.
pub struct Scripted {
    /// Where it listens.
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Scripted {
    /// Answers every request with the bytes that `answer` returns; an empty answer closes the
    /// connection.
    pub fn start(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start_over(|stream| stream, answer)
    }

    /// Does so over the stream that `wrap` makes of each connection.
    pub fn start_over<S: Read + Write + 'static>(
        wrap: impl Fn(TcpStream) -> S + Send + Sync + 'static,
        answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let scripted = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
        };
        let (received, answer) = (Arc::clone(&scripted.received), Arc::new(answer));
        let wrap = Arc::new(wrap);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (received, answer) = (Arc::clone(&received), Arc::clone(&answer));
                let wrap = Arc::clone(&wrap);
                thread::spawn(move || serve(wrap(stream.unwrap()), &received, &*answer));
            }
        });
        scripted
    }

    /// All requests so far, except health checks.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Starts a proxy in front of this server.
    pub fn proxy(&self, arguments: &[&str]) -> (Server, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let command = command(&format!("http://{}", self.address), arguments);
        let proxy = Server::start(command, directory.path().join("proxy.log"));
        (proxy, directory)
    }
}

/// An answer with a JSON body.
pub fn json(status: u16, body: &str) -> Vec<u8> {
    with_headers(status, "", body)
}

/// An answer with a JSON body and further header lines, each with its line end.
pub fn with_headers(status: u16, lines: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    )
    .into_bytes()
}

fn serve(
    mut stream: impl Read + Write,
    received: &Mutex<Vec<Received>>,
    answer: &(dyn Fn(&Received) -> Vec<u8> + Send + Sync),
) {
    let mut unread = Vec::new();
    while let Some(request) = read(&mut stream, &mut unread) {
        let answer = if request.line() == "GET /health/ready HTTP/1.1" {
            json(200, "{}")
        } else {
            received.lock().unwrap().push(request.clone());
            answer(&request)
        };
        if answer.is_empty() || stream.write_all(&answer).is_err() {
            return;
        }
    }
}

/// Reads one request; `None` when the connection has ended.
pub fn read(stream: &mut impl Read, unread: &mut Vec<u8>) -> Option<Received> {
    let end = read_to(stream, unread, b"\r\n\r\n")?;
    let head = String::from_utf8(unread.drain(..end).collect()).unwrap();
    let mut request = Received {
        head,
        body: Vec::new(),
    };
    let length = request.values("content-length");
    let length = length.first().map(|value| value.parse().unwrap());
    let is_chunked = !request.values("transfer-encoding").is_empty();
    let end = match length {
        Some(length) => {
            while unread.len() < length {
                read_more(stream, unread)?;
            }
            length
        }
        None if is_chunked => read_to(stream, unread, b"0\r\n\r\n")?,
        None => 0,
    };
    request.body = unread.drain(..end).collect();
    Some(request)
}

/// Reads until `end` is in `unread`, and returns the place after it.
pub fn read_to(stream: &mut impl Read, unread: &mut Vec<u8>, end: &[u8]) -> Option<usize> {
    loop {
        let found = unread.windows(end.len()).position(|window| window == end);
        if let Some(start) = found {
            return Some(start + end.len());
        }
        read_more(stream, unread)?;
    }
}

fn read_more(stream: &mut impl Read, unread: &mut Vec<u8>) -> Option<()> {
    let mut chunk = [0; 16 << 10];
    let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
    unread.extend_from_slice(&chunk[..read]);
    Some(())
}

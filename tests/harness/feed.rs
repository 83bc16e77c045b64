//! A client of the feed of changes that parses the bytes itself.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;

use serde_json::Value;
use talos_test_kit::http::{Answer, Connection, request};

/// The path of the feed.
pub const CHANGES: &str = "/v2alpha1/admin/changes";

/// An open feed.
pub struct Feed {
    connection: Connection,
    /// Bytes that were read and are not a whole line yet.
    text: Vec<u8>,
    lines: VecDeque<String>,
    ended: bool,
    /// The last id received.
    pub place: Option<String>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its `id`.
    pub id: String,
    /// Its `event`.
    pub name: String,
    /// Its `data`.
    pub data: Value,
}

/// A block of a feed.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// An event.
    Event(Event),
    /// A block without data, as its lines.
    Other(Vec<String>),
}

impl Feed {
    /// Opens a feed with this query and these headers, and reads its first block.
    pub fn open(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> Self {
        let (answer, connection) = Self::ask(address, query, headers);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
        let mut feed = Self {
            connection,
            text: Vec::new(),
            lines: VecDeque::new(),
            ended: false,
            place: None,
        };
        let opening = feed.next().expect("an opening");
        assert!(matches!(opening, Item::Other(_)), "{opening:?}");
        feed
    }

    /// Requests a feed. Returns the head of the answer, and the connection to read the body from.
    pub fn ask(address: SocketAddr, query: &str, headers: &[(&str, &str)]) -> (Answer, Connection) {
        Self::ask_at(address, &format!("{CHANGES}?{query}"), headers)
    }

    /// Requests a path whose answer is chunked. Returns the head of the answer, and the connection
    /// to read the body from.
    pub fn ask_at(
        address: SocketAddr,
        path: &str,
        headers: &[(&str, &str)],
    ) -> (Answer, Connection) {
        let mut connection = Connection::open(address);
        connection.send(&request("GET", path, headers, b""));
        let head = connection.head();
        (head, connection)
    }

    /// The next event or other block; `None` at the end of the feed.
    pub fn next(&mut self) -> Option<Item> {
        let mut block = Vec::new();
        loop {
            match self.line() {
                None => {
                    assert!(block.is_empty(), "cut: {block:?}");
                    return None;
                }
                Some(line) if line.is_empty() => break,
                Some(line) => block.push(line),
            }
        }
        let field = |name: &str| {
            let mut values = block.iter().filter_map(|line| line.strip_prefix(name));
            let value = values.next().map(str::to_owned);
            assert!(values.next().is_none(), "{name} twice: {block:?}");
            value
        };
        if let Some(id) = field("id: ") {
            self.place = Some(id);
        }
        let Some(data) = field("data: ") else {
            return Some(Item::Other(block));
        };
        let event = Event {
            id: field("id: ").expect("an id"),
            name: field("event: ").expect("a name"),
            data: serde_json::from_str(&data).expect("JSON"),
        };
        assert_eq!(event.data["position"], event.id);
        assert_eq!(event.data["event"], event.name);
        Some(Item::Event(event))
    }

    /// The next event, which must come.
    pub fn event(&mut self) -> Event {
        loop {
            match self.next().expect("an event") {
                Item::Event(event) => return event,
                Item::Other(_) => {}
            }
        }
    }

    /// The next `count` events.
    pub fn events(&mut self, count: usize) -> Vec<Event> {
        (0..count).map(|_| self.event()).collect()
    }

    fn line(&mut self) -> Option<String> {
        while self.lines.is_empty() {
            if self.ended {
                return None;
            }
            let chunk = self.connection.chunk();
            self.ended = chunk.is_empty();
            self.text.extend(chunk);
            let whole = self.text.iter().rposition(|byte| *byte == b'\n');
            let whole: Vec<u8> = self.text.drain(..whole.map_or(0, |at| at + 1)).collect();
            let text = String::from_utf8(whole).unwrap();
            self.lines.extend(text.lines().map(str::to_owned));
        }
        self.lines.pop_front()
    }
}

/// The lines that a command writes.
pub fn lines(output: impl Read) -> impl Iterator<Item = String> {
    BufReader::new(output).lines().map(|line| line.unwrap())
}

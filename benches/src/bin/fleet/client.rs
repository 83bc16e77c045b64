//! A blocking HTTP client.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

/// A keep-alive connection to a server.
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A complete answer.
pub struct Answer {
    pub status: u16,
    pub position: Option<String>,
    pub body: Value,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        stream.set_nodelay(true).expect("no delay");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub fn get(&mut self, path: &str) -> Answer {
        self.ask("GET", path, "", "")
    }

    pub fn post(&mut self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, "", body)
    }

    /// Sends a request. `fields` are header lines, each with its line end.
    pub fn ask(&mut self, method: &str, path: &str, fields: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.stream
            .write_all(request.as_bytes())
            .expect("a request");
        self.buffer.clear();
        let mut piece = [0; 16 << 10];
        loop {
            let count = self.stream.read(&mut piece).expect("an answer");
            assert!(count > 0, "the connection was closed");
            self.buffer.extend_from_slice(&piece[..count]);
            if let Some(answer) = parse(&self.buffer) {
                return answer;
            }
        }
    }

    /// Whether the node accepts a credential. With `position`, the node answers as soon as it has
    /// reached that position. `None` if it answers with another status than 200.
    pub fn accepts(&mut self, credential: &str, position: Option<&str>) -> Option<bool> {
        let field = position.map(|position| format!("Talos-Min-Position: {position}\r\n"));
        let body = format!(r#"{{"credential":"{credential}"}}"#);
        let path = "/v2alpha1/admin/apiKeys:verify";
        let answer = self.ask("POST", path, &field.unwrap_or_default(), &body);
        (answer.status == 200).then(|| answer.body["is_valid"] == true)
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).expect("a head");
    let field = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(": "));
        let mut found = fields.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.to_owned())
    };
    let length: usize = field("Content-Length")?.parse().expect("a length");
    let body = bytes.get(end + 4..end + 4 + length)?;
    Some(Answer {
        status: head[9..12].parse().expect("a status"),
        position: field("Talos-Position"),
        body: serde_json::from_slice(body).unwrap_or(Value::Null),
    })
}

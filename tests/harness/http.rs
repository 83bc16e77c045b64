//! A client that sends any bytes and reads exactly one answer at a time, strictly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any deadline of the server, so that a missing answer is a failure and not a hang.
const PATIENCE: Duration = Duration::from_secs(90);

/// A connection to the server.
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The server closed the connection before the first byte of an answer.
    Closed,
    /// The connection broke, or what came is not HTTP.
    Broken(io::Error),
}

/// A request with a `Host` and, when there is a body or the method has one, a `Content-Length`.
pub fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        head += &format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    /// Connects, unless nobody listens.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// A second handle, to send from another thread.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Sends bytes and reads one answer.
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Answer, NoAnswer> {
        self.send(bytes).map_err(NoAnswer::Broken)?;
        self.receive()
    }

    /// Sends a request and reads its answer, which must come.
    pub fn call(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.exchange(&request(method, path, headers, body))
            .unwrap()
    }

    /// Reads one answer and not a byte more.
    pub fn receive(&mut self) -> Result<Answer, NoAnswer> {
        let mut answer = self.receive_head()?;
        // Neither has a body (RFC 9110 §8.6).
        let length = if answer.status < 200 || answer.status == 204 {
            0
        } else {
            answer.content_length()
        };
        while self.unread.len() < length {
            if self.read_more().map_err(NoAnswer::Broken)? == 0 {
                return Err(truncated("in a body"));
            }
        }
        answer.body = self.unread.drain(..length).collect();
        Ok(answer)
    }

    /// Reads the next chunk of a body that comes in chunks; empty at its end.
    pub fn receive_chunk(&mut self) -> Vec<u8> {
        let line = loop {
            if let Some(at) = self.unread.windows(2).position(|two| two == b"\r\n") {
                break self.unread.drain(..at + 2).collect::<Vec<_>>();
            }
            assert!(self.read_more().unwrap() > 0, "cut before a chunk");
        };
        let length = std::str::from_utf8(&line).unwrap().trim_end();
        let length = usize::from_str_radix(length, 16).unwrap();
        while self.unread.len() < length + 2 {
            assert!(self.read_more().unwrap() > 0, "cut in a chunk");
        }
        let chunk = self.unread.drain(..length).collect();
        assert_eq!(self.unread.drain(..2).collect::<Vec<_>>(), b"\r\n");
        chunk
    }

    /// Reads the head of an answer and not a byte more.
    pub fn receive_head(&mut self) -> Result<Answer, NoAnswer> {
        let end = loop {
            if let Some(end) = self
                .unread
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
            {
                break end;
            }
            if self.read_more().map_err(NoAnswer::Broken)? == 0 {
                let closed = if self.unread.is_empty() {
                    NoAnswer::Closed
                } else {
                    truncated("in a head")
                };
                return Err(closed);
            }
        };
        let answer = parse_head(&self.unread[..end]).map_err(NoAnswer::Broken)?;
        self.unread.drain(..end + 4);
        Ok(answer)
    }

    /// Reads to the end of the connection; the server must have sent nothing more and closed in order.
    pub fn expect_closed(&mut self) {
        while self.read_more().expect("an orderly close") > 0 {}
        assert!(
            self.unread.is_empty(),
            "more bytes: {}",
            String::from_utf8_lossy(&self.unread)
        );
    }

    fn read_more(&mut self) -> io::Result<usize> {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.stream.read(&mut chunk) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => {
                    let read = read?;
                    self.unread.extend_from_slice(&chunk[..read]);
                    return Ok(read);
                }
            }
        }
    }
}

fn truncated(place: &str) -> NoAnswer {
    NoAnswer::Broken(io::Error::new(
        ErrorKind::UnexpectedEof,
        format!("the connection ended {place}"),
    ))
}

fn parse_head(head: &[u8]) -> io::Result<Answer> {
    let bad = || {
        io::Error::new(
            ErrorKind::InvalidData,
            format!("not HTTP: {}", String::from_utf8_lossy(head)),
        )
    };
    let head = std::str::from_utf8(head).map_err(|_| bad())?;
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let headers = lines
        .map(|line| {
            line.split_once(": ")
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        })
        .collect::<Option<Vec<_>>>();
    Ok(Answer {
        status: status.ok_or_else(bad)?,
        headers: headers.ok_or_else(bad)?,
        body: Vec::new(),
    })
}

impl Answer {
    /// The value of a header that appears once; `None` when it is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(header, _)| header == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} appears twice: {self:?}");
        value
    }

    fn content_length(&self) -> usize {
        self.header("content-length")
            .expect("a Content-Length")
            .parse()
            .unwrap()
    }

    /// The body as JSON, which it must be.
    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether the server says that it closes the connection.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// Asserts the whole error envelope, with any message that is not empty.
    #[track_caller]
    pub fn assert_error(&self, status: u16, grpc: &str, reason: &str) {
        let body = self.json();
        let message = body["error"]["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "no message: {body}");
        let envelope = serde_json::json!({"error": {
            "code": status,
            "status": grpc,
            "message": message,
            "details": [{
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": reason,
                "domain": "www.ory.com/talos",
                "metadata": {},
            }],
        }});
        assert_eq!((self.status, &body), (status, &envelope));
        assert!(
            self.header("x-request-id").is_some_and(|id| !id.is_empty()),
            "{self:?}"
        );
        assert!(self.header("date").is_some(), "{self:?}");
    }
}

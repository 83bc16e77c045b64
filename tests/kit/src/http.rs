//! A client that sends any bytes, and reads exactly one answer at a time, strictly.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// Longer than any deadline of a server, so that a missing answer is a failure and not a hang.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// How long a connection that should stay silent is listened to.
const SILENCE: Duration = Duration::from_millis(50);
const HEAD_END: &[u8] = b"\r\n\r\n";

/// A connection to a server.
pub struct Connection<S = TcpStream> {
    stream: S,
    unread: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The head as it was received, with the empty line that ends it.
    pub head: String,
    /// The header fields in their order, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// The server closed the connection before the first byte of an answer.
    Closed,
    /// The connection broke, or the bytes received are not HTTP.
    Broken(io::Error),
}

/// A request with a `Host` and, when it has a body or is a `POST`, a `Content-Length`.
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
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).unwrap()
    }

    /// Connects, unless the server refuses the connection.
    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        Self::over_tcp(TcpStream::connect(address)?)
    }

    /// Takes over a stream that is connected.
    pub fn over_tcp(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self::over(stream))
    }

    /// Half-closes the connection: the server reads the end of the requests.
    pub fn finish_sending(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// A second handle to the socket, to send from another thread.
    pub fn sender(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    /// Whether the server sends nothing for a while and keeps the connection open.
    pub fn hears_nothing(&mut self) -> bool {
        self.stream.set_read_timeout(Some(SILENCE)).unwrap();
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let timed_out = peeked.is_err_and(|error| {
            matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
        });
        self.unread.is_empty() && timed_out
    }
}

impl<S: Read + Write> Connection<S> {
    /// Takes over any stream that is connected, as it is: with its own timeouts, if it has any.
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// The stream under the connection. What was read of it before is not seen there.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// Sends bytes to a server that may have closed the connection.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a request and reads its answer.
    #[track_caller]
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

    /// Sends bytes and reads one answer, if there is one.
    pub fn exchange(&mut self, bytes: &[u8]) -> Result<Answer, NoAnswer> {
        self.try_send(bytes).map_err(NoAnswer::Broken)?;
        self.receive()
    }

    /// Reads one answer.
    #[track_caller]
    pub fn answer(&mut self) -> Answer {
        self.receive().unwrap()
    }

    /// Reads one answer to a request of this method; an answer to `HEAD` has no body.
    #[track_caller]
    pub fn answer_to(&mut self, method: &str) -> Answer {
        if method == "HEAD" {
            self.head()
        } else {
            self.answer()
        }
    }

    /// Reads one answer, if there is one, and not a byte more.
    pub fn receive(&mut self) -> Result<Answer, NoAnswer> {
        let mut answer = self.receive_head()?;
        let length = answer.body_length();
        while self.unread.len() < length {
            if self.read_more().map_err(NoAnswer::Broken)? == 0 {
                return Err(truncated("in a body"));
            }
        }
        answer.body = self.unread.drain(..length).collect();
        Ok(answer)
    }

    /// Reads the head of an answer and not a byte more.
    #[track_caller]
    pub fn head(&mut self) -> Answer {
        self.receive_head().unwrap()
    }

    fn receive_head(&mut self) -> Result<Answer, NoAnswer> {
        let end = loop {
            if let Some(end) = position(&self.unread, HEAD_END) {
                break end + HEAD_END.len();
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
        self.unread.drain(..end);
        Ok(answer)
    }

    /// Reads the next chunk of a chunked body; it is empty at the end of the body.
    #[track_caller]
    pub fn chunk(&mut self) -> Vec<u8> {
        let line = loop {
            if let Some(at) = position(&self.unread, b"\r\n") {
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

    /// Reads everything up to the end of the connection, which must be an orderly close.
    #[track_caller]
    pub fn all(&mut self) -> Vec<u8> {
        while self.read_more().expect("an orderly close") > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Reads up to the end of the connection, which must be an orderly close. Whether the server
    /// sent nothing more before it; what it sent is printed.
    #[track_caller]
    pub fn is_closed(&mut self) -> bool {
        let more = self.all();
        if !more.is_empty() {
            eprintln!("more bytes: {}", String::from_utf8_lossy(&more));
        }
        more.is_empty()
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

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn truncated(place: &str) -> NoAnswer {
    NoAnswer::Broken(io::Error::new(
        ErrorKind::UnexpectedEof,
        format!("the connection ended {place}"),
    ))
}

/// `bytes` end with the empty line.
fn parse_head(bytes: &[u8]) -> io::Result<Answer> {
    let bad = || {
        io::Error::new(
            ErrorKind::InvalidData,
            format!("not HTTP: {}", String::from_utf8_lossy(bytes)),
        )
    };
    let head = std::str::from_utf8(bytes).map_err(|_| bad())?;
    let mut lines = head.trim_end_matches("\r\n").split("\r\n");
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
        head: head.to_owned(),
        headers: headers.ok_or_else(bad)?,
        body: Vec::new(),
    })
}

impl Answer {
    /// The value of a header, which appears at most once. Its name may be in any case.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self
            .headers
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} appears twice: {self:?}");
        value
    }

    /// How many bytes after the head belong to the answer to a request other than `HEAD`. A
    /// chunked body is not counted: its chunks are read one by one.
    fn body_length(&self) -> usize {
        // RFC 9110 §6.4.1.
        let has_no_body = self.status < 200 || matches!(self.status, 204 | 304);
        if has_no_body || self.header("transfer-encoding").is_some() {
            return 0;
        }
        let length = self.header("content-length");
        length.expect("a Content-Length").parse().unwrap()
    }

    /// The body as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The body, which the answer declares as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/json"),
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Whether the server announces that it closes the connection.
    pub fn closes(&self) -> bool {
        self.header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"))
    }

    /// The `reason` of an error envelope, whose code must be the status.
    #[track_caller]
    pub fn reason(&self) -> String {
        let body = self.json();
        assert_eq!(body["error"]["code"], self.status);
        body["error"]["details"][0]["reason"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Asserts the whole error envelope, with any message that is not empty.
    #[track_caller]
    pub fn assert_error(&self, status: u16, grpc: &str, reason: &str) {
        let body = self.json();
        assert_error_envelope(self.status, &body, status, grpc, reason);
        assert!(
            self.header("x-request-id").is_some_and(|id| !id.is_empty()),
            "{self:?}"
        );
        assert!(self.header("date").is_some(), "{self:?}");
    }
}

/// Asserts the status and the whole error envelope, with any message that is not empty, and
/// returns the message.
#[track_caller]
pub fn assert_error_envelope<'a>(
    found: u16,
    body: &'a Value,
    status: u16,
    grpc: &str,
    reason: &str,
) -> &'a str {
    let message = body["error"]["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "no message: {body}");
    // The context of the error: strings by name.
    let metadata = &body["error"]["details"][0]["metadata"];
    let is_context = metadata
        .as_object()
        .is_some_and(|members| members.values().all(Value::is_string));
    assert!(is_context, "no metadata: {body}");
    let envelope = serde_json::json!({"error": {
        "code": status,
        "status": grpc,
        "message": message,
        "details": [{
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": reason,
            "domain": "www.ory.com/talos",
            "metadata": metadata,
        }],
    }});
    assert_eq!((found, body), (status, &envelope));
    message
}

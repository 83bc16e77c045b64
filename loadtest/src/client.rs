//! A blocking HTTP/1.1 client for requests that are not measured to the microsecond: making keys,
//! writes, the version.

use std::io::{self, Read as _, Write as _};
use std::time::Duration;

use crate::answer;
use crate::endpoint::{Endpoint, Stream};

/// A request fails if the server sends nothing for this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keep-alive connection. It is made when first needed, and again after it broke.
#[derive(Debug)]
pub struct Client {
    endpoint: Endpoint,
    host: String,
    /// The field that holds the admin token, with its line break; empty without a token.
    authorization: String,
    stream: Option<Stream>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

/// A complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as text, for messages.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null if it is not JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl Client {
    /// A client of the server at `endpoint` whose `Host` header is `host`. It does not connect yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, host: String) -> Self {
        Self {
            endpoint,
            host,
            authorization: String::new(),
            stream: None,
            outgoing: Vec::new(),
            incoming: Vec::new(),
        }
    }

    /// Sends this admin token with every request.
    #[must_use]
    pub fn with_token(mut self, token: Option<&str>) -> Self {
        let field = |token| format!("Authorization: Bearer {token}\r\n");
        self.authorization = token.map(field).unwrap_or_default();
        self
    }

    /// Sends this `Host` header from now on.
    pub fn set_host(&mut self, host: String) {
        self.host = host;
    }

    /// Sends a `GET`.
    ///
    /// # Errors
    /// I/O errors; `InvalidData` if the server does not speak HTTP.
    pub fn get(&mut self, path: &str) -> io::Result<Reply> {
        self.request("GET", path, b"")
    }

    /// Sends a `POST` with a JSON body.
    ///
    /// # Errors
    /// I/O errors; `InvalidData` if the server does not speak HTTP.
    pub fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Reply> {
        self.request("POST", path, body)
    }

    fn request(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Reply> {
        let (host, length) = (&self.host, body.len());
        let authorization = &self.authorization;
        self.outgoing.clear();
        write!(
            self.outgoing,
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{authorization}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        )?;
        self.outgoing.extend_from_slice(body);
        let answered = self.exchange();
        if answered.is_err() {
            self.stream = None;
        }
        answered
    }

    fn exchange(&mut self) -> io::Result<Reply> {
        let stream = match self.stream.take() {
            Some(stream) => self.stream.insert(stream),
            None => self.stream.insert(self.endpoint.connect(PATIENCE)?),
        };
        stream.write_all(&self.outgoing)?;
        stream.flush()?;
        self.incoming.clear();
        let mut piece = [0; 16 << 10];
        loop {
            let length = stream.read(&mut piece)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.incoming
                .extend_from_slice(piece.get(..length).unwrap_or_default());
            let found = answer::find(&self.incoming)
                .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
            let Some(answer) = found else { continue };
            if answer.close {
                self.stream = None;
            }
            return Ok(Reply {
                status: answer.status,
                body: self.incoming.get(answer.body).unwrap_or_default().to_vec(),
            });
        }
    }
}

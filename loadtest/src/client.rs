//! A minimal HTTP/1.1 client: one keep-alive connection, one request at a time, answers with a `Content-Length`.
//!
//! After the first exchange it allocates nothing: the request is copied into a buffer that is kept, and the answer is
//! read into another.

use std::io;
use std::net::SocketAddr;
use std::ops::Range;

use memchr::{memchr, memmem};
use monoio::buf::IoBufMut;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;
const FIRST_BUFFER_BYTES: usize = 16 << 10;

/// A connection that is made when first needed, and again after it was closed.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    stream: Option<TcpStream>,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

/// One answer; it lies in the connection's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

impl Connection {
    /// A connection to `address`, not yet made.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
            outgoing: Vec::new(),
            incoming: Vec::with_capacity(FIRST_BUFFER_BYTES),
        }
    }

    /// Makes the connection, unless there is one.
    ///
    /// # Errors
    /// What the system says.
    pub async fn connect(&mut self) -> io::Result<&mut TcpStream> {
        if self.stream.is_none() {
            let stream = TcpStream::connect_addr(self.address).await?;
            stream.set_nodelay(true)?;
            self.stream = Some(stream);
        }
        self.stream
            .as_mut()
            .ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Sends a whole request and awaits its answer. After an error, the next exchange makes a new connection.
    ///
    /// # Errors
    /// What the system says; `UnexpectedEof` when the server closed first; `InvalidData` when it did not speak HTTP.
    pub async fn exchange(&mut self, request: &[u8]) -> io::Result<Answer<'_>> {
        let head = match self.exchange_on_stream(request).await {
            Ok(head) => head,
            Err(error) => {
                self.stream = None;
                return Err(error);
            }
        };
        if head.close {
            self.stream = None;
        }
        let body = self.incoming.get(head.body).unwrap_or_default();
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    async fn exchange_on_stream(&mut self, request: &[u8]) -> io::Result<Head> {
        let mut outgoing = std::mem::take(&mut self.outgoing);
        outgoing.clear();
        outgoing.extend_from_slice(request);
        let mut incoming = std::mem::take(&mut self.incoming);
        incoming.clear();
        let stream = self.connect().await?;
        let (sent, outgoing) = stream.write_all(outgoing).await;
        let (head, incoming) = match sent {
            Ok(_) => read_answer(stream, incoming).await,
            Err(error) => (Err(error), incoming),
        };
        self.outgoing = outgoing;
        self.incoming = incoming;
        head
    }
}

async fn read_answer(stream: &mut TcpStream, mut buffer: Vec<u8>) -> (io::Result<Head>, Vec<u8>) {
    loop {
        let filled = buffer.len();
        if filled == buffer.capacity() {
            if filled >= ANSWER_BYTES_MAX {
                return (
                    Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "an answer beyond 4 MiB",
                    )),
                    buffer,
                );
            }
            buffer.reserve(filled.max(FIRST_BUFFER_BYTES));
        }
        let (read, slice) = stream.read(buffer.slice_mut(filled..)).await;
        buffer = slice.into_inner();
        match read {
            Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), buffer),
            Ok(_) => {}
            Err(error) => return (Err(error), buffer),
        }
        match parse(&buffer) {
            Ok(None) => {}
            Ok(Some(head)) => return (Ok(head), buffer),
            Err(what) => {
                return (
                    Err(io::Error::new(io::ErrorKind::InvalidData, what)),
                    buffer,
                );
            }
        }
    }
}

/// Where things are in a complete answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    body: Range<usize>,
    close: bool,
}

/// Finds the one answer in `bytes`; `None` = more bytes must come.
fn parse(bytes: &[u8]) -> Result<Option<Head>, &'static str> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let (head, _) = bytes.split_at_checked(end + 2).ok_or("no head")?;
    let line_end = memchr(b'\n', head).ok_or("no status line")?;
    let (line, mut rest) = head
        .split_at_checked(line_end + 1)
        .ok_or("no status line")?;
    let status = status_of(line).ok_or("not an HTTP/1.1 status line")?;
    let (mut length, mut close) = (None, false);
    while let Some(line_end) = memchr(b'\n', rest) {
        let (line, after) = rest
            .split_at_checked(line_end + 1)
            .ok_or("no header line")?;
        rest = after;
        // The first letter sorts out most headers before a name is compared.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            continue;
        }
        let colon = memchr(b':', line).ok_or("a header without a colon")?;
        let (name, value) = line
            .split_at_checked(colon)
            .ok_or("a header without a colon")?;
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = std::str::from_utf8(value)
                .ok()
                .and_then(|value| value.parse::<usize>().ok());
        } else if name.eq_ignore_ascii_case(b"connection") {
            close = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err("an answer with a Transfer-Encoding");
        }
    }
    let length = length
        .filter(|length| *length <= ANSWER_BYTES_MAX)
        .ok_or("no usable Content-Length")?;
    let body = end + 4..end + 4 + length;
    match bytes.len() {
        have if have < body.end => Ok(None),
        have if have > body.end => Err("more bytes than one answer"),
        _ => Ok(Some(Head {
            status,
            body,
            close,
        })),
    }
}

/// The status of a line such as `HTTP/1.1 200 OK`.
fn status_of(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.1 ")?;
    let digits = rest
        .get(..3)
        .filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    digits.iter().try_fold(0_u16, |status, digit| {
        Some(status * 10 + u16::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] =
        b"HTTP/1.1 200 OK\r\nDate: now\r\nCache-Control: x\r\ncontent-length: 5\r\nConnection: close\r\n\r\nhello";

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        for cut in 0..ANSWER.len() {
            assert_eq!(parse(&ANSWER[..cut]), Ok(None), "{cut}");
        }
        let head = parse(ANSWER).unwrap().unwrap();
        assert_eq!(
            (head.status, &ANSWER[head.body.clone()], head.close),
            (200, b"hello".as_slice(), true)
        );
    }

    #[test]
    fn what_is_not_one_answer_is_refused() {
        let more = [ANSWER, b"!"].concat();
        for bad in [
            more.as_slice(),
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}

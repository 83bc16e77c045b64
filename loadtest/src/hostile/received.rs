//! What a server has answered to one hostile client.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Answers by the first digit of their status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statuses {
    /// 100 to 199.
    pub interim: u64,
    /// 200 to 299.
    pub success: u64,
    /// 300 to 499: the request was refused.
    pub refused: u64,
    /// 500: a defect of the server.
    pub internal: u64,
    /// 501 to 599: the server has too much to do, or does not do that.
    pub unavailable: u64,
}

/// Reads a stream of answers, in pieces of any size, and keeps none of it.
///
/// Answers are found by their status lines. A body of this server holds no such line.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Bytes in all.
    pub bytes: u64,
    /// The answers.
    pub statuses: Statuses,
    /// An answer says that a credential is valid.
    pub valid: bool,
    /// The end of what came, in which a status line or a verdict may have begun.
    tail: Vec<u8>,
}

type Text = LazyLock<Finder<'static>>;
static STATUS: Text = LazyLock::new(|| Finder::new(b"HTTP/1.1 "));
static VALID: Text = LazyLock::new(|| Finder::new(br#""is_valid":true"#));
/// A status line up to its code. No text that is looked for is longer, but for [`VALID`].
const STATUS_LINE: usize = 12;
/// What is kept of a piece: anything shorter than the longest text.
const TAIL: usize = 15;

impl Received {
    /// Reads the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.tail.extend_from_slice(piece);
        self.valid |= VALID.find(&self.tail).is_some();
        let mut from = 0;
        while let Some(rest) = self.tail.get(from..)
            && let Some(at) = STATUS.find(rest)
            && let Some(code) = rest.get(at + STATUS.needle().len()..at + STATUS_LINE)
        {
            self.statuses.count(code);
            from += at + STATUS_LINE;
        }
        // What was counted goes; the rest may be the beginning of more.
        let done = self.tail.len().saturating_sub(TAIL).max(from);
        self.tail.drain(..done);
    }
}

impl Statuses {
    fn count(&mut self, code: &[u8]) {
        let counter = match code {
            [b'1', ..] => &mut self.interim,
            [b'2', ..] => &mut self.success,
            b"500" => &mut self.internal,
            [b'5', ..] => &mut self.unavailable,
            _ => &mut self.refused,
        };
        *counter += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWERS: &[u8] =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n{\"is_valid\":true}\
        HTTP/1.1 400 Bad Request\r\n\r\n{}HTTP/1.1 500 x\r\n\r\nHTTP/1.1 503 y\r\n\r\n";

    #[test]
    fn answers_are_counted_once_however_they_arrive() {
        for size in 1..ANSWERS.len() {
            let mut received = Received::default();
            for piece in ANSWERS.chunks(size) {
                received.add(piece);
            }
            let wanted = Statuses {
                interim: 1,
                success: 1,
                refused: 1,
                internal: 1,
                unavailable: 1,
            };
            assert_eq!(
                (received.statuses, received.valid),
                (wanted, true),
                "{size}"
            );
            assert_eq!(received.bytes, ANSWERS.len() as u64);
            assert!(received.tail.len() <= TAIL);
        }
        let mut refused = Received::default();
        refused.add(br#"HTTP/1.1 200 OK {"is_valid":false}"#);
        assert!(!refused.valid);
    }
}

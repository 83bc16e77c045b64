//! Finds the answers in what a server has sent: HTTP/1.1 with a `Content-Length`, or 204.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memchr;
use memchr::memmem::Finder;

/// The longest answer that is read, in bytes.
pub const BYTES_MAX: usize = 4 << 20;

/// The status of an answer without a body, and so without `Content-Length` (RFC 9110 §8.6).
pub const NO_CONTENT: u16 = 204;

static HEAD_END: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n\r\n"));

/// The parts of a complete answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body. The answer ends where it ends.
    pub body: Range<usize>,
    /// The server closes the connection after it.
    pub close: bool,
}

/// Finds the answer at the beginning of `bytes`. `None` if it is not complete yet.
///
/// # Errors
/// What is wrong, if the bytes are no such answer.
pub fn find(bytes: &[u8]) -> Result<Option<Answer>, &'static str> {
    let Some(end) = HEAD_END.find(bytes) else {
        return if bytes.len() > BYTES_MAX {
            Err("a head beyond 4 MiB")
        } else {
            Ok(None)
        };
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
        // The first letter rules out most headers before names are compared.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
            continue;
        }
        let colon = memchr(b':', line).ok_or("a header without a colon")?;
        let (name, value) = line
            .split_at_checked(colon)
            .ok_or("a header without a colon")?;
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            length = decimal(value);
        } else if name.eq_ignore_ascii_case(b"connection") {
            close = value.eq_ignore_ascii_case(b"close");
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            return Err("an answer with a Transfer-Encoding");
        }
    }
    let length = length
        .or((status == NO_CONTENT).then_some(0))
        .filter(|length| *length <= BYTES_MAX)
        .ok_or("no usable Content-Length")?;
    let body = end + 4..end + 4 + length;
    Ok((bytes.len() >= body.end).then_some(Answer {
        status,
        body,
        close,
    }))
}

fn decimal(text: &[u8]) -> Option<usize> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    text.iter().try_fold(0_usize, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| number * 10 + usize::from(digit - b'0'))
    })
}

/// The status of a line such as `HTTP/1.1 200 OK`.
fn status_of(line: &[u8]) -> Option<u16> {
    let digits = line.strip_prefix(b"HTTP/1.1 ")?.get(..3)?;
    digits.iter().try_fold(0_u16, |status, digit| {
        digit
            .is_ascii_digit()
            .then(|| status * 10 + u16::from(digit - b'0'))
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
            assert_eq!(find(&ANSWER[..cut]), Ok(None), "{cut}");
        }
        let answer = find(ANSWER).unwrap().unwrap();
        assert_eq!(
            (answer.status, &ANSWER[answer.body.clone()], answer.close),
            (200, b"hello".as_slice(), true)
        );
        // What follows is the next answer.
        let two = [ANSWER, ANSWER].concat();
        assert_eq!(find(&two), Ok(Some(answer)));
    }

    #[test]
    fn an_answer_without_content_ends_with_its_head() {
        let head = b"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n";
        let answer = find(&[head.as_slice(), ANSWER].concat()).unwrap().unwrap();
        let end = head.len()..head.len();
        assert_eq!((answer.status, answer.body), (NO_CONTENT, end));
    }

    #[test]
    fn what_is_not_an_answer_is_refused() {
        for bad in [
            b"SSH-2.0-x\r\n\r\n".as_slice(),
            b"HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert!(find(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}

//! Decodes the chunked transfer coding (RFC 9112 §7.1) incrementally.
//!
//! Guarantees: the result does not depend on how the bytes are split; a chunk size consists of
//! hexadecimal digits only; every line ends with CR LF, also extensions and trailers; the lengths
//! of lines, trailers and the decoded body are bounded. Extensions and trailers are ignored.

use crate::limits;

/// Why a body is refused. Nothing after it on the connection can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChunkError {
    /// The bytes are not in the chunked coding.
    Malformed,
    /// The body is larger than allowed.
    TooLarge,
}

/// The result of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Bytes of the input that were consumed.
    pub consumed: usize,
    /// Whether the body is complete. The following bytes belong to the next request.
    pub complete: bool,
}

/// Decodes one body.
#[derive(Debug)]
pub(crate) struct ChunkedDecoder {
    state: State,
    /// While the size line is read: the size so far. Then the missing bytes of the chunk.
    remaining: usize,
    /// Bytes of the current size line, or of all trailers.
    line: usize,
    /// The largest body that is accepted, in bytes.
    limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    SizeStart,
    /// After a digit.
    Size,
    /// After the `;` of a size line.
    Extension,
    /// After the CR of a size line.
    SizeLineFeed,
    /// Within a chunk.
    Data,
    /// After a chunk.
    DataReturn,
    /// After the CR behind a chunk.
    DataLineFeed,
    /// At the start of a line after the last chunk.
    TrailerStart,
    /// Within a trailer.
    Trailer,
    /// After the CR of a trailer.
    TrailerLineFeed,
    /// After the CR of the last, empty line.
    EndLineFeed,
}

impl ChunkedDecoder {
    /// A decoder for a body of at most `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            state: State::SizeStart,
            remaining: 0,
            line: 0,
            limit,
        }
    }

    /// Decodes `input` and appends the result to `body`.
    pub(crate) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
    ) -> Result<Progress, ChunkError> {
        let mut consumed = 0;
        while let Some(rest) = input.get(consumed..).filter(|rest| !rest.is_empty()) {
            if self.state == State::Data {
                let chunk = rest.get(..self.remaining).unwrap_or(rest);
                body.extend_from_slice(chunk);
                consumed += chunk.len();
                self.remaining -= chunk.len();
                if self.remaining == 0 {
                    self.state = State::DataReturn;
                }
                continue;
            }
            let Some(byte) = rest.first() else { break };
            consumed += 1;
            if self.step(*byte, body.len())? {
                return Ok(Progress {
                    consumed,
                    complete: true,
                });
            }
        }
        Ok(Progress {
            consumed,
            complete: false,
        })
    }

    /// Handles one byte outside of chunk data. Returns true at the end of the body.
    fn step(&mut self, byte: u8, decoded: usize) -> Result<bool, ChunkError> {
        self.count_line()?;
        self.state = match (self.state, byte) {
            (State::SizeStart | State::Size, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).ok_or(ChunkError::Malformed)? as usize;
                self.remaining =
                    self.remaining.checked_mul(16).ok_or(ChunkError::TooLarge)? + digit;
                State::Size
            }
            (State::Size, b';') => State::Extension,
            (State::Size | State::Extension, b'\r') => State::SizeLineFeed,
            (State::Extension, byte) if is_text(byte) => State::Extension,
            (State::SizeLineFeed, b'\n') => {
                self.line = 0;
                if self.remaining > self.limit.saturating_sub(decoded) {
                    return Err(ChunkError::TooLarge);
                }
                if self.remaining == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                }
            }
            (State::DataReturn, b'\r') => State::DataLineFeed,
            (State::DataLineFeed, b'\n') => {
                self.line = 0;
                State::SizeStart
            }
            (State::TrailerStart, b'\r') => State::EndLineFeed,
            // A line that begins with white space is a folded line, which is refused.
            (State::TrailerStart, byte) if byte.is_ascii_graphic() && byte != b':' => {
                State::Trailer
            }
            (State::Trailer, b'\r') => State::TrailerLineFeed,
            (State::Trailer, byte) if is_text(byte) => State::Trailer,
            (State::TrailerLineFeed, b'\n') => State::TrailerStart,
            (State::EndLineFeed, b'\n') => return Ok(true),
            _ => return Err(ChunkError::Malformed),
        };
        Ok(false)
    }

    /// Bounds the bytes that do not become part of the body.
    fn count_line(&mut self) -> Result<(), ChunkError> {
        self.line += 1;
        let limit = match self.state {
            State::TrailerStart | State::Trailer | State::TrailerLineFeed | State::EndLineFeed => {
                limits::TRAILER_BYTES
            }
            _ => limits::CHUNK_LINE_BYTES,
        };
        if self.line > limit {
            Err(ChunkError::Malformed)
        } else {
            Ok(())
        }
    }
}

/// A byte that a field value may hold (RFC 9110 §5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte == b' ' || byte.is_ascii_graphic() || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;

    type BodyAndRest = (Vec<u8>, Vec<u8>);

    /// Decodes `bytes` in pieces of `step` bytes. Returns the body and the bytes after it; `None`
    /// when the body is incomplete.
    fn decode(bytes: &[u8], step: usize, limit: usize) -> Result<Option<BodyAndRest>, ChunkError> {
        let mut decoder = ChunkedDecoder::new(limit);
        let mut body = Vec::new();
        let mut done = 0;
        for piece in bytes.chunks(step) {
            let progress = decoder.decode(piece, &mut body)?;
            done += progress.consumed;
            if progress.complete {
                return Ok(Some((body, bytes[done..].to_vec())));
            }
            assert_eq!(progress.consumed, piece.len());
        }
        Ok(None)
    }

    fn every_split(bytes: &[u8], limit: usize) -> Result<Option<BodyAndRest>, ChunkError> {
        let whole = decode(bytes, bytes.len().max(1), limit);
        for step in 1..bytes.len() {
            assert_eq!(
                decode(bytes, step, limit),
                whole,
                "{step}: {}",
                String::from_utf8_lossy(bytes)
            );
        }
        whole
    }

    #[test]
    fn good_bodies() {
        for (bytes, body, rest) in [
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello", ""),
            (
                "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET",
                "hello world",
                "GET",
            ),
            (
                "a;x=y\r\n0123456789\r\n00A\r\n0123456789\r\n000\r\n\r\n\r\n",
                "01234567890123456789",
                "\r\n",
            ),
            (
                "1;\t \"q\";a\r\nx\r\n0;last\r\nTrailer: dropped\r\nContent-Length: 9\r\n\r\n0\r\n",
                "x",
                "0\r\n",
            ),
            ("2\r\n\r\n\r\n0\r\n\r\n", "\r\n", ""),
        ] {
            let expected = Some((body.as_bytes().to_vec(), rest.as_bytes().to_vec()));
            assert_eq!(
                every_split(bytes.as_bytes(), 100),
                Ok(expected),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn an_unfinished_body_is_incomplete() {
        let bytes = b"5;x\r\nhello\r\n0\r\nA: b\r\n\r\n";
        for end in 0..bytes.len() {
            assert_eq!(every_split(&bytes[..end], 100), Ok(None), "{end}");
        }
    }

    #[test]
    fn bad_bodies() {
        for bytes in [
            "\r\n",
            "x\r\n",
            "+1\r\nx",
            "-1\r\nx",
            " 1\r\nx",
            "1 \r\nx",
            "0x1\r\nx",
            "1_0\r\nx",
            ";\r\nx",
            "1\nx",
            "1\rx",
            "1;a\nx",
            "1;a\rb\r\nx",
            "1;\0\r\nx",
            "1;\x7f\r\nx",
            "1\r\nxx",
            "1\r\nx\n",
            "1\r\nx\rx",
            "1\r\nx0\r\n\r\n",
            "0\r\n\n",
            "0\r\n\rx",
            "0\r\nA: b\n",
            "0\r\n A: b\r\n",
            "0\r\nA: b\r\n c\r\n",
            "0\r\n: b\r\n",
            "0\r\nA: \0\r\n",
        ] {
            assert_eq!(
                every_split(bytes.as_bytes(), 100),
                Err(ChunkError::Malformed),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn sizes_are_bounded() {
        let chunks = |sizes: &[usize]| {
            let mut bytes: Vec<u8> = Vec::new();
            for size in sizes {
                bytes.extend(format!("{size:x}\r\n{}\r\n", "x".repeat(*size)).into_bytes());
            }
            [bytes, b"0\r\n\r\n".to_vec()].concat()
        };
        assert!(
            matches!(every_split(&chunks(&[60, 40]), 100), Ok(Some((body, _))) if body.len() == 100)
        );
        assert_eq!(
            every_split(&chunks(&[60, 41]), 100),
            Err(ChunkError::TooLarge)
        );
        assert_eq!(
            every_split(b"ffffffffffffffff\r\n", 100),
            Err(ChunkError::TooLarge)
        );
        assert_eq!(
            every_split(b"fffffffffffffffff\r\n", 100),
            Err(ChunkError::TooLarge)
        );

        let line = |len: usize| format!("0;{}\r\n\r\n", "x".repeat(len - 4)).into_bytes();
        assert!(every_split(&line(limits::CHUNK_LINE_BYTES), 0).is_ok());
        assert_eq!(
            every_split(&line(limits::CHUNK_LINE_BYTES + 1), 0),
            Err(ChunkError::Malformed)
        );
        assert_eq!(
            every_split("0".repeat(300).as_bytes(), 0),
            Err(ChunkError::Malformed),
            "leading zeros"
        );

        let trailers = |len: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(len / 6)).into_bytes();
        assert!(matches!(
            decode(&trailers(limits::TRAILER_BYTES - 6), 7, 0),
            Ok(Some(_))
        ));
        assert_eq!(
            decode(&trailers(limits::TRAILER_BYTES + 6), 7, 0),
            Err(ChunkError::Malformed)
        );
    }
}

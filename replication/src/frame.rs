//! Frames: how a stream of bytes is cut into messages, and how damage on the way is noticed.
//!
//! ```text
//! u32 length of the body   u32 CRC-32C of the length's four bytes and the body   body
//! ```
//!
//! Guarantees: no more is kept than the longest frame that is allowed at the time; a frame is handed out whole or not at
//! all; however the bytes are split, the frames are the same. The checksum tells a damaged line from a peer that means
//! something else; that nobody has altered the body is up to its seal (`session.rs`).

use crate::limits::HANDSHAKE_FRAME_BYTES;

/// Bytes before the body.
const HEAD_BYTES: usize = 8;

/// Bytes that are no frame. The connection cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than is allowed, or empty; retry on a new connection.
    #[error("a frame of {length} bytes where 1 to {most} are allowed")]
    Length {
        /// The length that it claims.
        length: usize,
        /// The longest that is allowed.
        most: usize,
    },
    /// Damaged on the way; retry on a new connection.
    #[error("a frame whose checksum does not match")]
    Checksum,
}

/// Appends the frame with this body to `out`. The caller sees to it that the body is not longer than the reader allows.
pub fn append(body: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    out.reserve(HEAD_BYTES + body.len());
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(length, body).to_le_bytes());
    out.extend_from_slice(body);
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&length), body)
}

/// Cuts a stream of bytes into the bodies of frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the beginning of the buffer that have been handed out.
    taken: usize,
    most: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// At the beginning of a stream, where only the short frames of a handshake are allowed.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            most: HANDSHAKE_FRAME_BYTES,
        }
    }

    /// From here on bodies may have up to `most` bytes.
    pub fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Takes bytes as they arrive. Call [`Decoder::next_frame`] until it has none before giving more: what is kept is then
    /// less than a frame.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The body of the next frame; `None` when it is not whole yet.
    ///
    /// # Errors
    /// [`FrameError`]: what follows in the stream means nothing.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        // Judged before the body is there, so that nobody can make the buffer grow.
        let body_length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if body_length == 0 || body_length > self.most {
            return Err(FrameError::Length {
                length: body_length,
                most: self.most,
            });
        }
        let Some((sum, after)) = after.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let Some(body) = after.get(..body_length) else {
            return Ok(None);
        };
        if checksum(*length, body) != u32::from_le_bytes(*sum) {
            return Err(FrameError::Checksum);
        }
        let body = body.to_vec();
        self.taken += HEAD_BYTES + body_length;
        Ok(Some(body))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::FRAME_BYTES;
    use crate::random::Random;

    fn decode(bytes: &[u8], random: &mut Random) -> (Vec<Vec<u8>>, Option<FrameError>) {
        let mut decoder = Decoder::new();
        let (mut frames, mut rest) = (Vec::new(), bytes);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) if rest.is_empty() => return (frames, None),
                Ok(None) => {
                    let (piece, after) = rest.split_at(1 + random.below(rest.len()));
                    decoder.push(piece);
                    rest = after;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    #[test]
    fn a_frame_has_these_bytes() {
        let mut out = Vec::new();
        append(b"123456789", &mut out);
        // CRC-32C (RFC 3720, B.4) of 09 00 00 00 and the digits.
        let head = [9, 0, 0, 0];
        let sum = crc32c::crc32c(b"\x09\x00\x00\x00123456789").to_le_bytes();
        assert_eq!(out, [&head[..], &sum, b"123456789"].concat());
        assert_eq!(
            crc32c::crc32c(b"123456789"),
            0xe306_9283,
            "the check value of CRC-32C"
        );
    }

    #[test]
    fn however_a_stream_is_split_the_frames_are_the_same() {
        let mut random = Random::new(1);
        for _ in 0..500 {
            let count = random.below(5);
            let body = |random: &mut Random| random.bytes_up_to(HANDSHAKE_FRAME_BYTES);
            let bodies: Vec<_> = (0..count).map(|_| body(&mut random)).collect();
            let mut stream = Vec::new();
            for body in &bodies {
                append(body, &mut stream);
            }
            assert_eq!(decode(&stream, &mut random), (bodies, None));
        }
    }

    #[test]
    fn what_is_altered_or_cut_is_never_handed_out() {
        let mut random = Random::new(2);
        for _ in 0..2000 {
            let body = random.bytes_up_to(64);
            let mut stream = Vec::new();
            append(&body, &mut stream);
            let at = random.below(stream.len());
            let mut altered = stream.clone();
            altered[at] ^= 1 << random.below(8);
            assert_eq!(decode(&altered, &mut random).0, Vec::<Vec<u8>>::new());
            assert_eq!(decode(&stream[..at], &mut random), (vec![], None));
        }
    }

    #[test]
    fn garbage_is_refused_or_waits_for_more() {
        let mut random = Random::new(3);
        for _ in 0..2000 {
            let garbage = random.bytes_up_to(512);
            assert_eq!(decode(&garbage, &mut random).0, Vec::<Vec<u8>>::new());
        }
    }

    #[test]
    fn a_length_is_judged_before_the_body_is_there() {
        let mut decoder = Decoder::new();
        let length = HANDSHAKE_FRAME_BYTES + 1;
        decoder.push(&u32::try_from(length).unwrap().to_le_bytes());
        let most = HANDSHAKE_FRAME_BYTES;
        assert_eq!(
            decoder.next_frame(),
            Err(FrameError::Length { length, most })
        );
        decoder.allow(FRAME_BYTES);
        assert_eq!(decoder.next_frame(), Ok(None));
        let mut empty = Decoder::new();
        empty.push(&[0; 8]);
        assert!(empty.next_frame().is_err());
    }
}

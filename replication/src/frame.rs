//! Frames: they divide a stream of bytes into messages and detect damage.
//!
//! ```text
//! u32 length of the body   u32 CRC-32C of the length's four bytes and the body   body
//! ```
//!
//! Guarantees: the decoder buffers at most one frame of the length that is allowed at the time. It
//! returns a frame whole or not at all. How the bytes are split does not change the frames. The
//! checksum detects damage on the line; protection against an attacker is the job of the seal
//! (`session.rs`).

use crate::limits::HANDSHAKE_FRAME_BYTES;

/// Bytes before the body.
const HEAD_BYTES: usize = 8;

/// Invalid bytes. The rest of the connection cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Longer than allowed, or empty; retry on a new connection.
    #[error("a frame of {length} bytes where 1 to {most} are allowed")]
    Length {
        /// The length in the frame's head.
        length: usize,
        /// The longest length allowed.
        most: usize,
    },
    /// Damaged in transit; retry on a new connection.
    #[error("a frame whose checksum does not match")]
    Checksum,
}

/// Appends the frame with this body to `out`. The body must not be longer than the reader allows.
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

/// Extracts the bodies of frames from a stream of bytes.
#[derive(Debug)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes at the start of the buffer that were returned already.
    taken: usize,
    most: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Creates a decoder for a new stream. Only the short frames of a handshake are allowed at
    /// first.
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            taken: 0,
            most: HANDSHAKE_FRAME_BYTES,
        }
    }

    /// Allows bodies of up to `most` bytes from here on.
    pub fn allow(&mut self, most: usize) {
        self.most = most;
    }

    /// Adds bytes that have arrived. Call [`Decoder::next_frame`] until it returns `None` before
    /// adding more: the buffer then holds less than a frame.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.taken);
        self.taken = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// The body of the next frame; `None` if it is not complete yet.
    ///
    /// # Errors
    /// [`FrameError`]: the rest of the stream is unusable.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let rest = self.buffer.get(self.taken..).unwrap_or_default();
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        // Checked before the body arrives, so that a peer cannot make the buffer grow.
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

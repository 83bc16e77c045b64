//! The chunked transfer coding: the result does not depend on how the bytes are split, and equals
//! that of a simple decoder of the whole.

#![no_main]
#![allow(dead_code, reason = "only a part of the server's sources is used here")]

#[path = "../../server/src/chunked.rs"]
mod chunked;
#[path = "../../server/src/limits.rs"]
mod limits;

use chunked::{ChunkError, ChunkedDecoder};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use talos_fuzz::edits::{Edit, edited};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    raw: &'a [u8],
    chunks: Vec<(&'a [u8], &'a str)>,
    edits: Vec<Edit>,
    pieces: Vec<u8>,
    limit: u16,
}

fuzz_target!(|input: Input<'_>| {
    let limit = usize::from(input.limit);
    agrees(input.raw, &input.pieces, limit);

    let mut coded = Vec::new();
    let mut plain = Vec::new();
    for (chunk, extension) in &input.chunks {
        if chunk.is_empty() {
            continue;
        }
        let extension: String = extension
            .chars()
            .filter(|c| !c.is_control())
            .take(20)
            .collect();
        coded.extend(format!("{:x};{extension}\r\n", chunk.len()).into_bytes());
        coded.extend_from_slice(chunk);
        coded.extend(b"\r\n");
        plain.extend_from_slice(chunk);
    }
    coded.extend(b"0\r\nTrailer: x\r\n\r\n");
    let length = coded.len();
    coded.extend(b"GET / HTTP/1.1");
    let decoded = decode(&coded, &input.pieces, limit);
    if plain.len() <= limit {
        assert_eq!(decoded, Ok(Some((plain, length))));
    } else {
        assert_eq!(decoded, Err(ChunkError::TooLarge));
    }
    agrees(&edited(&coded, &input.edits), &input.pieces, limit);
});

/// The body and the length of its coded form. `None` while it is not complete.
type Decoded = Result<Option<(Vec<u8>, usize)>, ChunkError>;

fn agrees(bytes: &[u8], pieces: &[u8], limit: usize) {
    let decoded = decode(bytes, pieces, limit);
    assert_eq!(decoded, decode(bytes, &[], limit), "another split");
    match (decoded, whole(bytes)) {
        (Ok(Some(decoded)), by_hand) => {
            assert!(decoded.0.len() <= limit);
            assert_eq!(Some(decoded), by_hand);
        }
        // Input beyond a limit is rejected, even if it is well formed.
        (Ok(None) | Err(ChunkError::Malformed), by_hand) => {
            assert!(
                by_hand.is_none_or(|(body, length)| length - body.len() > limits::CHUNK_LINE_BYTES)
            );
        }
        (Err(ChunkError::TooLarge), by_hand) => {
            assert!(by_hand.is_none_or(|(body, _)| body.len() > limit));
        }
    }
}

/// Decodes in pieces of these lengths, then the rest at once.
fn decode(bytes: &[u8], pieces: &[u8], limit: usize) -> Decoded {
    let mut decoder = ChunkedDecoder::new(limit);
    let (mut body, mut done) = (Vec::new(), 0);
    let lengths = pieces.iter().map(|length| usize::from(*length));
    for length in lengths.chain([usize::MAX]) {
        let rest = &bytes[done..];
        let piece = &rest[..length.min(rest.len())];
        let progress = decoder.decode(piece, &mut body)?;
        done += progress.consumed;
        if progress.complete {
            return Ok(Some((body, done)));
        }
        assert_eq!(progress.consumed, piece.len());
    }
    Ok(None)
}

/// A simple decoder: the grammar of RFC 9112 §7.1, line by line, without limits.
fn whole(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut rest) = (Vec::new(), bytes);
    loop {
        let line = take_line(&mut rest)?;
        let digits = line
            .iter()
            .take_while(|byte| byte.is_ascii_hexdigit())
            .count();
        let (size, extension) = line.split_at(digits);
        if size.is_empty()
            || !(extension.is_empty() || extension[0] == b';')
            || !extension.iter().copied().all(is_text)
        {
            return None;
        }
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        let (chunk, after) = rest.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n")?;
    }
    loop {
        let line = take_line(&mut rest)?;
        if line.is_empty() {
            return Some((body, bytes.len() - rest.len()));
        }
        let starts_well = line[0].is_ascii_graphic() && line[0] != b':';
        if !starts_well || !line.iter().copied().all(is_text) {
            return None;
        }
    }
}

/// The bytes before the next CR LF.
fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let line = &rest[..end];
    *rest = &rest[end + 2..];
    Some(line)
}

fn is_text(byte: u8) -> bool {
    matches!(byte, b'\t' | b' '..=b'~' | 0x80..)
}
